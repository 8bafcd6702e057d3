//! `archive`: the original is copied to the archive where the route asks for it, and the run has ended.

use eft_domain::{Command, Failure, Job, Route, job::Ending, message::StageRequest, receipt::FailureNote};
use eft_worker::serve::{Pass, transfer::archived_by};

use crate::{
    Error, Stages, Until,
    owned::{Found, Owned},
};

impl Stages {
    /// Archive the original, end the run, and tell it.
    pub(crate) async fn archive(&self, request: &StageRequest, until: Until) -> Result<Job, Error> {
        let mut owned = match self.find(request).await? {
            Found::Ours(owned) => *owned,
            // It was ended by this very state, which may not have come to its end.
            Found::Over(job) => return self.tail(&job).await.map(|()| *job),
        };
        let route = self.route(&mut owned).await?;
        if let Err(failure) = self.keep_original(&mut owned, &route, until).await? {
            return Err(self.fail(&mut owned, failure).await);
        }
        owned.notes.failure = None;
        let receipt = self.signed(&owned, &route)?;
        self.end(&owned, Ending::Succeeded(receipt)).await
    }

    /// Behind the destinations, a copy of the source.
    async fn keep_original(
        &self,
        owned: &mut Owned,
        route: &Route,
        until: Until,
    ) -> Result<Result<(), Failure>, Error> {
        let at = route.destinations.len();
        let found = (|| Ok((self.engine.archive_of(&owned.job, route)?, self.engine.source(&owned.job)?)))();
        let (goal, source) = match found {
            Ok((Some(goal), source)) => (goal, source),
            Ok((None, _)) => return Ok(Ok(())),
            Err(failure) => return Ok(Err(failure)),
        };
        if !owned.notes.is_delivered(at) {
            let run = archived_by(&owned.job);
            let pass = Pass { route: self.engine.identity(route), source, goal, run };
            self.copy(owned, at, pass, until).await?;
        }
        let note = owned.notes.copies.get(&at).and_then(|copied| copied.failure.clone());
        Ok(note.map_or(Ok(()), |FailureNote { code, message, .. }| {
            Err(Failure::new(code.parse().unwrap_or(eft_domain::Code::Internal), message))
        }))
    }

    /// The text of the signed receipt, if there is one.
    pub(crate) fn signed(&self, owned: &Owned, route: &Route) -> Result<Option<String>, Failure> {
        let goals = self.engine.goals(&owned.job, route).unwrap_or_default();
        let Some(receipt) = owned.notes.receipt(&owned.job, route, &goals) else { return Ok(None) };
        Ok(Some(self.engine.signing.sign(receipt)?.to_json()))
    }

    /// End the run, and everything that follows.
    pub(crate) async fn end(&self, owned: &Owned, ending: Ending) -> Result<Job, Error> {
        let end = Command::End { fence: owned.job.fence, ending };
        let job = self.desk.change_from(owned.job.clone(), &end).await?;
        self.tail(&job).await?;
        Ok(job)
    }
}
