//! What a run does: one destination of the route after the other, then the archive.
//!
//! Destinations are written one after the other, each from a pass of its own over the source, so that each has its own
//! checkpoint and its own outcome.

use std::{collections::BTreeMap, sync::Arc};

use eft_domain::{
    ByteSize, Code, Failure, Job, ObjectUri, Receipt, Route,
    job::Millis,
    receipt::{DeliveryOutcome, Outcome},
    route::{Archive, Destination, OnExisting, S3Destination, StorageOptions, TemplateValues},
};
use eft_pipeline::{
    given::Given,
    keys::{Keyring, Keys},
    scanner::Scanner,
};
use eft_store::clock::rfc3339;
use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::checkpoint::Owned;
use crate::{
    kept::CheckpointAt,
    place::Goal,
    run::{self, Shared},
    secrets,
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
    /// The bucket of this region behind each logical name.
    pub buckets: BTreeMap<String, String>,
    /// Where originals are archived.
    pub archive: Option<String>,
    /// OpenPGP keys by name.
    pub keys: Box<dyn Keys>,
    /// The folder of secrets.
    pub secrets: Option<std::path::PathBuf>,
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
        let Task { owned, job, route } = task;
        let source = self.source(job)?;
        let goals = self.goals(job, route)?.into_iter().map(|goal| (goal, false));
        let goals = goals.chain(self.archive_of(job, route)?.map(|goal| (goal, true)));
        let secrets = Arc::new(secrets::read(self.secrets.as_deref(), route)?);
        let keys =
            Keyring::resolve(&route.stages, self.keys.as_ref(), std::time::SystemTime::now()).boxed().await?;
        let given = Given { secrets, keys, scanner: self.scanner.clone(), ..Given::default() };
        let mut whole: Option<Receipt> = None;
        let (mut failure, mut delivered, mut nothing_left) = (None, 0, false);
        for (at, (goal, original)) in goals.enumerate() {
            // What is not delivered is not archived as if it were.
            if original && failure.is_some() {
                break;
            }
            let (store, earlier) = owned.checkpoint(job.checkpoint.as_deref(), at);
            let begun = earlier.is_some();
            let mut run = run::Job {
                route: if original { self.identity(route) } else { Route::clone(route) },
                source: source.clone(),
                destinations: vec![goal],
                memory: self.memory,
                concurrency: self.concurrency,
                part_size: None,
                given: given.clone(),
                server_copy: true,
                run: Some(job.run()),
                shared: Some(self.shared.clone()),
                checkpoint: self.keeps(route).then(|| CheckpointAt::Store(store.clone(), Box::new(earlier))),
                interval: None,
            };
            let mut done = moved(run.clone(), cancel.clone()).await;
            // A checkpoint of another version or size of worker is no fault of the file: it is begun anew, and the sweep
            // removes the upload that nothing names any more.
            if begun && matches!(&done, Err(failed) if failed.code == Code::CheckpointRefused) {
                run.checkpoint = Some(CheckpointAt::Store(store.clone(), Box::new(None)));
                done = moved(run, cancel.clone()).await;
            }
            nothing_left |= store.is_removed();
            let (receipt, failed) = match done {
                Ok(done) => (Some(done.receipt), done.failure),
                Err(failed) => (None, Some(failed)),
            };
            delivered += usize::from(failed.is_none());
            whole = merged(whole, receipt);
            let ends_all = failed.as_ref().is_some_and(|failed| {
                // The file's own fault is every destination's, and a stop is a stop.
                failed.code == Code::Interrupted || !is_of_destination(failed.code)
            });
            failure = failure.or(failed);
            if ends_all {
                break;
            }
        }
        let receipt = whole.map(|receipt| {
            let outcome = outcome(failure.as_ref(), delivered, &receipt);
            self.signing.sign(Receipt { outcome, ..receipt })
        });
        let receipt = receipt.transpose()?.map(|signed| signed.to_json());
        Ok(Finished { failure, receipt, delivered, nothing_left })
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

/// The run as a future of its own: what it borrows are only its own parts.
fn moved(run: run::Job, cancel: CancellationToken) -> BoxFuture<'static, Result<run::Done, Failure>> {
    async move { run.run(cancel, |_, _| ()).await }.boxed()
}

/// Whether a failure is one destination's alone.
fn is_of_destination(code: Code) -> bool {
    code.as_str().starts_with("destination.") || code == Code::IntegrityDestination
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
