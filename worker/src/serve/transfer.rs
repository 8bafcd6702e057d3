//! What a run does: all destinations of the route from one pass over the source, then the archive.
//!
//! Only destinations that get other bytes than the others, because their names are in them, have a pass of their own. A
//! destination that an earlier attempt of the run has delivered to keeps what it has.

use std::{collections::BTreeMap, sync::Arc};

use eft_domain::{
    ByteSize, Code, Failure, Job, ObjectUri, Receipt, Route, RunId,
    job::Millis,
    receipt::{Delivery, DeliveryOutcome, Outcome, SignedReceipt},
    route::{Archive, Destination, OnExisting, S3Destination, StorageOptions, TemplateValues},
};
use eft_pipeline::scanner::Scanner;
use eft_store::clock::rfc3339;
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Owned, passed};
use crate::{
    delivery::is_of_destination,
    kept::CheckpointAt,
    keys::Folder,
    layout::Layout,
    place::Goal,
    run::{self, Shared},
    sign::SigningKey,
};

/// A run to be made.
pub struct Task {
    /// The job and its token.
    pub owned: Arc<Owned>,
    /// The row when it was claimed.
    pub job: Job,
    /// The route that it is pinned to.
    pub route: Arc<Route>,
    /// Destinations, by their number, that its tenant may not deliver to any more.
    pub withdrawn: Vec<(usize, Failure)>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Why not every destination has it.
    pub failure: Option<Failure>,
    /// The signed receipt.
    pub receipt: Option<String>,
    /// Destinations that have it.
    pub delivered: usize,
    /// Nothing is left for a next owner to go on from.
    pub nothing_left: bool,
}

impl Finished {
    /// It failed before anything was done.
    pub fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), receipt: None, delivered: 0, nothing_left: false }
    }
}

/// What runs a job.
pub trait Transfers: Send + Sync {
    /// Run it until its end or until it is cancelled; `interrupted` then says that the next owner goes on.
    fn run<'a>(&'a self, task: Task, cancel: CancellationToken) -> BoxFuture<'a, Finished>;
}

/// Runs of the streaming engine, in this process.
pub struct Engine {
    /// Memory and threads of the process.
    pub shared: Shared,
    /// Memory of one run.
    pub memory: Option<ByteSize>,
    /// Most requests of a run in flight in each direction.
    pub concurrency: usize,
    /// How much of a source the next owner may have to read again; `None`: as the memory asks for.
    pub interval: Option<ByteSize>,
    /// The bucket of this region behind each logical name.
    pub buckets: BTreeMap<String, String>,
    /// Where originals are archived.
    pub archive: Option<String>,
    /// Secrets and OpenPGP keys, in a folder for each tenant.
    pub keys: Option<Folder>,
    /// The scanner.
    pub scanner: Option<Arc<dyn Scanner>>,
    /// Signs receipts.
    pub signing: SigningKey,
}

impl Transfers for Engine {
    fn run<'a>(&'a self, task: Task, cancel: CancellationToken) -> BoxFuture<'a, Finished> {
        async move {
            match self.all(&task, &cancel).await {
                Ok(finished) => finished,
                Err(failure) => Finished::failed(failure),
            }
        }
        .boxed()
    }
}

impl Engine {
    async fn all(&self, task: &Task, cancel: &CancellationToken) -> Result<Finished, Failure> {
        let Task { owned, job, route, withdrawn } = task;
        let source = self.source(job)?;
        let goals = self.goals(job, route)?;
        let archive = self.archive_of(job, route)?;
        let order: Vec<_> = goals.iter().chain(&archive).map(|goal| goal.uri.clone()).collect();
        let earlier = owned.earlier().await?;
        let had = earlier.as_ref().map_or_else(Vec::new, |earlier| delivered_by(&earlier.receipt));
        let lacks = |goal: &Goal| {
            let deliveries = earlier.iter().flat_map(|earlier| &earlier.receipt.deliveries);
            let mut of = deliveries.filter(|one| one.uri.is_of(&goal.uri)).peekable();
            // One of several objects that lacks some gets all of them again.
            of.peek().is_none() || of.any(|one| one.outcome != DeliveryOutcome::Delivered)
        };
        let mut passed = passed(job.checkpoint.as_deref());
        let done = |goal: &Goal| {
            passed.iter().any(|receipt| receipt.deliveries.iter().any(|one| one.uri.is_of(&goal.uri)))
        };
        // What it has already is nobody's to take away.
        let is_to_come = |goal: &Goal| lacks(goal) && !done(goal);
        if let Some((_, why)) = withdrawn.iter().find(|(at, _)| goals.get(*at).is_some_and(is_to_come)) {
            let receipt = earlier.as_ref().map(SignedReceipt::to_json);
            let failure = Some(why.clone());
            // Not the end of what may stand since: no receipt tells of that.
            let delivered = if job.publishing { 0 } else { had.len() };
            return Ok(Finished { failure, receipt, delivered, nothing_left: false });
        }
        let mut passes: Vec<_> = passes(route, goals).into_iter().map(|goals| (goals, false)).collect();
        passes.extend(archive.map(|goal| (vec![goal], true)));

        let given = self.given(route).await?;
        let (mut whole, mut failure, mut nothing_left) = (None, None, false);
        // What stands, or may, must not look as if it could still be cancelled.
        let mut may_stand = !had.is_empty() || !passed.is_empty();
        for (at, (mut goals, original)) in passes.into_iter().enumerate() {
            goals.retain(lacks);
            if at < passed.len() || goals.is_empty() {
                continue;
            }
            // What is not delivered is not archived as if it were.
            if original && failure.is_some() {
                break;
            }
            let text = owned.job().await.checkpoint;
            let (store, earlier) = owned.checkpoint_after(text.as_deref(), at, passed.clone());
            let begun = earlier.is_some();
            let mut run = run::Job {
                route: if original { self.identity(route) } else { Route::clone(route) },
                source: source.clone(),
                destinations: goals,
                memory: self.memory,
                concurrency: self.concurrency,
                part_size: None,
                given: given.clone(),
                server_copy: true,
                run: Some(if original { archived_by(job) } else { job.run() }),
                shared: Some(self.shared.clone()),
                checkpoint: self.keeps(route).then(|| CheckpointAt::Store(store.clone(), Box::new(earlier))),
                permit: Some(store.clone()),
                interval: self.interval,
            };
            let mut done = moved(run.clone(), cancel.clone(), owned).await;
            // A checkpoint of another version or size of worker is no fault of the file: it is begun anew, and the sweep
            // removes the upload that nothing names any more.
            if begun && matches!(&done, Err(failed) if failed.code == Code::CheckpointRefused) {
                run.checkpoint = Some(CheckpointAt::Store(store.clone(), Box::new(None)));
                done = moved(run, cancel.clone(), owned).await;
            }
            let (receipt, failed) = match done {
                Ok(done) => (Some(done.receipt), done.failure),
                Err(failed) => (None, Some(failed)),
            };
            let failed = failed.map(|failed| store.blamed(failed));
            may_stand |= store.may_stand(failed.as_ref(), receipt.as_ref());
            // Without a checkpoint nobody knows what an earlier owner has published.
            nothing_left |= store.is_removed() || (!self.keeps(route) && !job.publishing);
            match (&failed, receipt) {
                (None, Some(receipt)) if passed.len() == at => passed.push(receipt),
                (_, receipt) => whole = merged(whole, receipt),
            }
            // The file's own fault is every destination's, and a stop is a stop.
            let ends_all = failed.as_ref().is_some_and(|failed| !is_of_destination(failed.code));
            failure = failure.or(failed);
            if ends_all {
                break;
            }
        }
        let passed = passed.into_iter().fold(None, |whole, next| merged(whole, Some(next)));
        let whole = merged(passed, whole).map(|receipt| {
            let mut had = had.clone();
            had.retain(|one| receipt.deliveries.iter().all(|again| again.uri != one.uri));
            let mut deliveries = [had, receipt.deliveries].concat();
            deliveries.sort_by_key(|one| order.iter().position(|uri| *uri == one.uri).unwrap_or(order.len()));
            Receipt { deliveries, ..receipt }
        });
        let delivered = whole.as_ref().map_or(had.len(), |receipt| delivered_by(receipt).len());
        let receipt = whole.map(|receipt| {
            let outcome = outcome(failure.as_ref(), delivered, &receipt);
            // An archive's pass goes by the job's first run.
            let run_id = job.run();
            self.signing.sign(Receipt { outcome, run_id, receipt_id: run_id.to_string(), ..receipt })
        });
        // Where there is nothing to tell, what was told stands.
        let receipt = receipt.transpose()?.or(earlier).map(|signed| signed.to_json());
        Ok(Finished { failure, receipt, delivered, nothing_left: nothing_left && !may_stand })
    }

    /// Several objects of one source are made anew after a crash: those that stand are found.
    fn keeps(&self, route: &Route) -> bool {
        !route.splits() && !route.unpacks_several()
    }

    /// The object version that a job is about.
    ///
    /// # Errors
    /// `source.gone`: no object has such a name.
    pub fn source(&self, job: &Job) -> Result<ObjectUri, Failure> {
        let arrival = &job.arrival;
        let bucket = self.buckets.get(&arrival.bucket).unwrap_or(&arrival.bucket);
        let wrong =
            |error: &dyn std::fmt::Display| Failure::new(Code::SourceGone, format!("the source: {error}"));
        Ok(ObjectUri::S3 {
            bucket: bucket.parse().map_err(|error| wrong(&error))?,
            key: arrival.key.parse().map_err(|error| wrong(&error))?,
            version_id: match arrival.version_id.as_str() {
                "null" => None,
                version => Some(version.parse().map_err(|error| wrong(&error))?),
            },
        })
    }

    /// The places of a route's destinations, in its order.
    ///
    /// # Errors
    /// `plan.refused`: a name cannot be made.
    pub fn goals(&self, job: &Job, route: &Route) -> Result<Vec<Goal>, Failure> {
        let arrived = rfc3339(Millis(job.arrived_at.0));
        let (job_id, run_id) = (job.id.to_string(), job.run().to_string());
        let values = TemplateValues {
            key: &job.arrival.key,
            prefix: route.matches.as_ref().map_or("", |matches| matches.prefix.as_str()),
            arrived: &arrived,
            tenant: job.tenant.as_ref().map(|tenant| tenant.as_str()),
            route: route.id.as_ref().map(|id| id.as_str()),
            job_id: Some(&job_id),
            run_id: Some(&run_id),
            version_id: Some(&job.arrival.version_id),
        };
        let goal =
            |Destination::S3(S3Destination { bucket, key, on_existing, storage, .. }): &Destination| {
                let key = key.render(&values).map_err(|error| {
                    Failure::new(
                        Code::PlanRefused,
                        format!("destination s3://{bucket}: the key cannot be made: {error}"),
                    )
                })?;
                Ok(Goal {
                    uri: ObjectUri::s3(bucket.clone(), key),
                    on_existing: *on_existing,
                    storage: storage.clone(),
                })
            };
        route.destinations.iter().map(goal).collect()
    }

    /// Where the original is archived: a name that is the job's alone, so that a replay finds it there.
    ///
    /// # Errors
    /// `plan.refused`: there is no archive, or no such name.
    pub fn archive_of(&self, job: &Job, route: &Route) -> Result<Option<Goal>, Failure> {
        let Some(Archive { storage_class, original: true }) = &route.archive else { return Ok(None) };
        let refused =
            |why: &dyn std::fmt::Display| Failure::new(Code::PlanRefused, format!("archive: {why}"));
        let bucket =
            self.archive.as_ref().ok_or_else(|| refused(&"this worker was given no archive bucket"))?;
        let key = format!("{}/{}", job.id, job.arrival.version_id);
        Ok(Some(Goal {
            uri: ObjectUri::s3(
                bucket.parse().map_err(|error| refused(&error))?,
                key.parse().map_err(|error| refused(&error))?,
            ),
            on_existing: OnExisting::Fail,
            storage: StorageOptions { storage_class: Some(*storage_class), ..StorageOptions::default() },
        }))
    }

    /// The route that copies what a route has made, or the original, as it is.
    pub fn identity(&self, route: &Route) -> Route {
        Route { id: route.id.clone(), tenant: route.tenant.clone(), ..Route::identity() }
    }
}

/// Under which run's name a job's original stands in the archive: every run keeps the same one, so what the first has brought
/// there is the others' as well.
pub fn archived_by(job: &Job) -> RunId {
    RunId::first(job.id)
}

/// Goals by what they get: those that get the same bytes get them from one pass.
fn passes(route: &Route, goals: Vec<Goal>) -> Vec<Vec<Goal>> {
    let mut passes: Vec<(Layout, Vec<Goal>)> = Vec::new();
    for goal in goals {
        let layout = Layout::of(route, &goal.uri);
        match passes.iter_mut().find(|(of, _)| *of == layout) {
            Some((_, goals)) => goals.push(goal),
            None => passes.push((layout, vec![goal])),
        }
    }
    passes.into_iter().map(|(_, goals)| goals).collect()
}

/// What stands by a receipt.
pub fn delivered_by(receipt: &Receipt) -> Vec<Delivery> {
    let stands = receipt.deliveries.iter().filter(|one| one.outcome == DeliveryOutcome::Delivered);
    stands.map(|one| Delivery { already_delivered: true, ..one.clone() }).collect()
}

/// The run as a future of its own: what it borrows are only its own parts.
fn moved(
    run: run::Job,
    cancel: CancellationToken,
    owned: &Arc<Owned>,
) -> BoxFuture<'static, Result<run::Done, Failure>> {
    let owned = Arc::clone(owned);
    async move {
        let done = run.run(cancel, |_, progress| owned.watched.moves(progress)).await;
        owned.watched.moved(done.as_ref().map_or(0, |done| done.receipt.totals.throttles));
        done
    }
    .boxed()
}

/// One receipt of all destinations.
pub fn merged(whole: Option<Receipt>, next: Option<Receipt>) -> Option<Receipt> {
    let (Some(mut whole), Some(next)) = (whole.clone(), next.clone()) else { return whole.or(next) };
    whole.deliveries.extend(next.deliveries);
    whole.finished_at = next.finished_at;
    whole.elapsed_ms += next.elapsed_ms;
    whole.totals.retries += next.totals.retries;
    whole.totals.throttles += next.totals.throttles;
    whole.totals.bytes_read += next.totals.bytes_read;
    whole.totals.bytes_reread += next.totals.bytes_reread;
    for (operation, count) in next.totals.requests {
        *whole.totals.requests.entry(operation).or_default() += count;
    }
    whole.failure = whole.failure.or(next.failure);
    whole.resumed_from = whole.resumed_from.or(next.resumed_from);
    Some(whole)
}

fn outcome(failure: Option<&Failure>, delivered: usize, receipt: &Receipt) -> Outcome {
    let some = receipt.deliveries.iter().any(|delivery| delivery.outcome == DeliveryOutcome::Delivered);
    match failure {
        None => Outcome::Succeeded,
        Some(_) if delivered > 0 && some => Outcome::PartiallyDelivered,
        Some(_) => receipt.failure.as_ref().map_or(Outcome::Failed, |_| receipt.outcome),
    }
}
