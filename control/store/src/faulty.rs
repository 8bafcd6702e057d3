//! Ports that fail as they are told to, also after they have done what was asked: for tests and simulations.
//!
//! # Overview
//! [`Faulty`] stands before any of the ports. What befalls a call is said by its [`Fates`]: nothing, an error before it, an
//! error after it, or the death of whoever asked, before or after. [`Chance`] draws it from a seed. What has ports of its
//! own uses [`befall`].

mod config;

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use eft_domain::{
    Job, JobId, Millis, RouteId, TenantId,
    job::{EventKind, JobEvent, ReceiptKey},
    message::{RunRequest, WorkMessage},
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;

use crate::{
    port::{
        Dispatch, JobLedger, JobSize, Keys, Notify, Page, Put, Runs, StoreError, StoreErrorKind, StoreResult,
    },
    summary::{JobFilter, RunSummary},
};

/// Numbers from a seed: splitmix64, the generator of Steele, Lea and Flood (2014).
#[derive(Debug)]
pub struct Draws(Mutex<u64>);

impl Draws {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// The next, below `bound`, which is not 0.
    pub fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// Whether the next is that one of so many.
    pub fn once_in(&self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What is asked of a port.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The method.
    pub name: &'static str,
    /// Whether it changes anything.
    pub writes: bool,
    /// Of what, where that has a name: the key of a job's object, a fact's key.
    pub of: &'a str,
}

impl<'a> Call<'a> {
    /// One that changes something.
    pub fn write(name: &'static str, of: &'a str) -> Self {
        Self { name, writes: true, of }
    }

    /// One that changes nothing.
    pub fn read(name: &'static str, of: &'a str) -> Self {
        Self { name, writes: false, of }
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Event {
    /// It is answered.
    #[default]
    None,
    /// It is not done, and fails.
    Fails(StoreErrorKind),
    /// It is done, and its answer is lost.
    DoneAndLost,
    /// Whoever asks dies, and it is not done.
    DiesBefore,
    /// It is done, and whoever asked dies before the answer.
    DiesAfter,
}

/// What befalls a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// How long it is on its way.
    pub before: Duration,
    /// What happens to it.
    pub event: Event,
    /// How long its answer is on its way.
    pub after: Duration,
}

impl Fate {
    /// This, at once.
    pub fn of(event: Event) -> Self {
        Self { event, ..Self::default() }
    }
}

/// Says what befalls calls.
pub trait Fates: Send + Sync {
    /// What befalls this one.
    fn draw(&self, call: &Call<'_>) -> Fate;

    /// Whoever asks dies now: its call never returns, and nothing of it may go on.
    fn die(&self) {}

    /// A row has come to stand.
    fn written(&self, _: &Job) {}
}

/// Let a call meet its fate.
///
/// # Errors
/// Its own, and what befalls it.
pub async fn befall<T>(
    fates: &dyn Fates,
    call: Call<'_>,
    ask: impl Future<Output = StoreResult<T>>,
) -> StoreResult<T> {
    let Fate { before, event, after } = fates.draw(&call);
    let lost = |kind| Err(StoreError::new(kind, format!("{} {}: a fault of the test", call.name, call.of)));
    pause(before).await;
    match event {
        Event::Fails(kind) => return lost(kind),
        Event::DiesBefore => return die(fates).await,
        _ => {}
    }
    let answer = ask.await;
    pause(after).await;
    match event {
        Event::DoneAndLost => answer.and_then(|_| lost(StoreErrorKind::Indeterminate)),
        Event::DiesAfter => die(fates).await,
        _ => answer,
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

async fn die<T>(fates: &dyn Fates) -> T {
    fates.die();
    pending().await
}

/// Faults by chance.
#[derive(Clone, Debug)]
pub struct Chance {
    /// Where they are drawn from.
    pub draws: Arc<Draws>,
    /// Of this many calls,
    pub of: u64,
    /// as many are too fast,
    pub throttled: u64,
    /// as many writes are lost on their way there,
    pub lost: u64,
    /// and as many on the way back.
    pub done: u64,
    /// Milliseconds, at most, that each way takes.
    pub millis: u64,
}

impl Fates for Chance {
    fn draw(&self, call: &Call<'_>) -> Fate {
        let pause = || Duration::from_millis(if self.millis > 0 { self.draws.below(self.millis) } else { 0 });
        let (before, number, after) = (pause(), self.draws.below(self.of), pause());
        let (throttled, lost) = (self.throttled, self.throttled + self.lost);
        let event = match number {
            number if number < throttled && call.writes => Event::Fails(StoreErrorKind::Throttled),
            number if number < throttled => Event::Fails(StoreErrorKind::Unavailable),
            _ if !call.writes => Event::None,
            number if number < lost => Event::Fails(StoreErrorKind::Indeterminate),
            number if number < lost + self.done => Event::DoneAndLost,
            _ => Event::None,
        };
        Fate { before, event, after }
    }
}

/// Ports whose calls meet their fates.
#[derive(Clone)]
pub struct Faulty<P> {
    inner: P,
    fates: Arc<dyn Fates>,
}

impl<P> Faulty<P> {
    /// These ports.
    pub fn new(inner: P, fates: Arc<dyn Fates>) -> Self {
        Self { inner, fates }
    }

    fn write<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        of: &'a str,
        ask: impl Future<Output = StoreResult<T>> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        befall(self.fates.as_ref(), Call::write(name, of), ask).boxed()
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        of: &'a str,
        ask: impl Future<Output = StoreResult<T>> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        befall(self.fates.as_ref(), Call::read(name, of), ask).boxed()
    }

    fn put<'a>(
        &'a self,
        name: &'static str,
        job: &'a Job,
        ask: BoxFuture<'a, StoreResult<Put>>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        let fates = self.fates.as_ref();
        self.write(name, &job.arrival.key, async move {
            let put = ask.await?;
            if put == Put::Done {
                fates.written(job);
            }
            Ok(put)
        })
    }
}

impl<P: JobLedger> JobLedger for Faulty<P> {
    fn get(&self, id: JobId) -> BoxFuture<'_, StoreResult<Option<Job>>> {
        self.read("get", "", self.inner.get(id))
    }

    fn create<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        self.put("create", job, self.inner.create(job))
    }

    fn replace<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        self.put("replace", job, self.inner.replace(job))
    }

    fn remove(&self, id: JobId, rev: u64) -> BoxFuture<'_, StoreResult<Put>> {
        self.write("remove", "", self.inner.remove(id, rev))
    }

    fn due<'a>(
        &'a self,
        shard: u16,
        now: Millis,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        self.read("due", "", self.inner.due(shard, now, after, limit))
    }

    fn waiting<'a>(&'a self, tenant: &'a TenantId, limit: u16) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        self.read("waiting", tenant.as_str(), self.inner.waiting(tenant, limit))
    }

    fn in_flight<'a>(&'a self, tenant: &'a TenantId, most: u32) -> BoxFuture<'a, StoreResult<Vec<JobSize>>> {
        self.read("in_flight", tenant.as_str(), self.inner.in_flight(tenant, most))
    }

    fn live<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        self.read("live", tenant.as_str(), self.inner.live(tenant, after, limit))
    }

    fn first_turn<'a>(&'a self, route: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<(u64, JobId)>>> {
        self.read("first_turn", "", self.inner.first_turn(route))
    }
}

impl<P: Runs> Runs for Faulty<P> {
    fn record<'a>(&'a self, job: &'a Job, event: &'a JobEvent) -> BoxFuture<'a, StoreResult<()>> {
        self.write("record", &job.arrival.key, self.inner.record(job, event))
    }

    fn history(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<JobEvent>>> {
        self.read("history", "", self.inner.history(job))
    }

    fn jobs<'a>(
        &'a self,
        tenant: Option<&'a TenantId>,
        filter: &'a JobFilter,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RunSummary>>> {
        self.read("jobs", "", self.inner.jobs(tenant, filter, after, limit))
    }

    fn runs(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<RunSummary>>> {
        self.read("runs", "", self.inner.runs(job))
    }

    fn keep_receipt<'a>(
        &'a self,
        job: JobId,
        key: ReceiptKey,
        text: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.write("keep_receipt", "", self.inner.keep_receipt(job, key, text))
    }

    fn receipt(&self, job: JobId, key: ReceiptKey) -> BoxFuture<'_, StoreResult<Option<String>>> {
        self.read("receipt", "", self.inner.receipt(job, key))
    }
}

impl<P: Keys> Keys for Faulty<P> {
    fn put_new<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.write("put_new", key, self.inner.put_new(key, value, expires, now))
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str, expires: Millis) -> BoxFuture<'a, StoreResult<()>> {
        self.write("put", key, self.inner.put(key, value, expires))
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        before: Option<&'a str>,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        self.write("swap", key, self.inner.swap(key, before, value, expires, now))
    }

    fn get<'a>(&'a self, key: &'a str, now: Millis) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.read("get", key, self.inner.get(key, now))
    }

    fn next<'a>(&'a self, counter: &'a str) -> BoxFuture<'a, StoreResult<u64>> {
        self.write("next", counter, self.inner.next(counter))
    }

    fn remove_expired(&self, now: Millis) -> BoxFuture<'_, StoreResult<usize>> {
        self.write("remove_expired", "", self.inner.remove_expired(now))
    }
}

impl<P: Dispatch> Dispatch for Faulty<P> {
    fn send<'a>(&'a self, message: &'a WorkMessage, group: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.write("send", group, self.inner.send(message, group))
    }

    fn start<'a>(&'a self, request: &'a RunRequest) -> BoxFuture<'a, StoreResult<()>> {
        self.write("start", "", self.inner.start(request))
    }
}

impl<P: Notify> Notify for Faulty<P> {
    fn publish<'a>(&'a self, kind: EventKind, event: &'a Value) -> BoxFuture<'a, StoreResult<()>> {
        self.write("publish", "", self.inner.publish(kind, event))
    }
}
