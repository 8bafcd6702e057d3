//! From a message to a job that is ours, or the reason why it is not.

use std::time::Duration;

use eft_domain::{Command, Job, JobState, job::Refused, message::WorkMessage};
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

/// How long a slot waits for the index of turns to show what was written: replication to an index takes well below a second
/// as a rule.
const INDEX_LAG: Duration = Duration::from_secs(3);

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

    /// Take the job that a message names, or one before it whose turn on their route has come.
    ///
    /// Routers that work at once put jobs into a route's group in another order than their turns. The group lets nobody else
    /// receive what is behind this message, so whoever holds it runs what comes before its job, instead of waiting for
    /// messages that wait for this one.
    ///
    /// # Errors
    /// The ledger was not reached.
    pub(super) async fn claim(&self, slot: usize, message: &WorkMessage) -> Result<Claimed, ChangeError> {
        loop {
            let Some(named) = self.desk.ledger.get(message.run.job()).await? else {
                return Ok(Claimed::Not(Turn::Leave, "there is no such job"));
            };
            if named.generation != message.run.generation() {
                return Ok(Claimed::Not(Turn::Delete, "the job has another run now"));
            }
            if !is_open(&named) {
                return Ok(self.over(&named, "the run has ended, or waits").await);
            }
            let id = named.id;
            let job = match self.whose_turn(named).await? {
                Ok(job) => job,
                Err(why) => return Ok(Claimed::Not(Turn::Again(TURN), why)),
            };
            let is_named = job.id == id;
            match self.take(slot, job).await? {
                // It has ended meanwhile, and holds nobody up.
                Claimed::Not(Turn::Delete, _) if !is_named => {}
                claimed => return Ok(claimed),
            }
        }
    }

    async fn take(&self, slot: usize, job: Job) -> Result<Claimed, ChangeError> {
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

    /// The job whose turn it is on the route of this one, at the latest itself; or why none may run.
    async fn whose_turn(&self, job: Job) -> Result<Result<Job, &'static str>, ChangeError> {
        let (Some(turn), Some(route)) = (job.turn, job.route.clone()) else { return Ok(Ok(job)) };
        let (until, mut wait) = (Instant::now() + INDEX_LAG, INDEX_LAG / 16);
        loop {
            match self.desk.ledger.first_turn(&route.id).await? {
                Some((number, _)) if number == turn.number => return Ok(Ok(job)),
                Some((number, id)) if number < turn.number => match self.desk.ledger.get(id).await {
                    Ok(before) => {
                        // Otherwise the index is late: it has ended, or lets others by.
                        if let Some(before) = before.filter(|before| before.holds_up().is_some()) {
                            return self.may_go_first(&job, before).await;
                        }
                    }
                    // Its own message is set aside, and not those behind it.
                    Err(error) if error.kind == StoreErrorKind::Permanent => {
                        log(Level::Error, "turn", &[("run", &job.run()), ("before", &id), ("error", &error)]);
                        return Ok(Err("the row of one before it on its route cannot be read"));
                    }
                    Err(error) => return Err(error.into()),
                },
                // An index that does not show this job yet may not show those before it either.
                _ => {}
            }
            if Instant::now() + wait > until {
                return Ok(Err("the index of turns is behind"));
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    /// A job before that of a message, unless it is not to run now.
    ///
    /// One that has no message yet goes first all the same: where those behind it have all of its tenant's share it would wait
    /// for ever. So a tenant has as many more in flight than its quota as it has routes with an order, and one a route runs.
    async fn may_go_first(&self, job: &Job, before: Job) -> Result<Result<Job, &'static str>, ChangeError> {
        let why = if !is_open(&before) {
            "one before it on its route is held, or not whole yet"
        } else if before.sent_at.is_none() && !self.may_be_sent(&before).await? {
            "its tenant is paused, or gone, or cannot be read"
        } else {
            return Ok(Ok(before));
        };
        log(Level::Info, "turn", &[("run", &job.run()), ("before", &before.run()), ("state", &before.state)]);
        Ok(Err(why))
    }

    async fn may_be_sent(&self, job: &Job) -> Result<bool, ChangeError> {
        let Some(id) = &job.tenant else { return Ok(true) };
        match self.desk.catalog.tenant(id).await {
            Ok(tenant) => Ok(tenant.is_some_and(|tenant| !tenant.paused)),
            // Its jobs wait until it can be: their messages are not to be set aside.
            Err(error) if error.kind == StoreErrorKind::Permanent => {
                log(Level::Error, "turn", &[("run", &job.run()), ("error", &error)]);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a run of it may begin or go on.
pub(super) fn is_open(job: &Job) -> bool {
    matches!(job.state, JobState::Accepted | JobState::Running | JobState::Delivering)
}
