//! Slots: each takes one message after the other.

use std::{sync::Arc, time::Duration};

use eft_domain::message::WorkMessage;
use eft_store::Desk;
use eft_telemetry::{Level, log};
use futures::future::{join, join_all};
use tokio_util::sync::CancellationToken;

use super::{
    Times,
    claim::Claimed,
    health::Pulse,
    protect::Protection,
    queue::{Received, WorkQueue},
    transfer::Transfers,
    watch::{Began, Watched},
};

/// How long a slot waits after queue or ledger were not reached; doubled up to a minute.
pub(super) const BACKOFF: Duration = Duration::from_secs(1);

/// Receives after which a message that only waits is given up: one less than the queue's own (5, SEMANTICS).
const SPARE: u32 = 4;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has done its duty.
    Delete,
    /// It comes back after this time.
    Again(Duration),
    /// It comes back when its time is over; after five times the queue sets it aside.
    Leave,
}

/// A worker.
#[derive(Clone)]
pub struct Worker {
    /// Where jobs are changed.
    pub desk: Desk,
    /// Where work comes from.
    pub queue: Arc<dyn WorkQueue>,
    /// What runs a job.
    pub transfers: Arc<dyn Transfers>,
    /// Protection from being scaled in.
    pub protection: Arc<dyn Protection>,
    /// How long things may take.
    pub times: Times,
    /// A name no other process has.
    pub name: String,
    /// Shows that it goes on.
    pub pulse: Arc<Pulse>,
    /// Ends it.
    pub drain: CancellationToken,
}

impl Worker {
    /// Work in this many slots until drained; every run has been handed back when this returns.
    pub async fn serve(&self, slots: usize) {
        let work = join_all((0..slots).map(|slot| self.slot(slot)));
        let drain = async {
            self.drain.cancelled().await;
            self.pulse.drains();
        };
        join(work, drain).await;
    }

    async fn slot(&self, slot: usize) {
        let mut backoff = BACKOFF;
        while !self.drain.is_cancelled() {
            self.pulse.beat(slot);
            // Before it is received: a task that is stopped between the two would hide a message for nothing.
            self.protect(slot, true).await;
            let received = tokio::select! {
                biased;
                () = self.drain.cancelled() => break,
                received = self.queue.receive(self.times.poll) => received,
            };
            match received {
                Ok(None) => backoff = BACKOFF,
                Ok(Some(received)) => {
                    backoff = BACKOFF;
                    self.pulse.busy(slot, true);
                    let turn = self.turn(slot, &received).await;
                    self.end(&received, turn).await;
                    self.pulse.busy(slot, false);
                }
                Err(error) => {
                    self.pulse.metrics.receive_errors.add(1);
                    log(Level::Warn, "receive", &[("error", &error)]);
                    tokio::select! {
                        () = self.drain.cancelled() => {}
                        () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(Duration::from_secs(60)),
                    }
                }
            }
            self.protect(slot, false).await;
        }
        self.protect(slot, false).await;
    }

    /// The task is protected while any slot works.
    pub(super) async fn protect(&self, slot: usize, wanted: bool) {
        if let Some(protected) = self.pulse.protect(slot, wanted)
            && let Err(error) = self.protection.set(protected).await
        {
            self.pulse.metrics.renewals_failed.count(["protection"]);
            log(Level::Warn, "protection", &[("error", &error)]);
        }
    }

    async fn turn(&self, slot: usize, received: &Received) -> Turn {
        let began = Began::now();
        let message = match WorkMessage::parse(&received.body) {
            Ok(message) => message,
            Err(error) => {
                self.pulse.metrics.unknown_messages.add(1);
                log(
                    Level::Error,
                    "message",
                    &[("code", &error.code()), ("error", &error), ("receives", &received.receives)],
                );
                return Turn::Leave;
            }
        };
        loop {
            match self.claim_when_answered(slot, &message, received, began).await {
                Some(Claimed::Ours(job, leased)) => {
                    let is_named = job.id == message.run.job();
                    let watched = Watched::new(&self.pulse, slot, &job, message.trace.as_deref(), began);
                    if let Some(sent) = job.sent_at {
                        self.pulse.metrics.queue_seconds.took(self.desk.clock.now().since(sent));
                    }
                    let turn = self.run(slot, *job, watched, received, leased).await;
                    if is_named || turn != Turn::Delete {
                        return turn;
                    }
                    // One that came before it has ended. What is held for so long is better received anew.
                    if began.at().elapsed() >= self.times.held / 2 || self.drain.is_cancelled() {
                        return Turn::Again(Duration::ZERO);
                    }
                    // Many that are shorter than a heartbeat would outlast what hides it.
                    if let Err(error) = self.queue.hide(&received.receipt, self.times.visibility).await {
                        log(Level::Warn, "queue", &[("run", &message.run), ("error", &error)]);
                        return Turn::Leave;
                    }
                }
                Some(Claimed::Not(turn, why)) => {
                    log(Level::Info, "claim", &[("run", &message.run), ("not", &why)]);
                    if turn == Turn::Leave {
                        self.pulse.metrics.unknown_messages.add(1);
                    }
                    return match turn {
                        // Waiting must not use up what is left before it is set aside: the ledger has the job, and the
                        // sweep sends it again.
                        Turn::Again(_) if received.receives >= SPARE => Turn::Delete,
                        turn => turn,
                    };
                }
                // Nothing runs unclaimed, nothing is acknowledged.
                None => return Turn::Again(Duration::from_secs(30)),
            }
        }
    }

    async fn end(&self, received: &Received, turn: Turn) {
        let (end, done) = match turn {
            Turn::Delete => ("deleted", self.queue.delete(&received.receipt).await),
            Turn::Again(time) => ("again", self.queue.hide(&received.receipt, time).await),
            Turn::Leave => ("left", Ok(())),
        };
        self.pulse.metrics.messages.count([end]);
        if let Err(error) = done {
            // It comes back, and what it asks for is done.
            log(Level::Warn, "queue", &[("error", &error)]);
        }
    }
}
