//! From a message to a job that is ours, or the reason why it is not.

use std::time::Duration;

use eft_domain::{
    Command, Job, JobState,
    job::Refused,
    message::WorkMessage,
    route::{HeadOfLine, Ordering},
};
use eft_store::{ChangeError, StoreErrorKind};
use eft_telemetry::{Level, log};
use tokio::time::Instant;

use super::{
    poll::{BACKOFF, Turn, Worker},
    queue::Received,
    watch::Began,
};

/// How soon a job whose turn has not come is looked at again.
const TURN: Duration = Duration::from_secs(5);

/// What a message has led to.
pub(super) enum Claimed {
    /// The job, with our token, and a moment before its lease began.
    Ours(Box<Job>, Instant),
    /// Nothing to do, and why.
    Not(Turn, &'static str),
}

impl Worker {
    /// Take the job that a message names, as soon as the ledger answers; `None`: it did not.
    ///
    /// Until then the slot takes no other message: each receive counts, and whatever is received too often is set aside by
    /// the queue as if nobody knew a job for it.
    pub(super) async fn claim_when_answered(
        &self,
        slot: usize,
        message: &WorkMessage,
        received: &Received,
        began: Began,
    ) -> Option<Claimed> {
        let mut wait = BACKOFF;
        loop {
            match self.claim(slot, message).await {
                Ok(claimed) => return Some(claimed),
                Err(error) => {
                    log(Level::Warn, "claim", &[("run", &message.run), ("error", &error)]);
                    // A row that cannot be read is no reason to wait: the message goes its way to be set aside.
                    if !matches!(&error, ChangeError::Store(error) if error.kind != StoreErrorKind::Permanent)
                    {
                        return None;
                    }
                }
            }
            if began.at().elapsed() >= self.times.held {
                return None;
            }
            tokio::select! {
                biased;
                () = self.drain.cancelled() => return None,
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(self.times.heartbeat),
            }
            self.pulse.beat(slot);
            if let Err(error) = self.queue.hide(&received.receipt, self.times.visibility).await {
                // It may be somebody else's by now; the ledger knows.
                log(Level::Warn, "queue", &[("run", &message.run), ("error", &error)]);
            }
        }
    }

    /// Take the job that a message names.
    ///
    /// # Errors
    /// The ledger was not reached.
    pub(super) async fn claim(&self, slot: usize, message: &WorkMessage) -> Result<Claimed, ChangeError> {
        let Some(job) = self.desk.ledger.get(message.run.job()).await? else {
            return Ok(Claimed::Not(Turn::Leave, "there is no such job"));
        };
        if job.generation != message.run.generation() {
            return Ok(Claimed::Not(Turn::Delete, "the job has another run now"));
        }
        if !matches!(job.state, JobState::Accepted | JobState::Running | JobState::Delivering) {
            return Ok(self.over(&job, "the run has ended, or waits").await);
        }
        if self.waits_for_its_turn(&job).await? {
            return Ok(Claimed::Not(Turn::Again(TURN), "another file of its route is before it"));
        }
        let owner = format!("{}/{slot}", self.name);
        let claim = Command::Claim { owner, lease: self.times.lease };
        let asked = Instant::now();
        match self.desk.change_from(job, &claim).await {
            Ok(job) if job.state == JobState::Running => {
                // Telling reads the row again. Whoever was stopped meanwhile finds the next owner's there, and must not act
                // with his token.
                let fence = job.fence;
                let told = self.desk.tell(&job).await.ok().filter(|told| told.fence == fence);
                Ok(Claimed::Ours(Box::new(told.unwrap_or(job)), asked))
            }
            Ok(job) => Ok(self.over(&job, "worker after worker died on it").await),
            Err(ChangeError::Refused(Refused::Leased { until, .. })) => {
                let left = until.since(self.desk.clock.now()) + Duration::from_secs(1);
                Ok(Claimed::Not(Turn::Again(left), "another worker has it"))
            }
            Err(ChangeError::Refused(_)) => {
                Ok(Claimed::Not(Turn::Again(Duration::from_secs(1)), "it has changed meanwhile"))
            }
            Err(error) => Err(error),
        }
    }

    /// A message about a run that needs nobody; what was not told yet is told.
    async fn over(&self, job: &Job, why: &'static str) -> Claimed {
        match self.desk.tell(job).await {
            Ok(_) => Claimed::Not(Turn::Delete, why),
            Err(_) => {
                Claimed::Not(Turn::Again(Duration::from_secs(30)), "what has changed could not be told")
            }
        }
    }

    async fn waits_for_its_turn(&self, job: &Job) -> Result<bool, ChangeError> {
        let (Some(turn), Some(pinned)) = (job.turn, &job.route) else { return Ok(false) };
        let Some(route) = self.desk.route_of(job).await? else { return Ok(false) };
        let Ordering::Strict(policy) = route.ordering else { return Ok(false) };
        // An index that does not show this job yet may not show those before it either.
        let Some((first, before)) =
            self.desk.ledger.first_turn(&pinned.id).await?.filter(|(first, _)| *first <= turn)
        else {
            return Ok(true);
        };
        if first == turn {
            return Ok(false);
        }
        if policy == HeadOfLine::Block {
            return Ok(true);
        }
        // One that is held lets the others go by; it is the first all the same, so the ones between are not looked at.
        let held = self.desk.ledger.get(before).await?.is_some_and(|job| job.state == JobState::Held);
        Ok(!held)
    }
}
