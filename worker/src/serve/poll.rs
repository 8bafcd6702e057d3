//! Slots: each takes one message after the other.

use std::{sync::Arc, time::Duration};

use eft_domain::message::WorkMessage;
use eft_store::Desk;
use eft_telemetry::{Level, log};
use futures::future::{join, join_all};
use tokio_util::sync::CancellationToken;

use super::{
    Times,
    circuit::Circuits,
    claim::{Claimed, is_open},
    health::Pulse,
    protect::Protection,
    queue::{Received, WorkQueue},
    release::Releases,
    transfer::Transfers,
    watch::{Began, Watched},
};

/// How long a slot waits after queue or ledger were not reached; doubled up to a minute.
pub(super) const BACKOFF: Duration = Duration::from_secs(1);

/// Receives after which a message that only waits is given up: one less than the queue's own (5, SEMANTICS).
const SPARE: u32 = 4;

/// How long jobs are run under one message one after the other: what its own job may take of the time that a message can be held
/// is hardly less by it, and whoever waits for a slot has one before long.
const TOGETHER: Duration = Duration::from_secs(10 * 60);

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
    /// Which routes' destinations are down.
    pub circuits: Arc<Circuits>,
    /// Who lets in what a job's end makes room for.
    pub releases: Arc<Releases>,
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
        let mut claiming = began;
        loop {
            match self.claim_when_answered(slot, &message, received, began).await {
                Some(Claimed::Ours(job, leased)) => {
                    let is_named = job.id == message.run.job();
                    let trace = message.trace.as_deref();
                    let watched = Watched::new(&self.pulse, slot, &job, trace, claiming);
                    if let Some(sent) = job.sent_at {
                        self.pulse.metrics.queue_seconds.took(self.desk.clock.now().since(sent));
                    }
                    let turn = self.run(slot, *job, watched, received, (began.at(), leased)).await;
                    match turn {
                        turn if is_named => return turn,
                        // What follows is found in the ledger, and not by this message.
                        Turn::Again(time) if time > Duration::ZERO => return spared(received, turn),
                        Turn::Delete | Turn::Leave
                            if !self.drain.is_cancelled() && began.at().elapsed() < TOGETHER => {}
                        _ => return self.under_another(&message).await,
                    }
                    // Many that are shorter than a heartbeat would outlast what hides it.
                    if let Err(error) = self.queue.hide(&received.receipt, self.times.visibility).await {
                        log(Level::Warn, "queue", &[("run", &message.run), ("error", &error)]);
                        return Turn::Leave;
                    }
                    claiming = Began::now();
                }
                Some(Claimed::Not(turn, why)) => {
                    log(Level::Info, "claim", &[("run", &message.run), ("not", &why)]);
                    if turn == Turn::Leave {
                        self.pulse.metrics.unknown_messages.add(1);
                    }
                    return spared(received, turn);
                }
                // Nothing runs unclaimed, nothing is acknowledged.
                None => return Turn::Again(Duration::from_secs(30)),
            }
        }
    }

    /// The job of a message under which others were run gets another one: the receives of this one were not its own.
    async fn under_another(&self, message: &WorkMessage) -> Turn {
        let sent = async {
            match self.desk.ledger.get(message.run.job()).await? {
                Some(job) if job.run() == message.run && is_open(&job) => {
                    self.desk.send(&job).await.map(drop)
                }
                _ => Ok(()),
            }
        };
        match sent.await {
            Ok(()) => Turn::Delete,
            Err(error) => {
                log(Level::Warn, "queue", &[("run", &message.run), ("error", &error)]);
                Turn::Again(Duration::ZERO)
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

/// Waiting must not use up what is left before a message is set aside: the ledger has the job, and the sweep sends it again.
fn spared(received: &Received, turn: Turn) -> Turn {
    match turn {
        Turn::Again(_) if received.receives >= SPARE => Turn::Delete,
        turn => turn,
    }
}
