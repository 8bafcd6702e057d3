//! Worker processes on real queues and tables, killed at random while they run jobs.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use eft_domain::{
    Actor, Job, JobState, Route, Tenant, job::Retention, message::Created, route::Profile, tenant::Output,
};
use eft_router::{Router, lookup::S3Objects};
use eft_s3::{Config, Server};
use eft_store::{
    Buckets, Desk,
    aws::{Clients, Settings, Topics, http_client},
    dynamo::{TableNames, create_tables},
};

const REGION: &str = "eu-west-1";
const JOBS: usize = 12;
const KILLS: usize = 12;
const SIZE: usize = 20 << 20;

#[expect(clippy::disallowed_methods, reason = "where the tests are told their endpoint")]
fn endpoint() -> String {
    std::env::var("EFT_TEST_ENDPOINT").expect("EFT_TEST_ENDPOINT is set by `cargo xtask test`")
}

async fn settings(clients: &Clients) -> Settings {
    let topic =
        async |name: &str| clients.sns.create_topic().name(name).send().await.unwrap().topic_arn.unwrap();
    let queue = clients.sqs.create_queue().queue_name("work.fifo");
    let queue =
        queue.attributes(aws_sdk_sqs::types::QueueAttributeName::FifoQueue, "true").send().await.unwrap();
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

/// A worker as a process, ended with this.
struct Worker(Child);

impl Worker {
    fn start(settings: &Settings, account: &str, s3: &Server, folder: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_eft-worker"))
            .args(["serve", "--slots", "3", "--lease", "3", "--listen", "127.0.0.1:0"])
            .env("AWS_ENDPOINT_URL", endpoint())
            .env("AWS_ENDPOINT_URL_S3", s3.endpoint())
            .env("AWS_ACCESS_KEY_ID", account)
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
            .env("EFT_INGEST_BUCKETS", "ingest=ingest-files")
            .env("EFT_SIGNING_KEY", folder.join("key"))
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What the sweep does about rows that are due.
async fn sweep(desk: &Desk, jobs: &[Job]) {
    for job in jobs {
        let job = desk.tell(job).await.unwrap();
        let due = job.due(desk.retention) <= desk.clock.now();
        if due && (job.state.is_owned() || job.state == JobState::Accepted) {
            desk.send(&job).await.unwrap();
        }
    }
    desk.release(&["acme".parse().unwrap()]).await.unwrap();
}

fn content(number: usize) -> Vec<u8> {
    format!("{number:07}\n").into_bytes().repeat(SIZE / 8)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn workers_that_are_killed_lose_nothing_and_deliver_once() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = Server::start(Config::with_buckets(["ingest-files", "acme-out"])).unwrap();
    let account = format!("{:012}", 200_000_000_000 + u64::from(std::process::id()));
    let clients = Clients::for_endpoint(&endpoint(), REGION, &account);
    let settings = settings(&clients).await;
    let desk = Desk::with_clients(&clients, &settings, Actor::part("router"));
    let mut tenant = Tenant::new("acme".parse().unwrap());
    tenant.outputs = vec![Output { bucket: "acme-out".parse().unwrap(), prefix: String::new() }];
    desk.catalog.put_tenant(&tenant).await.unwrap();
    let route = "{id: orders, tenant: acme, match: {prefix: tenants/acme/in/}, executor: worker, \
                 stages: [{validate: {utf8: {}}}], \
                 destinations: [{s3: {bucket: acme-out, key: \"out/{name}\", on_existing: fail}}]}";
    desk.catalog.put_route(&Route::parse_yaml(route, Profile::Platform).unwrap(), None).await.unwrap();
    let sdk = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_s3::config::Region::new(REGION))
        .credentials_provider(aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(s3.endpoint())
        .force_path_style(true)
        .http_client(http_client())
        .build();
    let objects = Arc::new(S3Objects(aws_sdk_s3::Client::from_conf(sdk)));
    let router = Router::new(desk.clone(), objects, Buckets::parse("ingest=ingest-files").unwrap());
    let mut ids = Vec::new();
    for number in 0..JOBS {
        let key = format!("tenants/acme/in/{number}");
        s3.put_object("ingest-files", &key, content(number));
        let event = Created {
            bucket: "ingest-files".parse().unwrap(),
            key: key.parse().unwrap(),
            version_id: None,
            etag: None,
            size: None,
            sequencer: None,
            reason: None,
        };
        let outcome = router.created(&event, None).await.unwrap();
        let job = outcome.job.expect("a job");
        ids.push(job.id);
        // The same event twice is the same job.
        assert_eq!(router.created(&event, None).await.unwrap().job.unwrap().id, job.id);
    }
    let read = async || {
        let mut jobs = Vec::new();
        for id in &ids {
            jobs.push(desk.ledger.get(*id).await.unwrap().unwrap());
        }
        jobs
    };
    let mut workers: Vec<_> =
        (0..2).map(|_| Worker::start(&settings, &account, &s3, folder.path())).collect();
    let mut killed = 0;
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    // Ten minutes are many times what it takes; this is a bound and not a measurement.
    for turn in 0..600_u32 {
        let jobs = read().await;
        if jobs.iter().all(|job| job.state.is_terminal() && job.outbox.is_empty()) {
            break;
        }
        sweep(&desk, &jobs).await;
        tokio::time::sleep(Duration::from_millis(u64::from((seed.rotate_left(turn)) % 1000))).await;
        if killed < KILLS {
            drop(workers.remove(0));
            workers.push(Worker::start(&settings, &account, &s3, folder.path()));
            killed += 1;
        }
    }
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    for (number, job) in read().await.iter().enumerate() {
        assert_eq!(job.state, JobState::Succeeded, "job {number}: {:?}\n{log}", job.failure);
        assert!(job.receipt.as_ref().is_some_and(|receipt| receipt.contains("Ed25519")));
        let key = format!("out/{number}");
        assert_eq!(s3.get_object("acme-out", &key).unwrap(), content(number), "job {number}");
        assert_eq!(s3.versions("acme-out", &key).len(), 1, "job {number} came to stand once");
        let history = desk.runs.history(job.id).await.unwrap();
        for promise in eft_domain::invariant::ALL {
            promise.holds_of_history.map_or(Ok(()), |holds| holds(&history)).unwrap();
        }
    }
    assert_eq!(s3.open_uploads().len(), 0);
    println!("{JOBS} jobs, {killed} workers killed, every object once");
}
