//! `validate`: the job is taken, and its source looked at. `stage`: whether it can be delivered.

use eft_domain::{
    Command, DeliveryId, Failure, Job, JobState, Receipt, Route,
    job::Refused,
    message::StageRequest,
    receipt::{FailureNote, Totals},
};
use eft_pipeline::error::of_sink;
use eft_store::ChangeError;
use eft_worker::{
    place::{Goal, Sink},
    s3::Attributes,
    serve::{Pass, earlier, transfer::delivered_by},
};

use crate::{
    Error, Stages, Until,
    notes::{Copied, Notes},
    owned::Owned,
};

impl Stages {
    /// Take the job, pin its source, and plan: what cannot work fails before a byte is moved.
    pub(crate) async fn validate(&self, request: &StageRequest, until: Until) -> Result<Job, Error> {
        let mut owned = self.claim(request).await?;
        let route = self.route(&mut owned).await?;
        let staged = owned.notes.staged.clone();
        let has_lost = match &staged {
            // What an earlier owner has staged may have expired while the run was held.
            Some(staged) => !self.staging.stands(staged).await?,
            None => false,
        };
        let failed_before = owned.notes.failure.is_some();
        if has_lost || failed_before {
            let notes = std::mem::take(&mut owned.notes);
            let copies = notes.copies.into_iter().filter(|(_, copied)| copied.failure.is_none()).collect();
            let kept = Notes { copies, ..Notes::default() };
            owned.notes = match has_lost || staged.is_none() {
                true => kept,
                false => Notes { staged: notes.staged, pass: notes.pass, ..kept },
            };
            self.save(&mut owned, false).await?;
        }
        if let Err(failure) = self.recall(&mut owned, &route).await? {
            return Err(self.fail(&mut owned, failure).await);
        }
        self.refuse_withdrawn(&mut owned, &route).await?;
        if let Err(failure) = self.look(&owned, &route, until).await? {
            return Err(self.fail(&mut owned, failure).await);
        }
        Ok(owned.job)
    }

    /// Note what an earlier attempt of this run has delivered, where its owner noted nothing: it is not delivered again, not
    /// even where a reader has taken it away.
    async fn recall(&self, owned: &mut Owned, route: &Route) -> Result<Result<(), Failure>, Error> {
        if owned.job.checkpoint.is_some() {
            return Ok(Ok(()));
        }
        let goals = match self.engine.goals(&owned.job, route) {
            Ok(goals) => goals,
            Err(failure) => return Ok(Err(failure)),
        };
        let receipt = match earlier(&self.desk, &owned.job).await {
            Ok(Some(signed)) => signed.receipt,
            Ok(None) => return Ok(Ok(())),
            Err(failure) => return Ok(Err(failure)),
        };
        for delivery in delivered_by(&receipt) {
            let Some(at) = goals.iter().position(|goal| goal.uri == delivery.uri) else { continue };
            let of_it = Receipt {
                deliveries: vec![delivery],
                failure: None,
                elapsed_ms: 0,
                totals: Totals::default(),
                ..receipt.clone()
            };
            owned.notes.copies.insert(at, Copied { receipt: Some(of_it), failure: None });
        }
        match owned.notes.copies.is_empty() {
            true => Ok(Ok(())),
            false => Ok(Ok(self.save(owned, false).await?)),
        }
    }

    /// Take the job; a state that is tried again has it already.
    async fn claim(&self, request: &StageRequest) -> Result<Owned, Error> {
        let id = request.run.job();
        let Some(job) = self.desk.ledger.get(id).await? else {
            return Err(Error::Superseded(format!("there is no job {id}")));
        };
        if job.generation != request.run.generation() {
            return Err(Error::Superseded(format!("job {id} has another run now")));
        }
        let claim = Command::Claim { owner: request.execution.clone(), lease: self.lease };
        match self.desk.change_from(job, &claim).await {
            Ok(job) if job.state == JobState::Running => {
                // Telling reads the row again. Whoever was held up meanwhile finds the next owner's there, and must not act
                // with his token.
                let fence = job.fence;
                let told = self.desk.tell(&job).await.ok().filter(|told| told.fence == fence);
                Ok(Owned::of(told.unwrap_or(job)))
            }
            Ok(job) => {
                let message = format!("job {id} is {}: owner after owner died on it", job.state);
                self.tail(&job).await?;
                Err(Error::Superseded(message))
            }
            Err(ChangeError::Refused(Refused::Leased { owner, .. })) if owner == request.execution => {
                self.ours(request).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A stopped look says nothing of the file.
    async fn look(&self, owned: &Owned, route: &Route, until: Until) -> Result<Result<(), Failure>, Error> {
        let found = (|| Ok((self.engine.source(&owned.job)?, self.engine.goals(&owned.job, route)?)))();
        let (source, goals) = match found {
            Ok(found) => found,
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(goal) = goals.into_iter().next() else { return Ok(Ok(())) };
        let pass = Pass { route: route.clone(), source, goal, run: owned.job.run() };
        tokio::select! {
            looked = self.engine.look(pass) => Ok(looked),
            () = until.over() => Err(Error::out_of_time()),
        }
    }

    /// Look at every destination: where none can take it, no byte is read. Where some can, what becomes of the others is the
    /// business of `deliver`.
    pub(crate) async fn stage(&self, request: &StageRequest, until: Until) -> Result<Job, Error> {
        let mut owned = self.ours(request).await?;
        let route = self.route(&mut owned).await?;
        let goals = self.engine.goals(&owned.job, &route);
        let goals = goals.and_then(|goals| self.engine.archive_of(&owned.job, &route).map(|_| goals));
        let goals = match goals {
            Ok(goals) => goals,
            Err(failure) => return Err(self.fail(&mut owned, failure).await),
        };
        let copies = if route.is_identity() { Route::clone(&route) } else { self.engine.identity(&route) };
        let mut refused = Vec::new();
        for (at, goal) in goals.into_iter().enumerate() {
            let looked = tokio::select! {
                looked = self.takes(&owned, &copies, &goal) => looked,
                () = until.over() => return Err(Error::out_of_time()),
            };
            match looked {
                Err(failure) if !owned.notes.is_delivered(at) => refused.push((at, goal, failure)),
                _ => return Ok(owned.job),
            }
        }
        let Some((_, _, first)) = refused.first().cloned() else { return Ok(owned.job) };
        for (at, goal, failure) in refused {
            let note = FailureNote::from(&failure);
            let receipt = tokio::select! {
                receipt = self.refusal(&owned, &copies, goal, failure) => receipt,
                () = until.over() => return Err(Error::out_of_time()),
            };
            owned.notes.copies.insert(at, Copied { receipt, failure: Some(note) });
        }
        Err(self.fail(&mut owned, first).await)
    }

    /// What the receipt says of a destination that does not take it; none where the source cannot be asked.
    async fn refusal(&self, owned: &Owned, copies: &Route, goal: Goal, why: Failure) -> Option<Receipt> {
        let source = self.engine.source(&owned.job).ok()?;
        let pass = Pass { route: copies.clone(), source, goal, run: owned.job.run() };
        self.engine.refused(pass, why).await.ok()
    }

    /// Whether a destination takes what is copied there: its name is free, or this very delivery stands there.
    async fn takes(&self, owned: &Owned, copies: &Route, goal: &Goal) -> Result<(), Failure> {
        let delivery = DeliveryId::of(owned.job.run(), copies.revision(), &goal.uri).to_string();
        let client = self.staging.client();
        let sink =
            Sink::open(client, &goal.uri, goal.on_existing, &delivery, Attributes::default(), false).await;
        sink.map(drop).map_err(|error| of_sink(&error))
    }
}
