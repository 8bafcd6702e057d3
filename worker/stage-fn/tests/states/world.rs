//! A ledger in memory, an S3 on loopback, and functions between them that can be killed at every effect.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use eft_domain::{
    Actor, Arrival, Command, Job, JobId, Millis, Route, RouteId, Tenant,
    job::{Arrived, PinnedRoute, Retention},
    message::RunRequest,
    route::Profile,
    tenant::Output,
};
use eft_pipeline::{budget::Budget, pool::Pool};
use eft_s3::{Action, Config, Fault, Server};
use eft_stage::{Stages, Until, owned::LEASE, staging::Staging};
use eft_store::{
    Catalog, Clock, Desk, JobLedger, JobSize, Page, Put, StoreError, StoreErrorKind, StoreResult,
    memory::Region,
};
use eft_worker::{clamd::Clamd, run::Shared, s3::Clients, serve::transfer::Engine, sign::SigningKey};
use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;
use tokio::time::Instant;

use crate::machine::{Answer, Ended, Machine};

pub(crate) const OUT: &str = "acme-out";
pub(crate) const STAGING: &str = "eft-staging";
pub(crate) const ARCHIVE: &str = "eft-archive";
const INGEST: &str = "eft-ingest";

/// What happens with the writes of a ledger.
#[derive(Default)]
pub(crate) struct Fate {
    written: AtomicU64,
    /// After this many writes the function is dead; for ever where 0.
    dies_after: AtomicU64,
    /// So many writes are made, and their answer is lost.
    pub(crate) loses: AtomicU64,
    /// So many writes are refused.
    pub(crate) refuses: AtomicU64,
}

impl Fate {
    pub(crate) fn die_after(&self, writes: u64) {
        self.written.store(0, SeqCst);
        self.dies_after.store(writes, SeqCst);
    }

    fn is_dead(&self) -> bool {
        let after = self.dies_after.load(SeqCst);
        after > 0 && self.written.load(SeqCst) >= after
    }
}

/// A ledger whose client dies, or loses an answer.
struct Mortal {
    inner: Region,
    fate: Arc<Fate>,
}

impl JobLedger for Mortal {
    fn get(&self, id: JobId) -> BoxFuture<'_, StoreResult<Option<Job>>> {
        self.inner.get(id)
    }
    fn create<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        self.inner.create(job)
    }
    fn replace<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            if self.fate.refuses.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "the ledger is down"));
            }
            let put = self.inner.replace(job).await?;
            self.fate.written.fetch_add(1, SeqCst);
            if self.fate.is_dead() {
                std::future::pending::<()>().await;
            }
            if self.fate.loses.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(StoreError::new(StoreErrorKind::Indeterminate, "the answer was lost"));
            }
            Ok(put)
        }
        .boxed()
    }
    fn remove(&self, id: JobId, rev: u64) -> BoxFuture<'_, StoreResult<Put>> {
        self.inner.remove(id, rev)
    }
    fn due<'a>(
        &'a self,
        shard: u16,
        now: Millis,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        self.inner.due(shard, now, after, limit)
    }
    fn waiting<'a>(
        &'a self,
        tenant: &'a eft_domain::TenantId,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        self.inner.waiting(tenant, limit)
    }
    fn in_flight<'a>(
        &'a self,
        tenant: &'a eft_domain::TenantId,
        most: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        self.inner.in_flight(tenant, most)
    }
    fn live<'a>(
        &'a self,
        tenant: &'a eft_domain::TenantId,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        self.inner.live(tenant, after, limit)
    }
    fn first_turn<'a>(&'a self, route: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<(u64, JobId)>>> {
        self.inner.first_turn(route)
    }
}

/// How a function is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    /// After so many writes to the ledger.
    Ledger(u64),
    /// After so many requests to S3, the last of which was done.
    S3(u64),
}

pub(crate) struct World {
    pub(crate) s3: Server,
    pub(crate) region: Region,
    pub(crate) machine: Machine,
    pub(crate) stages: Stages,
    pub(crate) fate: Arc<Fate>,
    pub(crate) job: JobId,
    route: Route,
    key: tempfile::TempDir,
}

impl World {
    /// A job of a route whose id, tenant and match are ours, for a file with these bytes.
    pub(crate) async fn new(route: &str, content: &str) -> Self {
        Self::with(route, content, Config::default()).await
    }

    pub(crate) async fn with(route: &str, content: &str, config: Config) -> Self {
        let buckets = [INGEST, OUT, STAGING, ARCHIVE].map(ToOwned::to_owned);
        let s3 = Server::start(Config { buckets: buckets.to_vec(), ..config }).unwrap();
        let region = Region::new(Clock::System);
        region.put_tenant(&tenant()).await.unwrap();
        let text = format!("{{id: orders, tenant: acme, match: {{prefix: tenants/acme/in/}}, {route}}}");
        let route = Route::parse_yaml(&text, Profile::Platform).unwrap_or_else(|errors| panic!("{errors}"));
        region.put_route(&route, None).await.unwrap();
        let key = tempfile::tempdir().unwrap();
        SigningKey::load_or_create(&key.path().join("key")).unwrap();
        let (fate, machine) = (Arc::<Fate>::default(), Machine::read());
        let stages = stages(&s3, &region, &fate, key.path(), Duration::ZERO);
        let job = arrive(&s3, &stages.desk, "one.txt", content, &route).await;
        Self { s3, region, machine, stages, fate, job, route, key }
    }

    /// Another file arrives, and its job is started as far as its tenant has room.
    pub(crate) async fn arrive(&self, name: &str, content: &str) -> JobId {
        arrive(&self.s3, &self.stages.desk, name, content, &self.route).await
    }

    /// Functions that start this much later.
    pub(crate) fn later(&self, time: Duration) -> Stages {
        stages(&self.s3, &self.region, &self.fate, self.key.path(), time)
    }

    pub(crate) async fn row(&self) -> Job {
        JobLedger::get(&self.region, self.job).await.unwrap().unwrap()
    }

    /// The next execution that was started: its name and its input.
    pub(crate) fn started(&self) -> (String, Value) {
        let request: RunRequest = self.region.take_started().expect("an execution was started");
        (request.execution_name(), serde_json::from_str(&request.to_message()).unwrap())
    }

    /// One call of the function.
    pub(crate) async fn call(&self, request: &Value) -> Answer {
        call(&self.stages, request).await
    }

    /// The next execution, to its end.
    pub(crate) async fn execute(&self) -> Ended {
        let (name, input) = self.started();
        let call = async |_: &str, request: Value| self.call(&request).await;
        self.machine.run(self.machine.start(), &name, input, call).await
    }

    /// One call of a function that is killed; `None`: it has answered before.
    pub(crate) async fn killed(&self, request: &Value, kill: Kill) -> Option<Answer> {
        match kill {
            Kill::Ledger(writes) => self.fate.die_after(writes),
            Kill::S3(requests) => {
                let hang = Fault::new(Action::DoneThenHang).skip(requests - 1).times(1);
                self.s3.reset_log();
                self.s3.set_faults([hang]);
            }
        }
        let death = async {
            let hangs = || self.s3.request_log().iter().any(|record| !record.faults.is_empty());
            while !self.fate.is_dead() && !hangs() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let answer = tokio::select! {
            answer = self.call(request) => Some(answer),
            () = death => None,
        };
        self.fate.die_after(0);
        self.s3.set_faults([]);
        answer
    }

    /// What stands under a name, and that it came to stand there once.
    pub(crate) fn delivered(&self, key: &str) -> Option<String> {
        let bytes = self.s3.get_object(OUT, key)?;
        assert_eq!(self.s3.versions(OUT, key).len(), 1, "{key} came to stand once");
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Nothing is left of what was on its way.
    pub(crate) fn is_clean(&self) -> bool {
        self.s3.keys(STAGING).is_empty() && self.s3.open_uploads().is_empty()
    }
}

/// Whose files they are.
pub(crate) fn tenant() -> Tenant {
    let outputs = vec![Output { bucket: OUT.parse().unwrap(), prefix: String::new() }];
    Tenant { outputs, ..Tenant::new("acme".parse().unwrap()) }
}

async fn arrive(s3: &Server, desk: &Desk, name: &str, content: &str, route: &Route) -> JobId {
    let key = format!("tenants/acme/in/{name}");
    let version_id = s3.put_object(INGEST, &key, content.to_owned());
    let arrived = Arrived {
        arrival: Arrival { bucket: "ingest".to_owned(), key, version_id },
        size: content.len() as u64,
        etag: None,
        at: desk.clock.now(),
        tenant: route.tenant.clone(),
        route: Some(PinnedRoute { id: route.effective_id(), revision: route.revision() }),
        runner: route.runner(content.len() as u64),
        turn: None,
        trace: None,
    };
    let (job, is_new) = desk.begin(&arrived, &Command::Accept).await.unwrap();
    assert!(is_new);
    desk.release_fresh(std::slice::from_ref(&job)).await.unwrap();
    job.id
}

pub(crate) async fn call(stages: &Stages, request: &Value) -> Answer {
    let answer = stages.handle(request, Until::after(Duration::from_secs(60))).await;
    answer.map_err(|error| error.name().to_owned())
}

fn stages(s3: &Server, region: &Region, fate: &Arc<Fate>, key: &std::path::Path, later: Duration) -> Stages {
    let all = Arc::new(region.clone());
    let clock = Clock::Runtime(Instant::now(), Clock::System.now().plus(later));
    let desk = Desk {
        ledger: Arc::new(Mortal { inner: region.clone(), fate: Arc::clone(fate) }),
        runs: all.clone(),
        catalog: all.clone(),
        keys: all.clone(),
        dispatch: all.clone(),
        notify: all,
        clock,
        retention: Retention::default(),
        actor: Actor::part("steps"),
        source: "eft/test".to_owned(),
    };
    let clients = Clients::for_endpoint(&s3.endpoint());
    let staging = Staging::new(STAGING.parse().unwrap(), &clients);
    let engine = Engine {
        shared: Shared { budget: Budget::new(64 << 20), pool: Pool::for_this_machine(), clients },
        memory: Some(eft_domain::ByteSize(64 << 20)),
        concurrency: 4,
        interval: None,
        buckets: BTreeMap::from([("ingest".to_owned(), INGEST.to_owned())]),
        archive: Some(ARCHIVE.to_owned()),
        keys: None,
        // Nobody listens there.
        scanner: Some(Arc::new(Clamd::new("127.0.0.1:9".parse().unwrap()))),
        signing: SigningKey::load(&key.join("key")).unwrap(),
    };
    Stages { desk, engine, staging, lease: LEASE, log: Arc::new(|_, _, _| ()) }
}
