//! A run's checkpoint before the run begins: what an earlier run has left, and what becomes of it.

use std::{path::PathBuf, sync::Arc};

use eft_domain::{Failure, ObjectVersion, receipt::FailureNote};
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore, Interval, Keeper, Pinned, SavedEnd, SavedSink},
    error::{of_checkpoint, of_sink},
    port::{Committed, ErrorKind, PortError},
    resume::sweep,
    retry::RetryPolicy,
};

use crate::{
    checkpoint::CheckpointFile,
    delivery::Delivery,
    place::{Opened, Sink},
};

/// Where a run's checkpoint is kept.
#[derive(Clone)]
pub enum CheckpointAt {
    /// In a file.
    File(PathBuf),
    /// In a store, with what an earlier run has left in it.
    Store(Arc<dyn CheckpointStore>, Box<Option<Checkpoint>>),
}

impl CheckpointAt {
    pub(crate) fn open(&self) -> Result<(Arc<dyn CheckpointStore>, Option<Checkpoint>), Failure> {
        Ok(match self {
            Self::File(path) => {
                let (file, earlier) = CheckpointFile::open(path)?;
                (Arc::new(file), earlier)
            }
            Self::Store(store, earlier) => (Arc::clone(store), Option::clone(earlier)),
        })
    }
}

/// A run's checkpoint, before the run begins.
pub(crate) struct Kept {
    pub(crate) pinned: Pinned,
    pub(crate) store: Option<Arc<dyn CheckpointStore>>,
    pub(crate) earlier: Option<Checkpoint>,
}

impl Kept {
    /// What stands at a destination by an earlier attempt, which has noted it.
    pub(crate) fn delivered(&self, name: &str) -> Option<Committed> {
        let committed = self.earlier.as_ref()?.sink(name)?.delivered()?.clone();
        Some(Committed { already_there: true, ..committed })
    }

    /// An earlier attempt has begun to stream.
    pub(crate) fn has_begun(&self) -> bool {
        self.earlier.as_ref().is_some_and(Checkpoint::has_begun)
    }

    pub(crate) async fn forget(&self) -> Result<(), Failure> {
        let Some(store) = &self.store else { return Ok(()) };
        store.remove().await.map_err(|error| of_checkpoint(&error))
    }

    /// The delivery stands: what an earlier attempt had begun there is of no use.
    pub(crate) async fn discard(&self, sink: &Sink) -> Result<(), Failure> {
        let sink = sink.port();
        let saved = self.earlier.as_ref().and_then(|earlier| earlier.sink(&sink.uri()));
        let Some(id) = saved.and_then(|saved| saved.upload.as_ref()) else { return Ok(()) };
        let removed = match sink.reopen(id).await {
            Ok(upload) => upload.abort().await,
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|error| of_sink(&error))
    }

    /// Keep the checkpoint from now on. A destination that cannot be asked what stands there is given up.
    pub(crate) async fn keeper(
        self,
        interval: Interval,
        destinations: &mut [Delivery],
    ) -> Result<Option<Keeper>, Failure> {
        let Some(store) = self.store else { return Ok(None) };
        if let Some(earlier) = self.earlier {
            if !earlier.has_begun() {
                let live: Vec<_> = destinations.iter().filter_map(Delivery::live).map(Sink::port).collect();
                sweep(&live, &earlier, &RetryPolicy::DEFAULT).await?;
            }
            let keeper = Keeper::resume(store, RetryPolicy::DEFAULT, interval, earlier);
            note(&keeper, destinations).await?;
            return Ok(Some(keeper));
        }
        let mut sinks = Vec::new();
        for destination in destinations {
            let before = match destination.live().map(Sink::port) {
                Some(sink) => sink.uploads().await,
                None => Ok(Vec::new()),
            };
            let before = match before {
                Err(PortError { kind: ErrorKind::Denied | ErrorKind::Unsupported, .. }) => Vec::new(),
                Err(error) => {
                    destination.end(0, Err(of_sink(&error)));
                    Vec::new()
                }
                Ok(before) => before,
            };
            sinks.push(SavedSink { ended: ended(destination), ..SavedSink::new(destination.name(), before) });
        }
        let checkpoint = Checkpoint::new(self.pinned, sinks);
        Keeper::begin(store, RetryPolicy::DEFAULT, interval, checkpoint).await.map(Some)
    }
}

/// Note in the checkpoint which destinations the run is done with.
pub(crate) async fn note(keeper: &Keeper, destinations: &[Delivery]) -> Result<(), Failure> {
    let ended: Vec<_> = destinations.iter().map(|one| (one.name(), ended(one))).collect();
    let note = |checkpoint: &mut Checkpoint| {
        for (name, ended) in ended {
            checkpoint.note(&name, |sink| sink.ended = ended.or_else(|| sink.ended.take()));
        }
    };
    keeper.update(note).await
}

fn ended(destination: &Delivery) -> Option<SavedEnd> {
    let given_up = || destination.failure().map(|failure| SavedEnd::GivenUp(FailureNote::from(failure)));
    destination.committed().cloned().map(SavedEnd::Delivered).or_else(given_up)
}

/// A source version in one line, with what it joins.
pub(crate) fn described(opened: &Opened) -> String {
    let mut text = version(&opened.version);
    if let Some(digest) = joined(&opened.objects) {
        text.push_str(&format!(", {} objects, SHA-256 of their versions {digest}", opened.objects.len()));
    }
    text
}

/// A digest of these versions in their order; `None` of none.
pub(crate) fn joined(objects: &[ObjectVersion]) -> Option<String> {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    for object in objects {
        digest.update(version(object).as_bytes());
        digest.update(b"\n");
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (!objects.is_empty()).then(|| hex(digest.finish().as_ref()))
}

fn version(version: &ObjectVersion) -> String {
    let mut text = version.uri.to_string();
    let facts = [
        ("version", version.version_id.as_ref().map(ToString::to_string)),
        ("ETag", version.etag.clone()),
        ("size", version.size.map(|size| size.to_string())),
        ("modified", version.last_modified.clone()),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            text.push_str(&format!(", {name} {fact}"));
        }
    }
    text
}
