//! A run as the ledger and S3 see it: parts in order, a checkpoint after every second, one conditional publishing.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use eft_domain::{Code, Failure, RunId};
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore as _, Done, Mark, Pinned, SavedSink},
    checksum::Crc64,
    error::interrupted,
    port::{ErrorKind, PortError},
};
use eft_store::{StoreResult, faulty::Draws};
use eft_worker::serve::{Finished, Task, Transfers};
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use crate::store::{PARTS, Seen};

/// Parts between two checkpoints.
pub(crate) const INTERVAL: u32 = 2;
/// Times a request to S3 is made.
const TRIES: u32 = 3;

/// Runs against the store.
pub(crate) struct Runs {
    pub(crate) s3: Seen,
    pub(crate) draws: Arc<Draws>,
    /// Keys of files that break the rules of their route.
    pub(crate) bad: BTreeSet<String>,
    /// Once in so many parts the destination is down.
    pub(crate) down: u64,
    /// It is down all the time.
    pub(crate) outage: Arc<AtomicBool>,
}

/// Why a run stops, and whether nothing is left for the next owner.
type Stopped = (Failure, bool);

fn unavailable() -> Stopped {
    (Failure::new(Code::DestinationUnavailable, "down"), false)
}

fn kept(error: PortError) -> Stopped {
    let failure = match error.kind {
        ErrorKind::Changed => interrupted(),
        _ => Failure::new(Code::CheckpointUnavailable, error.message),
    };
    (failure, false)
}

/// What can be asked again is.
async fn asked<T, F: Future<Output = StoreResult<T>>>(mut ask: impl FnMut() -> F) -> Result<T, Stopped> {
    for _ in 1..TRIES {
        if let Ok(answer) = ask().await {
            return Ok(answer);
        }
    }
    ask().await.map_err(|_| unavailable())
}

impl Runs {
    async fn all(&self, task: &Task, cancel: &CancellationToken) -> Result<(), Stopped> {
        let run = task.job.run();
        let key = &task.job.arrival.key;
        if asked(|| self.s3.stands(run)).await? {
            return Ok(());
        }
        let (store, earlier) = task.owned.checkpoint(task.job.checkpoint.as_deref(), 0);
        let mut upload = earlier.as_ref().and_then(|it| it.sinks.first()?.upload.clone());
        if let Some(id) = &upload
            && !asked(|| self.s3.is_open(id)).await?
        {
            upload = None;
            if let Some(publishing) = earlier.as_ref().filter(|it| it.publishing.is_some()) {
                store.save(&without_upload(publishing.clone())).await.map_err(kept)?;
                // It may have been made since it was looked for.
                if asked(|| self.s3.stands(run)).await? {
                    return Ok(());
                }
            }
        }
        let resumed = upload.is_some();
        let upload = match upload {
            Some(upload) => upload,
            None => {
                // One whose answer was lost is left to the sweep.
                let upload = asked(|| self.s3.begin(key)).await?;
                let begun = with(new(run), &upload);
                // Nobody would find it again.
                if let Err(error) = store.save(&begun).await {
                    self.s3.end(&upload).await.ok();
                    return Err(kept(error));
                }
                upload
            }
        };
        let done = earlier.filter(|_| resumed).and_then(|it| it.done);
        let first = done.map_or(0, |done| done.parts);
        let begun = with(new(run), &upload);
        for part in first + 1..=PARTS {
            let time = Duration::from_millis(100 + self.draws.below(20_000));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err((interrupted(), false)),
                () = tokio::time::sleep(time) => {}
            }
            self.s3.store.count(run.job());
            if self.outage.load(Relaxed) || self.draws.once_in(self.down) {
                return Err(unavailable());
            }
            if self.bad.contains(key) && part == PARTS / 2 {
                let ended = self.s3.end(&upload).await.is_ok();
                return Err((Failure::new(Code::Validation, "bad"), ended));
            }
            if !asked(|| self.s3.part(&upload, part)).await? {
                return Err(unavailable());
            }
            if part % INTERVAL == 0 {
                store.save(&Checkpoint { done: Some(done_at(part)), ..begun.clone() }).await.map_err(kept)?;
            }
        }
        let publishing = Checkpoint { done: Some(done_at(PARTS)), publishing: Some(crc(PARTS)), ..begun };
        store.save(&publishing).await.map_err(kept)?;
        // A worker may stop just here, and publish when it wakes.
        tokio::time::sleep(Duration::from_millis(self.draws.below(2_000))).await;
        self.publish(run, &upload).await
    }

    /// What was not answered, and what was refused, is looked at: it may stand there all the same, and be ours.
    async fn publish(&self, run: RunId, upload: &str) -> Result<(), Stopped> {
        if let Ok(true) = self.s3.complete(run, upload).await {
            return Ok(());
        }
        if asked(|| self.s3.stands(run)).await? {
            return Ok(());
        }
        Err((Failure::new(Code::DestinationIndeterminate, "nobody knows"), false))
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
    Checkpoint::new(pinned, vec![SavedSink::new("s3".to_owned(), Vec::new())])
}

fn with(mut checkpoint: Checkpoint, upload: &str) -> Checkpoint {
    checkpoint.sinks[0].upload = Some(upload.to_owned());
    checkpoint
}

fn without_upload(mut checkpoint: Checkpoint) -> Checkpoint {
    checkpoint.sinks[0].upload = None;
    checkpoint
}

fn crc(parts: u32) -> Crc64 {
    Crc64::from_parts(u64::from(parts), u64::from(parts))
}

fn done_at(parts: u32) -> Done {
    let mark = Mark { source: crc(parts), second: None, position: u64::from(parts), steps: Vec::new() };
    Done { parts, output: crc(parts), packed: crc(parts), mark }
}

impl Transfers for Runs {
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
