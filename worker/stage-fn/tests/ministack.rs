//! Router, stage function and sweep as Lambda functions on `provided.al2023`, with queue, tables, topics and the state
//! machine file between them. Only S3 is our own: MiniStack's has no full-object checksums.
#![allow(clippy::unwrap_used, reason = "tests")]

mod lambda;

use std::{path::Path, time::Duration};

use aws_sdk_sfn::types::StateMachineType;
use aws_sdk_sqs::types::QueueAttributeName;
use eft_domain::{
    Actor, Arrival, Job, JobId, JobState, Route, RouteId, Tenant, job::Retention, route::Profile,
    tenant::Output,
};
use eft_s3::{Config, Server};
use eft_store::{
    Desk,
    aws::{Clients, Settings, Topics},
    dynamo::{TableNames, create_tables},
};
use eft_worker::sign::SigningKey;
use lambda::Lambda;
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";
const MACHINE: &str = include_str!("../../../deploy/state-machine/run.asl.json");
const ROUTE: &str = "{id: orders, tenant: acme, match: {prefix: tenants/acme/in/}, \
    stages: [{validate: {csv: {header: [id, n], types: {n: integer}}}}, {newline: {to: crlf}}], \
    archive: {storage_class: GLACIER_IR, original: true}, \
    destinations: [{s3: {bucket: acme-out, key: \"a/{name}\"}}, {s3: {bucket: acme-out, key: \"b/{name}\"}}]}";

#[expect(clippy::disallowed_methods, reason = "where the tests are told their endpoint")]
fn endpoint() -> String {
    std::env::var("EFT_TEST_ENDPOINT").expect("EFT_TEST_ENDPOINT is set by `cargo xtask test`")
}

struct Platform {
    clients: Clients,
    desk: Desk,
    lambda: Lambda,
    ingest_queue: String,
    machine: String,
    s3: Server,
    _folder: tempfile::TempDir,
}

impl Platform {
    async fn new(number: u64, kind: StateMachineType) -> Self {
        let account = format!("{:012}", 300_000_000_000 + 10 * u64::from(std::process::id()) + number);
        let clients = Clients::for_endpoint(&endpoint(), REGION, &account);
        let lambda = Lambda { endpoint: endpoint(), account: account.clone(), region: REGION };
        let s3 =
            Server::start(Config::with_buckets(["eft-ingest", "eft-staging", "eft-archive", "acme-out"]));
        let s3 = s3.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        SigningKey::load_or_create(&key).unwrap();
        let ingest_queue = queue(&clients, "ingest.fifo").await;
        let settings = settings(&clients, &account).await;
        let environment = environment(&settings, &account, &s3, &key);
        let stage = lambda.create("eft-stage", &environment).await;
        let router = lambda.create("eft-router", &environment).await;
        lambda.create("eft-sweep", &environment).await;
        let definition = MACHINE.replace("${StageFunctionArn}", &stage);
        let role = format!("arn:aws:iam::{account}:role/eft");
        let machine = clients.sfn.create_state_machine().name("eft").definition(&definition);
        let machine = machine.role_arn(&role).r#type(kind).send().await.unwrap().state_machine_arn;
        assert_eq!(machine, settings.state_machine);
        lambda.feed(&router, &arn_of(&clients, &ingest_queue).await).await;
        let desk = Desk::with_clients(&clients, &settings, Actor::part("test"));
        let mut tenant = Tenant::new("acme".parse().unwrap());
        tenant.outputs = vec![Output { bucket: "acme-out".parse().unwrap(), prefix: String::new() }];
        desk.catalog.put_tenant(&tenant).await.unwrap();
        desk.catalog.put_route(&Route::parse_yaml(ROUTE, Profile::Platform).unwrap(), None).await.unwrap();
        Self { clients, desk, lambda, ingest_queue, machine, s3, _folder: folder }
    }

    /// A file arrives, and is told so many times, as EventBridge puts it into the queue.
    async fn upload(&self, name: &str, content: &str, times: usize) -> JobId {
        let key = format!("tenants/acme/in/{name}");
        let version = self.s3.put_object("eft-ingest", &key, content.to_owned());
        for time in 0..times {
            let event = json!({
                "version": "0",
                "id": format!("00000000-0000-0000-0000-{time:012}"),
                "detail-type": "Object Created",
                "source": "aws.s3",
                "time": format!("2026-11-27T00:00:{time:02}Z"),
                "region": REGION,
                "detail": {
                    "bucket": { "name": "eft-ingest" },
                    "object": { "key": key, "size": content.len(), "version-id": version, "sequencer": "01" },
                    "reason": "PutObject",
                },
            });
            let message = self.clients.sqs.send_message().queue_url(&self.ingest_queue);
            let message = message.message_body(event.to_string()).message_group_id(&version);
            message.send().await.unwrap();
        }
        let arrival = Arrival { bucket: "ingest".to_owned(), key, version_id: version };
        JobId::of(&"orders".parse::<RouteId>().unwrap(), &arrival)
    }

    /// The job when its run has ended and was told.
    async fn ended(&self, id: JobId) -> Job {
        let mut last = None;
        // A minute is many times what it takes; this is a bound and not a measurement.
        for _ in 0..600 {
            last = self.desk.ledger.get(id).await.unwrap();
            if let Some(job) = last.clone().filter(|job| job.state.is_terminal() && job.outbox.is_empty()) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("job {id} does not end: {last:?}; executions: {:?}", self.executions().await);
    }

    /// All executions with how they ended. The last state tells the ledger before its execution
    /// ends, so a row that is terminal does not say that the execution is.
    async fn executions(&self) -> Vec<(String, String)> {
        for _ in 0..300 {
            let list = self.clients.sfn.list_executions().state_machine_arn(&self.machine);
            let executions = list.send().await.unwrap().executions;
            if executions.iter().all(|it| it.status.as_str() != "RUNNING") {
                return executions.into_iter().map(|it| (it.name, it.status.as_str().to_owned())).collect();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("executions do not end");
    }
}

async fn queue(clients: &Clients, name: &str) -> String {
    let queue = clients.sqs.create_queue().queue_name(name).attributes(QueueAttributeName::FifoQueue, "true");
    let queue = queue.attributes(QueueAttributeName::ContentBasedDeduplication, "true");
    queue.send().await.unwrap().queue_url.unwrap()
}

async fn arn_of(clients: &Clients, url: &str) -> String {
    let asked =
        clients.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    asked.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone()
}

async fn settings(clients: &Clients, account: &str) -> Settings {
    let topic =
        async |name: &str| clients.sns.create_topic().name(name).send().await.unwrap().topic_arn.unwrap();
    let tables = TableNames::with_prefix("eft-");
    create_tables(&clients.dynamo, &tables).await.unwrap();
    Settings {
        region: REGION.to_owned(),
        tables,
        work_queue: queue(clients, "work.fifo").await,
        // Its function has to know it, and is made before it.
        state_machine: format!("arn:aws:states:{REGION}:{account}:stateMachine:eft"),
        topics: Topics {
            events: topic("events").await,
            success: topic("success").await,
            failure: topic("failure").await,
        },
        retention: Retention::default(),
    }
}

fn environment(settings: &Settings, account: &str, s3: &Server, key: &Path) -> Value {
    json!({
        "AWS_ENDPOINT_URL": endpoint(),
        "AWS_ENDPOINT_URL_S3": s3.endpoint(),
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "EFT_TABLE_JOBS": settings.tables.jobs,
        "EFT_TABLE_KEYS": settings.tables.keys,
        "EFT_TABLE_RUNS": settings.tables.runs,
        "EFT_TABLE_CONFIG": settings.tables.config,
        "EFT_WORK_QUEUE": settings.work_queue,
        "EFT_STATE_MACHINE": settings.state_machine,
        "EFT_TOPIC_EVENTS": settings.topics.events,
        "EFT_TOPIC_SUCCESS": settings.topics.success,
        "EFT_TOPIC_FAILURE": settings.topics.failure,
        "EFT_INGEST_BUCKETS": "ingest=eft-ingest",
        "EFT_STAGING_BUCKET": "eft-staging",
        "EFT_ARCHIVE_BUCKET": "eft-archive",
        "EFT_SIGNING_KEY": key,
        "EFT_SWEEP_SECONDS": "5",
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn files_come_through_the_state_machine_once_and_bad_ones_do_not() {
    let platform = Platform::new(0, StateMachineType::Standard).await;
    let good = platform.upload("good.csv", "id,n\nx,1\n", 5).await;
    let bad = platform.upload("bad.csv", "id,n\nx,one\n", 1).await;
    let job = platform.ended(good).await;
    assert_eq!((job.state, job.fence), (JobState::Succeeded, 1), "{:?}", job.failure);
    for key in ["a/good.csv", "b/good.csv"] {
        assert_eq!(platform.s3.get_object("acme-out", key).unwrap(), "id,n\r\nx,1\r\n");
        assert_eq!(platform.s3.versions("acme-out", key).len(), 1, "{key} came to stand once");
    }
    let key = job.receipt.unwrap();
    let receipt = platform.desk.runs.receipt(good, key).await.unwrap().unwrap();
    assert!(receipt.contains("Ed25519") && receipt.contains("newline"), "{receipt}");
    assert_eq!(platform.s3.keys("eft-archive").len(), 1);

    let job = platform.ended(bad).await;
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Rejected, "validation"));
    assert_eq!(platform.s3.keys("acme-out").len(), 2);
    assert!(platform.s3.keys("eft-staging").is_empty() && platform.s3.open_uploads().is_empty());

    // Each event five times, or once, has started one execution.
    let mut executions = platform.executions().await;
    executions.sort();
    let mut expected = [good, bad].map(|id| (format!("{id}-1-0"), "SUCCEEDED".to_owned())).to_vec();
    expected.sort();
    assert_eq!(executions, expected);

    let report = platform.lambda.invoke("eft-sweep", &json!({})).await;
    assert_eq!(report["errors"], json!(0), "{report}");
}

/// The same definition, for those who pay by the second: nothing in it needs what only the other type has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn an_express_machine_runs_the_same_definition() {
    let platform = Platform::new(2, StateMachineType::Express).await;
    let good = platform.upload("good.csv", "id,n\nx,1\n", 2).await;
    let bad = platform.upload("bad.csv", "id,n\nx,one\n", 1).await;
    let job = platform.ended(good).await;
    assert_eq!((job.state, job.fence), (JobState::Succeeded, 1), "{:?}", job.failure);
    for key in ["a/good.csv", "b/good.csv"] {
        assert_eq!(platform.s3.get_object("acme-out", key).unwrap(), "id,n\r\nx,1\r\n");
        assert_eq!(platform.s3.versions("acme-out", key).len(), 1, "{key} came to stand once");
    }
    let job = platform.ended(bad).await;
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Rejected, "validation"));
    assert!(platform.s3.keys("eft-staging").is_empty() && platform.s3.open_uploads().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn errors_come_to_the_state_machine_by_their_names() {
    let platform = Platform::new(1, StateMachineType::Standard).await;
    let answer = platform.lambda.invoke("eft-stage", &json!({ "v": 7 })).await;
    assert_eq!(answer["errorType"], json!("EFT.Request"), "{answer}");
    // Of a job that there is not: the execution has nothing to do, and says so.
    let input = json!({ "v": 1, "run": "60103e97-4777-5c71-a745-3fa7d439fdaa.1", "send": 0 });
    let execution = platform.clients.sfn.start_execution().state_machine_arn(&platform.machine);
    let arn = execution.name("nobody").input(input.to_string()).send().await.unwrap().execution_arn;
    for _ in 0..300 {
        let found = platform.clients.sfn.describe_execution().execution_arn(&arn).send().await.unwrap();
        if found.status.as_str() != "RUNNING" {
            let output: Value = serde_json::from_str(found.output().unwrap()).unwrap();
            assert_eq!((found.status.as_str(), output), ("SUCCEEDED", input));
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the execution does not end");
}
