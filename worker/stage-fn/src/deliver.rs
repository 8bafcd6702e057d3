//! `deliver`: S3 copies to each destination what was staged, or the source where nothing is to be made of it.

use eft_domain::{
    Code, Failure, Job, ObjectUri, Route, job::Remedy, job::remedy, message::StageRequest,
    receipt::FailureNote,
};
use eft_worker::{place::Goal, serve::Pass};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Stages, Until,
    notes::{Copied, Notes},
    owned::Owned,
};

impl Stages {
    /// Bring it to every destination that does not have it; each has its own outcome.
    pub(crate) async fn deliver(&self, request: &StageRequest, until: Until) -> Result<Job, Error> {
        let mut owned = self.ours(request).await?;
        let route = self.route(&mut owned).await?;
        self.refuse_withdrawn(&mut owned, &route).await?;
        let goals = match self.engine.goals(&owned.job, &route) {
            Ok(goals) => goals,
            Err(failure) => return Err(self.fail(&mut owned, failure).await),
        };
        let Some((route, source)) = self.copied(&owned, &route)? else { return Ok(owned.job) };
        // From here on it may come to stand at any moment.
        if !owned.job.publishing {
            owned.notes.failure = None;
            self.save_as(&mut owned, false, true).await?;
        }
        for (at, goal) in goals.iter().enumerate() {
            if !owned.notes.is_delivered(at) {
                let pass = Pass {
                    route: route.clone(),
                    source: source.clone(),
                    goal: goal.clone(),
                    run: owned.job.run(),
                };
                self.copy(&mut owned, at, pass, until).await?;
            }
        }
        match verdict(&owned.notes, &goals) {
            None => Ok(owned.job),
            Some(failure) => Err(self.fail(&mut owned, failure).await),
        }
    }

    /// What is copied, and by which route; none where an empty file was a sign of life.
    pub(crate) fn copied(&self, owned: &Owned, route: &Route) -> Result<Option<(Route, ObjectUri)>, Failure> {
        if route.is_identity() {
            return Ok(Some((route.clone(), self.engine.source(&owned.job)?)));
        }
        match (&owned.notes.staged, &owned.notes.pass) {
            (Some(staged), _) => Ok(Some((self.engine.identity(route), staged.clone()))),
            (None, Some(_)) => Ok(None),
            (None, None) => Err(Failure::new(
                Code::Internal,
                "nothing was staged before `deliver`: the states are out of order",
            )),
        }
    }

    /// Copy to one place, and note what became of it.
    pub(crate) async fn copy(
        &self,
        owned: &mut Owned,
        at: usize,
        pass: Pass,
        until: Until,
    ) -> Result<(), Error> {
        let cancel = CancellationToken::new();
        let moved = self.keeping(owned, until, &cancel, self.engine.pass(pass, cancel.clone())).await?;
        let (receipt, failure) = match moved {
            Ok(done) => (Some(done.receipt), done.failure),
            Err(failure) => (None, Some(failure)),
        };
        if let Some(failure) = failure.clone().filter(|failure| failure.code == Code::Interrupted) {
            return Err(failure.into());
        }
        let is_done = failure.is_none();
        let failure = failure.as_ref().map(FailureNote::from);
        owned.notes.copies.insert(at, Copied { receipt, failure });
        self.save(owned, is_done).await
    }
}

/// Why not every destination has it: what may yet succeed comes first, because it is tried again.
fn verdict(notes: &Notes, goals: &[Goal]) -> Option<Failure> {
    let failures: Vec<_> = (0..goals.len())
        .filter_map(|at| notes.copies.get(&at)?.failure.as_ref())
        .map(|note| Failure::new(note.known().unwrap_or(Code::Internal), note.message.clone()))
        .collect();
    let again = failures.iter().find(|failure| remedy(failure.code) == Remedy::Retry);
    again.or(failures.first()).cloned()
}
