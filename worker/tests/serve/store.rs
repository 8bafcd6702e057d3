//! S3 as far as a run sees it: uploads that anybody may write to and complete, and a conditional name. It knows no token.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use eft_domain::{Code, Failure, JobId, RunId};
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore as _, Done, Mark, Pinned},
    checksum::Crc64,
    error::interrupted,
    port::{ErrorKind, PortError},
};
use eft_worker::serve::{Finished, Task, Transfers};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use crate::ledger::Draws;

/// Parts of every object.
const PARTS: u32 = 8;

#[derive(Default)]
struct Objects {
    uploads: BTreeMap<String, BTreeSet<u32>>,
    /// The delivery that stands under each name, and how often it came to stand there.
    visible: BTreeMap<JobId, (RunId, u32)>,
    next: u64,
    read: BTreeMap<JobId, u32>,
}

/// The store, and the runs against it.
#[derive(Clone)]
pub(crate) struct Store {
    objects: Arc<Mutex<Objects>>,
    draws: Draws,
    /// Files that break the rules of their route.
    bad: Arc<BTreeSet<JobId>>,
    /// Once in so many parts the destination is down.
    down: u64,
}

impl Store {
    pub(crate) fn new(draws: Draws, bad: BTreeSet<JobId>, down: u64) -> Self {
        Self { objects: Arc::default(), draws, bad: Arc::new(bad), down }
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often an object came to stand under the name of a job.
    pub(crate) fn published(&self, id: JobId) -> u32 {
        self.objects().visible.get(&id).map_or(0, |(_, times)| *times)
    }

    /// Uploads that are open.
    pub(crate) fn open(&self) -> usize {
        self.objects().uploads.len()
    }

    /// Parts read for a job, all its owners together.
    pub(crate) fn read(&self, id: JobId) -> u32 {
        self.objects().read.get(&id).copied().unwrap_or(0)
    }

    fn begin(&self) -> String {
        let mut objects = self.objects();
        objects.next += 1;
        let id = format!("upload-{}", objects.next);
        objects.uploads.insert(id.clone(), BTreeSet::new());
        id
    }

    fn abort(&self, upload: &str) {
        self.objects().uploads.remove(upload);
    }

    fn part(&self, id: JobId, upload: &str, part: u32) -> Result<(), Failure> {
        let mut objects = self.objects();
        *objects.read.entry(id).or_default() += 1;
        match objects.uploads.get_mut(upload) {
            Some(parts) => {
                parts.insert(part);
                Ok(())
            }
            None => Err(Failure::new(Code::DestinationUnavailable, "the upload is gone")),
        }
    }

    /// `If-None-Match: *`, and what stands there is looked at when it is refused.
    fn complete(&self, run: RunId, upload: &str) -> Result<(), Failure> {
        let mut objects = self.objects();
        if let Some((theirs, _)) = objects.visible.get(&run.job()) {
            let is_ours = *theirs == run;
            objects.uploads.remove(upload);
            return if is_ours { Ok(()) } else { Err(Failure::new(Code::DestinationExists, "taken")) };
        }
        let Some(parts) = objects.uploads.remove(upload) else {
            return Err(Failure::new(Code::DestinationUnavailable, "the upload is gone"));
        };
        assert_eq!(parts.len() as u32, PARTS, "an object is published whole");
        let (_, times) = objects.visible.entry(run.job()).or_insert((run, 0));
        *times += 1;
        Ok(())
    }

    fn stands(&self, run: RunId) -> bool {
        self.objects().visible.get(&run.job()).is_some_and(|(found, _)| *found == run)
    }

    async fn all(&self, task: &Task, cancel: &CancellationToken) -> Result<(), (Failure, bool)> {
        let run = task.job.run();
        let id = run.job();
        if self.stands(run) {
            return Ok(());
        }
        let (store, earlier) = task.owned.checkpoint(task.job.checkpoint.as_deref(), 0);
        let keep = |error: PortError| (failure(&error), false);
        let resumable = earlier.as_ref().and_then(|it| it.uploads.first().cloned().flatten());
        let upload = match resumable.filter(|upload| self.objects().uploads.contains_key(upload)) {
            Some(upload) => upload,
            None => {
                let upload = self.begin();
                let begun = Checkpoint { uploads: vec![Some(upload.clone())], ..new(run) };
                // Nobody would find it again.
                if let Err(error) = store.save(&begun).await {
                    self.abort(&upload);
                    return Err(keep(error));
                }
                upload
            }
        };
        let first = earlier
            .filter(|it| it.uploads == [Some(upload.clone())])
            .and_then(|it| it.done)
            .map_or(0, |done| done.parts);
        let begun = Checkpoint { uploads: vec![Some(upload.clone())], ..new(run) };
        for part in first + 1..=PARTS {
            let time = Duration::from_millis(100 + self.draws.below(20_000));
            tokio::select! {
                () = cancel.cancelled() => return Err((interrupted(), false)),
                () = tokio::time::sleep(time) => {}
            }
            if self.draws.once_in(self.down) {
                return Err((Failure::new(Code::DestinationUnavailable, "down"), false));
            }
            if self.bad.contains(&id) && part == PARTS / 2 {
                self.abort(&upload);
                return Err((Failure::new(Code::Validation, "bad"), true));
            }
            self.part(id, &upload, part).map_err(|failure| (failure, false))?;
            if part % 2 == 0 {
                let done = Done { parts: part, output: crc(part), packed: crc(part), mark: mark(part) };
                store.save(&Checkpoint { done: Some(done), ..begun.clone() }).await.map_err(keep)?;
            }
        }
        let done = Done { parts: PARTS, output: crc(PARTS), packed: crc(PARTS), mark: mark(PARTS) };
        let publishing = Checkpoint { done: Some(done), publishing: Some(crc(PARTS)), ..begun };
        store.save(&publishing).await.map_err(keep)?;
        // A worker may stop just here, and publish when it wakes.
        tokio::time::sleep(Duration::from_millis(self.draws.below(2_000))).await;
        self.complete(run, &upload).map_err(|failure| (failure, false))
    }
}

fn failure(error: &PortError) -> Failure {
    match error.kind {
        ErrorKind::Changed => interrupted(),
        _ => Failure::new(Code::CheckpointUnavailable, error.message.clone()),
    }
}

fn new(run: RunId) -> Checkpoint {
    let text = String::new;
    let pinned = Pinned {
        source: text(),
        route: text(),
        destination: text(),
        plan: text(),
        delivery: run.to_string(),
    };
    Checkpoint::new(pinned, vec![Vec::new()])
}

fn crc(parts: u32) -> Crc64 {
    Crc64::from_parts(u64::from(parts), u64::from(parts))
}

fn mark(part: u32) -> Mark {
    Mark { source: crc(part), second: None, position: u64::from(part), steps: Vec::new() }
}

impl Transfers for Store {
    fn run<'a>(&'a self, task: Task, cancel: CancellationToken) -> BoxFuture<'a, Finished> {
        async move {
            let (failure, nothing_left) = match self.all(&task, &cancel).await {
                Ok(()) => (None, false),
                Err((failure, nothing_left)) => (Some(failure), nothing_left),
            };
            Finished {
                delivered: usize::from(failure.is_none()),
                failure,
                receipt: Some("{}".to_owned()),
                nothing_left,
            }
        }
        .boxed()
    }
}
