//! The platform that a load runs on: queues, tables and topics of AWS's emulator, an S3 that keeps count, a router and a
//! sweep in this process, and workers that are processes of their own, as they ship.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use eft_domain::{Actor, Job, JobId, Tenant, job::Retention, message::Created, tenant::Output};
use eft_router::{Router, lookup::S3Objects};
use eft_s3::{Config, Server};
use eft_store::{
    Buckets, Desk,
    aws::{Clients, Settings, Topics, http_client},
    dynamo::{TableNames, create_tables},
};
use eft_sweep::{Sweep, s3::S3};
use futures::future::join_all;
use rustix::process::{Pid, Signal, kill_process};

/// Where everything is said to be; nothing of AWS is asked.
const REGION: &str = "eu-west-1";
/// Where files arrive.
pub const INGEST: &str = "ingest-files";
/// Until a worker that was told to stop has stopped: it may have a part to wait for.
const PATIENCE: Duration = Duration::from_secs(600);
/// A file that cannot be taken in, or a program that cannot be started: nothing can be measured then.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What the platform stands on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where the emulator answers.
    pub emulator: String,
    /// The program `eft-worker`.
    pub worker: PathBuf,
    /// Twelve digits: another platform on the same emulator has another account, and sees nothing of this one.
    pub account: String,
}

async fn settings(clients: &Clients) -> Outcome<Settings> {
    let topic = async |name: &str| -> Outcome<String> {
        let made = clients.sns.create_topic().name(name).send().await?;
        Ok(made.topic_arn.ok_or("a topic has a name")?)
    };
    let queue = clients.sqs.create_queue().queue_name("work.fifo");
    // A message whose receiver was killed before it could say for how long it needs it comes back soon.
    let queue = queue
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::VisibilityTimeout, "8");
    let queue = queue.send().await?;
    let tables = TableNames::with_prefix("eft-");
    create_tables(&clients.dynamo, &tables).await?;
    Ok(Settings {
        region: REGION.to_owned(),
        tables,
        work_queue: queue.queue_url.ok_or("a queue has an address")?,
        state_machine: "arn:aws:states:eu-west-1:000000000000:stateMachine:none".to_owned(),
        topics: Topics {
            events: topic("events").await?,
            success: topic("success").await?,
            failure: topic("failure").await?,
        },
        retention: Retention::default(),
    })
}

/// A worker that runs; it is killed with this.
#[derive(Debug)]
pub struct Worker {
    process: Child,
    log: PathBuf,
    port: OnceLock<u16>,
}

impl Worker {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }

    /// SIGSTOP.
    pub fn stop(&self) -> Outcome<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn wake(&self) -> Outcome<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM; how long it took to end, and that it ended well.
    pub async fn drain(mut self) -> Outcome<Duration> {
        let begun = tokio::time::Instant::now();
        self.signal(Signal::TERM)?;
        loop {
            if let Some(status) = self.process.try_wait()? {
                let wrong = || format!("{status}:\n{}", self.log());
                return if status.success() { Ok(begun.elapsed()) } else { Err(wrong().into()) };
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("a worker does not end:\n{}", self.log()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// It has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it says it listens.
    fn port(&self) -> Option<u16> {
        if let Some(port) = self.port.get() {
            return Some(*port);
        }
        let log = self.log();
        let port = log.split("127.0.0.1:").nth(1)?.split(|byte: char| !byte.is_ascii_digit()).next()?;
        Some(*self.port.get_or_init(|| port.parse().unwrap_or_default()))
    }

    /// Its metrics, as it answers them; none while it does not listen yet, or is stopped.
    pub fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()?)).ok()?;
        // One that was stopped answers nobody.
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: worker\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// A metric, summed over its labels, in the text that a worker answers; none where it has no line.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        (series.is_empty() || series.starts_with('{')).then(|| value.parse::<f64>().ok())?
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        if self.is_alive() {
            self.process.kill().ok();
            self.process.wait().ok();
        }
    }
}

/// Everything there is.
pub struct Platform {
    /// The S3 of all buckets.
    pub s3: Server,
    /// The tables and topics.
    pub desk: Desk,
    /// The scheduled sweep; the router is in it.
    pub sweep: Sweep,
    ground: Ground,
    folder: tempfile::TempDir,
    settings: Settings,
    started: AtomicUsize,
}

impl Platform {
    /// With nobody on it. `buckets` are those beside [`INGEST`].
    pub async fn new(ground: Ground, buckets: &[&str]) -> Outcome<Self> {
        let s3 = Server::start(Config::with_buckets([INGEST].iter().chain(buckets).copied()))?;
        let clients = Clients::for_endpoint(&ground.emulator, REGION, &ground.account);
        let settings = settings(&clients).await?;
        let desk = Desk::with_clients(&clients, &settings, Actor::part("router"));
        let sdk = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(s3.endpoint())
            .force_path_style(true)
            .http_client(http_client())
            .build();
        let client = aws_sdk_s3::Client::from_conf(sdk);
        let buckets = Buckets::parse(&format!("ingest={INGEST}"))?;
        let sweep = Sweep {
            router: Router::new(desk.clone(), Arc::new(S3Objects(client.clone())), buckets),
            listing: Arc::new(S3(client.clone())),
            uploads: Arc::new(S3(client)),
            // Uploads are nobody's business as long as their jobs may live.
            settings: eft_sweep::Settings { grace: Duration::ZERO, ..eft_sweep::Settings::default() },
            log: Arc::new(|line| println!("{line}")),
        };
        Ok(Self {
            s3,
            desk,
            sweep,
            ground,
            folder: tempfile::tempdir()?,
            settings,
            started: AtomicUsize::new(0),
        })
    }

    /// A tenant that may deliver to this bucket.
    pub fn tenant(id: &str, bucket: &str) -> Outcome<Tenant> {
        let mut tenant = Tenant::new(id.parse()?);
        tenant.outputs = vec![Output { bucket: bucket.parse()?, prefix: String::new() }];
        Ok(tenant)
    }

    /// An object arrives, and its event comes. The job.
    pub async fn arrive(&self, key: &str, content: Bytes) -> Outcome<JobId> {
        self.s3.put_object(INGEST, key, content);
        self.tell(key).await
    }

    /// The event of an object comes, perhaps not for the first time. The job.
    pub async fn tell(&self, key: &str) -> Outcome<JobId> {
        self.tell_all(&[key]).await.pop().ok_or("one event has one outcome")?
    }

    /// The events of these objects come in one batch, as their queue hands them to a router. The jobs.
    pub async fn tell_all(&self, keys: &[&str]) -> Vec<Outcome<JobId>> {
        let router = &self.sweep.router;
        let routed = join_all(keys.iter().map(async |key| -> Outcome<eft_router::Outcome> {
            let event = Created {
                bucket: INGEST.parse()?,
                key: key.parse()?,
                version_id: None,
                etag: None,
                size: None,
                sequencer: None,
                reason: None,
            };
            Ok(router.created(&event, None).await?)
        }));
        let routed = routed.await;
        // What is not sent now is sent with the next of its tenant, or by the sweep.
        if let Err(error) = router.release(routed.iter().flatten()).await {
            eprintln!("release: {error}");
        }
        let job = |routed: Outcome<eft_router::Outcome>, key: &&str| match routed?.job {
            Some(job) => Ok(job.id),
            None => Err(format!("{key}: no job came of it").into()),
        };
        routed.into_iter().zip(keys).map(|(routed, key)| job(routed, key)).collect()
    }

    /// A worker, with these arguments besides its own.
    pub fn start(&self, arguments: &[&str]) -> Outcome<Worker> {
        let number = self.started.fetch_add(1, Relaxed);
        let (settings, folder) = (&self.settings, self.folder.path());
        let log = log_of(folder, number);
        let out = File::create(&log)?;
        let process = Command::new(&self.ground.worker)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("AWS_ENDPOINT_URL", &self.ground.emulator)
            .env("AWS_ENDPOINT_URL_S3", self.s3.endpoint())
            .env("AWS_ACCESS_KEY_ID", &self.ground.account)
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
            .stdout(out.try_clone()?)
            .stderr(Stdio::from(out))
            .spawn()
            .map_err(|error| format!("{}: {error}", self.ground.worker.display()))?;
        Ok(Worker { process, log, port: OnceLock::new() })
    }

    /// The row of a job.
    pub async fn row(&self, id: JobId) -> Outcome<Job> {
        Ok(self.desk.ledger.get(id).await?.ok_or_else(|| format!("job {id} has no row"))?)
    }

    /// It has ended, and everybody was told.
    pub async fn ended(&self, id: JobId) -> Outcome<bool> {
        let row = self.row(id).await?;
        Ok(row.state.is_terminal() && row.outbox.is_empty())
    }

    /// Uploads that nobody goes on with are ended, however young they are.
    pub async fn end_uploads(&mut self) {
        self.sweep.settings.upload_age = Duration::ZERO;
        self.sweep.run().await;
    }

    /// What all workers wrote so far.
    pub fn logs(&self) -> String {
        let log = |number| std::fs::read_to_string(log_of(self.folder.path(), number)).unwrap_or_default();
        (0..self.started.load(Relaxed)).map(log).collect()
    }
}

fn log_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("log-{number}"))
}

#[cfg(test)]
mod tests {
    use super::metric;

    #[test]
    fn metrics_are_summed_over_their_labels_alone() {
        let text = "# TYPE a_total counter\na_total{state=\"X\",code=\"none\"} 2\na_total{state=\"Y z\"} 3\na_total_seconds 9\nb 0.5\n";
        assert_eq!(metric(text, "a_total"), Some(5.0));
        assert_eq!(metric(text, "b"), Some(0.5));
        assert_eq!(metric(text, "a"), None);
    }
}
