//! `eft-worker serve`: the composition of the service.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use eft_domain::{Actor, ByteSize, Code, Failure};
use eft_pipeline::{budget::Budget, pool::Pool};
use eft_store::{
    Buckets, Desk,
    aws::{Clients, Settings, sdk_config},
};
use eft_telemetry::{Level, emf::Emf, log, otlp};
use eft_worker::{
    clamd::Address,
    keys::Folder,
    run::Shared,
    s3::Clients as S3Clients,
    serve::{
        Times, Worker, endpoint,
        health::Pulse,
        protect::{EcsAgent, Protection, Unprotected},
        sqs::Sqs,
        transfer::Engine,
    },
    sign::SigningKey,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::{configuration, key_path, scanner, variable, watch_signals};

/// The worker service. What it works with is said by the environment: `EFT_TABLE_JOBS`, `EFT_TABLE_KEYS`,
/// `EFT_TABLE_RUNS`, `EFT_TABLE_CONFIG`, `EFT_WORK_QUEUE`, `EFT_STATE_MACHINE`, `EFT_TOPIC_EVENTS`, `EFT_TOPIC_SUCCESS`,
/// `EFT_TOPIC_FAILURE`, `EFT_INGEST_BUCKETS` (logical=bucket,…), `EFT_ARCHIVE_BUCKET`, `AWS_REGION`; where traces go, by
/// OpenTelemetry's `OTEL_EXPORTER_OTLP_ENDPOINT` (HTTP, JSON), `OTEL_SERVICE_NAME` and `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// Jobs that are run at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    slots: u16,
    /// Memory for bytes in flight and stages, of all slots together.
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    memory: ByteSize,
    /// Most requests in flight in each direction, of a job.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    concurrency: u16,
    /// How much of a source may have to be read again after a crash: less is saved more often [default: 256MiB, or more where
    /// the memory asks for it].
    #[arg(long, value_name = "SIZE")]
    checkpoint_interval: Option<ByteSize>,
    /// A folder with a folder for each tenant, with what its routes name: secrets in NAME.key, OpenPGP keys in NAME.asc or
    /// NAME.pgp, the passphrase of a secret key in NAME.pass or in EFT_PASSPHRASE_TENANT__NAME.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Where the clamd of routes that scan listens [default: what EFT_SCANNER says].
    #[arg(long, value_name = "ADDR")]
    scanner: Option<Address>,
    /// Seconds for which a claim holds without a sign of its worker: how long a job of a worker that died waits.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(3..=600))]
    lease: u16,
    /// Seconds between two writings of the metrics to standard output, for CloudWatch; 0: none.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    metrics_period: u16,
    /// Where /health, /ready and /metrics are answered.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
}

/// The last spans are waited for so long.
const FLUSH: Duration = Duration::from_secs(5);

impl Service {
    /// Serve until SIGTERM or SIGINT; runs are handed back then.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = Settings::from_environment();
        let buckets = match variable("EFT_INGEST_BUCKETS") {
            Some(text) => Buckets::parse(&text),
            None => Err("is not set".to_owned()),
        };
        let buckets = buckets.map_err(|why| format!("EFT_INGEST_BUCKETS: {why}"));
        let traces = otlp::Settings::parse("eft-worker", &variable);
        let (settings, buckets, traces) = match (settings, buckets, traces) {
            (Ok(settings), Ok(buckets), Ok(traces)) => (settings, buckets, traces),
            (settings, buckets, traces) => {
                let settings = settings.err().map(|error| error.to_string());
                let others = buckets.err().into_iter().chain(traces.err().unwrap_or_default());
                let faults: Vec<_> = settings.into_iter().chain(others).collect();
                return Err(configuration(faults.join("; ")));
            }
        };
        let listener = TcpListener::bind(self.listen).await;
        let listener =
            listener.map_err(|error| configuration(format!("--listen {}: {error}", self.listen)))?;
        let config = sdk_config(&settings.region).await;
        let desk = Desk::with_clients(&Clients::new(&config), &settings, Actor::part("worker"));
        let drain = CancellationToken::new();
        let signals = tokio::spawn(watch_signals(drain.clone()));
        let times = Times::of_lease(Duration::from_secs(u64::from(self.lease)));
        let (tracer, exporter) = otlp::start(&traces).map_err(configuration)?;
        let engine = self.engine(&buckets, S3Clients::from_environment().await)?;
        let pulse = Pulse::of(&times).with_budget(engine.shared.budget.clone()).with_tracer(tracer);
        let pulse = Arc::new(pulse);
        let worker = Worker {
            desk,
            queue: Arc::new(Sqs::new(aws_sdk_sqs::Client::new(&config), settings.work_queue.clone())),
            transfers: Arc::new(engine),
            circuits: Arc::default(),
            releases: Arc::default(),
            protection: protection()?,
            times,
            name: uuid::Uuid::new_v4().to_string(),
            pulse: Arc::clone(&pulse),
            drain,
        };
        let address = listener.local_addr().map_or(self.listen, |address| address);
        let answering = tokio::spawn(endpoint::answer(Arc::clone(&pulse), listener));
        let (emf, period) =
            (Emf::new("eft-worker", &settings.region), Duration::from_secs(u64::from(self.metrics_period)));
        let served = CancellationToken::new();
        let emitting = tokio::spawn(endpoint::emit(pulse, emf, period, served.clone()));
        log(Level::Info, "serve", &[("slots", &self.slots), ("listen", &address), ("worker", &worker.name)]);
        worker.serve(usize::from(self.slots)).await;
        if let Some(exporter) = exporter
            && !exporter.flush(FLUSH).await
        {
            log(Level::Warn, "traces", &[("error", &"the collector did not take the last spans in time")]);
        }
        served.cancel();
        // It writes a last time; where it has panicked there is nothing to wait for.
        drop(emitting.await);
        answering.abort();
        signals.abort();
        Ok(())
    }

    fn engine(&self, buckets: &Buckets, clients: S3Clients) -> Result<Engine, Failure> {
        let share = self.memory.bytes() / u64::from(self.slots);
        let named = buckets.iter().map(|(logical, here)| (logical.to_owned(), here.to_string()));
        Ok(Engine {
            shared: Shared {
                budget: Budget::new(self.memory.bytes()),
                pool: Pool::for_this_machine(),
                clients,
            },
            memory: Some(ByteSize(share)),
            concurrency: usize::from(self.concurrency),
            interval: self.checkpoint_interval,
            buckets: named.collect::<BTreeMap<_, _>>(),
            archive: variable("EFT_ARCHIVE_BUCKET"),
            keys: self.keys.clone().map(|folder| Folder::new(folder, variable)),
            scanner: scanner(self.scanner.clone())?,
            signing: SigningKey::load_or_create(&key_path()?)?,
        })
    }
}

fn protection() -> Result<Arc<dyn Protection>, Failure> {
    let Some(agent) = variable("ECS_AGENT_URI") else { return Ok(Arc::new(Unprotected)) };
    let agent = EcsAgent::new(&agent);
    Ok(Arc::new(agent.map_err(|why| Failure::new(Code::Configuration, format!("ECS_AGENT_URI: {why}")))?))
}
