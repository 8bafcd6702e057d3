//! Events through the router over memory: what Lambda hands over, and what the router does until the jobs stand in the
//! ledger and in their queue.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use eft_domain::{
    Actor, BucketName, ObjectKey, Route, Tenant, VersionId,
    job::Retention,
    route::{Executor, Match},
};
use eft_router::{
    Batch, Buckets, Found, Objects, Router,
    handler::{Log, handle},
};
use eft_store::{Catalog, Clock, Desk, JobLedger, StoreResult, memory::Region};
use futures::{FutureExt, future::BoxFuture};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region as Counted, Stats};
use tokio::runtime::{Builder, Runtime};

/// Routes of the tenant.
pub const ROUTES: usize = 1_000;

/// Messages of a batch: the most that Lambda takes of a FIFO queue.
pub const BATCH: usize = 10;

/// Batches that one memory takes: it keeps what was told and written, and what is looked up in there takes the longer the
/// more there is, which is nothing of the router's.
const MOST_BATCHES: u64 = 50;

/// How an event looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// As EventBridge has it.
    Raw,
    /// As the rule's transformer makes it.
    Canonical,
}

impl Envelope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Raw, Self::Canonical];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Canonical => "canonical",
        }
    }

    /// The event of the object version with this number.
    pub fn event(self, number: u64) -> String {
        let key = format!("tenants/acme/in/{:04}/orders-{number:08}.csv", number % ROUTES as u64);
        let version = format!("IYV3p45BT0ac8hjHg1houSdS1a{number:08}");
        let etag = "b1946ac92492d2347c6235b4d2611184";
        match self {
            Self::Raw => json!({
                "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
                "source": "aws.s3", "account": "111122223333", "time": "2026-11-12T00:00:00Z",
                "region": "eu-west-1", "resources": ["arn:aws:s3:::eft-ingest-eu"],
                "detail": {
                    "version": "0", "bucket": { "name": "eft-ingest-eu" },
                    "object": { "key": key, "size": 5_000_000, "etag": etag, "version-id": version,
                        "sequencer": "617f08299329d189" },
                    "request-id": "N4N7GDK58NMKJ12R", "requester": "123456789012",
                    "source-ip-address": "1.2.3.4", "reason": "PutObject" },
            }),
            Self::Canonical => json!({
                "v": 1, "bucket": "eft-ingest-eu", "key": key, "version_id": version, "etag": etag,
                "size": "5000000", "sequencer": "617f08299329d189", "reason": "PutObject",
            }),
        }
        .to_string()
    }

    /// What Lambda hands over: a batch of events, each of a group of its own.
    fn batch(self, first: u64) -> String {
        let records: Vec<_> = (first..first + BATCH as u64)
            .map(|number| {
                json!({
                    "messageId": format!("059f36b4-87a3-44ab-83d2-{number:012}"),
                    "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(4),
                    "body": self.event(number),
                    "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183",
                        "SequenceNumber": "18849496460467696128", "MessageGroupId": number.to_string(),
                        "SenderId": "AIDAIENQZJOLO23YVJ4VO", "MessageDeduplicationId": number.to_string(),
                        "ApproximateFirstReceiveTimestamp": "1545082649185" },
                    "messageAttributes": {},
                    "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3", "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:ingest.fifo", "awsRegion": "eu-west-1",
                })
            })
            .collect();
        json!({ "Records": records }).to_string()
    }
}

/// The active routes of a tenant with a thousand of them.
pub fn routes() -> Vec<Route> {
    let route = |at: usize| Route {
        id: Some(format!("orders-{at:04}").parse().expect("an id")),
        tenant: Some("acme".parse().expect("a tenant")),
        matches: Some(Match { prefix: format!("tenants/acme/in/{at:04}/"), glob: Some("*.csv".to_owned()) }),
        executor: Executor::Worker,
        ..Route::identity()
    };
    (0..ROUTES).map(route).collect()
}

/// No event here says too little.
struct NoObjects;

impl Objects for NoObjects {
    fn head<'a>(
        &'a self,
        _: &'a BucketName,
        _: &'a ObjectKey,
        _: Option<&'a VersionId>,
    ) -> BoxFuture<'a, StoreResult<Option<Found>>> {
        async { Ok(None) }.boxed()
    }
}

/// A router over memory.
pub struct Bed {
    runtime: Runtime,
    router: Router,
    region: Region,
    log: Log,
    next: u64,
}

/// What a number of batches has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Events.
    pub events: u64,
    /// Time.
    pub time: Duration,
    /// Heap allocations, growth of a buffer included.
    pub allocations: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Taken {
    /// Allocations, and bytes of them, an event.
    pub fn per_event(&self) -> (f64, f64) {
        let events = self.events as f64;
        (self.allocations as f64 / events, self.bytes as f64 / events)
    }
}

impl Bed {
    /// A router with [`ROUTES`] routes of one tenant.
    ///
    /// # Panics
    /// When memory does not do as memory does.
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let region = Region::new(Clock::System);
        runtime.block_on(async {
            // What is in flight is ended after every batch.
            let acme = Tenant { max_bytes: u64::MAX, ..Tenant::new("acme".parse().expect("a tenant")) };
            region.put_tenant(&acme).await.expect("memory");
            for route in routes() {
                region.put_route(&route, None).await.expect("memory");
            }
        });
        let all = Arc::new(region.clone());
        let desk = Desk {
            ledger: all.clone(),
            runs: all.clone(),
            catalog: all.clone(),
            keys: all.clone(),
            dispatch: all.clone(),
            notify: all,
            clock: Clock::System,
            retention: Retention::default(),
            actor: Actor::part("router"),
            source: "eft/bench".to_owned(),
        };
        let buckets = Buckets::parse("ingest=eft-ingest-eu").expect("buckets");
        let router = Router::new(desk, Arc::new(NoObjects), buckets);
        // Lines are made, and go nowhere.
        let log: Log = Arc::new(|line| drop(black_box(line.to_string())));
        Self { runtime, router, region, log, next: 0 }
    }

    /// So many batches of events that nobody has seen: each is read, its jobs are made, told, and put into their queue.
    /// What is counted is that and nothing else; in between the jobs are taken out of queue and ledger.
    ///
    /// # Panics
    /// When an event did not become a job in a queue.
    pub fn run(&mut self, envelope: Envelope, batches: u64) -> Taken {
        let mut taken = Taken::default();
        for _ in 0..batches {
            if self.next >= MOST_BATCHES * BATCH as u64 {
                *self = Self::new();
                // What a router does once, such as making the table of routes, is no cost of an event.
                self.one(envelope);
            }
            let (time, heap) = self.one(envelope);
            taken.time += time;
            taken.events += BATCH as u64;
            taken.allocations += (heap.allocations + heap.reallocations) as u64;
            taken.bytes += heap.bytes_allocated as u64;
        }
        taken
    }

    #[expect(clippy::disallowed_methods, reason = "it is the wall's time that is measured")]
    fn one(&mut self, envelope: Envelope) -> (Duration, Stats) {
        let text = envelope.batch(self.next);
        self.next += BATCH as u64;
        let (began, heap) = (Instant::now(), Counted::new(&INSTRUMENTED_SYSTEM));
        let batch: Batch = serde_json::from_str(&text).expect("a batch");
        let response = self.runtime.block_on(handle(&self.router, batch, &self.log));
        let taken = (began.elapsed(), heap.change());
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
        self.end();
        taken
    }

    fn end(&self) {
        let mut ended = 0;
        while let Some((message, _)) = self.region.take_work() {
            self.runtime.block_on(async {
                let job = self.region.get(message.run.job()).await.expect("memory").expect("a job");
                assert!(job.sent_at.is_some() && job.outbox.is_empty(), "{job:?}");
                self.region.remove(job.id, job.rev).await.expect("memory");
            });
            ended += 1;
        }
        assert_eq!(ended, BATCH, "every event is a job in a queue");
    }
}

impl Default for Bed {
    fn default() -> Self {
        Self::new()
    }
}
