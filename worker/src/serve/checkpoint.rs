//! The checkpoint in the ledger, and everything else an owner writes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use eft_domain::{Command, Job, job::Refused};
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore},
    port::{ErrorKind, PortError, PortResult},
};
use eft_store::{ChangeError, Desk, StoreErrorKind};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// A job that is ours, as long as the ledger says so. Writes are made one after the other.
pub struct Owned {
    desk: Desk,
    fence: u64,
    row: Mutex<Job>,
    lost: AtomicBool,
}

impl Owned {
    pub(super) fn new(desk: Desk, job: Job) -> Self {
        Self { desk, fence: job.fence, row: Mutex::new(job), lost: AtomicBool::new(false) }
    }

    /// The owner's token.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// The row as it was last seen.
    pub async fn job(&self) -> Job {
        self.row.lock().await.clone()
    }

    /// Whether the ledger has said that it is not ours any more.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }

    /// The checkpoint of the destination with this number, and what an earlier owner has left of it in the row.
    pub fn checkpoint(
        self: &Arc<Self>,
        text: Option<&str>,
        at: usize,
    ) -> (Arc<LedgerCheckpoint>, Option<Checkpoint>) {
        LedgerCheckpoint::open(self, text, at)
    }

    /// Ask for a change.
    ///
    /// # Errors
    /// As [`Desk::change`]; `Fenced` and `State` say that the job is not ours any more.
    pub(super) async fn ask(&self, command: &Command) -> Result<Job, ChangeError> {
        let mut row = self.row.lock().await;
        match self.desk.change_from(row.clone(), command).await {
            Ok(job) => {
                *row = job.clone();
                Ok(job)
            }
            Err(error) => {
                if is_loss(&error) {
                    self.lost.store(true, Relaxed);
                }
                Err(error)
            }
        }
    }
}

/// Whether an error says that the job is not ours any more.
pub(super) fn is_loss(error: &ChangeError) -> bool {
    matches!(
        error,
        ChangeError::Refused(Refused::Fenced { .. } | Refused::State { .. }) | ChangeError::Unknown(_)
    )
}

/// What stands in the row: a run has several checkpoints one after the other, a destination each.
#[derive(Serialize, Deserialize)]
struct Place {
    at: usize,
    checkpoint: Checkpoint,
}

/// The checkpoint of an owned job for its destination with this number.
pub struct LedgerCheckpoint {
    owned: Arc<Owned>,
    at: usize,
    parts: AtomicU64,
    removed: AtomicBool,
}

impl LedgerCheckpoint {
    fn open(owned: &Arc<Owned>, text: Option<&str>, at: usize) -> (Arc<Self>, Option<Checkpoint>) {
        let place = text.and_then(|text| serde_json::from_str::<Place>(text).ok());
        let earlier = place.filter(|place| place.at == at).map(|place| place.checkpoint);
        let parts = AtomicU64::new(earlier.as_ref().map_or(0, reached));
        (Arc::new(Self { owned: Arc::clone(owned), at, parts, removed: AtomicBool::new(false) }), earlier)
    }

    /// Whether the run has said that nothing is left to go on from.
    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Relaxed)
    }
}

/// How far a run has come: one more with every part, and with publishing.
fn reached(checkpoint: &Checkpoint) -> u64 {
    checkpoint.done.as_ref().map_or(0, |done| u64::from(done.parts))
}

impl CheckpointStore for LedgerCheckpoint {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        async move {
            let place = Place { at: self.at, checkpoint: checkpoint.clone() };
            let text = serde_json::to_string(&place)
                .map_err(|error| PortError::new(ErrorKind::Permanent, format!("checkpoint: {error}")))?;
            let parts = reached(checkpoint);
            let save = Command::Save {
                fence: self.owned.fence,
                checkpoint: text,
                advanced: parts > self.parts.load(Relaxed),
                publishing: checkpoint.publishing.is_some(),
            };
            self.owned.ask(&save).await.map_err(|error| port_error(&error))?;
            self.parts.store(parts, Relaxed);
            self.removed.store(false, Relaxed);
            Ok(())
        }
        .boxed()
    }

    /// The row keeps it until the run has ended: an object that was just published must not look as if it could still be
    /// cancelled.
    fn remove(&self) -> BoxFuture<'_, PortResult<()>> {
        self.removed.store(true, Relaxed);
        async { Ok(()) }.boxed()
    }
}

fn port_error(error: &ChangeError) -> PortError {
    let kind = match error {
        error if is_loss(error) => ErrorKind::Changed,
        ChangeError::Store(error) => match error.kind {
            StoreErrorKind::Denied => ErrorKind::Denied,
            StoreErrorKind::Throttled => ErrorKind::Throttled,
            StoreErrorKind::Permanent => ErrorKind::Permanent,
            StoreErrorKind::Unavailable | StoreErrorKind::Indeterminate => ErrorKind::Transient,
        },
        _ => ErrorKind::Permanent,
    };
    PortError::new(kind, format!("ledger: {error}"))
}
