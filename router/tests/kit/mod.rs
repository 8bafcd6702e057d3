//! A region in memory with an S3 beside it, for the tests of router and sweep.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(unreachable_pub, reason = "a module of tests")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use eft_domain::{
    Actor, BucketName, Command, Job, JobId, Millis, ObjectKey, Route, Tenant, VersionId,
    job::{Ending, Retention},
    message::{Created, Ingest},
    route::{CompleteWhen, Executor, Match},
};
use eft_router::{
    Buckets, Found, Objects, Router,
    handler::{Batch, Log},
};
use eft_store::{
    Catalog, Clock, Desk, Put, StoreErrorKind, StoreResult,
    faulty::{Call, Event, Fate, Fates, Faulty},
    memory::Region,
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

pub const BUCKET: &str = "eft-ingest-eu";

pub fn bucket() -> BucketName {
    BUCKET.parse().unwrap()
}

#[derive(Clone, Debug)]
pub struct Version {
    pub id: String,
    pub size: u64,
    pub etag: Option<String>,
    pub at: Millis,
}

/// Versions by key, the newest last.
#[derive(Clone)]
pub struct FakeS3 {
    pub objects: Arc<Mutex<BTreeMap<String, Vec<Version>>>>,
    pub clock: Clock,
}

impl FakeS3 {
    pub fn put(&self, key: &str, version: &str, size: u64) -> Created {
        let etag = Some(format!("etag-{version}"));
        let stored = Version { id: version.to_owned(), size, etag: etag.clone(), at: self.clock.now() };
        self.objects.lock().unwrap().entry(key.to_owned()).or_default().push(stored);
        Created {
            bucket: bucket(),
            key: key.parse().unwrap(),
            version_id: Some(version.parse().unwrap()),
            etag,
            size: Some(size),
            sequencer: None,
            reason: Some("PutObject".to_owned()),
        }
    }

    pub fn delete(&self, key: &str) {
        self.objects.lock().unwrap().remove(key);
    }
}

impl Objects for FakeS3 {
    fn head<'a>(
        &'a self,
        _: &'a BucketName,
        key: &'a ObjectKey,
        version: Option<&'a VersionId>,
    ) -> BoxFuture<'a, StoreResult<Option<Found>>> {
        async move {
            let objects = self.objects.lock().unwrap();
            let Some(versions) = objects.get(key.as_str()) else { return Ok(None) };
            let found = match version {
                Some(version) => versions.iter().find(|found| found.id == version.as_str()),
                None => versions.last(),
            };
            Ok(found.map(|found| Found {
                version_id: found.id.clone(),
                size: found.size,
                etag: found.etag.clone(),
                modified: found.at,
            }))
        }
        .boxed()
    }
}

/// A ledger that does not take jobs whose key holds a text.
#[derive(Clone, Default)]
pub struct Refuses(Arc<Mutex<Option<String>>>);

impl Refuses {
    pub fn set(&self, text: Option<&str>) {
        *self.0.lock().unwrap() = text.map(str::to_owned);
    }
}

impl Fates for Refuses {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let refuses = self.0.lock().unwrap().as_ref().is_some_and(|text| call.of.contains(text.as_str()));
        Fate::of(if call.name == "create" && refuses {
            Event::Fails(StoreErrorKind::Unavailable)
        } else {
            Event::None
        })
    }
}

/// A ledger that takes its time: ten milliseconds to read a row, two hundred to list those that are due.
pub struct Slow;

impl Fates for Slow {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let millis = match call.name {
            "get" => 10,
            "due" => 200,
            _ => 0,
        };
        Fate { before: Duration::from_millis(millis), ..Fate::default() }
    }
}

pub struct World {
    pub region: Region,
    pub s3: FakeS3,
    pub router: Router,
    /// Keys whose jobs cannot be written.
    pub refuses: Refuses,
    pub lines: Arc<Mutex<Vec<Value>>>,
}

impl World {
    pub fn new() -> Self {
        Self::with_lag(Duration::ZERO)
    }

    /// Indexes show a write this much later.
    pub fn with_lag(lag: Duration) -> Self {
        let clock = Clock::simulated();
        Self::of(Region::new(clock).index_lag(lag), clock)
    }

    /// Another region, with buckets of its own.
    pub fn peer(&self) -> Self {
        Self::of(self.region.peer(), self.router.desk.clock)
    }

    fn of(region: Region, clock: Clock) -> Self {
        let refuses = Refuses::default();
        let (desk, s3) = (desk(&region, clock, &refuses), FakeS3 { objects: Arc::default(), clock });
        let buckets = Buckets::parse(&format!("ingest={BUCKET}")).unwrap();
        let router = Router::new(desk, Arc::new(s3.clone()), buckets);
        Self { region, s3, router, refuses, lines: Arc::default() }
    }

    pub fn now(&self) -> Millis {
        self.router.desk.clock.now()
    }

    pub async fn tenant(&self, name: &str) -> Tenant {
        let tenant = Tenant::new(name.parse().unwrap());
        self.region.put_tenant(&tenant).await.unwrap();
        tenant
    }

    pub async fn route(&self, route: Route) -> Route {
        let id = route.id.clone().unwrap();
        let active = self.region.routes().await.unwrap();
        let before =
            active.routes().find(|route| route.id.as_ref() == Some(&id)).map(|route| route.revision());
        assert_eq!(self.region.put_route(&route, before).await, Ok(Put::Done));
        route
    }

    pub fn log(&self) -> Log {
        let lines = Arc::clone(&self.lines);
        Arc::new(move |line| lines.lock().unwrap().push(line))
    }

    /// One event, and what it has made put into its queue.
    pub async fn ingest(&self, event: Created) -> eft_router::Outcome {
        let outcome = self.router.ingest(&Ingest::Created(event), None).await.unwrap();
        self.router.release([&outcome]).await.unwrap();
        outcome
    }

    pub async fn message(&self, text: &str) -> eft_router::Outcome {
        let outcome = self.router.ingest(&Ingest::parse(text).unwrap(), None).await.unwrap();
        self.router.release([&outcome]).await.unwrap();
        outcome
    }

    /// The only job.
    pub fn job(&self) -> Job {
        let mut jobs = self.region.jobs();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// Everything that was given out is done; returns the jobs.
    pub async fn work(&self) -> Vec<JobId> {
        let mut done = Vec::new();
        loop {
            let run = match (self.region.take_started(), self.region.take_work()) {
                (None, None) => return done,
                (started, work) => started.map(|it| it.run).into_iter().chain(work.map(|(it, _)| it.run)),
            };
            for run in run {
                let desk = &self.router.desk;
                let claim = Command::Claim { owner: "w".to_owned(), lease: Duration::from_secs(60) };
                let Ok(job) = desk.change_and_tell(run.job(), &claim).await else { continue };
                let end = Command::End { fence: job.fence, ending: Ending::Succeeded(None) };
                desk.change_and_tell(run.job(), &end).await.unwrap();
                done.push(run.job());
            }
        }
    }
}

fn desk(region: &Region, clock: Clock, refuses: &Refuses) -> Desk {
    let all = Arc::new(region.clone());
    Desk {
        ledger: Arc::new(Faulty::new(region.clone(), Arc::new(refuses.clone()))),
        runs: all.clone(),
        catalog: all.clone(),
        keys: all.clone(),
        dispatch: all.clone(),
        notify: all,
        clock,
        retention: Retention::default(),
        actor: Actor::part("router"),
        source: "eft/test".to_owned(),
    }
}

/// A route of the worker that takes everything under `tenants/<tenant>/<folder>`.
pub fn route(id: &str, tenant: &str, folder: &str) -> Route {
    Route {
        id: Some(id.parse().unwrap()),
        tenant: Some(tenant.parse().unwrap()),
        matches: Some(Match { prefix: format!("tenants/{tenant}/{folder}"), glob: None }),
        executor: Executor::Worker,
        ..Route::identity()
    }
}

pub fn when(rule: &str, route: Route) -> Route {
    Route { complete_when: rule.parse::<CompleteWhen>().unwrap(), ..route }
}

pub fn uploaded(key: &str, bytes: u64, etag: Option<&str>, complete: bool) -> String {
    json!({
        "source": "aws.transfer",
        "detail-type": format!("SFTP Server File Upload {}", if complete { "Completed" } else { "Failed" }),
        "detail": { "file-path": format!("/{BUCKET}/{key}"), "bytes": bytes, "etag": etag },
    })
    .to_string()
}

pub fn batch(messages: &[(&str, &str, String)]) -> Batch {
    let records: Vec<_> = messages
        .iter()
        .map(|(id, group, body)| {
            json!({ "messageId": id, "body": body, "attributes": { "MessageGroupId": group, "ApproximateReceiveCount": "1" },
                "messageAttributes": {} })
        })
        .collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

/// The same order for the same seed.
pub fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for at in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(at, (seed >> 33) as usize % (at + 1));
    }
}
