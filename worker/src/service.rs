//! `eft-worker serve`: the composition of the service.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use eft_domain::{Actor, ByteSize, Code, Failure};
use eft_pipeline::{
    budget::Budget,
    keys::{Keys, NoKeys},
    pool::Pool,
};
use eft_store::{
    Buckets, Desk,
    aws::{Clients, Settings, sdk_config},
};
use eft_worker::{
    clamd::Address,
    keys::Folder,
    run::Shared,
    serve::{
        Times, Worker,
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
/// `EFT_TOPIC_FAILURE`, `EFT_INGEST_BUCKETS` (logical=bucket,…), `EFT_ARCHIVE_BUCKET`, `AWS_REGION`.
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
    /// A folder with what routes name: secrets in NAME.key, OpenPGP keys in NAME.asc or NAME.pgp.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Where the clamd of routes that scan listens [default: what EFT_SCANNER says].
    #[arg(long, value_name = "ADDR")]
    scanner: Option<Address>,
    /// Seconds for which a claim holds without a sign of its worker: how long a job of a worker that died waits.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(3..=600))]
    lease: u16,
    /// Where /health and /metrics are answered.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
}

impl Service {
    /// Serve until SIGTERM or SIGINT; runs are handed back then.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = Settings::from_environment();
        let buckets = match variable("EFT_INGEST_BUCKETS") {
            Some(text) => Buckets::parse(&text),
            None => Err("is not set".to_owned()),
        };
        let buckets = buckets.map_err(|why| format!("EFT_INGEST_BUCKETS: {why}"));
        let (settings, buckets) = match (settings, buckets) {
            (Ok(settings), Ok(buckets)) => (settings, buckets),
            (settings, buckets) => {
                let faults: Vec<_> =
                    settings.err().map(|error| error.to_string()).into_iter().chain(buckets.err()).collect();
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
        // A slot gives a sign with every poll and every heartbeat.
        let pulse = Arc::new(Pulse::new(times.heartbeat.max(times.poll) + Duration::from_secs(30)));
        let worker = Worker {
            desk,
            queue: Arc::new(Sqs::new(aws_sdk_sqs::Client::new(&config), settings.work_queue.clone())),
            transfers: Arc::new(self.engine(&buckets)?),
            protection: protection()?,
            times,
            name: uuid::Uuid::new_v4().to_string(),
            pulse: Arc::clone(&pulse),
            drain,
        };
        let answering = tokio::spawn(async move { pulse.answer(listener).await });
        eprintln!("serving {} slots, http://{}/health", self.slots, self.listen);
        worker.serve(usize::from(self.slots)).await;
        answering.abort();
        signals.abort();
        Ok(())
    }

    fn engine(&self, buckets: &Buckets) -> Result<Engine, Failure> {
        let keys: Box<dyn Keys> = match &self.keys {
            Some(folder) => Box::new(Folder::new(folder.clone(), variable)),
            None => Box::new(NoKeys),
        };
        let share = self.memory.bytes() / u64::from(self.slots);
        let named = buckets.iter().map(|(logical, here)| (logical.to_owned(), here.to_string()));
        Ok(Engine {
            shared: Shared { budget: Budget::new(self.memory.bytes()), pool: Pool::for_this_machine() },
            memory: Some(ByteSize(share)),
            concurrency: usize::from(self.concurrency),
            buckets: named.collect::<BTreeMap<_, _>>(),
            archive: variable("EFT_ARCHIVE_BUCKET"),
            keys,
            secrets: self.keys.clone(),
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
