//! Where jobs are changed: state machine, conditional write, telling, and putting into queues.
//!
//! # Overview
//! [`Desk::change`] reads a row, asks the state machine, and writes what it says under the condition that the row is still
//! the one it was asked about; where it is not, it asks again. Router, sweep, worker and stage function all work at such a
//! desk, and nothing else writes a job.
//!
//! # Crash consistency
//! A write whose answer is lost is looked up: its mark either stands in the row, also when others have written since, or
//! it does not and can no longer come to stand once another write was made, because it is conditional on the same
//! revision. Changes are told from the row's outbox; whoever crashes before that leaves them to the sweep. A receipt is kept
//! before the row that names it.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use eft_domain::{
    Actor, Code, Command, Failure, Job, JobId,
    job::{Arrived, Refused, Retention, Runner, apply},
    message::{RunRequest, WorkMessage},
    route::Route,
};

use crate::{
    clock::{Clock, rfc3339},
    port::{Catalog, Dispatch, JobLedger, Keys, Notify, Put, Runs, StoreError, StoreErrorKind, StoreResult},
};

/// Times a change is tried when others write the same row or an answer is lost, before it is left to the caller's queue.
pub(crate) const TRIES: u32 = 8;

/// Why a job was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// The state machine does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Somebody has changed it since it was read; it has this revision now.
    #[error("job {id} was changed since it was read: it has revision {rev} now")]
    Changed {
        /// The job.
        id: JobId,
        /// Its revision.
        rev: u64,
    },
    /// The ledger was not reached, or its answer was lost.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What becomes of a change where its row was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newer {
    /// It is made of the newer row.
    Takes,
    /// It is not made.
    Refuses,
}

/// Everything that changing a job takes.
#[derive(Clone)]
pub struct Desk {
    /// The jobs.
    pub ledger: Arc<dyn JobLedger>,
    /// Their history.
    pub runs: Arc<dyn Runs>,
    /// Tenants and routes.
    pub catalog: Arc<dyn Catalog>,
    /// Small facts.
    pub keys: Arc<dyn Keys>,
    /// Queues.
    pub dispatch: Arc<dyn Dispatch>,
    /// Topics.
    pub notify: Arc<dyn Notify>,
    /// The time.
    pub clock: Clock,
    /// How long rows are kept.
    pub retention: Retention,
    /// Who changes.
    pub actor: Actor,
    /// The `source` of the CloudEvents, such as `eft/eu-west-1`.
    pub source: String,
}

impl Desk {
    /// Write the first row of a job; the row that stands there and `false` where it is known already.
    ///
    /// # Errors
    /// The command begins no job, or the ledger was not reached.
    pub async fn begin(&self, arrived: &Arrived, command: &Command) -> Result<(Job, bool), ChangeError> {
        let job = arrived.begin(command, &self.actor)?.marked(mark());
        let mut lost = None;
        for _ in 0..TRIES {
            match self.ledger.create(&job).await {
                Ok(Put::Done) => return Ok((job, true)),
                Ok(Put::Stale) => {}
                Err(error) if error.kind == StoreErrorKind::Indeterminate => lost = Some(error),
                Err(error) => return Err(error.into()),
            }
            // What stands there is ours if it is what we wrote.
            if let Some(found) = self.ledger.get(job.id).await? {
                let is_ours = has_mark_of(&found, &job);
                return Ok((found, is_ours));
            }
        }
        Err(lost.unwrap_or_else(|| contended(job.id)).into())
    }

    /// Change a job.
    ///
    /// # Errors
    /// See [`ChangeError`]. After an indeterminate error of the ledger the change may stand.
    pub async fn change(&self, id: JobId, command: &Command) -> Result<Job, ChangeError> {
        let job = self.ledger.get(id).await?.ok_or(ChangeError::Unknown(id))?;
        self.change_from(job, command).await
    }

    /// Change a job whose row was read before; it is read again if it has changed since.
    ///
    /// # Errors
    /// As [`Desk::change`].
    pub async fn change_from(&self, job: Job, command: &Command) -> Result<Job, ChangeError> {
        self.change_row(job, command, Newer::Takes).await
    }

    /// Change a job as its row was read, or not at all.
    ///
    /// # Errors
    /// As [`Desk::change`], and [`ChangeError::Changed`].
    pub async fn change_only(&self, job: Job, command: &Command) -> Result<Job, ChangeError> {
        self.change_row(job, command, Newer::Refuses).await
    }

    async fn change_row(&self, job: Job, command: &Command, newer: Newer) -> Result<Job, ChangeError> {
        let id = job.id;
        let is_taken = |found: &Job, job: &Job| {
            let changed = ChangeError::Changed { id, rev: found.rev };
            if newer == Newer::Takes || found.rev == job.rev { Ok(()) } else { Err(changed) }
        };
        let mut job = job;
        let mut lost = None;
        let mut tried: Vec<Job> = Vec::new();
        for turn in 0..TRIES {
            let next = match apply(&job, command, &self.actor, self.clock.now()) {
                Ok(next) => next.marked(mark()),
                // It may be refused of a row that somebody has changed since, or that an answer we lost has changed.
                Err(refused) if turn == 0 => {
                    let found = self.ledger.get(id).await?.ok_or(ChangeError::Unknown(id))?;
                    if found.rev == job.rev {
                        return Err(refused.into());
                    }
                    is_taken(&found, &job)?;
                    job = found;
                    continue;
                }
                Err(refused) => return Err(refused.into()),
            };
            if let (Some(text), Some(key)) = (command.receipt(), next.receipt) {
                self.runs.keep_receipt(id, key, text).await?;
            }
            match self.ledger.replace(&next).await {
                Ok(Put::Done) => return Ok(next),
                Ok(Put::Stale) => {}
                Err(error) if error.kind == StoreErrorKind::Indeterminate => lost = Some(error),
                Err(error) => return Err(error.into()),
            }
            tried.push(next);
            let found = self.ledger.get(id).await?.ok_or(ChangeError::Unknown(id))?;
            // What this was, and not what others may have made of it: a token of theirs is not ours.
            if let Some(at) = tried.iter().position(|next| has_mark_of(&found, next)) {
                return Ok(tried.swap_remove(at));
            }
            is_taken(&found, &job)?;
            job = found;
            // Two that write one row take turns; the time is far below any lease.
            tokio::time::sleep(Duration::from_millis(u64::from(10 * turn))).await;
        }
        Err(lost.unwrap_or_else(|| contended(id)).into())
    }

    /// The text of the receipt of the run that ended last.
    ///
    /// # Errors
    /// The history was not reached.
    pub async fn receipt(&self, job: &Job) -> StoreResult<Option<String>> {
        match job.receipt {
            Some(key) => self.runs.receipt(job.id, key).await,
            None => Ok(None),
        }
    }

    /// Tell what was not told yet, oldest first: the history, then the topics.
    ///
    /// # Errors
    /// History, topic or ledger were not reached; what was told may be told again.
    pub async fn tell(&self, job: &Job) -> Result<Job, ChangeError> {
        let Some(last) = job.outbox.last() else { return Ok(job.clone()) };
        for event in &job.outbox {
            self.runs.record(job, event).await?;
            let cloud = event.to_cloud_event(job, &self.source, &rfc3339(event.at));
            self.notify.publish(event.kind(), &cloud).await?;
        }
        self.change_from(job.clone(), &Command::Told { sequence: last.sequence }).await
    }

    /// Change a job and tell it. Where telling fails the change stands, and the sweep tells it.
    ///
    /// # Errors
    /// As [`Desk::change`].
    pub async fn change_and_tell(&self, id: JobId, command: &Command) -> Result<Job, ChangeError> {
        let job = self.change(id, command).await?;
        Ok(self.tell(&job).await.unwrap_or(job))
    }

    /// Put a job into its queue, whether or not its tenant has room.
    ///
    /// # Errors
    /// Queue or ledger were not reached; the sweep sends it again.
    pub async fn send(&self, job: &Job) -> Result<Job, ChangeError> {
        let run = job.run();
        match job.runner {
            Runner::Worker => {
                let group = group(job);
                let message = WorkMessage { run, send: job.sends, trace: job.trace.clone() };
                self.dispatch.send(&message, &group).await?;
            }
            Runner::Steps => self.dispatch.start(&RunRequest { run, send: job.sends }).await?,
        }
        match self.change_from(job.clone(), &Command::Sent).await {
            // Somebody was quicker to take it out of the queue than we to say that it is in.
            Err(ChangeError::Refused(_)) => Ok(job.clone()),
            other => other,
        }
    }

    /// The route that a job is pinned to.
    ///
    /// # Errors
    /// The catalog was not reached.
    pub async fn route_of(&self, job: &Job) -> StoreResult<Option<Arc<Route>>> {
        let Some(pinned) = &job.route else { return Ok(None) };
        self.catalog.route(&pinned.id, pinned.revision).await
    }

    /// Destinations, by their number in the route, that a job may not be delivered to any more, and why: its tenant's places
    /// may have been narrowed since it was accepted, and a job can be run again for as long as its row is kept.
    ///
    /// # Errors
    /// The catalog was not reached.
    pub async fn withdrawn(&self, job: &Job, route: &Route) -> StoreResult<Vec<(usize, Failure)>> {
        let Some(owner) = &job.tenant else { return Ok(Vec::new()) };
        let failure = |problem: String| Failure::new(Code::DestinationWithdrawn, problem);
        let problem = match self.catalog.tenant(owner).await {
            Ok(Some(tenant)) => {
                let withdrawn = tenant.withdrawn(route).into_iter();
                return Ok(withdrawn.map(|(at, fault)| (at, failure(fault.to_string()))).collect());
            }
            Ok(None) => format!("there is no tenant {owner}"),
            // Somebody has to mend it.
            Err(error) if error.kind == StoreErrorKind::Permanent => {
                format!("tenant {owner} cannot be read: {}", error.message)
            }
            Err(error) => return Err(error),
        };
        Ok((0..route.destinations.len()).map(|at| (at, failure(problem.clone()))).collect())
    }
}

/// A number that no other write has: the standard library seeds its hashers at random.
fn mark() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether the last write of `next` is one of those that have made `found`.
fn has_mark_of(found: &Job, next: &Job) -> bool {
    next.marks.last().is_some_and(|mark| found.marks.contains(mark))
}

/// The message group: a job blocks only itself, except those that have turns on a route.
fn group(job: &Job) -> String {
    let route = job.route.as_ref().filter(|_| job.turn.is_some());
    route.map_or_else(|| job.id.to_string(), |route| format!("route:{}", route.id))
}

fn contended(id: JobId) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("others keep writing job {id}"))
}
