//! `quarantine` and `mark_failed`: a run that went wrong is ended or held as its failure asks for. And what follows every
//! end: it is told, what was staged is removed, and the tenant's next jobs are let in.

use eft_domain::{Code, Command, Failure, Job, job::Ending, message::StageRequest, receipt::FailureNote};

use crate::{
    Error, Stages,
    notes::Copied,
    owned::{Found, Owned},
};

impl Stages {
    /// End the run by the failure that was noted.
    pub(crate) async fn end_failed(&self, request: &StageRequest) -> Result<Job, Error> {
        let mut owned = match self.find(request).await? {
            Found::Ours(owned) => *owned,
            Found::Over(job) => return self.tail(&job).await.map(|()| *job),
        };
        let name = request.error.as_deref().unwrap_or_default();
        let note = owned.notes.failure.clone().filter(|_| Error::is_verdict(name));
        let Some(note) = note else {
            return Err(Error::Unfinished(format!(
                "run {} ended with {name:?}, which says nothing of the file: it is run again when its lease has lapsed",
                request.run
            )));
        };
        // It was refused before its destinations were looked at.
        let is_unseen = note.known() == Some(Code::DestinationWithdrawn);
        let command = self.command(&owned, note, owned.job.publishing && is_unseen).await?;
        if matches!(command, Command::Hold { .. }) && !is_unseen {
            self.settle_publishing(&mut owned).await?;
        }
        let job = self.desk.change_from(owned.job.clone(), &command).await?;
        self.tail(&job).await?;
        Ok(job)
    }

    /// What the failure asks for: what some destinations have has ended, unless others `may_stand`; everything else as the
    /// table of remedies says.
    async fn command(&self, owned: &Owned, note: FailureNote, may_stand: bool) -> Result<Command, Error> {
        let fence = owned.job.fence;
        let (receipt, delivered) = match self.desk.route_of(&owned.job).await? {
            Some(route) => (self.signed(owned, &route)?, owned.notes.delivered(route.destinations.len())),
            None => (None, 0),
        };
        if delivered > 0 && !may_stand {
            let ending = Ending::Partial(note, receipt.unwrap_or_default());
            return Ok(Command::End { fence, ending });
        }
        let failure = Failure::new(note.known().unwrap_or(Code::Internal), note.message);
        Ok(owned.job.settle(fence, failure, receipt, self.desk.clock.now()))
    }

    /// A run that waits can be cancelled, unless it is not known what stands at a destination: one that was not looked at since
    /// it may have been published to, or whose look has told nothing.
    async fn settle_publishing(&self, owned: &mut Owned) -> Result<(), Error> {
        if !owned.job.publishing {
            return Ok(());
        }
        let destinations = self.desk.route_of(&owned.job).await?.map_or(0, |route| route.destinations.len());
        let is_clear = |copied: &Copied| {
            let code = copied.failure.as_ref().and_then(FailureNote::known);
            !matches!(code, Some(Code::DestinationIndeterminate | Code::DestinationUnavailable))
        };
        let are_clear = (0..destinations).all(|at| owned.notes.copies.get(&at).is_some_and(is_clear));
        if destinations == 0 || !are_clear {
            return Ok(());
        }
        let forget = Command::Forget { fence: owned.job.fence };
        owned.job = self.desk.change_from(owned.job.clone(), &forget).await?;
        self.save(owned, false).await
    }

    /// What follows an end. Whoever comes to it again does the same.
    pub(crate) async fn tail(&self, job: &Job) -> Result<(), Error> {
        let told = self.desk.tell(job).await;
        if job.state.is_terminal()
            && let Err(error) = self.staging.clear(job.run()).await
        {
            // The bucket's lifecycle rule removes it.
            (self.log)("staging", job, &error.message);
        }
        if let Some(tenant) = &job.tenant
            && let Err(error) = self.desk.release(std::slice::from_ref(tenant)).await
        {
            // The sweep lets them in.
            (self.log)("release", job, &error.to_string());
        }
        told.map(drop).map_err(Error::from)
    }
}
