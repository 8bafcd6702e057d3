//! A run from its source to the receipt: open, plan, copy or stream, report.
//!
//! # Overview
//! All destinations get the same bytes from one pass: those that S3 can copy to itself are copied to, the others are sinks of
//! one transfer. A destination that is found to have the object from an earlier attempt keeps it.
//!
//! # Failure handling
//! A destination that fails, at whatever point, costs the others nothing; the receipt says of each how it ended. The source's
//! own failure, and the file's, is everybody's.

use std::sync::Arc;

use eft_domain::{ByteSize, Class, Code, Failure, ObjectUri, Receipt, receipt::Method, route::OnEmpty};
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Checkpoint, Interval, Keeper, Pinned},
    checksum::Crc64,
    concurrency::Concurrency,
    error::{interrupted, of_sink, of_source},
    fetch::checksum_of,
    plan::{DEFAULT_MEMORY, Plan},
    pool::Pool,
    port::{Committed, ErrorKind, Numbered, PortError, Verified},
    progress::Progress,
    retry::RetryPolicy,
    transfer::{Outcome, Stopped, Transfer},
};
use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    delivery::{Delivery, is_of_destination},
    input::look_around,
    kept::{self, Kept, described},
    place::{self, Opened, Series, Sink},
    receipt::{Ended, Facts, Identity, Names, receipt},
    run::{Done, Job},
    s3::{Attributes, Client, S3Sink, ServerCopy},
};

/// What the steps of a run share.
struct Desk<'a> {
    job: &'a Job,
    client: Client,
    /// One window for one endpoint: whichever request it throttles, both directions slow down.
    window: Concurrency,
    progress: Arc<Progress>,
    cancel: CancellationToken,
    started_at: String,
    clock: Instant,
}

/// How a run knows its source and its deliveries.
struct Known<'a> {
    opened: &'a Opened,
    identity: &'a Identity,
    series: Option<&'a Series>,
}

/// What is moved, and how.
struct Moving {
    plan: Plan,
    pool: Pool,
    names: Names,
    attributes: Attributes,
}

/// How far it was moved.
enum Moved {
    Ended(Ended),
    /// Before anything was read, what stands at the destinations has to be looked at once more.
    LookAgain(Box<Kept>),
}

impl Job {
    /// Carry it out. `started` is given the counters once the size is known, for whoever shows them.
    ///
    /// # Errors
    /// Only what keeps a receipt from being written: a source that cannot be opened, or a refused plan. Everything
    /// after that is in the receipt.
    pub async fn run(
        &self,
        cancel: CancellationToken,
        started: impl FnOnce(Option<u64>, Arc<Progress>),
    ) -> Result<Done, Failure> {
        let desk = self.desk(cancel.clone()).await;
        let client = desk.client.clone();
        let mut opened = place::source(&client, &self.source).await.map_err(|error| of_source(&error))?;
        let mut identity = Identity::of(&self.route, &opened.version, self.run);
        let apart = self.is_several() && !self.route.splits();
        let found = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(interrupted()),
            found = look_around(&client, &self.route, self.concurrency, apart, &mut opened) => found,
        };
        let found = found.and_then(|found| self.refuse_names(&found.names).map(|()| found));
        let found = match found {
            Ok(found) => found,
            Err(failure) if failure.code.class() == Class::Usage => return Err(failure),
            Err(failure) => {
                let known = Known { opened: &opened, identity: &identity, series: None };
                let deliveries = Delivery::all(&self.destinations);
                return Ok(desk.report(&known, self.ended(failure, deliveries)));
            }
        };
        identity.join(&opened.objects);
        let pool = self.shared.as_ref().map_or_else(Pool::for_this_machine, |shared| shared.pool.clone());
        let plan = self.plan(opened.source.size(), &found, pool.threads())?;
        started(opened.source.size(), Arc::clone(&desk.progress));

        let mut kept = self.kept(&opened, &plan, &identity)?;
        let names = Names {
            identity: identity.clone(),
            route: self.route.clone(),
            versioned: is_versioned(&opened),
            attempt: kept.pinned.delivery.clone(),
        };
        let attributes = match plan.makes_bytes() || !opened.objects.is_empty() {
            true => opened.attributes().of_other_bytes(),
            false => opened.attributes(),
        };
        let series = self.is_several().then(|| Series {
            client: client.clone(),
            names: names.clone(),
            goals: self.destinations.clone(),
            entries: found.names.clone(),
            attributes: attributes.clone(),
        });
        let known = Known { opened: &opened, identity: &identity, series: series.as_ref() };
        let moving = Moving { plan, pool, names, attributes };
        loop {
            match desk.deliver(&known, &moving, kept).await? {
                Moved::Ended(ended) => return Ok(desk.report(&known, ended)),
                Moved::LookAgain(now) => kept = *now,
            }
        }
    }

    /// The receipt of a run that ended before it began, because every destination has refused it for its own reason.
    ///
    /// # Errors
    /// A source that cannot be opened.
    pub async fn refused(&self, reasons: &[Failure]) -> Result<Receipt, Failure> {
        let desk = self.desk(CancellationToken::new()).await;
        let opened = place::source(&desk.client, &self.source).await.map_err(|error| of_source(&error))?;
        let identity = Identity::of(&self.route, &opened.version, self.run);
        let known = Known { opened: &opened, identity: &identity, series: None };
        let mut deliveries = Delivery::all(&self.destinations);
        deliveries.iter_mut().zip(reasons).for_each(|(delivery, why)| delivery.end(0, Err(why.clone())));
        Ok(desk.report(&known, Ended { deliveries, ..Ended::default() }).receipt)
    }

    async fn desk(&self, cancel: CancellationToken) -> Desk<'_> {
        let window = Concurrency::new(self.concurrency);
        Desk {
            job: self,
            client: self.client(window.clone()).await,
            window,
            progress: Arc::default(),
            cancel,
            started_at: jiff::Timestamp::now().to_string(),
            clock: Instant::now(),
        }
    }

    /// How a run ends that its source ends.
    fn ended(&self, failure: Failure, deliveries: Vec<Delivery>) -> Ended {
        match self.is_heartbeat(&failure) {
            true => Ended::default(),
            false => Ended { deliveries, failure: Some(failure), ..Ended::default() },
        }
    }

    /// What an earlier run has left, or what this one is.
    fn kept(&self, opened: &Opened, plan: &Plan, identity: &Identity) -> Result<Kept, Failure> {
        let named = self
            .uris()
            .next()
            .filter(|_| is_versioned(opened) && !self.uris().any(|uri| matches!(uri, ObjectUri::Local(_))));
        let delivery = match named {
            Some(first) => identity.delivery_to(&self.route, first).to_string(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        let pinned = Pinned {
            source: described(opened),
            route: self.route.revision().to_string(),
            destination: self.uris().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            plan: plan.fingerprint(),
            delivery,
        };
        let Some(place) = &self.checkpoint else { return Ok(Kept { pinned, store: None, earlier: None }) };
        if self.source == ObjectUri::Std || self.uris().any(|uri| *uri == ObjectUri::Std) {
            let message = "a run from or to - cannot be gone on with: leave out --checkpoint";
            return Err(Failure::new(Code::Configuration, message));
        }
        let (store, earlier) = place.open()?;
        let pinned = match &earlier {
            Some(earlier) => {
                earlier.admit(&pinned)?;
                earlier.pinned.clone()
            }
            None => pinned,
        };
        Ok(Kept { pinned, store: Some(store), earlier })
    }

    fn interval_for(&self, plan: &Plan) -> Result<Interval, Failure> {
        let interval = Interval::of(plan.memory);
        let Some(bytes) = self.interval else { return Ok(interval) };
        let least = Interval::least(plan.memory);
        if bytes.bytes() >= least {
            return Ok(Interval { bytes: bytes.bytes(), ..interval });
        }
        let (least, memory) = (ByteSize(least), ByteSize(plan.memory));
        let message = format!(
            "an interval of {bytes} cannot be kept with a memory of {memory}: raise --checkpoint-interval to {least}, or \
             lower --memory"
        );
        Err(Failure::new(Code::PlanRefused, message))
    }

    fn is_heartbeat(&self, failure: &Failure) -> bool {
        self.route.on_empty == OnEmpty::Heartbeat && failure.code == Code::SourceEmpty
    }
}

/// A source that is a version, or several, for ever.
fn is_versioned(opened: &Opened) -> bool {
    let mut versions = std::iter::once(&opened.version).chain(&opened.objects);
    versions.all(|version| version.version_id.is_some())
}

impl Desk<'_> {
    /// Move it to every destination that does not have it.
    async fn deliver(&self, known: &Known<'_>, moving: &Moving, kept: Kept) -> Result<Moved, Failure> {
        let (job, Moving { plan, names, attributes, .. }) = (self.job, moving);
        let opening = job
            .destinations
            .iter()
            .map(|goal| self.open(Delivery::new(goal), &kept, names, attributes, known.series));
        let mut deliveries = join_all(opening).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        if deliveries.iter().all(|delivery| delivery.live().is_none()) {
            if deliveries.iter().all(|delivery| delivery.failure().is_none()) {
                kept.forget().await?;
            }
            return Ok(Moved::Ended(Ended { deliveries, ..Ended::default() }));
        }
        let begun = kept.has_begun();
        let (pinned, store) = (kept.pinned.clone(), kept.store.clone());
        let keeper = kept.keeper(job.interval_for(plan)?, &mut deliveries).await?;

        // What was begun by streaming is gone on with by streaming.
        let copied = match begun {
            true => None,
            false => self.copy_to_all(known.opened, plan, &mut deliveries).await,
        };
        if deliveries.iter().all(|delivery| delivery.live().is_none()) {
            if let Some(keeper) = &keeper {
                keeper.remove().await?;
            }
            // Every copy is of the same source: any will do to tell of it.
            let (moved, failure) = match copied {
                Some(Ok(moved)) => (Some(moved), None),
                Some(Err(failure)) => (None, Some(failure)),
                None => (None, None),
            };
            return Ok(Moved::Ended(Ended { moved, deliveries, failure, ..Ended::default() }));
        }
        if let Some(keeper) = keeper.as_ref().filter(|_| copied.is_some()) {
            kept::note(keeper, &deliveries).await?;
        }
        if let Some(ended) = self.stream(known, moving, keeper.clone(), deliveries).await {
            return Ok(Moved::Ended(ended));
        }
        let mut earlier = None;
        if let Some(keeper) = keeper {
            let now = keeper.get().await;
            // It is this attempt still.
            earlier = Some(Checkpoint { attempt: now.attempt - 1, ..now });
        }
        Ok(Moved::LookAgain(Box::new(Kept { pinned, store, earlier })))
    }

    /// Open a destination, unless it is known to have the object.
    async fn open(
        &self,
        mut delivery: Delivery,
        kept: &Kept,
        names: &Names,
        attributes: &Attributes,
        series: Option<&Series>,
    ) -> Result<Delivery, Failure> {
        if let Some(series) = series {
            let opened = series.place(&delivery.goal, 1).await;
            return Ok(delivery.opened(opened));
        }
        if let Some(committed) = kept.delivered(&delivery.name()) {
            delivery.end(0, Ok(committed));
            return Ok(delivery);
        }
        let goal = delivery.goal.clone();
        let attributes = attributes.clone().stored_as(&goal.storage);
        let (id, resumable) = (names.of(&goal.uri), self.job.checkpoint.is_some());
        let opened = Sink::open(&self.client, &goal.uri, goal.on_existing, &id, attributes, resumable).await;
        let opened = match opened {
            Err(error) => match self.published(&goal.uri, kept, &error).await {
                Some(committed) => {
                    delivery.end(0, Ok(committed));
                    return Ok(delivery);
                }
                None => Err(error),
            },
            Ok((sink, Some(committed))) => {
                kept.discard(&sink).await?;
                let whole = match committed.whole {
                    Some(whole) => Ok(whole),
                    None => self.read_back(&goal.uri).await,
                };
                delivery.sink = Some(sink);
                delivery.end(0, whole.map(|whole| Committed { whole: Some(whole), ..committed }));
                return Ok(delivery);
            }
            opened => opened.map(|(sink, _)| sink),
        };
        Ok(delivery.opened(opened))
    }

    /// Let S3 copy the object to wherever it can; `None` where it can nowhere. An error is the source's, or of whoever
    /// stopped it.
    async fn copy_to_all(
        &self,
        opened: &Opened,
        plan: &Plan,
        deliveries: &mut [Delivery],
    ) -> Option<Result<Outcome, Failure>> {
        let copies = deliveries.iter_mut().map(|delivery| async {
            let Some(Sink::S3(sink)) = delivery.live() else { return None };
            let copied = self.copy(opened, sink.clone(), plan).await.transpose()?;
            delivery.method = Method::ServerCopy;
            Some(match copied {
                Ok(moved) => {
                    delivery.objects = moved.deliveries.clone();
                    Ok(moved)
                }
                Err(Stopped { failure, .. }) => {
                    delivery.end(0, Err(failure.clone()));
                    Err(failure)
                }
            })
        });
        let copied: Vec<_> = join_all(copies).await.into_iter().flatten().collect();
        let mut whole = None;
        for copied in copied {
            match copied {
                Err(failure) if !is_of_destination(failure.code) => return Some(Err(failure)),
                Err(_) => {}
                Ok(moved) => whole = Some(Ok(moved)),
            }
        }
        whole
    }

    /// Let S3 copy the object; `None` when the bytes have to be streamed.
    async fn copy(&self, opened: &Opened, sink: S3Sink, plan: &Plan) -> Result<Option<Outcome>, Stopped> {
        let Some(method) = self.job.copy_method(opened) else { return Ok(None) };
        let admitted = opened.source.size().map_or(Ok(()), |size| {
            plan.admit(size)?;
            plan.admit_output(0, size)
        });
        admitted.map_err(Stopped::from)?;
        let copy = ServerCopy {
            sources: opened.s3.clone(),
            sink,
            method,
            concurrency: self.window.clone(),
            retry: RetryPolicy::DEFAULT,
            progress: Arc::clone(&self.progress),
            cancel: self.cancel.clone(),
        };
        copy.run().await
    }

    /// Stream to every destination that is left; `None`: look again what stands there.
    async fn stream(
        &self,
        known: &Known<'_>,
        moving: &Moving,
        keeper: Option<Keeper>,
        mut deliveries: Vec<Delivery>,
    ) -> Option<Ended> {
        let mut live: Vec<_> = deliveries.iter_mut().filter(|delivery| delivery.live().is_some()).collect();
        let shared = self.job.shared.as_ref();
        let goals = live.iter().map(|delivery| delivery.goal.clone()).collect();
        let more =
            known.series.map(|series| Arc::new(Series { goals, ..series.clone() }) as Arc<dyn Numbered>);
        let transfer = Transfer {
            source: Arc::clone(&known.opened.source),
            sinks: live.iter().filter_map(|delivery| delivery.live()).map(Sink::port).collect(),
            more,
            budget: shared.map_or_else(|| Budget::new(moving.plan.memory), |shared| shared.budget.clone()),
            reading: self.window.clone(),
            writing: self.window.clone(),
            plan: moving.plan.clone(),
            pool: moving.pool.clone(),
            retry: RetryPolicy::DEFAULT,
            keeper,
            progress: Arc::clone(&self.progress),
            cancel: self.cancel.clone(),
        };
        Some(match transfer.run().await {
            Ok(moved) => {
                let sinks = live.len();
                for (at, delivery) in live.iter_mut().enumerate() {
                    // Object by object, and of each the sinks in their order.
                    delivery.objects = moved.deliveries.iter().skip(at).step_by(sinks).cloned().collect();
                }
                let stages = moved.stages.clone();
                Ended { moved: Some(moved), stages, deliveries, failure: None }
            }
            Err(Stopped { look_again: true, .. }) => return None,
            Err(stopped) if self.job.is_heartbeat(&stopped.failure) => {
                Ended { stages: stopped.stages, ..Ended::default() }
            }
            Err(Stopped { failure, stages, lost, .. }) => {
                // The only one's own failure says what is kept of it.
                let each = if lost.len() > 1 { lost.clone() } else { vec![failure.clone(); live.len()] };
                live.into_iter().zip(each).for_each(|(delivery, failure)| delivery.end(0, Err(failure)));
                Ended { moved: None, stages, deliveries, failure: Some(failure).filter(|_| lost.is_empty()) }
            }
        })
    }

    /// The checksum of what stands at a destination, where the store keeps none.
    async fn read_back(&self, uri: &ObjectUri) -> Result<Crc64, Failure> {
        let opened = place::source(&self.client, uri).await.map_err(|error| of_sink(&error))?;
        let window = Budget::new(self.job.memory.unwrap_or(DEFAULT_MEMORY).bytes());
        checksum_of(opened.source.as_ref(), window, Concurrency::new(self.job.concurrency)).await
    }

    /// A file does not say whose it is. What stands under the name is ours if the run that was publishing when it was
    /// killed had just these bytes.
    async fn published(&self, uri: &ObjectUri, kept: &Kept, error: &PortError) -> Option<Committed> {
        let publishing = kept.earlier.as_ref()?.publishing?;
        let local = matches!(uri, ObjectUri::Local(_));
        (local && error.kind == ErrorKind::Exists).then_some(())?;
        let whole = self.read_back(uri).await.ok().filter(|whole| *whole == publishing)?;
        Some(Committed {
            version: None,
            etag: None,
            verified: Verified::SizeOnly,
            whole: Some(whole),
            already_there: true,
            resolved: true,
        })
    }

    fn report(&self, known: &Known<'_>, ended: Ended) -> Done {
        let facts = Facts {
            identity: known.identity,
            route: &self.job.route,
            source: &known.opened.version,
            objects: &known.opened.objects,
            series: known.series,
            client: &self.client,
            progress: self.progress.snapshot(),
            started_at: self.started_at.clone(),
            finished_at: jiff::Timestamp::now().to_string(),
            elapsed_ms: u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        Done { receipt: receipt(&facts, &ended), failure: ended.failure().cloned() }
    }
}
