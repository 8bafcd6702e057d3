//! The sweep: what was lost is found, what is late is done.
//!
//! # Overview
//! Queues and events are doorbells; the ledger is the truth. The sweep is what makes that so: it looks at every row that is
//! due ([`due`]), at every object version under the ingest buckets that has no row ([`versions`]), puts into queues what
//! waits ([`Sweep::run`]), removes facts that have expired, and ends uploads that nobody will ([`uploads`]). It does nothing that the router, a worker or
//! another sweep does not do in the same way, so any number of them may run at once.
//!
//! # Failure handling
//! A row or version that cannot be looked at is counted, logged and left to the next sweep; it stops nothing else.
//!
//! # Cancellation
//! Every step stands by itself. The place in the listing is kept after every page.

pub mod config;
pub mod due;
pub mod port;
pub mod report;
pub mod s3;
pub mod uploads;
pub mod versions;

use std::{sync::Arc, time::Duration};

use eft_domain::TenantId;
use eft_router::{Router, handler::Log};
use eft_store::{StoreError, StoreErrorKind, StoreResult};
use futures::future;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::Instant;

pub use config::Settings;
pub use port::{Listing, ObjectEntry, UploadEntry, Uploads};
pub use report::Report;

/// Rows, versions and uploads that are looked at at once.
const CONCURRENT: usize = 16;

/// Turns of releasing in a sweep: each looks at the first hundred jobs of every tenant.
const RELEASES: usize = 10;

/// Time between them, for the index of those that wait to leave out what was just sent: the hundred behind them are seen only
/// then. Ten times what an index of DynamoDB usually takes.
const INDEX_LAG: Duration = Duration::from_secs(1);

/// How long a place is kept. Where it is lost one begins anew.
const PLACE_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Everything that a sweep takes.
pub struct Sweep {
    /// Makes jobs of what was lost.
    pub router: Router,
    /// What stands in the ingest buckets.
    pub listing: Arc<dyn Listing>,
    /// Uploads that were not ended.
    pub uploads: Arc<dyn Uploads>,
    /// How far it goes.
    pub settings: Settings,
    /// Where lines of its log go.
    pub log: Log,
}

/// When a part of a sweep stops.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// This share of the whole time, in percent, from `start`.
    fn share(start: Instant, whole: Duration, percent: u32) -> Self {
        Self(start + whole * percent / 100)
    }

    /// Whether it has come.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.0
    }
}

impl Sweep {
    /// One sweep. Rows that are due come first, then what waits, then the buckets from where the last sweep stopped, and
    /// uploads last: each part has its share of the time, so that none starves the next.
    pub async fn run(&self) -> Report {
        let (start, whole) = (Instant::now(), self.settings.time);
        let mut report = Report::default();
        self.unreadable(&mut report).await;
        self.due(Deadline::share(start, whole, 40), &mut report).await;
        self.release(Deadline::share(start, whole, 50), &mut report).await;
        self.versions(Deadline::share(start, whole, 80), &mut report).await;
        self.release(Deadline::share(start, whole, 90), &mut report).await;
        self.forget(Deadline::share(start, whole, 95), &mut report).await;
        self.end_uploads(Deadline::share(start, whole, 100), &mut report).await;
        report.millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        report
    }

    /// Say once what is passed over below: tenants and routes that cannot be read, whose files wait until they can.
    async fn unreadable(&self, report: &mut Report) {
        let catalog = &self.router.desk.catalog;
        let (tenants, routes) = match future::try_join(catalog.tenants(), catalog.routes()).await {
            Ok(all) => all,
            Err(error) => return self.failed(report, "tenants", "", &error),
        };
        for (id, error) in tenants.unreadable() {
            self.failed(report, "tenant", id.as_str(), &error);
        }
        let unreadable = tenants.unreadable().map(|(id, _)| id);
        for tenant in tenants.readable().map(|tenant| &tenant.id).chain(unreadable) {
            for (id, why) in routes.unreadable(tenant) {
                let error = StoreError::new(StoreErrorKind::Permanent, format!("it cannot be read: {why}"));
                self.failed(report, "route", id.as_str(), &error);
            }
        }
    }

    async fn release(&self, deadline: Deadline, report: &mut Report) {
        let desk = &self.router.desk;
        let tenants: Vec<TenantId> = match desk.catalog.tenants().await {
            Ok(tenants) => tenants.readable().map(|tenant| tenant.id.clone()).collect(),
            Err(error) => return self.failed(report, "tenants", "", &error),
        };
        for _ in 0..RELEASES {
            match desk.release(&tenants).await {
                Ok(0) => break,
                Ok(sent) => report.released += sent as u64,
                Err(error) => return self.failed(report, "release", "", &error),
            }
            tokio::time::sleep(INDEX_LAG).await;
            if deadline.is_over() {
                report.out_of_time = true;
                break;
            }
        }
    }

    /// Remove facts that have expired, until none is left or the time is over: the next sweep goes on with those that have
    /// expired first.
    async fn forget(&self, deadline: Deadline, report: &mut Report) {
        let desk = &self.router.desk;
        loop {
            match desk.keys.remove_expired(desk.clock.now()).await {
                Ok(0) => return,
                Ok(removed) => report.forgotten += removed as u64,
                Err(error) => return self.failed(report, "keys", "", &error),
            }
            if deadline.is_over() {
                report.out_of_time = true;
                return;
            }
        }
    }

    /// Where an earlier sweep stopped.
    async fn place<T: DeserializeOwned + Default>(&self, key: &str) -> StoreResult<T> {
        let desk = &self.router.desk;
        let kept = desk.keys.get(key, desk.clock.now()).await?;
        Ok(kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    async fn keep<T: Serialize>(&self, key: &str, place: &T) -> StoreResult<()> {
        let desk = &self.router.desk;
        let text = serde_json::to_string(place).unwrap_or_default();
        desk.keys.put(key, &text, desk.clock.now().plus(PLACE_KEPT)).await
    }

    /// Count and log what could not be done.
    fn failed(&self, report: &mut Report, what: &str, of: &str, error: &dyn std::error::Error) {
        report.errors += 1;
        (self.log)(
            json!({ "level": "WARN", "event": "sweep", "what": what, "of": of, "error": error.to_string() }),
        );
    }
}
