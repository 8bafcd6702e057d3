//! The ports: what the control plane asks of its stores, queues and topics.
//!
//! # Failure handling
//! Every error says whether what was asked may have happened all the same ([`StoreErrorKind::Indeterminate`]). Conditional
//! writes of the ledger are made so that asking again tells: see [`Desk`](crate::Desk).
//!
//! # Cancellation
//! A dropped future may have written or not, like an indeterminate error.

use std::sync::Arc;

use eft_domain::{
    Job, JobId, Millis, Partner, PartnerId, Route, RouteId, RouteRevision, Tenant, TenantId,
    job::{EventKind, JobEvent, ReceiptKey},
    message::{RunRequest, WorkMessage},
    route::RouteTable,
    sftp::{SftpName, SftpUser},
};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    summary::{JobFilter, RunSummary},
    tenants::Tenants,
};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Too fast; nothing was done.
    Throttled,
    /// Nothing was done, and later it may be.
    Unavailable,
    /// It may have been done.
    Indeterminate,
    /// Not with these credentials; nothing was done.
    Denied,
    /// It will never be done: the request or what is stored is wrong.
    Permanent,
}

/// Why a store, queue or topic did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What a caller acts on.
    pub kind: StoreErrorKind,
    /// What and where; lower case, no full stop.
    pub message: String,
}

impl StoreError {
    /// An error.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::Throttled | StoreErrorKind::Unavailable | StoreErrorKind::Indeterminate
        )
    }
}

/// The result of a port.
pub type StoreResult<T> = Result<T, StoreError>;

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It stands.
    Done,
    /// The condition did not hold; nothing was written.
    Stale,
}

/// Some of a list, and where the next of it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// These.
    pub items: Vec<T>,
    /// Where to go on; none at the end.
    pub next: Option<String>,
}

/// A job, as its tenant's share sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSize {
    /// Which.
    pub job: JobId,
    /// Bytes of its source.
    pub size: u64,
}

/// What of a tenant is in queues and in workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs.
    pub jobs: u32,
    /// Bytes of their sources.
    pub bytes: u64,
}

impl Load {
    /// What jobs of these sizes are together.
    pub fn of(sizes: impl IntoIterator<Item = u64>) -> Self {
        sizes.into_iter().fold(Self::default(), |load, size| Self {
            jobs: load.jobs.saturating_add(1),
            bytes: load.bytes.saturating_add(size),
        })
    }
}

/// Shards of [`JobLedger::due`], so that no index key takes all writes: DynamoDB takes 1,000 writes a second a key.
pub const DUE_SHARDS: u16 = 16;

/// The table `jobs`: one row a job, strongly consistent in both regions.
pub trait JobLedger: Send + Sync {
    /// The row now.
    fn get(&self, id: JobId) -> BoxFuture<'_, StoreResult<Option<Job>>>;

    /// Write the first row of a job; `Stale` where one stands.
    fn create<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>>;

    /// Write the row over the one with the revision before ([`Job::rev`] − 1); `Stale` where another stands.
    fn replace<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, StoreResult<Put>>;

    /// Remove the row with this revision; `Stale` where another or none stands.
    fn remove(&self, id: JobId, rev: u64) -> BoxFuture<'_, StoreResult<Put>>;

    /// Rows of a shard (from 0, less than [`DUE_SHARDS`]) that are due by `now`, those due longest first. What was
    /// written a moment ago may be missing or stand at its place before.
    fn due<'a>(
        &'a self,
        shard: u16,
        now: Millis,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>>;

    /// Accepted jobs of a tenant that are in no queue, those that came first first; at most `limit`. As late as
    /// [`due`](Self::due).
    fn waiting<'a>(&'a self, tenant: &'a TenantId, limit: u16) -> BoxFuture<'a, StoreResult<Vec<JobSize>>>;

    /// Jobs of a tenant that are in queues and in workers, `most` of them at most, in any order. As late as
    /// [`due`](Self::due).
    fn in_flight<'a>(&'a self, tenant: &'a TenantId, most: u32) -> BoxFuture<'a, StoreResult<Vec<JobSize>>>;

    /// Jobs of a tenant that are accepted, owned or held: all that may have a checkpoint. As late as [`due`](Self::due).
    fn live<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<JobId>>>;

    /// The unfinished job of a route whose turn is the first. As late as [`due`](Self::due).
    fn first_turn<'a>(&'a self, route: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<(u64, JobId)>>>;
}

/// The table `runs`: the history, append-only (G11), and the receipts.
pub trait Runs: Send + Sync {
    /// Keep a change, and how its run stands with it. The same again changes nothing.
    fn record<'a>(&'a self, job: &'a Job, event: &'a JobEvent) -> BoxFuture<'a, StoreResult<()>>;

    /// The changes of a job, in order.
    fn history(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<JobEvent>>>;

    /// Jobs of a tenant, or of nobody, each with its latest run, those that changed last first, behind this place. As late
    /// as [`JobLedger::due`].
    fn jobs<'a>(
        &'a self,
        tenant: Option<&'a TenantId>,
        filter: &'a JobFilter,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RunSummary>>>;

    /// How each run of a job stands, the first first.
    fn runs(&self, job: JobId) -> BoxFuture<'_, StoreResult<Vec<RunSummary>>>;

    /// Keep the text of a receipt, of any length. It stands before the row says so; one that no row names is of an owner
    /// that was one no more.
    fn keep_receipt<'a>(
        &'a self,
        job: JobId,
        key: ReceiptKey,
        text: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// The text of a receipt; none where none is kept, or where it has not come to this region yet.
    fn receipt(&self, job: JobId, key: ReceiptKey) -> BoxFuture<'_, StoreResult<Option<String>>>;
}

/// A change of a route: what it was made to be, by whom. The latest is how the route stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChange {
    /// Which route. No two tenants have one of the same name.
    pub id: RouteId,
    /// Whose.
    pub tenant: TenantId,
    /// What it says.
    pub revision: RouteRevision,
    /// It takes no files for now.
    #[serde(default)]
    pub paused: bool,
    /// Which change this is, from 1.
    pub number: u64,
    /// When it was made.
    pub at: Millis,
    /// Who made it.
    pub by: String,
}

/// The table `config`: tenants, their partners and users, routes and their revisions.
pub trait Catalog: Send + Sync {
    /// The active routes; at most a few seconds old.
    fn routes(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>>;

    /// The active routes as they are now: for whoever saves one.
    fn routes_now(&self) -> BoxFuture<'_, StoreResult<Arc<RouteTable>>>;

    /// A revision of a route; revisions never change and are never removed.
    fn route<'a>(
        &'a self,
        id: &'a RouteId,
        revision: RouteRevision,
    ) -> BoxFuture<'a, StoreResult<Option<Arc<Route>>>>;

    /// A tenant; at most a few seconds old. One that cannot be read is a permanent error.
    fn tenant<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>>;

    /// All tenants, and which of them cannot be read.
    fn tenants(&self) -> BoxFuture<'_, StoreResult<Tenants>>;

    /// A tenant as it is now: for whoever changes it.
    fn tenant_now<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>>;

    /// Store a tenant if `before` is what stands there now (none: no tenant of this id).
    fn save_tenant<'a>(
        &'a self,
        tenant: &'a Tenant,
        before: Option<&'a Tenant>,
    ) -> BoxFuture<'a, StoreResult<Put>>;

    /// A user of the SFTP server.
    fn sftp_user<'a>(&'a self, name: &'a SftpName) -> BoxFuture<'a, StoreResult<Option<SftpUser>>>;

    /// The users of a tenant, in the order of their names, behind this name. A page may have fewer than `limit` though more
    /// follow.
    fn sftp_users<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a SftpName>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<SftpUser>>>;

    /// Store a user if `before` is what stands there now (none: no user of this name).
    fn save_sftp_user<'a>(
        &'a self,
        user: &'a SftpUser,
        before: Option<&'a SftpUser>,
    ) -> BoxFuture<'a, StoreResult<Put>>;

    /// Remove a user if this is what stands there now. Its name is free again.
    fn remove_sftp_user<'a>(&'a self, user: &'a SftpUser) -> BoxFuture<'a, StoreResult<Put>>;

    /// A partner of a tenant.
    fn partner<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: &'a PartnerId,
    ) -> BoxFuture<'a, StoreResult<Option<Partner>>>;

    /// The partners of a tenant, in the order of their names, behind this name.
    fn partners<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a PartnerId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<Partner>>>;

    /// Store a partner if `before` is what stands there now (none: no partner of this name). Nothing keeps a user from
    /// being given to it, or taken from it, meanwhile: a login looks at both.
    fn save_partner<'a>(
        &'a self,
        partner: &'a Partner,
        before: Option<&'a Partner>,
    ) -> BoxFuture<'a, StoreResult<Put>>;

    /// Remove a partner if this is what stands there now.
    fn remove_partner<'a>(&'a self, partner: &'a Partner) -> BoxFuture<'a, StoreResult<Put>>;

    /// Store a tenant as it now is, whatever stands there.
    fn put_tenant<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, StoreResult<()>>;

    /// How a route stands now: its latest change.
    fn head<'a>(&'a self, id: &'a RouteId) -> BoxFuture<'a, StoreResult<Option<RouteChange>>>;

    /// How the routes of a tenant stand, in the order of their names, behind this name. A page may have fewer than `limit`
    /// though more follow.
    fn heads<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<&'a RouteId>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>>;

    /// Store a revision of a route and a change that names it, if `before` is how the route stands now (none: no route of
    /// this id). Changes are numbered without gaps. Ties and foreign places were refused by
    /// [`admit`](crate::admission::admit_route).
    fn save_route<'a>(
        &'a self,
        route: &'a Route,
        change: &'a RouteChange,
        before: Option<&'a RouteChange>,
    ) -> BoxFuture<'a, StoreResult<Put>>;

    /// A change of a route; changes never change and are never removed.
    fn change<'a>(&'a self, id: &'a RouteId, number: u64) -> BoxFuture<'a, StoreResult<Option<RouteChange>>>;

    /// The changes of a route, the latest first, before this number.
    fn changes<'a>(
        &'a self,
        id: &'a RouteId,
        before: Option<u64>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<RouteChange>>>;

    /// [`save_route`](Self::save_route) for whoever has no change to tell of: a revision becomes the active one if `before`
    /// is active now.
    fn put_route<'a>(
        &'a self,
        route: &'a Route,
        before: Option<RouteRevision>,
    ) -> BoxFuture<'a, StoreResult<Put>> {
        async move {
            let (Some(id), Some(tenant)) = (route.id.clone(), route.tenant.clone()) else {
                let message = "a route without an id or a tenant cannot be stored";
                return Err(StoreError::new(StoreErrorKind::Permanent, message));
            };
            let head = self.head(&id).await?;
            if head.as_ref().map(|head| head.revision) != before {
                return Ok(Put::Stale);
            }
            let change = RouteChange {
                id,
                tenant,
                revision: route.revision(),
                paused: head.as_ref().is_some_and(|head| head.paused),
                number: head.as_ref().map_or(0, |head| head.number) + 1,
                at: Millis::default(),
                by: "platform".to_owned(),
            };
            self.save_route(route, &change, head.as_ref()).await
        }
        .boxed()
    }
}

/// The table `keys`: small facts that are kept for a time, strongly consistent in both regions.
pub trait Keys: Send + Sync {
    /// Keep a value under a key unless one that has not expired stands there, which is then given back.
    fn put_new<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Option<String>>>;

    /// Keep a value under a key, whatever stands there.
    fn put<'a>(&'a self, key: &'a str, value: &'a str, expires: Millis) -> BoxFuture<'a, StoreResult<()>>;

    /// Keep a value under a key if `before` is what stands there now (none: nothing that has not expired).
    fn swap<'a>(
        &'a self,
        key: &'a str,
        before: Option<&'a str>,
        value: &'a str,
        expires: Millis,
        now: Millis,
    ) -> BoxFuture<'a, StoreResult<Put>>;

    /// The value of a key that has not expired.
    fn get<'a>(&'a self, key: &'a str, now: Millis) -> BoxFuture<'a, StoreResult<Option<String>>>;

    /// The next number of a counter, from 1. No number is given twice; some may be left out.
    fn next<'a>(&'a self, counter: &'a str) -> BoxFuture<'a, StoreResult<u64>>;

    /// Remove some keys that have expired, those that did first first; returns how many. Where none was, there are no
    /// more to be seen. Nobody is given such a key any more: they are removed only to make room.
    fn remove_expired(&self, now: Millis) -> BoxFuture<'_, StoreResult<usize>>;
}

/// The queues and state machines that runs are given to.
pub trait Dispatch: Send + Sync {
    /// Put a message into `work.fifo`. The same message again within five minutes is one message.
    fn send<'a>(&'a self, message: &'a WorkMessage, group: &'a str) -> BoxFuture<'a, StoreResult<()>>;

    /// Start the state machine; fine where an execution of that name was started.
    fn start<'a>(&'a self, request: &'a RunRequest) -> BoxFuture<'a, StoreResult<()>>;
}

/// The topics.
pub trait Notify: Send + Sync {
    /// Publish a CloudEvent to the topic of all events, and to that of its kind.
    fn publish<'a>(&'a self, kind: EventKind, event: &'a Value) -> BoxFuture<'a, StoreResult<()>>;
}
