//! The checkpoint in the ledger, and everything else an owner writes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use eft_domain::{
    Code, Command, Failure, Job, Receipt,
    job::Refused,
    receipt::{Delivery, DeliveryOutcome, FailureNote, SignedReceipt},
};
use eft_pipeline::{
    checkpoint::{Checkpoint, CheckpointStore},
    port::{ErrorKind, PortError, PortResult},
};
use eft_store::{ChangeError, Desk, StoreErrorKind};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::watch::Watched;
use crate::{delivery::is_of_destination, s3::Permit};

/// A job that is ours, as long as the ledger says so. Writes are made one after the other.
pub struct Owned {
    desk: Desk,
    fence: u64,
    row: Mutex<Job>,
    lost: AtomicBool,
    /// It has come further since it was claimed.
    advanced: AtomicBool,
    /// As it is seen from outside.
    pub watched: Watched,
}

impl Owned {
    pub(super) fn new(desk: Desk, job: Job, watched: Watched) -> Self {
        let [lost, advanced] = [false; 2].map(AtomicBool::new);
        Self { desk, fence: job.fence, row: Mutex::new(job), lost, advanced, watched }
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

    /// Whether the next owner would go on from further than we did.
    pub(super) fn has_advanced(&self) -> bool {
        self.advanced.load(Relaxed)
    }

    /// The checkpoint of the pass with this number, and what an earlier owner has left of it in the row.
    pub fn checkpoint(
        self: &Arc<Self>,
        text: Option<&str>,
        at: usize,
    ) -> (Arc<LedgerCheckpoint>, Option<Checkpoint>) {
        LedgerCheckpoint::open(self, text, at, Vec::new())
    }

    /// As [`Owned::checkpoint`], of the pass that follows these, and which keeps their receipts.
    pub(super) fn checkpoint_after(
        self: &Arc<Self>,
        text: Option<&str>,
        at: usize,
        passed: Vec<Receipt>,
    ) -> (Arc<LedgerCheckpoint>, Option<Checkpoint>) {
        LedgerCheckpoint::open(self, text, at, passed)
    }

    /// As [`earlier`].
    pub(super) async fn earlier(&self) -> Result<Option<SignedReceipt>, Failure> {
        earlier(&self.desk, &self.job().await).await
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
                    self.watched.pulse().metrics.fenced.add(1);
                }
                Err(error)
            }
        }
    }
}

/// The receipt of an earlier attempt of this very run, which ended without all that was asked of it.
///
/// # Errors
/// `checkpoint.unavailable`: it was not to be read, and what stands already must not be delivered again.
pub async fn earlier(desk: &Desk, job: &Job) -> Result<Option<SignedReceipt>, Failure> {
    if job.receipt.is_none_or(|key| key.generation != job.generation) {
        return Ok(None);
    }
    let unread = |why: &dyn std::fmt::Display| {
        Failure::new(Code::CheckpointUnavailable, format!("the receipt of the attempt before: {why}"))
    };
    let text = desk.receipt(job).await.map_err(|error| unread(&error))?;
    text.map(|text| SignedReceipt::parse(&text)).transpose().map_err(|error| unread(&error))
}

/// Whether an error says that the job is not ours any more.
pub(super) fn is_loss(error: &ChangeError) -> bool {
    matches!(
        error,
        ChangeError::Refused(Refused::Fenced { .. } | Refused::State { .. }) | ChangeError::Unknown(_)
    )
}

/// In place of a checkpoint, of a run that has none to go on from.
const NOTHING: &str = "{}";

/// What stands in the row: a run has a checkpoint for each pass, one after the other.
#[derive(Serialize, Deserialize)]
struct Place {
    at: usize,
    checkpoint: Checkpoint,
    /// What the passes before it have done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    passed: Vec<Receipt>,
}

impl Place {
    /// As a row says; none where it is not of this program.
    fn parse(text: Option<&str>) -> Option<Self> {
        serde_json::from_str(text?).ok()
    }
}

/// The passes that were carried out before the one that the text is a checkpoint of.
pub(super) fn passed(text: Option<&str>) -> Vec<Receipt> {
    Place::parse(text).map_or_else(Vec::new, |place| place.passed)
}

/// The checkpoint of an owned job for one pass.
pub struct LedgerCheckpoint {
    owned: Arc<Owned>,
    at: usize,
    passed: Vec<Receipt>,
    parts: AtomicU64,
    removed: AtomicBool,
    /// The ledger has said yes to publishing.
    permitted: Mutex<bool>,
    /// By [`Permit::publish`]: what was published is not in the checkpoint.
    asked: AtomicBool,
    /// The ledger has not answered that.
    unanswered: AtomicBool,
}

impl LedgerCheckpoint {
    fn open(
        owned: &Arc<Owned>,
        text: Option<&str>,
        at: usize,
        passed: Vec<Receipt>,
    ) -> (Arc<Self>, Option<Checkpoint>) {
        let place = Place::parse(text).filter(|place| place.at == at);
        let earlier = place.map(|place| place.checkpoint);
        let parts = AtomicU64::new(earlier.as_ref().map_or(0, reached));
        let [removed, asked, unanswered] = [false; 3].map(AtomicBool::new);
        let (owned, permitted) = (Arc::clone(owned), Mutex::new(false));
        (Arc::new(Self { owned, at, passed, parts, removed, permitted, asked, unanswered }), earlier)
    }

    /// Whether the run has said that nothing is left to go on from.
    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Relaxed)
    }

    /// Why the run has failed: a ledger that was not reached is no fault of the destination.
    pub(super) fn blamed(&self, failure: Failure) -> Failure {
        match self.unanswered.load(Relaxed) && is_of_destination(failure.code) {
            true => Failure::new(Code::CheckpointUnavailable, failure.message),
            false => failure,
        }
    }

    /// Whether an object of the pass stands, or may come to.
    pub(super) fn may_stand(&self, failure: Option<&Failure>, receipt: Option<&Receipt>) -> bool {
        let is_unclear = |failure: &Failure| match failure.code {
            Code::DestinationIndeterminate => true,
            // S3 may come to the end of a copy that nobody waits for any more.
            Code::DestinationUnavailable => self.asked.load(Relaxed),
            _ => false,
        };
        let may = |one: &Delivery| match one.outcome {
            DeliveryOutcome::Delivered | DeliveryOutcome::Indeterminate => true,
            _ => one
                .failure
                .as_ref()
                .and_then(FailureNote::known)
                .is_some_and(|code| code == Code::DestinationUnavailable && self.asked.load(Relaxed)),
        };
        failure.is_some_and(is_unclear) || receipt.is_some_and(|receipt| receipt.deliveries.iter().any(may))
    }
}

/// How far a run has come: one more with every part, and with publishing.
fn reached(checkpoint: &Checkpoint) -> u64 {
    checkpoint.done.as_ref().map_or(0, |done| u64::from(done.parts))
}

impl CheckpointStore for LedgerCheckpoint {
    fn save<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, PortResult<()>> {
        async move {
            let (at, passed) = (self.at, self.passed.clone());
            let place = Place { at, checkpoint: checkpoint.clone(), passed };
            let text = serde_json::to_string(&place)
                .map_err(|error| PortError::new(ErrorKind::Permanent, format!("checkpoint: {error}")))?;
            let parts = reached(checkpoint);
            let advanced = parts > self.parts.load(Relaxed);
            let save = Command::Save {
                fence: self.owned.fence,
                checkpoint: text,
                advanced,
                publishing: checkpoint.publishing.is_some(),
            };
            self.owned.ask(&save).await.map_err(|error| port_error(&error))?;
            self.owned.watched.pulse().metrics.checkpoints.add(1);
            self.owned.advanced.fetch_or(advanced, Relaxed);
            self.parts.store(parts, Relaxed);
            self.removed.store(false, Relaxed);
            if checkpoint.publishing.is_some() {
                *self.permitted.lock().await = true;
            }
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

/// A run that is streamed and can be gone on with has asked when it stored that it publishes. One that S3 copies, or whose
/// objects are made anew after a crash, asks here.
impl Permit for LedgerCheckpoint {
    fn publish(&self) -> BoxFuture<'_, PortResult<()>> {
        async move {
            // Asked once, whoever comes first.
            let mut permitted = self.permitted.lock().await;
            if *permitted {
                return Ok(());
            }
            let stands = self.owned.job().await.checkpoint;
            let save = Command::Save {
                fence: self.owned.fence,
                checkpoint: stands.unwrap_or_else(|| NOTHING.to_owned()),
                advanced: false,
                publishing: true,
            };
            let answer = self.owned.ask(&save).await;
            let is_answered = answer.as_ref().err().is_none_or(is_loss);
            self.unanswered.store(!is_answered, Relaxed);
            answer.map_err(|error| {
                let kind = if is_answered { ErrorKind::Permanent } else { ErrorKind::Transient };
                PortError { kind, ..port_error(&error) }
            })?;
            self.asked.store(true, Relaxed);
            *permitted = true;
            Ok(())
        }
        .boxed()
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
