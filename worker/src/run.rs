//! One transfer from what the user asked to the receipt: open, plan, move, report.

use std::sync::Arc;

use eft_domain::{
    ByteSize, Class, Code, Failure, ObjectUri, Route, RunId,
    receipt::{Method, Receipt},
    route::{OnEmpty, StageSpec},
};
use eft_pipeline::{
    budget::Budget,
    checkpoint::{Interval, Pinned},
    checksum::Crc64,
    concurrency::Concurrency,
    error::{interrupted, of_sink, of_source},
    fetch::checksum_of,
    given::Given,
    plan::{DEFAULT_MEMORY, Plan, Request},
    pool::Pool,
    port::{Committed, ErrorKind, Numbered, PortError, SinkLimits, Verified},
    progress::Progress,
    retry::RetryPolicy,
    transfer::{Outcome, Stopped, Transfer},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    input::{Found, look_around},
    kept::{CheckpointAt, Kept, described},
    place::{self, Goal, Opened, Series, Sink},
    receipt::{Ended, Facts, Identity, receipt},
    s3::{self, Client, ServerCopy},
};

/// What the user asked for.
#[derive(Clone)]
pub struct Job {
    /// The route.
    pub route: Route,
    /// Where from.
    pub source: ObjectUri,
    /// Where to: all get the same bytes, from one pass over the source.
    pub destinations: Vec<Goal>,
    /// Memory for bytes in flight and stages; `None`: as much as the object's size asks for.
    pub memory: Option<ByteSize>,
    /// Most requests in flight in each direction.
    pub concurrency: usize,
    /// Size of the first parts.
    pub part_size: Option<ByteSize>,
    /// The secrets and keys that the route names.
    pub given: Given,
    /// S3 may copy the object itself when no stage reads it.
    pub server_copy: bool,
    /// Which run this is, where somebody has numbered it; otherwise the first of its source on its route.
    pub run: Option<RunId>,
    /// What the runs of one process have in common; `None`: this one is alone.
    pub shared: Option<Shared>,
    /// Where to keep what a later run needs to go on, and to find what an earlier one has left.
    pub checkpoint: Option<CheckpointAt>,
    /// How much of the source a resumed run may read again; `None`: as the memory asks for.
    pub interval: Option<ByteSize>,
}

/// What the runs of one process have in common.
#[derive(Clone)]
pub struct Shared {
    /// All memory for bytes in flight.
    pub budget: Budget,
    /// All threads for stages.
    pub pool: Pool,
    /// All connections to S3.
    pub clients: s3::Clients,
}

/// A finished job.
pub struct Done {
    /// What it did.
    pub receipt: Receipt,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
}

/// What a job would do.
pub struct Preview {
    /// How the bytes would be streamed.
    pub plan: Plan,
    /// How S3 would copy them instead, where it can.
    pub copy: Option<s3::Method>,
}

impl Job {
    pub(crate) fn goal(&self) -> &Goal {
        &self.destinations[0]
    }

    fn plan(&self, size: Option<u64>, found: &Found, threads: usize) -> Result<Plan, Failure> {
        self.refuse_unproven_output()?;
        self.refuse_places()?;
        let request = Request {
            size,
            stages: &self.route.stages,
            archive: found.archive.as_ref(),
            limits: &self.route.limits,
            sha256: !self.route.digests.is_empty(),
            sink: self.sink_limits(),
            memory: self.memory.unwrap_or(DEFAULT_MEMORY),
            concurrency: self.concurrency,
            part_size: self.part_size,
            threads,
            // An archive with an empty entry is no empty source.
            refuse_empty: self.route.on_empty != OnEmpty::Accept && found.archive.is_none(),
            given: Given {
                expected: found.expected.clone(),
                entry_name: self.entry_name(),
                ..self.given.clone()
            },
        };
        match self.memory {
            Some(_) => Plan::new(&request),
            None => Plan::with_memory_to_suit(&request),
        }
    }

    /// Content of a message is written before its integrity and signature are known, and what is scanned before the
    /// verdict: neither must be taken for good before.
    fn refuse_unproven_output(&self) -> Result<(), Failure> {
        let what = self.route.stages.iter().find_map(|stage| match stage {
            StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_) => Some("decrypted is genuine"),
            StageSpec::Scan(_) => Some("scanned is clean"),
            _ => None,
        });
        let Some(what) = what.filter(|_| self.goal().uri == ObjectUri::Std) else { return Ok(()) };
        let message = format!(
            "what is {what} only once its end was read, and standard output cannot be taken back: name a file or an \
             object"
        );
        Err(Failure::new(Code::PlanRefused, message))
    }

    /// What the sink takes, without opening it.
    fn sink_limits(&self) -> SinkLimits {
        match &self.goal().uri {
            ObjectUri::S3 { .. } => SinkLimits::S3,
            ObjectUri::Local(_) => SinkLimits { min_part: 1, ..SinkLimits::S3 },
            ObjectUri::Std => SinkLimits { min_part: 1, sequential: true, ..SinkLimits::S3 },
        }
    }

    /// Routes that look at no byte move none within S3.
    fn copy_method(&self, opened: &Opened) -> Option<s3::Method> {
        let asked = self.server_copy && self.route.only_joins() && self.goal().uri.is_s3();
        let sources: Vec<_> =
            opened.s3.iter().filter(|_| asked).map(|source| source.size_and_crc()).collect();
        s3::Method::of(&sources)
    }

    async fn client(&self, window: Concurrency) -> Client {
        match &self.shared {
            Some(shared) => shared.clients.client(window),
            None => Client::from_environment(window).await,
        }
    }

    /// Look at the source and plan; no byte is moved.
    ///
    /// # Errors
    /// The source cannot be opened or is not taken, or `plan.refused`.
    pub async fn look(&self, threads: usize) -> Result<Preview, Failure> {
        let client = self.client(Concurrency::new(self.concurrency)).await;
        let mut opened = place::source(&client, &self.source).await.map_err(|error| of_source(&error))?;
        let apart = self.is_several() && !self.route.splits();
        let found = look_around(&client, &self.route, self.concurrency, apart, &mut opened).await?;
        self.refuse_names(&found.names)?;
        let plan = self.plan(opened.source.size(), &found, threads)?;
        opened.source.size().map_or(Ok(()), |size| plan.admit(size))?;
        Ok(Preview { plan, copy: self.copy_method(&opened) })
    }

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
        let writing = Concurrency::new(self.concurrency);
        let client = self.client(writing.clone()).await;
        let desk = Desk::new(client.clone());
        let mut opened = place::source(&client, &self.source).await.map_err(|error| of_source(&error))?;
        let mut identity = Identity::of(&self.route, &opened.version, &self.goal().uri, self.run);
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
            Err(failure) if self.is_heartbeat(&failure) => {
                return Ok(desk.report(self, &identity, &opened, None, None, Ended::Heartbeat));
            }
            Err(failure) => {
                return Ok(desk.report(self, &identity, &opened, None, None, Ended::Failed(&failure)));
            }
        };
        identity.join(&opened.objects);
        let shared = self.shared.as_ref();
        let pool = shared.map_or_else(Pool::for_this_machine, |shared| shared.pool.clone());
        let plan = self.plan(opened.source.size(), &found, pool.threads())?;
        started(opened.source.size(), Arc::clone(&desk.progress));

        let kept = self.kept(&opened, &plan, &identity)?;
        let attributes = match plan.makes_bytes() || !opened.objects.is_empty() {
            true => opened.attributes().of_other_bytes(),
            false => opened.attributes(),
        };
        let attributes = attributes.stored_as(&self.goal().storage);
        let resumable = self.checkpoint.is_some();
        let series = self.is_several().then(|| {
            Arc::new(Series {
                client: client.clone(),
                identity: identity.clone(),
                route: self.route.clone(),
                attempt: (!self.names_delivery(&opened)).then(|| kept.pinned.delivery.clone()),
                destination: self.goal().uri.clone(),
                on_existing: self.goal().on_existing,
                entries: found.names.clone(),
                attributes: attributes.clone(),
            })
        });
        let report = |sink: Option<&Sink>, ended: Ended<'_>| {
            desk.report(self, &identity, &opened, sink, series.as_deref(), ended)
        };
        let first =
            series.as_ref().and_then(|series| series.uri(1)).unwrap_or_else(|| self.goal().uri.clone());
        let sink = match &series {
            Some(series) => series.place(&first).await.map(|sink| (sink, None)),
            None => {
                let delivery = &kept.pinned.delivery;
                Sink::open(&client, &first, self.goal().on_existing, delivery, attributes, resumable).await
            }
        };
        let (sink, done) = match sink {
            Ok(opened) => opened,
            Err(error) => match self.published(&client, &kept, &error).await {
                Some(committed) => {
                    kept.forget().await?;
                    return Ok(report(None, Ended::AlreadyThere(&committed)));
                }
                None => return Ok(report(None, Ended::Failed(&of_sink(&error)))),
            },
        };
        if let Some(committed) = done {
            let whole = match committed.whole {
                Some(whole) => whole,
                None => self.read_back(&client).await?,
            };
            let committed = Committed { whole: Some(whole), ..committed };
            kept.discard(&sink).await?;
            return Ok(report(Some(&sink), Ended::AlreadyThere(&committed)));
        }
        let begun = kept.earlier.as_ref().is_some_and(|earlier| !earlier.uploads.is_empty());
        let keeper = kept.keeper(self.interval_for(&plan)?, &sink).await?;

        // What was begun by streaming is gone on with by streaming.
        let copied = match begun {
            true => Ok(None),
            false => self.copy(&opened, &sink, &plan, &writing, &desk.progress, &cancel).await,
        };
        let (method, moved) = match copied {
            Ok(Some(outcome)) => {
                if let Some(keeper) = &keeper {
                    keeper.remove().await?;
                }
                (Method::ServerCopy, Ok(outcome))
            }
            Err(stopped) => {
                if let Some(keeper) = &keeper {
                    keeper.remove().await?;
                }
                (Method::ServerCopy, Err(stopped))
            }
            Ok(None) => {
                let transfer = Transfer {
                    source: Arc::clone(&opened.source),
                    sinks: vec![sink.port()],
                    more: series.clone().map(|series| series as Arc<dyn Numbered>),
                    budget: shared.map_or_else(|| Budget::new(plan.memory), |shared| shared.budget.clone()),
                    // One window for one endpoint: whichever request it throttles, both directions slow down.
                    reading: writing.clone(),
                    writing,
                    plan,
                    pool,
                    retry: RetryPolicy::DEFAULT,
                    keeper,
                    progress: Arc::clone(&desk.progress),
                    cancel,
                };
                (Method::Stream, transfer.run().await)
            }
        };
        Ok(match &moved {
            Ok(moved) => report(Some(&sink), Ended::Moved(method, moved)),
            Err(stopped) if self.is_heartbeat(&stopped.failure) => report(Some(&sink), Ended::Heartbeat),
            Err(stopped) => report(Some(&sink), Ended::Stopped(method, stopped)),
        })
    }

    /// Let S3 copy the object; `None` when the bytes have to be streamed.
    async fn copy(
        &self,
        opened: &Opened,
        sink: &Sink,
        plan: &Plan,
        concurrency: &Concurrency,
        progress: &Arc<Progress>,
        cancel: &CancellationToken,
    ) -> Result<Option<Outcome>, Stopped> {
        let (Some(method), Sink::S3(sink)) = (self.copy_method(opened), sink) else { return Ok(None) };
        let admitted = opened.source.size().map_or(Ok(()), |size| {
            plan.admit(size)?;
            plan.admit_output(0, size)
        });
        admitted.map_err(Stopped::from)?;
        let copy = ServerCopy {
            sources: opened.s3.clone(),
            sink: sink.clone(),
            method,
            concurrency: concurrency.clone(),
            retry: RetryPolicy::DEFAULT,
            progress: Arc::clone(progress),
            cancel: cancel.clone(),
        };
        copy.run().await
    }

    /// The checksum of what stands at the destination, where the store keeps none.
    async fn read_back(&self, client: &Client) -> Result<Crc64, Failure> {
        let opened = place::source(client, &self.goal().uri).await.map_err(|error| of_sink(&error))?;
        let window = Budget::new(self.memory.unwrap_or(DEFAULT_MEMORY).bytes());
        checksum_of(opened.source.as_ref(), window, Concurrency::new(self.concurrency)).await
    }

    /// What an earlier run has left, or what this one is.
    fn kept(&self, opened: &Opened, plan: &Plan, identity: &Identity) -> Result<Kept, Failure> {
        let delivery = match self.names_delivery(opened) {
            true => identity.delivery.to_string(),
            false => uuid::Uuid::new_v4().to_string(),
        };
        let pinned = Pinned {
            source: described(opened),
            route: self.route.revision().to_string(),
            destination: self.goal().uri.to_string(),
            plan: plan.fingerprint(),
            delivery,
        };
        let Some(place) = &self.checkpoint else { return Ok(Kept { pinned, store: None, earlier: None }) };
        if self.source == ObjectUri::Std || self.goal().uri == ObjectUri::Std {
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

    /// Versioned sources name their delivery for ever; a file's or a stream's is this attempt's alone. So is one to a file,
    /// which does not say whose it is.
    fn names_delivery(&self, opened: &Opened) -> bool {
        let versions = || std::iter::once(&opened.version).chain(&opened.objects);
        versions().all(|version| version.version_id.is_some())
            && !matches!(self.goal().uri, ObjectUri::Local(_))
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

    /// A file does not say whose it is. What stands under the name is ours if the run that was publishing when it was
    /// killed had just these bytes.
    async fn published(&self, client: &Client, kept: &Kept, error: &PortError) -> Option<Committed> {
        let publishing = kept.earlier.as_ref()?.publishing?;
        let local = matches!(self.goal().uri, ObjectUri::Local(_));
        (local && error.kind == ErrorKind::Exists).then_some(())?;
        let whole = self.read_back(client).await.ok().filter(|whole| *whole == publishing)?;
        Some(Committed {
            version: None,
            etag: None,
            verified: Verified::SizeOnly,
            whole: Some(whole),
            already_there: true,
            resolved: true,
        })
    }

    fn is_heartbeat(&self, failure: &Failure) -> bool {
        self.route.on_empty == OnEmpty::Heartbeat && failure.code == Code::SourceEmpty
    }
}

/// Where the facts of a run are gathered.
struct Desk {
    client: Client,
    progress: Arc<Progress>,
    started_at: String,
    clock: Instant,
}

impl Desk {
    fn new(client: Client) -> Self {
        let started_at = jiff::Timestamp::now().to_string();
        Self { client, progress: Arc::default(), started_at, clock: Instant::now() }
    }

    fn report(
        &self,
        job: &Job,
        identity: &Identity,
        opened: &Opened,
        sink: Option<&Sink>,
        series: Option<&Series>,
        ended: Ended<'_>,
    ) -> Done {
        let facts = Facts {
            identity,
            route: &job.route,
            source: &opened.version,
            objects: &opened.objects,
            destination: &job.goal().uri,
            sink,
            series,
            client: &self.client,
            progress: self.progress.snapshot(),
            started_at: self.started_at.clone(),
            finished_at: jiff::Timestamp::now().to_string(),
            elapsed_ms: u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        Done { receipt: receipt(&facts, &ended), failure: ended.failure() }
    }
}
