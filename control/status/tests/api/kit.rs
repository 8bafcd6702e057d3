//! An API, callers, and jobs to look at.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use eft_api::{CursorKey, Principal, Problem, handle};
use eft_domain::{
    Actor, Arrival, Code, Command, Failure, Job, Millis, Route, Tenant,
    job::{Arrived, Ending, PinnedRoute, Retention, Runner},
    route::Profile,
};
use eft_status::{Api, openapi::document};
use eft_store::{
    Catalog, Clock, Depth, Desk, QueueState, Queues, Redrive, StoreResult,
    faulty::{Fate, Fates, Faulty},
    memory::Region,
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

pub(crate) use crate::contract::{Reply, token};
use crate::contract::{documented, request};

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// Queues whose messages are moved as often as nobody is at it.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) moved: Mutex<Vec<String>>,
}

impl Queues for Line {
    fn states(&self) -> BoxFuture<'_, StoreResult<Vec<QueueState>>> {
        let depth = Depth { visible: 3, in_flight: 2, delayed: 1 };
        let work = QueueState { name: "work", depth, dead: Some(Depth { visible: 7, ..Depth::default() }) };
        let undelivered = QueueState { name: "undelivered", depth: Depth::default(), dead: None };
        async move { Ok(vec![work, undelivered]) }.boxed()
    }

    fn redrive<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, StoreResult<Redrive>> {
        let mut moved = self.moved.lock().unwrap();
        let answer = match queue {
            "work" if moved.is_empty() => Redrive::Started("task-1".into()),
            "work" => Redrive::Running,
            _ => Redrive::Unknown,
        };
        if matches!(answer, Redrive::Started(_)) {
            moved.push(queue.to_owned());
        }
        async move { Ok(answer) }.boxed()
    }
}

/// A test's API.
pub(crate) struct Bed {
    pub(crate) api: Api,
    pub(crate) region: Region,
    pub(crate) queues: Arc<Line>,
    /// The part of the platform that has changed jobs before.
    pub(crate) desk: Desk,
}

pub(crate) fn ann() -> Result<Principal, Problem> {
    token("ann", "acme", "jobs:write")
}

/// Looks only.
pub(crate) fn ron() -> Result<Principal, Problem> {
    token("ron", "acme", "jobs:read")
}

/// Of another tenant.
pub(crate) fn eve() -> Result<Principal, Problem> {
    token("eve", "globex", "jobs:write")
}

/// Runs the platform.
pub(crate) fn root() -> Result<Principal, Problem> {
    token("root", "platform", "admin")
}

pub(crate) fn reason() -> Value {
    json!({ "reason": "the partner has asked for it" })
}

struct Never;

impl Fates for Never {
    fn draw(&self, _: &eft_store::faulty::Call<'_>) -> Fate {
        Fate::default()
    }
}

impl Bed {
    /// With tenants acme and globex, and a route `orders` of acme in two revisions.
    pub(crate) async fn new() -> Self {
        Self::faulty(Arc::new(Never)).await
    }

    /// Over stores whose calls meet these fates.
    pub(crate) async fn faulty(fates: Arc<dyn Fates>) -> Self {
        let clock = Clock::simulated();
        let region = Region::new(clock);
        for name in ["acme", "globex"] {
            region.put_tenant(&Tenant::new(name.parse().unwrap())).await.unwrap();
        }
        let (first, second) = (route(1), route(2));
        region.put_route(&first, None).await.unwrap();
        region.put_route(&second, Some(first.revision())).await.unwrap();
        let desk_over = |actor, ports: Arc<Faulty<Region>>| Desk {
            ledger: ports.clone(),
            runs: ports.clone(),
            catalog: ports.clone(),
            keys: ports.clone(),
            dispatch: ports.clone(),
            notify: ports,
            clock,
            retention: Retention::default(),
            actor: Actor::part(actor),
            source: "eft/test".to_owned(),
        };
        let queues = Arc::new(Line::default());
        let ports = Arc::new(Faulty::new(region.clone(), fates));
        let api = Api {
            desk: desk_over("status", ports.clone()),
            audit: ports,
            queues: queues.clone(),
            cursors: CursorKey::new(&[7; 32]).unwrap(),
        };
        let desk = desk_over("worker", Arc::new(Faulty::new(region.clone(), Arc::new(Never))));
        Self { api, region, queues, desk }
    }

    pub(crate) fn now(&self) -> Millis {
        self.desk.clock.now()
    }

    /// Ask, and hold the answer against the document.
    pub(crate) async fn call(
        &self,
        caller: Result<Principal, Problem>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        static DOCUMENT: OnceLock<Value> = OnceLock::new();
        let request = request(method, path, headers, body);
        let reply = Reply::of(handle(&self.api, request, caller, self.now()).await);
        documented(DOCUMENT.get_or_init(document), method, path, &reply);
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(ann(), "GET", path, &[], "").await
    }

    /// Ann acts under a key.
    pub(crate) async fn act(&self, path: &str, key: &str, body: &Value) -> Reply {
        self.act_as(ann(), path, key, body).await
    }

    pub(crate) async fn act_as(
        &self,
        caller: Result<Principal, Problem>,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Reply {
        self.call(caller, "POST", path, &[JSON, ("idempotency-key", key)], body.to_string()).await
    }

    /// What has arrived is told.
    pub(crate) async fn arrive(&self, arrived: &Arrived, command: &Command) -> Job {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let arrived = Arrived { at: self.now(), ..arrived.clone() };
        let (job, _) = self.desk.begin(&arrived, command).await.unwrap();
        self.desk.tell(&job).await.unwrap()
    }

    /// A job of acme's route `orders`.
    pub(crate) async fn accepted(&self, name: &str) -> Job {
        self.arrive(&arrived(name), &Command::Accept).await
    }

    pub(crate) async fn change(&self, job: &Job, command: Command) -> Job {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.desk.change_and_tell(job.id, &command).await.unwrap()
    }

    pub(crate) async fn running(&self, name: &str) -> Job {
        let job = self.accepted(name).await;
        let lease = Duration::from_secs(60);
        self.change(&job, Command::Claim { owner: "task-7#0".into(), lease }).await
    }

    pub(crate) async fn ended(&self, name: &str, ending: Ending) -> Job {
        let job = self.running(name).await;
        self.change(&job, Command::End { fence: job.fence, ending }).await
    }

    pub(crate) async fn failed(&self, name: &str) -> Job {
        let failure = Failure::new(Code::SourceGone, "the object is not there");
        self.ended(name, Ending::Failed(failure, None)).await
    }

    pub(crate) async fn held(&self, name: &str) -> Job {
        let job = self.running(name).await;
        let failure = Failure::new(Code::DestinationAccess, "denied");
        self.change(&job, Command::Hold { fence: job.fence, failure, retry_in: None }).await
    }

    /// What no route took, under this key.
    pub(crate) async fn unrouted(&self, key: &str) -> Job {
        let mut arrived = arrived("x");
        arrived.arrival.key = key.to_owned();
        (arrived.tenant, arrived.route) = (None, None);
        self.arrive(&arrived, &Command::Unrouted { reason: "no route takes it".into() }).await
    }
}

/// Acme's route, which says something else with every level.
pub(crate) fn route(level: u32) -> Route {
    let text = json!({
        "id": "orders", "tenant": "acme",
        "match": { "prefix": "tenants/acme/orders/" },
        "stages": [{ "compress": { "codec": "zstd", "level": level } }],
        "destinations": [{ "s3": { "bucket": "acme-out", "key": "{name}" } }],
    });
    Route::parse_json(&text.to_string(), Profile::Named).unwrap()
}

pub(crate) fn arrived(name: &str) -> Arrived {
    Arrived {
        arrival: Arrival {
            bucket: "ingest".into(),
            key: format!("tenants/acme/orders/{name}"),
            version_id: "v1".into(),
        },
        size: 1_000,
        etag: Some("\"e\"".into()),
        at: Millis(0),
        tenant: Some("acme".parse().unwrap()),
        route: Some(PinnedRoute { id: "orders".parse().unwrap(), revision: route(1).revision() }),
        runner: Runner::Worker,
        turn: None,
        trace: None,
    }
}

/// The keys of what is listed.
pub(crate) fn names(reply: &Reply) -> Vec<&str> {
    let items = reply.body["items"].as_array().unwrap();
    items.iter().map(|item| item["key"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}
