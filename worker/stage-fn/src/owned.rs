//! A job that is ours: its row, its notes, and every write of them with the token.

use std::{sync::Arc, time::Duration};

use eft_domain::{Code, Command, Failure, Job, Route, message::StageRequest, receipt::FailureNote};
use tokio_util::sync::CancellationToken;

use crate::{Error, Stages, Until, notes::Notes};

/// For how long nobody else takes the job: longer than the longest pause between two tries of a state (a minute) and the
/// start of a function. Renewed while a function works.
pub const LEASE: Duration = Duration::from_secs(180);

/// A job that is ours.
#[derive(Clone, Debug)]
pub struct Owned {
    /// The row as it was last seen.
    pub job: Job,
    /// What was done so far.
    pub notes: Notes,
}

/// What a state finds.
pub(crate) enum Found {
    /// The job is ours.
    Ours(Box<Owned>),
    /// It was ours, and has ended or waits.
    Over(Box<Job>),
}

impl Owned {
    pub(crate) fn of(job: Job) -> Self {
        Self { notes: Notes::of(&job), job }
    }
}

impl Stages {
    /// Find the job that a request names, and go on with its lease.
    pub(crate) async fn find(&self, request: &StageRequest) -> Result<Found, Error> {
        let id = request.run.job();
        let Some(job) = self.desk.ledger.get(id).await? else {
            return Err(Error::Superseded(format!("there is no job {id}")));
        };
        if job.generation != request.run.generation() {
            return Err(Error::Superseded(format!("job {id} has another run now")));
        }
        // Of an execution that has failed before it was told its token.
        let is_owner = job.lease.as_ref().is_some_and(|lease| lease.owner == request.execution);
        let Some(fence) = request.fence.or_else(|| is_owner.then_some(job.fence)) else {
            return Err(Error::Unfinished(format!("job {id} was not taken by this execution")));
        };
        if job.fence != fence {
            let message = format!("job {id} has another owner: token {} and not {fence}", job.fence);
            return Err(Error::Superseded(message));
        }
        if !job.state.is_owned() {
            return Ok(Found::Over(Box::new(job)));
        }
        let renewed = self.desk.change_from(job, &Command::Renew { fence, lease: self.lease }).await?;
        Ok(Found::Ours(Box::new(Owned::of(renewed))))
    }

    /// The same for a state that does nothing about a job that is over.
    pub(crate) async fn ours(&self, request: &StageRequest) -> Result<Owned, Error> {
        match self.find(request).await? {
            Found::Ours(owned) => Ok(*owned),
            Found::Over(job) => Err(Error::Superseded(format!("job {} is {} already", job.id, job.state))),
        }
    }

    /// The route that a job is pinned to.
    pub(crate) async fn route(&self, owned: &mut Owned) -> Result<Arc<Route>, Error> {
        match self.desk.route_of(&owned.job).await? {
            Some(route) => Ok(route),
            None => {
                let message = "the revision of the route that the job is pinned to is not in the catalog";
                Err(self.fail(owned, Failure::new(Code::RouteInvalid, message)).await)
            }
        }
    }

    /// Refuse a job that would be delivered to where its tenant may not any more; what it has already is nobody's to take away.
    pub(crate) async fn refuse_withdrawn(&self, owned: &mut Owned, route: &Route) -> Result<(), Error> {
        let withdrawn = self.desk.withdrawn(&owned.job, route).await?;
        match withdrawn.into_iter().find(|(at, _)| !owned.notes.is_delivered(*at)) {
            Some((_, failure)) => Err(self.fail(owned, failure).await),
            None => Ok(()),
        }
    }

    /// Keep the notes.
    pub(crate) async fn save(&self, owned: &mut Owned, advanced: bool) -> Result<(), Error> {
        self.save_as(owned, advanced, owned.job.publishing).await
    }

    /// Keep the notes, and whether an object may be published at any moment.
    pub(crate) async fn save_as(
        &self,
        owned: &mut Owned,
        advanced: bool,
        publishing: bool,
    ) -> Result<(), Error> {
        let fence = owned.job.fence;
        let checkpoint = owned.notes.to_text()?;
        let save = Command::Save { fence, checkpoint, advanced, publishing };
        owned.job = self.desk.change_from(owned.job.clone(), &save).await?;
        Ok(())
    }

    /// Note a failure, for the state that ends the run; the error that leads there.
    pub(crate) async fn fail(&self, owned: &mut Owned, failure: Failure) -> Error {
        // A stop is nobody's verdict.
        if failure.code != Code::Interrupted {
            owned.notes.failure = Some(FailureNote::from(&failure));
            if let Err(error) = self.save(owned, false).await {
                return error;
            }
        }
        failure.into()
    }

    /// Work with the lease kept, until the time is over or the job has another owner: `work` is stopped then by its token.
    pub(crate) async fn keeping<T>(
        &self,
        owned: &Owned,
        until: Until,
        cancel: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let mut work = std::pin::pin!(work);
        let stopped = tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = until.over() => None,
            error = self.renewing(owned) => Some(error),
        };
        cancel.cancel();
        let done = work.await;
        stopped.map_or(Ok(done), Err)
    }

    /// Renew the lease for as long as the job is ours.
    async fn renewing(&self, owned: &Owned) -> Error {
        let renew = Command::Renew { fence: owned.job.fence, lease: self.lease };
        loop {
            tokio::time::sleep(self.lease / 3).await;
            // Nobody else can take it while the ledger is not reached; once the lease has lapsed the next write finds out.
            let renewed = self.desk.change(owned.job.id, &renew).await;
            if let Err(error @ Error::Superseded(_)) = renewed.map_err(Error::from) {
                return error;
            }
        }
    }
}
