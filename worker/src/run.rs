//! One transfer from what the user asked to the receipt: open, plan, move, report.

use std::sync::Arc;

use eft_domain::{ByteSize, Code, Failure, ObjectUri, Route};
use eft_pipeline::{
    budget::Budget,
    concurrency::Concurrency,
    plan::{Plan, Request},
    pool::Pool,
    port::{ErrorKind, PortError, SinkLimits},
    progress::Progress,
    retry::RetryPolicy,
    transfer::Transfer,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    place::{self, Sink},
    receipt::{Ended, Facts, Identity, receipt},
    s3::Client,
};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Job {
    /// The route.
    pub route: Route,
    /// Where from.
    pub source: ObjectUri,
    /// Where to.
    pub destination: ObjectUri,
    /// Memory for bytes in flight and stages.
    pub memory: ByteSize,
    /// Most requests in flight in each direction.
    pub concurrency: usize,
    /// Size of the first parts.
    pub part_size: Option<ByteSize>,
}

/// A finished job.
pub struct Done {
    /// What it did.
    pub receipt: eft_domain::receipt::Receipt,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
}

/// The failure of a source or sink that could not be opened.
fn opening(error: &PortError, reading: bool) -> Failure {
    let code = match (error.kind, reading) {
        (ErrorKind::NotFound, true) => Code::SourceGone,
        (ErrorKind::Denied, true) => Code::SourceAccess,
        (_, true) => Code::SourceUnavailable,
        (ErrorKind::Exists, false) => Code::DestinationExists,
        (ErrorKind::NotFound, false) => Code::DestinationMissing,
        (ErrorKind::Denied, false) => Code::DestinationAccess,
        (_, false) => Code::DestinationUnavailable,
    };
    Failure::new(code, error.message.clone())
}

impl Job {
    /// Plan, for a source of this size.
    ///
    /// # Errors
    /// `plan.refused`.
    pub fn plan(&self, size: Option<u64>, sink: SinkLimits, threads: usize) -> Result<Plan, Failure> {
        Plan::new(&Request {
            size,
            stages: &self.route.stages,
            limits: &self.route.limits,
            sha256: !self.route.digests.is_empty(),
            sink,
            memory: self.memory,
            concurrency: self.concurrency,
            part_size: self.part_size,
            threads,
        })
    }

    /// What the sink takes, without opening it.
    fn sink_limits(&self) -> SinkLimits {
        match &self.destination {
            ObjectUri::S3 { .. } => SinkLimits::S3,
            ObjectUri::Local(_) => SinkLimits { min_part: 1, ..SinkLimits::S3 },
            ObjectUri::Std => SinkLimits { min_part: 1, sequential: true, ..SinkLimits::S3 },
        }
    }

    /// Look at the source and plan; no byte is moved.
    ///
    /// # Errors
    /// The source cannot be opened, or `plan.refused`.
    pub async fn look(&self, threads: usize) -> Result<Plan, Failure> {
        let client = Client::from_environment(Concurrency::new(self.concurrency)).await;
        let opened = place::source(&client, &self.source).await.map_err(|error| opening(&error, true))?;
        self.plan(opened.source.size(), self.sink_limits(), threads)
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
        let client = Client::from_environment(writing.clone()).await;
        let clock = Instant::now();
        let started_at = jiff::Timestamp::now().to_string();
        let opened = place::source(&client, &self.source).await.map_err(|error| opening(&error, true))?;
        let identity = Identity::of(&self.route, &opened.version, &self.destination);
        let pool = Pool::for_this_machine();
        let plan = self.plan(opened.source.size(), self.sink_limits(), pool.threads())?;
        let progress = Arc::new(Progress::default());
        started(opened.source.size(), Arc::clone(&progress));

        // Versioned sources name their delivery for ever; a file's or a stream's is this attempt's alone.
        let delivery = match &opened.version.version_id {
            Some(_) => identity.delivery.to_string(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        let sink = Sink::open(&client, &self.destination, &delivery).await;
        let facts = |sink| Facts {
            identity: &identity,
            route: &self.route,
            source: &opened.version,
            destination: &self.destination,
            sink,
            client: &client,
            progress: progress.snapshot(),
            started_at: started_at.clone(),
            finished_at: jiff::Timestamp::now().to_string(),
            elapsed_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        let (sink, done) = match sink {
            Ok(opened) => opened,
            Err(error) => {
                let failure = opening(&error, false);
                let receipt = receipt(&facts(None), &Ended::Failed(&failure));
                return Ok(Done { receipt, failure: Some(failure) });
            }
        };
        if let Some(committed) = done {
            let receipt = receipt(&facts(Some(&sink)), &Ended::AlreadyThere(&committed));
            return Ok(Done { receipt, failure: None });
        }
        let transfer = Transfer {
            source: Arc::clone(&opened.source),
            sinks: vec![sink.port()],
            budget: Budget::new(plan.memory),
            reading: Concurrency::new(plan.reads),
            writing,
            plan,
            pool,
            retry: RetryPolicy::DEFAULT,
            progress: Arc::clone(&progress),
            cancel,
        };
        Ok(match transfer.run().await {
            Ok(moved) => {
                let failure = moved.deliveries.first().and_then(|delivery| delivery.result.clone().err());
                Done { receipt: receipt(&facts(Some(&sink)), &Ended::Moved(&moved)), failure }
            }
            Err(stopped) => {
                let receipt = receipt(&facts(Some(&sink)), &Ended::Stopped(&stopped));
                Done { receipt, failure: Some(stopped.failure) }
            }
        })
    }
}
