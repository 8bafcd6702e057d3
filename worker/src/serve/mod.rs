//! The worker service: `poll → claim → lease → transfer → commit → report`, in a number of slots, until it is drained.
//!
//! # Overview
//! A slot takes one message, claims its job in the ledger, runs it while a heartbeat keeps the lease, writes how it ended,
//! tells it, and only then deletes the message. Messages are doorbells: what is to be done stands in the ledger, and a
//! message that is lost, doubled or late changes nothing.
//!
//! # Ordering
//! A job has one owner at a time: the one with the row's fencing token. Every write of an owner carries it.
//!
//! # Backpressure
//! One message a slot. Memory for bytes is one budget for the process, from which each run carves its plan's share before
//! it reads.
//!
//! # Failure handling
//! The state machine says what is done about a failure (`Job::settle`). Where the ledger is not reached nothing is
//! acknowledged: the message comes back. Destinations that are down are left alone for a while ([`circuit`]). A message that
//! cannot be read, or has no job, is left for the queue to set aside.
//!
//! # Cancellation
//! By token ([`Worker::drain`]): no slot takes more work, runs stop at their checkpoint and are handed back.
//!
//! # Crash consistency
//! After any crash the lease lapses, and the next owner goes on from the checkpoint in the row.
//!
//! # Not covered
//! A worker whose clock is wrong by more than a lease takes jobs that are not free. Machines of one region agree to
//! milliseconds (Amazon Time Sync), and the token keeps even then two from writing.

mod checkpoint;
mod claim;
mod commit;
mod lease;
mod pass;
mod poll;
mod report;
mod watch;

pub mod circuit;
pub mod endpoint;
pub mod health;
pub mod protect;
pub mod queue;
pub mod release;
pub mod sqs;
pub mod transfer;

pub use checkpoint::{LedgerCheckpoint, Owned, earlier};
pub use pass::Pass;
pub use poll::{Turn, Worker};
pub use transfer::{Finished, Task, Transfers};
pub use watch::Watched;

use std::time::Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How long a message stays hidden after each heartbeat.
    pub visibility: Duration,
    /// Longest wait for a message.
    pub poll: Duration,
    /// Longest time a message is held before the run goes on under another one.
    pub held: Duration,
    /// Longest time a run may take to stop.
    pub stop: Duration,
}

impl Times {
    /// Lease: AWS-FACTS §2 of the design (lease 120 s, heartbeat 60 s, visibility 300 s).
    pub const DEFAULT: Self = Self::of_lease(Duration::from_secs(120));

    /// The times that go with a lease: two heartbeats a lease, and a message that stays hidden for longer. Poll: SQS's
    /// longest. Held: an hour less than the 12 h SQS allows. Stop: `stopTimeout` is 120 s at most, and what follows takes a
    /// few.
    pub const fn of_lease(lease: Duration) -> Self {
        Self {
            lease,
            heartbeat: Duration::from_millis((lease.as_millis() / 2) as u64),
            visibility: Duration::from_millis((lease.as_millis() * 5 / 2) as u64),
            poll: Duration::from_secs(20),
            held: Duration::from_secs(11 * 3600),
            stop: Duration::from_secs(90),
        }
    }

    /// A lease that has less than this left is not worked under: what is sent in the last moment arrives after it.
    const fn margin(self) -> Duration {
        Duration::from_millis((self.lease.as_millis() / 6) as u64)
    }
}
