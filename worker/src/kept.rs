//! A run's checkpoint before the run begins: what an earlier run has left, and what becomes of it.

use std::{path::PathBuf, sync::Arc};

use eft_domain::{Failure, ObjectVersion};
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore, Interval, Keeper, Pinned},
    error::{of_checkpoint, of_sink},
    port::{ErrorKind, PortError},
    resume::sweep,
    retry::RetryPolicy,
};

use crate::{
    checkpoint::CheckpointFile,
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
    pub(crate) async fn forget(&self) -> Result<(), Failure> {
        let Some(store) = &self.store else { return Ok(()) };
        store.remove().await.map_err(|error| of_checkpoint(&error))
    }

    /// The delivery stands by another run: what this one had begun is of no use.
    pub(crate) async fn discard(&self, sink: &Sink) -> Result<(), Failure> {
        let begun = self.earlier.iter().flat_map(|earlier| earlier.uploads.iter().flatten());
        for id in begun {
            let removed = match sink.port().reopen(id).await {
                Ok(upload) => upload.abort().await,
                Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            };
            removed.map_err(|error| of_sink(&error))?;
        }
        self.forget().await
    }

    pub(crate) async fn keeper(self, interval: Interval, sink: &Sink) -> Result<Option<Keeper>, Failure> {
        let Some(store) = self.store else { return Ok(None) };
        if let Some(earlier) = self.earlier {
            let found_nothing = earlier.uploads.is_empty();
            if found_nothing {
                sweep(&[sink.port()], &earlier, &RetryPolicy::DEFAULT).await?;
            }
            return Ok(Some(Keeper::resume(store, RetryPolicy::DEFAULT, interval, earlier)));
        }
        let before = match sink.port().uploads().await {
            Ok(uploads) => uploads,
            Err(PortError { kind: ErrorKind::Denied | ErrorKind::Unsupported, .. }) => Vec::new(),
            Err(error) => return Err(of_sink(&error)),
        };
        let checkpoint = Checkpoint::new(self.pinned, vec![before]);
        Keeper::begin(store, RetryPolicy::DEFAULT, interval, checkpoint).await.map(Some)
    }
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
