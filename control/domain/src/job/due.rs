//! When somebody has to look at a row.

use std::time::Duration;

use super::{Job, JobState, Millis};

/// How long a job may wait for its tenant's share before somebody looks why. It is put into its queue by whoever lets its
/// tenant's next jobs in, which the sweep does with every turn, and not because it is due. A week: longer than any quota
/// should keep a file, and than a tenant is paused by mistake.
pub const LONG_WAIT: Duration = Duration::from_secs(7 * 86_400);

/// How long a job may be in a queue before the sweep sends it again: longer than a queue takes to give a message, whose
/// owner was lost before it could claim, to the next one (visibility 5 minutes) and shorter than anybody wants to wait.
pub const RESEND_AFTER: Duration = Duration::from_secs(15 * 60);

/// How long a change may stand untold before the sweep tells it.
pub const OUTBOX_GRACE: Duration = Duration::from_secs(60);

/// How often the routes are asked again for what none of them took.
pub const UNROUTED_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long rows are kept that nothing will change any more (G12: longer than the bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention(pub Duration);

impl Default for Retention {
    /// 400 days: a year, and the time in which somebody asks about last year.
    fn default() -> Self {
        Self(Duration::from_secs(400 * 86_400))
    }
}

impl Job {
    /// When somebody has to look at the row although nobody said so.
    pub fn due(&self, retention: Retention) -> Millis {
        let told = self.outbox.first().map(|event| event.at.plus(OUTBOX_GRACE));
        let own = match self.state {
            JobState::Arrived | JobState::Accepted => match self.sent_at {
                Some(at) => at.plus(RESEND_AFTER),
                None => self.changed_at.plus(LONG_WAIT),
            },
            JobState::Running | JobState::Delivering => {
                let lapses = self.lease.as_ref().map_or(self.changed_at, |lease| lease.until);
                // One that was sent again since is given the time to be found in the queue.
                self.sent_at.filter(|at| *at >= lapses).map_or(lapses, |at| at.plus(RESEND_AFTER))
            }
            JobState::Incomplete | JobState::Held => {
                let retry = self.hold.and_then(|hold| hold.retry_at);
                retry.unwrap_or_else(|| self.changed_at.plus(retention.0))
            }
            JobState::Unrouted => {
                let expiry = self.arrived_at.plus(retention.0);
                self.hold.and_then(|hold| hold.retry_at).map_or(expiry, |at| at.min(expiry))
            }
            state => {
                debug_assert!(state.is_terminal());
                self.changed_at.plus(retention.0)
            }
        };
        told.map_or(own, |told| told.min(own))
    }

    /// Whether nothing will change it any more and it has been kept long enough.
    pub fn is_expired(&self, retention: Retention, now: Millis) -> bool {
        let rests =
            self.state.is_terminal() || matches!(self.state, JobState::Incomplete | JobState::Unrouted);
        rests && self.outbox.is_empty() && self.changed_at.plus(retention.0) <= now
    }
}
