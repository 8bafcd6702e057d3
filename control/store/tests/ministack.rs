//! The suite over DynamoDB, SQS, SNS and Step Functions as MiniStack has them, and what only they do.
//!
//! Every test has an account of its own: MiniStack takes an access key of 12 digits for one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use conformance::{Bed, accepted, actor, arrived, before, each, until};
use eft_domain::{
    Command, Tenant,
    job::{EventKind, Retention},
    message::{RunRequest, WorkMessage},
};
use eft_store::{
    Clock, Desk, Put, StoreErrorKind,
    aws::{Clients, Settings, TRACE_ATTRIBUTE, Topics},
    dynamo::{DynamoCatalog, TABLES, TableNames, create_tables},
};
use futures::FutureExt;
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";
const MACHINE: &str = r#"{"QueryLanguage":"JSONata","StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}"#;

#[expect(clippy::disallowed_methods, reason = "where the tests are told their endpoint")]
fn endpoint() -> String {
    std::env::var("EFT_TEST_ENDPOINT").expect("EFT_TEST_ENDPOINT is set by `cargo xtask test`")
}

/// Everything the platform has, in an account that nobody else has.
struct Account {
    key: String,
    clients: Clients,
    settings: Settings,
    /// A queue that is told what the topic of all events says.
    events: String,
}

impl Account {
    async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self::of(format!("{:08}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))).await
    }

    async fn of(key: String) -> Self {
        let clients = Clients::for_endpoint(&endpoint(), REGION, &key);
        let tables = TableNames::with_prefix("eft-");
        create_tables(&clients.dynamo, &tables).await.unwrap();
        let topics = Topics {
            events: topic(&clients, "events").await,
            success: topic(&clients, "success").await,
            failure: topic(&clients, "failure").await,
        };
        let work_queue = queue(&clients, "work.fifo").await;
        let events = queue(&clients, "events").await;
        subscribe(&clients, &topics.events, &events, None).await;
        let machine = clients.sfn.create_state_machine().name("eft").definition(MACHINE);
        let machine = machine.role_arn(format!("arn:aws:iam::{key}:role/eft")).send().await.unwrap();
        let settings = Settings {
            region: REGION.to_owned(),
            tables,
            work_queue,
            state_machine: machine.state_machine_arn,
            topics,
            retention: Retention::default(),
        };
        Self { key, clients, settings, events }
    }

    fn desk(&self) -> Desk {
        let clients = Clients::for_endpoint(&endpoint(), REGION, &self.key);
        Desk::with_clients(&clients, &self.settings, actor())
    }

    async fn bed() -> Bed {
        let own = Arc::new(Self::new().await);
        let other = Arc::clone(&own);
        let config = &own.settings.tables.config;
        Bed {
            desks: vec![own.desk(), own.desk()],
            trail: Arc::new(DynamoCatalog::new(&own.clients.dynamo, config, Clock::System)),
            heard: Box::new(move || {
                let own = Arc::clone(&own);
                async move { heard(&own.clients, &own.events).await }.boxed()
            }),
            taken: Box::new(move || {
                let own = Arc::clone(&other);
                async move {
                    let taken = taken(&own.clients, &own.settings.work_queue).await;
                    taken.into_iter().map(|(message, group, _)| (message, group)).collect()
                }
                .boxed()
            }),
        }
    }
}

async fn topic(clients: &Clients, name: &str) -> String {
    clients.sns.create_topic().name(name).send().await.unwrap().topic_arn.unwrap()
}

async fn queue(clients: &Clients, name: &str) -> String {
    let mut request = clients.sqs.create_queue().queue_name(name);
    if name.ends_with(".fifo") {
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    request.send().await.unwrap().queue_url.unwrap()
}

async fn subscribe(clients: &Clients, topic: &str, queue: &str, filter: Option<Value>) {
    let request =
        clients.sqs.get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::QueueArn);
    let arn = request.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
    let mut request = clients.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn);
    request = request.attributes("RawMessageDelivery", "true");
    if let Some(filter) = filter {
        request = request.attributes("FilterPolicy", filter.to_string());
    }
    request.send().await.unwrap();
}

async fn receive(clients: &Clients, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
    let request = clients.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
    let request = request
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .message_attribute_names("All");
    let messages = request.send().await.unwrap().messages.unwrap_or_default();
    for message in &messages {
        let receipt = message.receipt_handle().unwrap();
        clients.sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await.unwrap();
    }
    messages
}

async fn heard(clients: &Clients, queue: &str) -> Vec<Value> {
    let messages = receive(clients, queue).await;
    messages.iter().map(|message| serde_json::from_str(message.body().unwrap()).unwrap()).collect()
}

/// Messages of `work.fifo`, with group and trace.
async fn taken(clients: &Clients, queue: &str) -> Vec<(WorkMessage, String, Option<String>)> {
    let read = |message: &aws_sdk_sqs::types::Message| {
        let group = &message.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId];
        let trace = message.message_attributes().and_then(|all| all.get(TRACE_ATTRIBUTE)?.string_value());
        let body = WorkMessage::parse(message.body().unwrap()).unwrap();
        (body, group.clone(), trace.map(ToOwned::to_owned))
    };
    receive(clients, queue).await.iter().map(read).collect()
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs MiniStack: run by cargo xtask test"]
        async fn $name() {
            conformance::$name(&Account::bed().await).await;
        }
    )*};
}
each!(tests);

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn tables_are_made_once_and_as_they_are_written_down() {
    let own = Account::new().await;
    let names = &own.settings.tables;
    create_tables(&own.clients.dynamo, names).await.unwrap();
    for (table, name) in TABLES.iter().zip([&names.jobs, &names.keys, &names.runs, &names.config]) {
        let answer = own.clients.dynamo.describe_table().table_name(name).send().await.unwrap();
        let found = answer.table.unwrap();
        let mut indexes: Vec<_> =
            found.global_secondary_indexes().iter().filter_map(|index| index.index_name()).collect();
        indexes.sort_unstable();
        let mut expected: Vec<_> = table.indexes.iter().map(|index| index.name).collect();
        expected.sort_unstable();
        assert_eq!(indexes, expected, "{name}");
        assert_eq!(found.key_schema().len(), 1 + usize::from(table.range.is_some()));
    }
}

/// `platform/ministack.py` sets what the SDK reads: endpoint, and the access key `test`.
#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn a_desk_is_made_of_settings_and_the_environment() {
    let own = Account::of("test".to_owned()).await;
    let desk = Desk::from_settings(&own.settings, actor()).await;
    assert_eq!(desk.source, "eft/eu-west-1");
    let (job, is_new) = desk.begin(&arrived("a", desk.clock.now()), &Command::Accept).await.unwrap();
    assert!(is_new);
    assert_eq!(desk.tell(&job).await.unwrap().outbox, []);
    let sent = desk.send(&desk.ledger.get(job.id).await.unwrap().unwrap()).await.unwrap();
    assert_eq!(own.desk().ledger.get(job.id).await, Ok(Some(sent)));
    let told = || heard(&own.clients, &own.events);
    until("it is told", told, |events| events.iter().any(|event| event["subject"] == job.id.to_string()))
        .await;
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn a_message_sent_twice_is_one() {
    let own = Account::new().await;
    let desk = own.desk();
    let job = accepted(&arrived("a", desk.clock.now()));
    let message = WorkMessage { run: job.run(), send: 0, trace: Some("00-1-2-01".into()) };
    for _ in 0..2 {
        desk.dispatch.send(&message, "route:acme-in").await.unwrap();
    }
    let again = WorkMessage { send: 1, trace: None, ..message.clone() };
    desk.dispatch.send(&again, "route:acme-in").await.unwrap();
    let mut all = Vec::new();
    for _ in 0..40 {
        all.extend(taken(&own.clients, &own.settings.work_queue).await);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let group = "route:acme-in".to_owned();
    assert_eq!(all, [(message, group.clone(), Some("00-1-2-01".into())), (again, group, None)]);
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn an_execution_is_started_once() {
    let own = Account::new().await;
    let desk = own.desk();
    let machine = &own.settings.state_machine;
    let run = accepted(&arrived("a", desk.clock.now())).run();
    let list = || async {
        let answer = own.clients.sfn.list_executions().state_machine_arn(machine).send().await.unwrap();
        answer.executions
    };
    let first = RunRequest { run, send: 0 };
    desk.dispatch.start(&first).await.unwrap();
    desk.dispatch.start(&first).await.unwrap();
    until("it has ended", list, |all| all.iter().all(|one| one.status.as_str() == "SUCCEEDED")).await;
    desk.dispatch.start(&first).await.unwrap();
    assert_eq!(list().await.len(), 1, "also when it has ended");
    desk.dispatch.start(&RunRequest { run, send: 1 }).await.unwrap();
    assert_eq!(list().await.len(), 2);
    let arn = list().await.into_iter().find(|one| one.name == first.execution_name()).unwrap().execution_arn;
    let found = own.clients.sfn.describe_execution().execution_arn(arn).send().await.unwrap();
    assert_eq!(found.input, Some(first.to_message()));
}

fn event(tenant: &str, state: &str) -> Value {
    json!({ "id": format!("{tenant}:{state}"), "type": format!("eft.job.{state}"), "data": { "tenant": tenant, "route": null, "state": state } })
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn subscribers_are_told_what_they_asked_for() {
    let own = Account::new().await;
    let desk = own.desk();
    let topics = &own.settings.topics;
    let all = Mutex::new(std::collections::BTreeMap::<&str, Vec<String>>::new());
    let mut queues = vec![("events", own.events.clone())];
    for (name, topic, filter) in [
        ("success", &topics.success, None),
        ("failure", &topics.failure, None),
        ("globex", &topics.events, Some(json!({ "tenant": ["globex"] }))),
        ("no-route", &topics.events, Some(json!({ "route": [{ "exists": false }], "state": ["failed"] }))),
    ] {
        let queue = queue(&own.clients, name).await;
        subscribe(&own.clients, topic, &queue, filter).await;
        queues.push((name, queue));
    }
    for (tenant, state, kind) in [
        ("acme", "running", EventKind::Progress),
        ("globex", "succeeded", EventKind::Success),
        ("acme", "failed", EventKind::Failure),
    ] {
        desk.notify.publish(kind, &event(tenant, state)).await.unwrap();
    }
    let ask = || async {
        for (name, queue) in &queues {
            let events = heard(&own.clients, queue).await;
            let ids = events.iter().map(|event| event["id"].as_str().unwrap().to_owned());
            all.lock().unwrap().entry(name).or_default().extend(ids);
        }
        let mut all = all.lock().unwrap().clone();
        all.values_mut().for_each(|ids| ids.sort_unstable());
        serde_json::to_value(all).unwrap()
    };
    let expected = json!({
        "events": ["acme:failed", "acme:running", "globex:succeeded"],
        "success": ["globex:succeeded"],
        "failure": ["acme:failed"],
        "globex": ["globex:succeeded"],
        "no-route": ["acme:failed"],
    });
    until("everybody was told", ask, |all| *all == expected).await;
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn what_is_not_there_is_permanent() {
    let own = Account::new().await;
    let mut settings = own.settings.clone();
    settings.tables = TableNames::with_prefix("none-");
    settings.work_queue = settings.work_queue.replace("work.fifo", "none.fifo");
    settings.state_machine += "-none";
    settings.topics.events += "-none";
    let desk = Desk::with_clients(&own.clients, &settings, actor());
    let (job, now) = (accepted(&arrived("a", desk.clock.now())), desk.clock.now());
    let message = WorkMessage { run: job.run(), send: 0, trace: None };
    let later = now.plus(Duration::from_secs(1));
    for error in [
        desk.ledger.get(job.id).await.unwrap_err(),
        desk.ledger.create(&job).await.unwrap_err(),
        desk.runs.record(&job, &job.outbox[0]).await.unwrap_err(),
        desk.catalog.tenants().await.unwrap_err(),
        desk.keys.put_new("a", "b", later, now).await.unwrap_err(),
        desk.dispatch.send(&message, "g").await.unwrap_err(),
        desk.dispatch.start(&RunRequest { run: job.run(), send: 0 }).await.unwrap_err(),
        desk.notify.publish(EventKind::Progress, &event("acme", "running")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::Permanent, "{error}");
    }
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn an_item_that_is_too_large_is_refused_for_good() {
    let desk = Account::new().await.desk();
    let mut job = accepted(&arrived("a", desk.clock.now()));
    job.checkpoint = Some("x".repeat(400 * 1024));
    let error = desk.ledger.create(&job).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Permanent, "{error}");
    assert_eq!(desk.ledger.get(job.id).await, Ok(None));
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn expired_keys_are_removed_and_others_stay() {
    let own = Account::new().await;
    let desk = own.desk();
    let now = desk.clock.now();
    let later = now.plus(Duration::from_secs(60));
    for nth in 0..5 {
        desk.keys.put_new(&format!("gone-{nth}"), "x", now, before(now, 1)).await.unwrap();
    }
    desk.keys.put_new("kept", "x", later, now).await.unwrap();
    desk.keys.next("counter").await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test counts all that is left")]
    let count = || async {
        let answer = own.clients.dynamo.scan().table_name(&own.settings.tables.keys).consistent_read(true);
        answer.send().await.unwrap().count
    };
    assert_eq!(count().await, 7);
    let remove =
        || async { desk.keys.remove_expired(now).await.unwrap() + usize::try_from(count().await).unwrap() };
    until("five are removed", remove, |left| *left == 2).await;
    assert_eq!(desk.keys.get("kept", now).await, Ok(Some("x".into())));
    assert_eq!(desk.keys.next("counter").await, Ok(2));
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn desks_of_two_processes_see_a_new_revision_within_seconds() {
    let own = Account::new().await;
    let (one, other) = (own.desk(), own.desk());
    let (first, second) = (conformance::route("orders", 1), conformance::route("orders", 2));
    let seen = || async {
        let table = other.catalog.routes().await.unwrap();
        table.select("tenants/acme/orders/a.csv").map(|route| route.revision())
    };
    assert_eq!(seen().await, None);
    assert_eq!(one.catalog.put_route(&first, None).await, Ok(Put::Done));
    until("the first is seen", seen, |found| *found == Some(first.revision())).await;
    assert_eq!(one.catalog.put_route(&second, Some(first.revision())).await, Ok(Put::Done));
    assert_eq!(seen().await, Some(first.revision()), "for some seconds it is the one before");
    until("the second is seen", seen, |found| *found == Some(second.revision())).await;
}

#[tokio::test]
#[ignore = "needs MiniStack: run by cargo xtask test"]
async fn what_cannot_be_read_is_said_of_its_tenant_and_stops_no_other() {
    let own = Account::new().await;
    let desk = own.desk();
    let (bad, gone, newer) =
        (conformance::route("bad", 1), conformance::route("gone", 1), conformance::route("newer", 1));
    let mut good = conformance::route("good", 1);
    good.tenant = Some("globex".parse().unwrap());
    good.matches.as_mut().unwrap().prefix = "tenants/globex/".to_owned();
    for route in [&bad, &gone, &newer, &good] {
        assert_eq!(desk.catalog.put_route(route, None).await, Ok(Put::Done));
    }
    let (acme, globex) = (Tenant::new("acme".parse().unwrap()), Tenant::new("globex".parse().unwrap()));
    for tenant in [&acme, &globex] {
        desk.catalog.put_tenant(tenant).await.unwrap();
    }
    let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let (dynamo, config) = (&own.clients.dynamo, &own.settings.tables.config);
    // What a later version has written.
    let number = aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned());
    for (pk, sk, row) in [
        ("route#bad", format!("revision#{}", bad.revision()), r#"{"stages": [{"later": {}}]}"#),
        ("routes", "newer".to_owned(), r#"{"id": "newer", "tenant": "acme", "heads": []}"#),
        ("tenants", "acme".to_owned(), r#"{"id": "acme", "weight": "heavy"}"#),
    ] {
        let later = dynamo.put_item().table_name(config).item("pk", key(pk)).item("sk", key(&sk));
        later.item("number", number.clone()).item("row", key(row)).send().await.unwrap();
    }
    // What the other region has written, as far as it has come.
    let revision = format!("revision#{}", gone.revision());
    let gone = dynamo.delete_item().table_name(config).key("pk", key("route#gone"));
    gone.key("sk", key(&revision)).send().await.unwrap();
    let catalog = own.desk().catalog;
    let table = catalog.routes().await.unwrap();
    let said: Vec<_> = table.unreadable(&acme.id).collect();
    for ((id, why), (expected, word)) in
        said.iter().zip([("bad", "later"), ("gone", "is not here yet"), ("newer", "cannot be read")])
    {
        assert_eq!(id.as_str(), expected);
        assert!(why.contains(word), "{id}: {why}");
    }
    assert_eq!(said.len(), 3);
    assert!(table.select("tenants/globex/a.csv").is_some());
    let refused = catalog.tenant(&acme.id).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Permanent);
    assert!(refused.message.contains("tenant acme cannot be read"), "{refused}");
    assert_eq!(catalog.tenant(&globex.id).await, Ok(Some(globex.clone())));
    let tenants = catalog.tenants().await.unwrap();
    assert_eq!(tenants.readable().collect::<Vec<_>>(), [&globex]);
    assert_eq!(tenants.unreadable().map(|(id, _)| id).collect::<Vec<_>>(), [&acme.id]);
}
