//! A ledger, and topics, that fail as a seed says: also after they have done what was asked.

use std::sync::{Arc, Mutex, PoisonError};

use eft_domain::{
    Job, JobId, Millis, RouteId, TenantId,
    job::{EventKind, JobEvent},
};
use eft_fakes::Pattern;
use eft_store::{
    JobLedger, Load, Notify, Page, Put, Runs, StoreError, StoreErrorKind, StoreResult, Waiting,
    memory::Region,
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;

/// Draws of one seed.
#[derive(Clone)]
pub(crate) struct Draws(Arc<Mutex<Pattern>>);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Pattern::new(seed))))
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let mut pattern = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = pattern.by_ref().take(4).fold(0_u64, |number, byte| number << 8 | u64::from(byte));
        number % bound
    }

    pub(crate) fn once_in(&self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// A region whose calls fail once in so many times.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) region: Region,
    pub(crate) draws: Draws,
    pub(crate) once_in: u64,
}

impl Faulty {
    /// What a write meets: nothing, an error before it, or an error after it.
    async fn write<T>(&self, write: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let lost = || Err(StoreError::new(StoreErrorKind::Indeterminate, "the answer is lost"));
        match self.draws.below(self.once_in) {
            0 => Err(StoreError::new(StoreErrorKind::Throttled, "too fast")),
            1 => lost(),
            2 => {
                write.await?;
                lost()
            }
            _ => write.await,
        }
    }

    async fn read<T>(&self, read: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        if self.draws.once_in(self.once_in) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "not reached"));
        }
        read.await
    }
}

impl JobLedger for Faulty {
    fn get(&self, id: JobId) -> BoxFuture<'_, StoreResult<Option<Job>>> {
        self.read(JobLedger::get(&self.region, id)).boxed()
    }

    fn create<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        self.write(self.region.create(job)).boxed()
    }

    fn replace<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>> {
        self.write(self.region.replace(job)).boxed()
    }

    fn remove(&self, id: JobId, rev: u64) -> BoxFuture<'_, StoreResult<Put>> {
        self.write(self.region.remove(id, rev)).boxed()
    }

    fn due<'a>(
        &'a self,
        shard: u16,
        now: Millis,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        self.read(self.region.due(shard, now, after, limit)).boxed()
    }

    fn waiting<'a>(&'a self, tenant: &'a TenantId, limit: u16) -> BoxFuture<'a, StoreResult<Vec<Waiting>>> {
        self.read(self.region.waiting(tenant, limit)).boxed()
    }

    fn load<'a>(&'a self, tenant: &'a TenantId, most: u32) -> BoxFuture<'a, StoreResult<Load>> {
        self.read(self.region.load(tenant, most)).boxed()
    }

    fn live<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>> {
        self.read(self.region.live(tenant, after, limit)).boxed()
    }

    fn first_turn<'a>(&'a self, route: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<(u64, JobId)>>> {
        self.read(self.region.first_turn(route)).boxed()
    }
}

impl Runs for Faulty {
    fn record<'a>(&'a self, job: &'a Job, event: &'a JobEvent) -> BoxFuture<'a, StoreResult<()>> {
        self.write(self.region.record(job, event)).boxed()
    }

    fn history(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<JobEvent>>> {
        self.read(self.region.history(job)).boxed()
    }
}

impl Notify for Faulty {
    fn publish<'a>(&'a self, kind: EventKind, event: &'a Value) -> BoxFuture<'a, StoreResult<()>> {
        self.write(self.region.publish(kind, event)).boxed()
    }
}
