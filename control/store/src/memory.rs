//! The ports in memory, with the semantics of the real ones: for tests and simulations.
//!
//! A [`Region`] is one region's view. `jobs` and `keys` are one table for both regions, as multi-region strong
//! consistency has it; `config` and `runs` are copied to the other region when [`Region::replicate`] says so, the last
//! writer winning. Indexes are as late as [`Region::index_lag`] says.

mod catalog;
mod runs;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use eft_domain::{
    Job, JobId, Millis, RouteId, TenantId,
    job::{EventKind, JobEvent, ReceiptKey, Retention},
    message::{RunRequest, WorkMessage},
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;

use self::catalog::Config;
use crate::{
    clock::Clock,
    index::{Line, line_of, live_of, place, shard_of, turn_of},
    port::{Dispatch, JobLedger, JobSize, Keys, Notify, Page, Put, StoreResult},
    summary::RunSummary,
};

/// What both regions see at once.
#[derive(Default)]
struct Strong {
    jobs: BTreeMap<JobId, Job>,
    /// In the order in which their rows were made.
    made: Vec<JobId>,
    /// What indexes show of a job: what it was, and from when on they show what it is.
    indexed: BTreeMap<JobId, VecDeque<(Millis, Option<Job>)>>,
    /// Jobs of which some version in `indexed` is live: a release must not look at every job there ever was.
    live: BTreeMap<TenantId, BTreeSet<JobId>>,
    keys: BTreeMap<String, (String, Millis)>,
    counters: BTreeMap<String, u64>,
}

/// What each region has for itself.
#[derive(Clone, Default)]
struct Own {
    config: Config,
    history: BTreeMap<JobId, BTreeMap<u64, JobEvent>>,
    runs: BTreeMap<(JobId, u32), RunSummary>,
    receipts: BTreeMap<(JobId, ReceiptKey), String>,
    work: VecDeque<(WorkMessage, String)>,
    started: VecDeque<RunRequest>,
    published: Vec<(EventKind, Value)>,
}

/// One region's view of everything.
#[derive(Clone)]
pub struct Region {
    strong: Arc<Mutex<Strong>>,
    own: Arc<Mutex<Own>>,
    clock: Clock,
    retention: Retention,
    lag: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Region {
    /// A region by itself.
    pub fn new(clock: Clock) -> Self {
        Self {
            strong: Arc::default(),
            own: Arc::default(),
            clock,
            retention: Retention::default(),
            lag: Duration::ZERO,
        }
    }

    /// Another region over the same strongly consistent tables.
    pub fn peer(&self) -> Self {
        Self { own: Arc::default(), ..self.clone() }
    }

    /// Indexes show a write this much later.
    #[must_use]
    pub fn index_lag(self, lag: Duration) -> Self {
        Self { lag, ..self }
    }

    /// What this region has written to tables with eventual consistency reaches `peer`.
    pub fn replicate(&self, peer: &Self) {
        let from = lock(&self.own).clone();
        let mut to = lock(&peer.own);
        to.config.extend(from.config);
        to.receipts.extend(from.receipts);
        to.runs.extend(from.runs);
        for (job, events) in from.history {
            to.history.entry(job).or_default().extend(events);
        }
    }

    /// Every row.
    pub fn jobs(&self) -> Vec<Job> {
        lock(&self.strong).jobs.values().cloned().collect()
    }

    /// Jobs in the order in which their rows were made.
    pub fn made(&self) -> Vec<JobId> {
        lock(&self.strong).made.clone()
    }

    /// What was published.
    pub fn published(&self) -> Vec<(EventKind, Value)> {
        lock(&self.own).published.clone()
    }

    /// Take the next message of `work.fifo`, with its group.
    pub fn take_work(&self) -> Option<(WorkMessage, String)> {
        lock(&self.own).work.pop_front()
    }

    /// Take the next execution that was started.
    pub fn take_started(&self) -> Option<RunRequest> {
        lock(&self.own).started.pop_front()
    }

    fn index(&self, strong: &mut Strong, id: JobId, now: Option<Job>) {
        let from = self.clock.now().plus(self.lag);
        let versions = strong.indexed.entry(id).or_default();
        let tenant = now.as_ref().and_then(|job| job.tenant.clone());
        versions.push_back((from, now));
        let shown = self.clock.now();
        while versions.len() > 1 && versions[1].0 <= shown {
            versions.pop_front();
        }
        if let Some(tenant) = tenant {
            let may_live = versions.iter().any(|(_, job)| job.as_ref().is_some_and(is_live));
            let ids = strong.live.entry(tenant).or_default();
            if may_live {
                ids.insert(id)
            } else {
                ids.remove(&id)
            };
        }
    }

    /// What `pick` takes of the rows as indexes show them.
    fn indexed<T>(&self, pick: impl FnMut(&Job) -> Option<T>) -> Vec<T> {
        let now = self.clock.now();
        let strong = lock(&self.strong);
        strong.indexed.values().filter_map(|versions| shown(versions, now)).filter_map(pick).collect()
    }

    /// What `pick` takes, until it breaks off, of the live jobs of a tenant as indexes show them.
    fn live_of<T>(
        &self,
        tenant: &TenantId,
        mut pick: impl FnMut(&Job) -> ControlFlow<(), Option<T>>,
    ) -> Vec<T> {
        let now = self.clock.now();
        let strong = lock(&self.strong);
        let ids = strong.live.get(tenant).into_iter().flatten();
        let jobs = ids.filter_map(|id| shown(strong.indexed.get(id)?, now)).filter(|job| is_live(job));
        let mut found = Vec::new();
        for job in jobs {
            match pick(job) {
                ControlFlow::Continue(taken) => found.extend(taken),
                ControlFlow::Break(()) => break,
            }
        }
        found
    }
}

/// The version that an index shows.
fn shown(versions: &VecDeque<(Millis, Option<Job>)>, now: Millis) -> Option<&Job> {
    versions.iter().rev().find(|(from, _)| *from <= now)?.1.as_ref()
}

fn is_live(job: &Job) -> bool {
    live_of(job).is_some()
}

impl JobLedger for Region {
    fn get(&self, id: JobId) -> BoxFuture<'_, StoreResult<Option<Job>>> {
        async move { Ok(lock(&self.strong).jobs.get(&id).cloned()) }.boxed()
    }

    fn create<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let mut strong = lock(&self.strong);
            if strong.jobs.contains_key(&job.id) {
                return Ok(Put::Stale);
            }
            strong.jobs.insert(job.id, job.clone());
            strong.made.push(job.id);
            self.index(&mut strong, job.id, Some(job.clone()));
            Ok(Put::Done)
        }
        .boxed()
    }

    fn replace<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let mut strong = lock(&self.strong);
            if strong.jobs.get(&job.id).is_none_or(|found| found.rev + 1 != job.rev) {
                return Ok(Put::Stale);
            }
            strong.jobs.insert(job.id, job.clone());
            self.index(&mut strong, job.id, Some(job.clone()));
            Ok(Put::Done)
        }
        .boxed()
    }

    fn remove(&self, id: JobId, rev: u64) -> BoxFuture<'_, StoreResult<Put>> {
        async move {
            let mut strong = lock(&self.strong);
            if strong.jobs.get(&id).is_none_or(|found| found.rev != rev) {
                return Ok(Put::Stale);
            }
            strong.jobs.remove(&id);
            self.index(&mut strong, id, None);
            Ok(Put::Done)
        }
        .boxed()
    }

    fn due<'a>(
        &'a self,
        shard: u16,
        now: Millis,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        async move {
            let mut due = self.indexed(|job| {
                let due = (shard_of(job.id) == shard).then(|| job.due(self.retention))?;
                (due <= now).then_some((due, job.id))
            });
            due.sort_unstable();
            let place = |(due, id): &(Millis, JobId)| place(*due, *id);
            let from = due.iter().position(|at| after.is_none_or(|after| place(at).as_str() > after));
            let rest = from.map_or(&[][..], |from| &due[from..]);
            let page = &rest[..rest.len().min(usize::from(limit))];
            let next = (page.len() < rest.len()).then(|| page.last().map(place)).flatten();
            Ok(Page { items: page.iter().map(|(_, id)| *id).collect(), next })
        }
        .boxed()
    }

    fn waiting<'a>(&'a self, tenant: &'a TenantId, limit: u16) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        async move {
            let mut waiting = self.live_of(tenant, |job| {
                let waits = line_of(job) == Some((tenant, Line::Waiting));
                ControlFlow::Continue(waits.then_some((job.arrived_at, job.id, job.size)))
            });
            waiting.sort_unstable();
            waiting.truncate(usize::from(limit));
            Ok(waiting.into_iter().map(|(_, job, size)| JobSize { job, size }).collect())
        }
        .boxed()
    }

    fn in_flight<'a>(&'a self, tenant: &'a TenantId, most: u32) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        async move {
            let mut room = most;
            Ok(self.live_of(tenant, |job| {
                if room == 0 {
                    return ControlFlow::Break(());
                }
                let is_in_flight = line_of(job) == Some((tenant, Line::InFlight));
                room -= u32::from(is_in_flight);
                ControlFlow::Continue(is_in_flight.then_some(JobSize { job: job.id, size: job.size }))
            }))
        }
        .boxed()
    }

    fn live<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        async move {
            let mut live = self.live_of(tenant, |job| {
                let is_after = after.is_none_or(|after| job.id.to_string().as_str() > after);
                ControlFlow::Continue(is_after.then_some(job.id))
            });
            let more = live.len() > usize::from(limit);
            live.truncate(usize::from(limit));
            let next = live.last().filter(|_| more).map(ToString::to_string);
            Ok(Page { items: live, next })
        }
        .boxed()
    }

    fn first_turn<'a>(&'a self, route: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<(u64, JobId)>>> {
        async move {
            let turns = self.indexed(|job| {
                let (of, turn) = turn_of(job)?;
                (of == route).then_some((turn, job.id))
            });
            Ok(turns.into_iter().min())
        }
        .boxed()
    }
}

impl Keys for Region {
    fn put_new<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Option<String>>> {
        async move {
            let mut strong = lock(&self.strong);
            if let Some((found, until)) = strong.keys.get(key)
                && *until > now
            {
                return Ok(Some(found.clone()));
            }
            strong.keys.insert(key.to_owned(), (value.to_owned(), expires));
            Ok(None)
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str, expires: Millis) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            lock(&self.strong).keys.insert(key.to_owned(), (value.to_owned(), expires));
            Ok(())
        }
        .boxed()
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        before: Option<&'a str>,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let mut strong = lock(&self.strong);
            let found = strong.keys.get(key).filter(|(_, until)| *until > now);
            if found.map(|(value, _)| value.as_str()) != before {
                return Ok(Put::Stale);
            }
            strong.keys.insert(key.to_owned(), (value.to_owned(), expires));
            Ok(Put::Done)
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str, now: Millis) -> BoxFuture<'a, StoreResult<Option<String>>> {
        async move {
            let strong = lock(&self.strong);
            Ok(strong.keys.get(key).filter(|(_, until)| *until > now).map(|(value, _)| value.clone()))
        }
        .boxed()
    }

    fn next<'a>(&'a self, counter: &'a str) -> BoxFuture<'a, StoreResult<u64>> {
        async move {
            let mut strong = lock(&self.strong);
            let count = strong.counters.entry(counter.to_owned()).or_default();
            *count += 1;
            Ok(*count)
        }
        .boxed()
    }

    fn remove_expired(&self, now: Millis) -> BoxFuture<'_, StoreResult<usize>> {
        async move {
            let mut strong = lock(&self.strong);
            let before = strong.keys.len();
            strong.keys.retain(|_, (_, until)| *until > now);
            Ok(before - strong.keys.len())
        }
        .boxed()
    }
}

impl Dispatch for Region {
    fn send<'a>(&'a self, message: &'a WorkMessage, group: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            lock(&self.own).work.push_back((message.clone(), group.to_owned()));
            Ok(())
        }
        .boxed()
    }

    fn start<'a>(&'a self, request: &'a RunRequest) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            lock(&self.own).started.push_back(*request);
            Ok(())
        }
        .boxed()
    }
}

impl Notify for Region {
    fn publish<'a>(&'a self, kind: EventKind, event: &'a Value) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            lock(&self.own).published.push((kind, event.clone()));
            Ok(())
        }
        .boxed()
    }
}
