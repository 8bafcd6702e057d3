//! A job: one object version on one route, from its arrival to its end.
//!
//! # Overview
//! A job is one row of the ledger. [`apply`] is the only thing that changes one: a pure function of the row, a
//! [`Command`], who gives it and the time. Stores write what it returns under the condition that the row is still the
//! one it was given ([`Job::rev`]), so that everything the function has looked at still holds when the write is made.
//!
//! # Ordering
//! Every change of state has the next [`sequence`](Job::sequence) of its job. Changes are told ([`JobEvent`]) at least
//! once; whoever is told twice knows it by the id.
//!
//! # Crash consistency
//! What has changed and is not yet told stands in the row itself ([`Job::outbox`]): the change and the duty to tell it
//! are one write. [`Job::due`] says when somebody has to look at a row even if every message about it was lost.

mod apply;
mod command;
mod due;
mod event;
mod remedy;
mod state;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;

pub use apply::{Needs, Refused, TRANSITIONS, Transition, apply, transition_table};
pub use command::{Actor, Command, Ending};
pub use due::{LONG_WAIT, OUTBOX_GRACE, RESEND_AFTER, Retention, UNROUTED_EVERY};
pub use event::{EventKind, JobEvent};
pub use remedy::{HOLD_CUTOFF, Remedy, remedy, remedy_table, retry_delay};
pub use state::JobState;

use serde::{Deserialize, Serialize};

use crate::{
    Arrival, Failure, JobId, RouteId, RouteRevision, RunId, TenantId, receipt::FailureNote, route::HeadOfLine,
};

/// Milliseconds since 1970 in UTC, by the clock of whoever writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This much later.
    pub fn plus(self, time: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is not.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Times an owner may die without getting any further before the job is ended: a file that kills its worker must not
/// kill all of them. As many as a queue gives a message before it is set aside (SEMANTICS, "DLQ after 5 receives").
pub const MAX_STRIKES: u32 = 5;

/// The largest checkpoint that stands in a row. DynamoDB holds 400 KB an item; the rest of a row is a few KB.
pub const MAX_CHECKPOINT_BYTES: usize = 256 * 1024;

/// Marks of writes that a row keeps: a writer whose answer was lost looks for its own at once, and others write a row far
/// more slowly than that.
const KEPT_MARKS: usize = 8;

/// A job, as its row says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Which job.
    pub id: JobId,
    /// Which run of it: 1, and one more with every replay.
    pub generation: u32,
    /// Where it stands.
    pub state: JobState,
    /// Whose it is; none where no route was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// What is done with it; none where no route was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<PinnedRoute>,
    /// What arrived.
    pub arrival: Arrival,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, as S3 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When it was first heard of.
    pub arrived_at: Millis,
    /// When its state last changed.
    pub changed_at: Millis,
    /// Who runs it.
    #[serde(default)]
    pub runner: Runner,
    /// Its turn on a route with an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<RouteTurn>,
    /// How often it was put into a queue. Part of the message's deduplication id: a job sent again must not be taken
    /// for the message that was lost.
    #[serde(default)]
    pub sends: u32,
    /// When it was last put into a queue; none while it waits for its tenant's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Millis>,
    /// Who works on it, and until when nobody else may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The fencing token: one more with every owner. What an earlier owner writes is refused.
    #[serde(default)]
    pub fence: u64,
    /// Owners that died without getting any further.
    #[serde(default)]
    pub strikes: u32,
    /// Everything was checked and sent, and an owner, perhaps an earlier one that has stopped, may publish it at any
    /// moment: the run is not ended behind its back.
    #[serde(default)]
    pub publishing: bool,
    /// What the next owner goes on from; the text is the pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Why it ended or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureNote>,
    /// Since when it waits, and until when by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What it waits for, or why no route takes it, as it was said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which receipt is that of the run that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptKey>,
    /// W3C `traceparent` of what started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Changes of state so far.
    pub sequence: u64,
    /// Changes that were not told yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<JobEvent>,
    /// Writes to the row so far: what a write is conditional on.
    pub rev: u64,
    /// Marks of the last writes, the newest last: whoever made one knows by it that it stands, although the answer was
    /// lost and others have written since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<u64>,
}

/// Where a receipt is kept: its text, which may be long, stands beside the history, and this in the row. No two owners
/// have one key, so that what a zombie writes is not taken for the owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReceiptKey {
    /// The run.
    pub generation: u32,
    /// The token of the owner that has ended it.
    pub fence: u64,
}

/// Which text of which route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedRoute {
    /// The route.
    pub id: RouteId,
    /// Its revision, the same from the first claim to the end (G6).
    pub revision: RouteRevision,
}

/// The turn of a job on a route with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTurn {
    /// Which: the order of claim.
    pub number: u64,
    /// What becomes of those behind it while it is held, by the revision under which it was claimed: a replay under another
    /// keeps its place.
    pub head_of_line: HeadOfLine,
}

words! {
    /// Who runs a job.
    #[derive(Default)]
    pub enum Runner {
        /// The worker, through `work.fifo`.
        #[default]
        Worker = "worker",
        /// Step Functions.
        Steps = "steps",
    }
}

/// Who works on a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// A name no other process or slot has.
    pub owner: String,
    /// From then on another may take it.
    pub until: Millis,
}

/// Why a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when; kept over retries, because the cut-off counts from it.
    pub since: Millis,
    /// When it is tried again by itself; none where somebody has to act first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Millis>,
    /// Times it was tried again.
    #[serde(default)]
    pub tries: u32,
}

impl Job {
    /// The run.
    pub fn run(&self) -> RunId {
        RunId::nth(self.id, self.generation)
    }

    /// The number of its turn, as long as it holds up those behind it.
    pub fn holds_up(&self) -> Option<u64> {
        let turn = self.turn?;
        let lets_by = self.state == JobState::Held && turn.head_of_line == HeadOfLine::HoldAndContinue;
        (!self.state.is_terminal() && !lets_by).then_some(turn.number)
    }

    /// A job that has just arrived; `apply` makes it what it is.
    pub(crate) fn arrived(id: JobId, arrived: &Arrived) -> Self {
        Self {
            id,
            generation: 1,
            state: JobState::Arrived,
            tenant: arrived.tenant.clone(),
            route: arrived.route.clone(),
            arrival: arrived.arrival.clone(),
            size: arrived.size,
            etag: arrived.etag.clone(),
            arrived_at: arrived.at,
            changed_at: arrived.at,
            runner: arrived.runner,
            turn: arrived.turn,
            sends: 0,
            sent_at: None,
            lease: None,
            fence: 0,
            strikes: 0,
            publishing: false,
            checkpoint: None,
            failure: None,
            hold: None,
            reason: None,
            receipt: None,
            trace: arrived.trace.clone(),
            sequence: 0,
            outbox: Vec::new(),
            rev: 0,
            marks: Vec::new(),
        }
    }

    /// The row with the mark of the write that is to make it.
    #[must_use]
    pub fn marked(mut self, mark: u64) -> Self {
        let kept = self.marks.len().saturating_sub(KEPT_MARKS - 1);
        self.marks.drain(..kept);
        self.marks.push(mark);
        self
    }

    /// Whether this owner may act at this time.
    pub fn is_owned(&self, fence: u64, now: Millis) -> bool {
        self.fence == fence && self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }
}

/// What the router knows of an object version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The object version.
    pub arrival: Arrival,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: Option<String>,
    /// When.
    pub at: Millis,
    /// Whose it is; none where no route was found.
    pub tenant: Option<TenantId>,
    /// What is done with it; none where no route was found.
    pub route: Option<PinnedRoute>,
    /// Who runs it.
    pub runner: Runner,
    /// Its turn on a route with an order.
    pub turn: Option<RouteTurn>,
    /// W3C `traceparent`.
    pub trace: Option<String>,
}

impl Arrived {
    /// The job that this is, for ever and in both regions.
    pub fn job_id(&self) -> JobId {
        match &self.route {
            Some(route) => JobId::of(&route.id, &self.arrival),
            None => JobId::unrouted(&self.arrival),
        }
    }

    /// The first row of the job.
    ///
    /// # Errors
    /// `command` is none that begins a job.
    pub fn begin(&self, command: &Command, actor: &Actor) -> Result<Job, Refused> {
        apply(&Job::arrived(self.job_id(), self), command, actor, self.at)
    }
}

/// A failure as a row keeps it.
pub(crate) fn note(failure: &Failure) -> FailureNote {
    FailureNote::from(failure)
}
