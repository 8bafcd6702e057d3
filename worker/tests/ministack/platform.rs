//! Queues, tables and topics of MiniStack, an S3 that keeps count, a router and a sweep in this process, and workers that are
//! processes of their own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use eft_domain::{
    Actor, Job, JobId, JobState, Route, Tenant, invariant, job::Retention, message::Created, route::Profile,
    tenant::Output,
};
use eft_router::{Router, lookup::S3Objects};
use eft_s3::{Config, Op, Server};
use eft_store::{
    Buckets, Desk,
    aws::{Clients, Settings, Topics, http_client},
    dynamo::{TableNames, create_tables},
};
use eft_sweep::{Sweep, s3::S3};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

const REGION: &str = "eu-west-1";
const INGEST: &str = "ingest-files";
const OUT: &str = "acme-out";
/// Anything takes less, on any machine; this is a bound and not a measurement.
const PATIENCE: Duration = Duration::from_secs(600);

#[expect(clippy::disallowed_methods, reason = "where the tests are told their endpoint and their size")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number that may be made larger.
pub(crate) fn sized(name: &str, default: usize) -> usize {
    variable(name).map_or(default, |text| text.parse().unwrap())
}

fn endpoint() -> String {
    variable("EFT_TEST_ENDPOINT").expect("EFT_TEST_ENDPOINT is set by `cargo xtask test`")
}

async fn settings(clients: &Clients) -> Settings {
    let topic =
        async |name: &str| clients.sns.create_topic().name(name).send().await.unwrap().topic_arn.unwrap();
    let queue = clients.sqs.create_queue().queue_name("work.fifo");
    // A message whose receiver was killed before it could say for how long it needs it comes back soon.
    let queue = queue
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::VisibilityTimeout, "8");
    let queue = queue.send().await.unwrap();
    let tables = TableNames::with_prefix("eft-");
    create_tables(&clients.dynamo, &tables).await.unwrap();
    Settings {
        region: REGION.to_owned(),
        tables,
        work_queue: queue.queue_url.unwrap(),
        state_machine: "arn:aws:states:eu-west-1:000000000000:stateMachine:none".to_owned(),
        topics: Topics {
            events: topic("events").await,
            success: topic("success").await,
            failure: topic("failure").await,
        },
        retention: Retention::default(),
    }
}

/// A worker that runs; it is killed with this.
pub(crate) struct Worker {
    process: Child,
    log: PathBuf,
}

impl Worker {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// SIGSTOP.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM; how long it took to end, and that it ended well.
    pub(crate) async fn drain(mut self) -> Duration {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "{status}:\n{}", std::fs::read_to_string(&self.log).unwrap());
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// A metric, by its name in the text that the worker answers.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let at = log.split("127.0.0.1:").nth(1).unwrap_or_else(|| panic!("it says where it listens:\n{log}"));
        let port: String = at.chars().take_while(char::is_ascii_digit).collect();
        let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: worker\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        line.unwrap_or_else(|| panic!("{name} is in:\n{text}")) as u64
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        if self.is_alive() {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
    }
}

/// Everything there is.
pub(crate) struct Platform {
    pub(crate) s3: Server,
    pub(crate) desk: Desk,
    pub(crate) jobs: Vec<JobId>,
    folder: tempfile::TempDir,
    account: String,
    settings: Settings,
    sweep: Sweep,
    started: usize,
}

impl Platform {
    /// In an account of its own, with one route of one tenant.
    pub(crate) async fn new(number: u64) -> Self {
        let s3 = Server::start(Config::with_buckets([INGEST, OUT])).unwrap();
        let account = format!("{:012}", 200_000_000_000 + 10 * u64::from(std::process::id()) + number);
        let clients = Clients::for_endpoint(&endpoint(), REGION, &account);
        let settings = settings(&clients).await;
        let desk = Desk::with_clients(&clients, &settings, Actor::part("router"));
        let mut tenant = Tenant::new("acme".parse().unwrap());
        tenant.outputs = vec![Output { bucket: OUT.parse().unwrap(), prefix: String::new() }];
        desk.catalog.put_tenant(&tenant).await.unwrap();
        let route = "{id: orders, tenant: acme, match: {prefix: tenants/acme/in/}, executor: worker, \
                     stages: [{validate: {utf8: {}}}], \
                     destinations: [{s3: {bucket: acme-out, key: \"out/{name}\", on_existing: fail}}]}";
        let route = Route::parse_yaml(route, Profile::Platform).unwrap();
        desk.catalog.put_route(&route, None).await.unwrap();
        let sdk = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_s3::config::Region::new(REGION))
            .credentials_provider(aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(s3.endpoint())
            .force_path_style(true)
            .http_client(http_client())
            .build();
        let client = aws_sdk_s3::Client::from_conf(sdk);
        let buckets = Buckets::parse(&format!("ingest={INGEST}")).unwrap();
        let sweep = Sweep {
            router: Router::new(desk.clone(), Arc::new(S3Objects(client.clone())), buckets),
            listing: Arc::new(S3(client.clone())),
            uploads: Arc::new(S3(client)),
            // Uploads are nobody's business as long as their jobs may live.
            settings: eft_sweep::Settings { grace: Duration::ZERO, ..eft_sweep::Settings::default() },
            log: Arc::new(|line| println!("{line}")),
        };
        let folder = tempfile::tempdir().unwrap();
        Self { s3, desk, jobs: Vec::new(), folder, account, settings, sweep, started: 0 }
    }

    /// An object arrives, and its event comes twice.
    pub(crate) async fn arrive(&mut self, content: Bytes) -> JobId {
        let key = format!("tenants/acme/in/{}", self.jobs.len());
        self.s3.put_object(INGEST, &key, content);
        let event = Created {
            bucket: INGEST.parse().unwrap(),
            key: key.parse().unwrap(),
            version_id: None,
            etag: None,
            size: None,
            sequencer: None,
            reason: None,
        };
        let id = self.sweep.router.created(&event, None).await.unwrap().job.unwrap().id;
        assert_eq!(self.sweep.router.created(&event, None).await.unwrap().job.unwrap().id, id);
        self.jobs.push(id);
        id
    }

    /// A worker, with these arguments besides its own.
    pub(crate) fn start(&mut self, arguments: &[&str]) -> Worker {
        self.started += 1;
        let (settings, folder) = (&self.settings, self.folder.path());
        let log = folder.join(format!("log-{}", self.started));
        let out = std::fs::File::create(&log).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_eft-worker"))
            .args(["serve", "--lease", "3", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("AWS_ENDPOINT_URL", endpoint())
            .env("AWS_ENDPOINT_URL_S3", self.s3.endpoint())
            .env("AWS_ACCESS_KEY_ID", &self.account)
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION)
            .env("EFT_TABLE_JOBS", &settings.tables.jobs)
            .env("EFT_TABLE_KEYS", &settings.tables.keys)
            .env("EFT_TABLE_RUNS", &settings.tables.runs)
            .env("EFT_TABLE_CONFIG", &settings.tables.config)
            .env("EFT_WORK_QUEUE", &settings.work_queue)
            .env("EFT_STATE_MACHINE", &settings.state_machine)
            .env("EFT_TOPIC_EVENTS", &settings.topics.events)
            .env("EFT_TOPIC_SUCCESS", &settings.topics.success)
            .env("EFT_TOPIC_FAILURE", &settings.topics.failure)
            .env("EFT_INGEST_BUCKETS", format!("ingest={INGEST}"))
            .env("EFT_SIGNING_KEY", folder.join("key"))
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(Stdio::from(out))
            .spawn()
            .unwrap();
        Worker { process, log }
    }

    /// The rows now.
    pub(crate) async fn rows(&self) -> Vec<Job> {
        let mut rows = Vec::new();
        for id in &self.jobs {
            rows.push(self.row(*id).await);
        }
        rows
    }

    pub(crate) async fn row(&self, id: JobId) -> Job {
        self.desk.ledger.get(id).await.unwrap().unwrap()
    }

    /// What the scheduled sweep does.
    pub(crate) async fn sweep(&self) {
        self.sweep.run().await;
    }

    /// The same when no upload is so young that it is left alone.
    pub(crate) async fn end_uploads(&mut self) {
        self.sweep.settings.upload_age = Duration::ZERO;
        self.sweep.run().await;
    }

    /// Wait, and sweep meanwhile.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self).await {
            assert!(Instant::now() < end, "waited in vain until {what}\n{}", self.logs());
            self.sweep().await;
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn ended(&self, id: JobId) -> bool {
        let row = self.row(id).await;
        row.state.is_terminal() && row.outbox.is_empty()
    }

    /// Bytes that were read of the source of the job with this number.
    pub(crate) fn read(&self, number: usize) -> u64 {
        let key = format!("tenants/acme/in/{number}");
        let log = self.s3.request_log();
        let of = |record: &&eft_s3::Record| record.op == Op::GetObject.name() && record.key == key;
        log.iter().filter(of).map(|record| record.bytes_out).sum()
    }

    /// The job with this number was delivered, once and whole, and its history is as it has to be.
    pub(crate) async fn check(&self, number: usize, content: &Bytes) {
        let job = self.row(self.jobs[number]).await;
        let logs = || self.logs();
        assert_eq!(job.state, JobState::Succeeded, "job {number}: {:?}\n{}", job.failure, logs());
        let receipt = self.desk.receipt(&job).await.unwrap();
        assert!(receipt.is_some_and(|receipt| receipt.contains("Ed25519")), "job {number}");
        let key = format!("out/{number}");
        assert!(self.s3.get_object(OUT, &key).unwrap() == *content, "job {number} has other bytes");
        assert_eq!(self.s3.versions(OUT, &key).len(), 1, "job {number} came to stand once");
        let history = self.desk.runs.history(job.id).await.unwrap();
        for promise in invariant::ALL {
            promise.holds_of_history.map_or(Ok(()), |holds| holds(&history)).unwrap();
        }
    }

    fn logs(&self) -> String {
        let log = |number| std::fs::read_to_string(log_of(self.folder.path(), number)).unwrap_or_default();
        (1..=self.started).map(log).collect()
    }
}

fn log_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("log-{number}"))
}

/// Text of this many MiB; the number is in it.
pub(crate) fn content(number: usize, mib: usize) -> Bytes {
    format!("{number:07}\n").into_bytes().repeat((mib << 20) / 8).into()
}
