//! A world: a region, a queue, a store, and workers that live and die.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::Duration,
};

use eft_domain::{
    Actor, Arrival, Command, Job, JobId, JobState, Route, Tenant,
    job::{Arrived, PinnedRoute, Retention, Runner},
    route::Profile,
};
use eft_store::{Catalog, Clock, Desk, JobLedger, memory::Region, port::DUE_SHARDS};
use eft_worker::serve::{Times, Worker, health::Pulse, protect::Unprotected};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    ledger::{Draws, Faulty},
    queue::Fifo,
    store::Store,
};

/// A worker that runs as a task: aborting it is SIGKILL.
pub(crate) struct Running {
    pub(crate) drain: CancellationToken,
    task: JoinHandle<()>,
    frozen: Arc<Frozen>,
}

/// SIGSTOP: the task is not polled, and time goes on.
#[derive(Default)]
struct Frozen {
    now: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Running {
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.now.store(frozen, Relaxed);
        if let Some(waker) = self.frozen.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    pub(crate) async fn ended(self) {
        self.task.await.unwrap();
    }
}

pub(crate) struct World {
    pub(crate) region: Region,
    pub(crate) desk: Desk,
    pub(crate) queue: Fifo,
    pub(crate) store: Store,
    pub(crate) jobs: Vec<JobId>,
    workers: u32,
}

fn route() -> Route {
    let text = "{id: orders, tenant: acme, match: {prefix: tenants/acme/in/}, stages: [], \
                destinations: [{s3: {bucket: acme-out, key: \"{name}\", on_existing: fail}}]}";
    Route::parse_yaml(text, Profile::Platform).unwrap()
}

fn arrival(number: usize) -> Arrived {
    Arrived {
        arrival: Arrival {
            bucket: "ingest".into(),
            key: format!("tenants/acme/in/{number}"),
            version_id: "v1".into(),
        },
        size: 1 << 20,
        etag: None,
        at: Clock::simulated().now(),
        tenant: Some("acme".parse().unwrap()),
        route: Some(PinnedRoute { id: "orders".parse().unwrap(), revision: route().revision() }),
        runner: Runner::Worker,
        turn: None,
        trace: None,
    }
}

impl World {
    /// With this many jobs of which `bad` break the rules; calls fail once in `once_in` times.
    pub(crate) async fn new(
        draws: &Draws,
        jobs: usize,
        bad: usize,
        once_in: u64,
        doubles: fn(u64) -> bool,
    ) -> Self {
        let region = Region::new(Clock::simulated());
        let mut tenant = Tenant::new("acme".parse().unwrap());
        tenant.max_jobs = 4;
        region.put_tenant(&tenant).await.unwrap();
        region.put_route(&route(), None).await.unwrap();
        let faulty = Arc::new(Faulty { region: region.clone(), draws: draws.clone(), once_in });
        let whole = Arc::new(region.clone());
        let desk = Desk {
            ledger: faulty.clone(),
            runs: faulty.clone(),
            catalog: whole.clone(),
            keys: whole.clone(),
            dispatch: whole,
            notify: faulty,
            clock: Clock::simulated(),
            retention: Retention::default(),
            actor: Actor::part("worker"),
            source: "eft/test".to_owned(),
        };
        let arrivals: Vec<_> = (0..jobs).map(arrival).collect();
        let ids: Vec<_> = arrivals.iter().map(Arrived::job_id).collect();
        for arrived in &arrivals {
            let job = arrived.begin(&Command::Accept, &Actor::part("router")).unwrap();
            region.create(&job).await.unwrap();
        }
        let broken: BTreeSet<_> = ids.iter().take(bad).copied().collect();
        let store = Store::new(draws.clone(), broken, 4 * once_in);
        Self { queue: Fifo::new(region.clone(), doubles), region, desk, store, jobs: ids, workers: 0 }
    }

    pub(crate) fn start(&mut self, slots: usize) -> Running {
        self.workers += 1;
        let drain = CancellationToken::new();
        let worker = Worker {
            desk: self.desk.clone(),
            queue: Arc::new(self.queue.clone()),
            transfers: Arc::new(self.store.clone()),
            protection: Arc::new(Unprotected),
            times: Times::DEFAULT,
            name: format!("worker-{}", self.workers),
            pulse: Arc::new(Pulse::new(Duration::from_secs(120))),
            drain: drain.clone(),
        };
        let frozen = Arc::<Frozen>::default();
        let stopped = Arc::clone(&frozen);
        let task = tokio::spawn(async move {
            let mut work = Box::pin(worker.serve(slots));
            poll_fn(|context| {
                if stopped.now.load(Relaxed) {
                    *stopped.waker.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(context.waker().clone());
                    return Poll::Pending;
                }
                work.as_mut().poll(context)
            })
            .await;
        });
        Running { drain, task, frozen }
    }

    /// One pass over what is due. Errors are what the next pass is for.
    pub(crate) async fn sweep(&self) {
        let now = self.desk.clock.now();
        for shard in 0..DUE_SHARDS {
            let Ok(page) = self.region.due(shard, now, None, 100).await else { continue };
            for id in page.items {
                let Ok(Some(job)) = self.region_get(id).await else { continue };
                if job.due(self.desk.retention) <= now {
                    self.mend(job).await;
                }
            }
        }
        drop(self.desk.release(&["acme".parse().unwrap()]).await);
    }

    async fn region_get(&self, id: JobId) -> eft_store::StoreResult<Option<Job>> {
        self.desk.ledger.get(id).await
    }

    async fn mend(&self, job: Job) {
        let job = self.desk.tell(&job).await.unwrap_or(job);
        match job.state {
            JobState::Accepted if job.sent_at.is_some() => drop(self.desk.send(&job).await),
            JobState::Running | JobState::Delivering => drop(self.desk.send(&job).await),
            JobState::Held => {
                drop(self.desk.change_and_tell(job.id, &Command::Resume { reason: "time".into() }).await);
            }
            _ => {}
        }
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        JobLedger::get(&self.region, id).await.unwrap().unwrap()
    }

    pub(crate) fn all_ended(&self) -> bool {
        let jobs = self.region.jobs();
        jobs.iter().all(|job| job.state.is_terminal() && job.outbox.is_empty())
    }
}
