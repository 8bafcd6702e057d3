//! A region with its queues and buckets, and the processes that work in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use eft_domain::{
    Actor, Arrival, Code, Command, Job, JobId, JobState, Route, Tenant,
    job::{Refused, Retention},
    message::Created,
    receipt::FailureNote,
    route::{CompleteWhen, HeadOfLine, Ordering, Profile},
    tenant::Output,
};
use eft_router::{Buckets, Router};
use eft_store::{
    Catalog, ChangeError, Clock, Desk, JobLedger, Put,
    faulty::{Chance, Draws, Faulty},
    memory::Region,
};
use eft_sweep::{Settings, Sweep};
use eft_worker::serve::{
    Times, Worker,
    health::Pulse,
    protect::{Protection, Unprotected},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    events::Events,
    life::{Death, Life},
    queue::Fifo,
    store::Store,
    transfer::Runs,
};

const BUCKET: &str = "eft-ingest-eu";
/// Jobs that a tenant may have in flight.
pub(crate) const MOST_JOBS: u32 = 4;
/// The route that may have an order, and the folder of its files.
pub(crate) const TURNS: &str = "turns";
/// What the names of workers start with.
pub(crate) const WORKER: &str = "worker-";
/// An upload that is older and of no run is ended: shorter than in the field, so that sweeps come to it while there is
/// trouble, and longer than a run takes from beginning one to naming it.
pub(crate) const UPLOAD_AGE: Duration = Duration::from_secs(5 * 60);

/// What has to become of an object version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It is delivered.
    Delivered,
    /// It breaks a rule of its route.
    Rejected,
    /// There is a record that no route takes it.
    Unrouted,
    /// Its name is that of no file.
    Nothing,
    /// An operator has cancelled it.
    Cancelled,
}

/// What [`World::cancel`] says of a job that it has cancelled.
pub(crate) const CANCELLED: &str = "jobs cancelled";
/// And of one that may stand at its destination.
pub(crate) const TOO_LATE: &str = "too late to cancel";

/// An object version that arrives.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) key: String,
    pub(crate) version: String,
    pub(crate) expect: Expect,
}

impl File {
    pub(crate) fn new(name: &str, version: &str, expect: Expect) -> Self {
        Self::of("acme", name, version, expect)
    }

    /// The file of this tenant.
    pub(crate) fn of(tenant: &str, name: &str, version: &str, expect: Expect) -> Self {
        Self { key: format!("tenants/{tenant}/{name}"), version: version.to_owned(), expect }
    }

    fn arrival(&self) -> Arrival {
        Arrival { bucket: "ingest".into(), key: self.key.clone(), version_id: self.version.clone() }
    }

    /// Its only job.
    pub(crate) fn job(&self) -> JobId {
        let route = self.key.split('/').nth(2).unwrap();
        match self.expect {
            Expect::Unrouted => JobId::unrouted(&self.arrival()),
            _ => JobId::of(&route.parse().unwrap(), &self.arrival()),
        }
    }
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) life: Arc<Life>,
    pub(crate) drain: CancellationToken,
    task: JoinHandle<Option<()>>,
}

impl Running {
    pub(crate) async fn drained(self) {
        self.drain.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) struct World {
    pub(crate) region: Region,
    pub(crate) queue: Fifo,
    pub(crate) events: Events,
    pub(crate) store: Store,
    /// What has arrived.
    pub(crate) files: Vec<File>,
    /// Those of the workers that are started.
    pub(crate) times: Times,
    pub(crate) protection: Arc<dyn Protection>,
    /// All destinations are down.
    pub(crate) outage: Arc<AtomicBool>,
    /// What befalls calls while there is trouble.
    chance: Chance,
    calm: Arc<AtomicBool>,
    clock: Clock,
    /// All there have been, by name.
    workers: BTreeMap<String, Arc<Life>>,
}

/// Worker after worker died on it.
pub(crate) fn is_given_up(job: &Job) -> bool {
    job.failure.as_ref().and_then(FailureNote::known) == Some(Code::RunCrashed)
}

/// A route of acme's that takes everything in a folder of its name.
fn route(id: &str, when: CompleteWhen) -> Route {
    Route { complete_when: when, ..route_of("acme", id) }
}

fn route_of(tenant: &str, id: &str) -> Route {
    let text = format!(
        "{{id: {id}, tenant: {tenant}, match: {{prefix: tenants/{tenant}/{id}/}}, executor: worker, stages: [], \
         destinations: [{{s3: {{bucket: {tenant}-out, key: \"{{name}}\", on_existing: fail}}}}]}}"
    );
    Route::parse_yaml(&text, Profile::Platform).unwrap()
}

/// Somebody who has files.
fn tenant_of(name: &str) -> Tenant {
    let mut tenant = Tenant::new(name.parse().unwrap());
    tenant.max_jobs = MOST_JOBS;
    tenant.outputs = vec![Output { bucket: format!("{name}-out").parse().unwrap(), prefix: String::new() }];
    tenant
}

/// Whose files most are.
fn tenant() -> Tenant {
    tenant_of("acme")
}

impl World {
    /// With four routes: `in`, `turns`, `quiet` and `control`.
    pub(crate) async fn new(chance: Chance, doubles: fn(u64) -> bool) -> Self {
        let clock = Clock::simulated();
        let region = Region::new(clock).index_lag(Duration::from_millis(500));
        region.put_tenant(&tenant()).await.unwrap();
        for (id, when) in [
            ("in", CompleteWhen::Immediate),
            (TURNS, CompleteWhen::Immediate),
            ("quiet", CompleteWhen::Quiet(60)),
            ("control", CompleteWhen::ControlFile(".done".to_owned())),
        ] {
            region.put_route(&route(id, when), None).await.unwrap();
        }
        Self {
            queue: Fifo::new(doubles),
            events: Events::default(),
            store: Store::new(clock),
            files: Vec::new(),
            times: Times::DEFAULT,
            protection: Arc::new(Unprotected),
            outage: Arc::default(),
            chance,
            calm: Arc::default(),
            clock,
            workers: BTreeMap::new(),
            region,
        }
    }

    /// Another tenant, with a route that takes everything in a folder of its name.
    pub(crate) async fn join(&self, tenant: &str, route: &str) {
        self.region.put_tenant(&tenant_of(tenant)).await.unwrap();
        self.region.put_route(&route_of(tenant, route), None).await.unwrap();
    }

    /// The files of a route that takes them at once come in their order from now on.
    pub(crate) async fn keep_order(&self, id: &str, policy: HeadOfLine) {
        let before = route(id, CompleteWhen::Immediate);
        let strict = Route { ordering: Ordering::Strict(policy), ..before.clone() };
        assert_eq!(self.region.put_route(&strict, Some(before.revision())).await, Ok(Put::Done));
    }

    /// None of the tenant's jobs is put into the queue, or again as far as it has room.
    pub(crate) async fn pause(&self, paused: bool) {
        self.region.put_tenant(&Tenant { paused, ..tenant() }).await.unwrap();
    }

    /// One in which nothing fails by chance.
    pub(crate) async fn faultless() -> Self {
        let draws = Arc::new(Draws::new(1));
        Self::new(Chance { draws, of: 1, throttled: 0, lost: 0, done: 0, millis: 0 }, |_| false).await
    }

    /// Ports do not fail any more.
    pub(crate) fn calm(&self) {
        self.calm.store(true, Relaxed);
    }

    pub(crate) fn life(&self, death: Death) -> Arc<Life> {
        Life::new(self.chance.clone(), &self.calm, death)
    }

    /// An object version arrives; its events come after these times, or not at all.
    pub(crate) fn arrive(&mut self, file: File, late: &[Duration]) {
        self.store.put(&file.key, &file.version, 1 << 20);
        let event = Created {
            bucket: BUCKET.parse().unwrap(),
            key: file.key.parse().unwrap(),
            version_id: Some(file.version.parse().unwrap()),
            etag: Some(format!("etag-{}", file.version)),
            size: Some(1 << 20),
            sequencer: None,
            reason: None,
        };
        for late in late {
            self.events.put(event.to_message(), &file.version, *late);
        }
        self.files.push(file);
    }

    fn desk(&self, life: &Arc<Life>, actor: &str) -> Desk {
        let faulty = Arc::new(Faulty::new(self.region.clone(), life.clone()));
        Desk {
            ledger: faulty.clone(),
            runs: faulty.clone(),
            catalog: faulty.clone(),
            keys: faulty.clone(),
            dispatch: Arc::new(self.queue.seen_by(life.clone())),
            notify: faulty,
            clock: self.clock,
            retention: Retention::default(),
            actor: Actor::part(actor),
            source: "eft/test".to_owned(),
        }
    }

    fn router(&self, life: &Arc<Life>, actor: &str) -> Router {
        let buckets = Buckets::parse(&format!("ingest={BUCKET}")).unwrap();
        Router::new(self.desk(life, actor), Arc::new(self.store.seen_by(life.clone())), buckets)
    }

    /// An invocation of the router.
    pub(crate) fn invoke(&self, life: &Arc<Life>) -> JoinHandle<Option<()>> {
        let (events, router) = (self.events.clone(), self.router(life, "router"));
        life.spawn(async move { events.invoke(router).await })
    }

    /// A sweep.
    pub(crate) fn sweep(&self, life: &Arc<Life>) -> JoinHandle<Option<eft_sweep::Report>> {
        let s3 = Arc::new(self.store.seen_by(life.clone()));
        let sweep = Sweep {
            router: self.router(life, "sweep"),
            listing: s3.clone(),
            uploads: s3,
            settings: Settings { upload_age: UPLOAD_AGE, ..Settings::default() },
            log: Arc::new(|_| ()),
        };
        life.spawn(async move { sweep.run().await })
    }

    /// Events and sweeps as they come when nobody dies.
    pub(crate) async fn tend(&self) -> eft_sweep::Report {
        let life = self.life(Death::Never);
        self.invoke(&life).await.unwrap();
        self.sweep(&life).await.unwrap().unwrap()
    }

    pub(crate) fn start(&mut self, slots: usize, death: Death) -> Running {
        let name = format!("{WORKER}{}", self.workers.len() + 1);
        let (life, drain) = (self.life(death), CancellationToken::new());
        self.workers.insert(name.clone(), Arc::clone(&life));
        let bad = |file: &&File| file.expect == Expect::Rejected;
        let worker = Worker {
            desk: self.desk(&life, &name),
            queue: Arc::new(self.queue.seen_by(life.clone())),
            transfers: Arc::new(Runs {
                s3: self.store.seen_by(life.clone()),
                draws: Arc::clone(&self.chance.draws),
                bad: self.files.iter().filter(bad).map(|file| file.key.clone()).collect::<BTreeSet<_>>(),
                down: if self.chance.throttled > 0 { 4 * self.chance.of } else { u64::MAX },
                outage: Arc::clone(&self.outage),
            }),
            circuits: Arc::default(),
            releases: Arc::default(),
            protection: Arc::clone(&self.protection),
            times: self.times,
            name,
            pulse: Arc::new(Pulse::new(Duration::from_secs(120))),
            drain: drain.clone(),
        };
        let task = life.spawn(async move { worker.serve(slots).await });
        Running { life, drain, task }
    }

    /// A desk for whoever has no part in the trouble.
    pub(crate) fn own_desk(&self) -> Desk {
        let chance = Chance { of: 1, throttled: 0, lost: 0, done: 0, millis: 0, ..self.chance.clone() };
        self.desk(&Life::new(chance, &self.calm, Death::Never), "operator")
    }

    /// Cancel one of the jobs that have not ended, if it still can be; what came of it.
    pub(crate) async fn cancel(&mut self, draws: &Draws) -> &'static str {
        let live = |id| self.region.jobs().iter().any(|job| job.id == id && !job.state.is_terminal());
        let of_route = |file: &File| matches!(file.expect, Expect::Delivered | Expect::Rejected);
        let live: Vec<_> =
            self.files.iter().filter(|file| of_route(file) && live(file.job())).cloned().collect();
        let Some(file) = live.get(draws.below(live.len().max(1) as u64) as usize) else {
            return "nothing to cancel";
        };
        let cancel = Command::Cancel { reason: "wrong file".to_owned() };
        match self.own_desk().change_and_tell(file.job(), &cancel).await {
            Ok(_) => {
                let cancelled = self.files.iter_mut().find(|other| other.version == file.version);
                cancelled.unwrap().expect = Expect::Cancelled;
                CANCELLED
            }
            Err(ChangeError::Refused(Refused::Publishing | Refused::State { .. })) => {
                let job = self.job(file).await.unwrap();
                assert!(job.publishing || job.state.is_terminal(), "it could be cancelled: {job:?}");
                TOO_LATE
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Whether this worker has died or was stopped.
    pub(crate) fn has_failed(&self, worker: &str) -> bool {
        self.workers.get(worker).is_some_and(|life| life.has_failed())
    }

    /// Jobs that were given up because worker after worker died on them.
    pub(crate) fn given_up(&self) -> usize {
        self.region.jobs().iter().filter(|job| is_given_up(job)).count()
    }

    /// Have all jobs go on that are held; how many.
    pub(crate) async fn resume(&self) -> u64 {
        let held = self.region.jobs().into_iter().filter(|job| job.state == JobState::Held);
        let mut resumed = 0;
        for job in held {
            let resume = Command::Resume { reason: "it is up again".to_owned() };
            resumed += u64::from(self.own_desk().change_and_tell(job.id, &resume).await.is_ok());
        }
        resumed
    }

    pub(crate) async fn job(&self, file: &File) -> Option<Job> {
        JobLedger::get(&self.region, file.job()).await.unwrap()
    }

    /// Nothing is left to be done, by anybody.
    pub(crate) fn all_ended(&self) -> bool {
        let ended = |job: &Job| job.state.is_terminal() || job.state == JobState::Unrouted;
        self.region.jobs().iter().all(|job| ended(job) && job.outbox.is_empty())
            && self.queue.len() == 0
            && self.events.len() == 0
    }

    /// Trouble is over: what was lost is found within one sweep, everything comes to its end, and nothing is left behind.
    pub(crate) async fn recover(&mut self, workers: Vec<Running>) -> Result<(), String> {
        self.calm();
        // The youngest version has its grace; a listing that was broken off is finished first, and then there is a whole one.
        tokio::time::sleep(Duration::from_secs(61)).await;
        for _ in 0..2 {
            self.tend().await;
        }
        self.check_rows().await?;
        let helper = self.start(2, Death::Never);
        // A destination that was down is tried again for a day.
        for _ in 0..48 * 12 {
            if self.all_ended() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(300)).await;
            self.tend().await;
        }
        for worker in workers.into_iter().chain([helper]) {
            worker.drained().await;
        }
        tokio::time::sleep(UPLOAD_AGE).await;
        self.tend().await;
        self.check().await
    }
}
