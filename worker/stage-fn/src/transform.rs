//! `transform`: one streaming pass from the source to the staging bucket. Nothing of it is visible to anybody.

use eft_domain::{Code, Failure, Job, ObjectUri, Receipt, Route, message::StageRequest};
use eft_worker::{layout::named_after, place::Goal, run::Done, serve::Pass};
use tokio_util::sync::CancellationToken;

use crate::{Error, Stages, Until, notes::Notes, owned::Owned};

impl Stages {
    /// Make what is delivered and keep it where nobody looks, unless that was done, or nothing is to be made.
    pub(crate) async fn transform(&self, request: &StageRequest, until: Until) -> Result<Job, Error> {
        let mut owned = self.ours(request).await?;
        let route = self.route(&mut owned).await?;
        if route.is_identity() || is_made(&owned.notes) {
            return Ok(owned.job);
        }
        let pass = match self.pass_of(&owned, &route) {
            Ok(pass) => pass,
            Err(failure) => return Err(self.fail(&mut owned, failure).await),
        };
        let place = pass.goal.uri.clone();
        let cancel = CancellationToken::new();
        let moved = self.keeping(&owned, until, &cancel, self.engine.pass(pass, cancel.clone())).await?;
        // Whoever was quicker has made the same.
        let now = self.ours(request).await?;
        if is_made(&now.notes) {
            return Ok(now.job);
        }
        owned = now;
        let failed = match moved {
            Ok(Done { receipt, failure }) => {
                let staged = failure.map_or_else(|| staged(&receipt, place), Err);
                owned.notes.pass = Some(receipt);
                staged.map(|staged| owned.notes.staged = staged)
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = failed {
            return Err(self.fail(&mut owned, failure).await);
        }
        owned.notes.failure = None;
        self.save(&mut owned, true).await?;
        Ok(owned.job)
    }

    fn pass_of(&self, owned: &Owned, route: &Route) -> Result<Pass, Failure> {
        let run = owned.job.run();
        // All destinations give it the same name, or the route does not come here.
        let first = self.engine.goals(&owned.job, route)?.into_iter().next();
        Ok(Pass {
            route: first.map_or_else(|| route.clone(), |goal| named_after(route.clone(), &goal.uri)),
            source: self.engine.source(&owned.job)?,
            goal: Goal::new(self.staging.place(run)?),
            run,
        })
    }
}

/// Whether a pass has come to its good end: with an output, or with none where an empty file is a sign of life.
pub(crate) fn is_made(notes: &Notes) -> bool {
    notes.staged.is_some() || (notes.pass.is_some() && notes.failure.is_none())
}

/// The version that a pass has made; none where an empty file was a sign of life.
fn staged(receipt: &Receipt, place: ObjectUri) -> Result<Option<ObjectUri>, Failure> {
    let Some(delivery) = receipt.deliveries.first() else { return Ok(None) };
    match (place, &delivery.version_id) {
        (ObjectUri::S3 { bucket, key, .. }, Some(version)) => {
            Ok(Some(ObjectUri::S3 { bucket, key, version_id: Some(version.clone()) }))
        }
        _ => {
            let message = "the staging bucket keeps no versions: turn on its versioning";
            Err(Failure::new(Code::Configuration, message))
        }
    }
}
