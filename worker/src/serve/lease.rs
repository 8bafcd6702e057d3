//! The heartbeat: while a run goes on, its lease, its message and its task's protection are renewed; when one of them
//! cannot be, the run stops.

use std::fmt::Display;

use eft_domain::Command;
use eft_telemetry::Level;
use tokio::time::Instant;

use super::{
    checkpoint::{Owned, is_loss},
    poll::Worker,
    queue::Received,
};

/// Why a run is stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The job has another owner, or was cancelled.
    Lost,
    /// Its lease or its message could not be renewed.
    Unrenewed,
    /// The worker is drained.
    Drain,
    /// The message cannot be held much longer.
    Held,
}

impl Stop {
    /// The word of log and metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Unrenewed => "unrenewed",
            Self::Drain => "drain",
            Self::Held => "held",
        }
    }
}

impl Worker {
    /// Keep a lease that began at `leased`, or later, under a message received `since`, until there is a reason to stop.
    pub(super) async fn keep(
        &self,
        slot: usize,
        owned: &Owned,
        received: &Received,
        (since, leased): (Instant, Instant),
    ) -> Stop {
        let margin = self.times.margin();
        // One that failed is tried again soon.
        let again = self.times.heartbeat / 12;
        let mut renewed = leased;
        let mut wait = self.times.heartbeat.saturating_sub(leased.elapsed());
        loop {
            tokio::select! {
                biased;
                () = self.drain.cancelled() => return Stop::Drain,
                () = tokio::time::sleep(wait) => {}
            }
            if since.elapsed() >= self.times.held {
                return Stop::Held;
            }
            if owned.is_lost() {
                return Stop::Lost;
            }
            let asked = Instant::now();
            let renew = Command::Renew { fence: owned.fence(), lease: self.times.lease };
            let left = (renewed + self.times.lease).saturating_duration_since(asked).saturating_sub(margin);
            // The lease first: it is the authority, and a message that two have does no harm.
            let lease = tokio::time::timeout(left, owned.ask(&renew)).await;
            wait = match lease {
                Ok(Ok(_)) => {
                    renewed = asked;
                    self.pulse.beat(slot);
                    match self.queue.hide(&received.receipt, self.times.visibility).await {
                        Ok(()) => self.times.heartbeat,
                        Err(error) => {
                            self.unrenewed(owned, "message", &error);
                            if !error.is_transient() {
                                return Stop::Unrenewed;
                            }
                            again
                        }
                    }
                }
                Ok(Err(error)) if is_loss(&error) => return Stop::Lost,
                Ok(Err(error)) => {
                    self.unrenewed(owned, "lease", &error);
                    again
                }
                Err(_) => {
                    self.unrenewed(owned, "lease", &"no answer in its time");
                    return Stop::Unrenewed;
                }
            };
            if renewed.elapsed() + margin >= self.times.lease {
                return Stop::Unrenewed;
            }
            self.protect(slot, true).await;
        }
    }

    fn unrenewed(&self, owned: &Owned, what: &'static str, error: &dyn Display) {
        self.pulse.metrics.renewals_failed.count([what]);
        owned.watched.log(Level::Warn, "renew", &[("of", &what), ("error", error)]);
    }
}
