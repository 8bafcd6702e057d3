//! From an object version to its row: which route, whether it is whole, and what the route says of it.

use std::sync::Arc;

use eft_domain::{
    Arrival, Command, Job, JobId, JobState, Route, TenantId,
    job::{Arrived, PinnedRoute, RouteTurn, Runner},
    route::{CompleteWhen, Ordering, RouteTable},
};
use eft_store::{ChangeError, StoreError, StoreErrorKind};

use crate::{
    complete::{ASK_AGAIN, Completeness, sighting_of},
    names,
    route::{Outcome, RouteError, Router, Sighting, What},
    trace,
};

/// Which route takes a key.
enum Choice {
    /// This one.
    Taken(Arc<Route>, TenantId),
    /// None, and why.
    None(String),
}

impl Sighting {
    /// What arrived.
    pub fn arrival(&self) -> Arrival {
        Arrival {
            bucket: self.logical.clone(),
            key: self.key.to_string(),
            version_id: self.version_id.clone(),
        }
    }
}

impl Router {
    /// Make the row of an object version, or look again at the one that is there.
    pub(crate) async fn settle(
        &self,
        table: &RouteTable,
        seen: &Sighting,
        trace: Option<&str>,
    ) -> Result<Outcome, RouteError> {
        match self.choose(table, seen.key.as_str()).await? {
            Choice::Taken(route, tenant) => {
                // An event that comes again, after a route was put before the one that took the file.
                let others = table.taking(seen.key.as_str()).filter(|other| other.id != route.id);
                if let Some(job) = self.taken_by(others, &seen.arrival()).await? {
                    return self.again(job).await;
                }
                self.take(&route, tenant, seen, trace).await
            }
            Choice::None(reason) => {
                if let Some(job) = self.taken_before(table, &seen.arrival()).await? {
                    return Ok(Outcome::known(job));
                }
                let arrived = self.arrived(seen, trace);
                let (job, is_new) = self.desk.begin(&arrived, &Command::Unrouted { reason }).await?;
                if is_new { Ok(Outcome::of(self.told(job).await)) } else { Ok(Outcome::known(job)) }
            }
        }
    }

    async fn choose(&self, table: &RouteTable, key: &str) -> Result<Choice, RouteError> {
        readable(table, key)?;
        let Some(route) = table.select(key) else {
            if let Some(route) = table.route_of(key) {
                let id = route.effective_id();
                return Ok(Choice::None(format!("route {id}, which takes this key, is paused")));
            }
            let reason = match RouteTable::tenant_of(key) {
                Some(tenant) if self.desk.catalog.tenant(&tenant).await?.is_some() => {
                    format!("no route of tenant {tenant} takes this key")
                }
                Some(tenant) => format!("no route takes this key, and there is no tenant {tenant}"),
                None => "no route takes this key, and it is under no tenant's prefix `tenants/<tenant>/`"
                    .to_owned(),
            };
            return Ok(Choice::None(reason));
        };
        let id = route.effective_id();
        let Some(owner) = &route.tenant else {
            return Ok(Choice::None(format!("route {id} is of no tenant")));
        };
        let Some(tenant) = self.desk.catalog.tenant(owner).await? else {
            return Ok(Choice::None(format!("route {id} is of tenant {owner}, which there is not")));
        };
        // It was checked when it was saved; what was stored behind the API's back, or before the tenant's places were
        // narrowed, must not reach another tenant's places all the same.
        match tenant.admit(route) {
            Ok(()) => Ok(Choice::Taken(Arc::clone(route), owner.clone())),
            Err(faults) => Ok(Choice::None(format!("route {id} may not be used: {}", faults.join("; ")))),
        }
    }

    async fn take(
        &self,
        route: &Arc<Route>,
        tenant: TenantId,
        seen: &Sighting,
        trace: Option<&str>,
    ) -> Result<Outcome, RouteError> {
        let command = match self.completeness(route, seen, self.desk.clock.now()).await? {
            Completeness::Whole => route.verdict(seen.size),
            Completeness::Wait { reason, until } => Command::Wait { reason, until },
        };
        self.begin(route, tenant, seen, &command, trace).await
    }

    /// An SFTP session broke: what it left behind waits for its sender to send it again.
    pub(crate) async fn broken(
        &self,
        table: &RouteTable,
        seen: &Sighting,
        trace: Option<&str>,
    ) -> Result<Outcome, RouteError> {
        let Choice::Taken(route, tenant) = self.choose(table, seen.key.as_str()).await? else {
            return Ok(Outcome::nothing(
                What::Noted,
                "the session broke before its end; no route takes the key",
            ));
        };
        if route.complete_when != CompleteWhen::TransferEvent {
            return Ok(Outcome::nothing(
                What::Noted,
                "the session broke before its end; the route does not ask for it",
            ));
        }
        if self.completeness(&route, seen, self.desk.clock.now()).await? == Completeness::Whole {
            return self.take(&route, tenant, seen, trace).await;
        }
        let reason = "the SFTP session broke before the upload had come to its end".to_owned();
        self.begin(&route, tenant, seen, &Command::Wait { reason, until: ASK_AGAIN }, trace).await
    }

    async fn begin(
        &self,
        route: &Arc<Route>,
        tenant: TenantId,
        seen: &Sighting,
        command: &Command,
        trace: Option<&str>,
    ) -> Result<Outcome, RouteError> {
        let pinned = PinnedRoute { id: route.effective_id(), revision: self.revision(route) };
        let mut arrived = Arrived {
            tenant: Some(tenant),
            runner: route.runner(seen.size),
            route: Some(pinned),
            ..self.arrived(seen, trace)
        };
        if let Ordering::Strict(head_of_line) = route.ordering {
            // A turn that no job has is passed over, but not one for every duplicate. The claim is the row, not the turn: a
            // router that stalls between the two has its file go after those that were claimed and delivered meanwhile, as
            // a file goes whose event is late.
            if let Some(job) = self.desk.ledger.get(arrived.job_id()).await? {
                return self.again(job).await;
            }
            let counter = format!("turn#{}", route.effective_id());
            let number = self.desk.keys.next(&counter).await?;
            arrived.turn = Some(RouteTurn { number, head_of_line });
        }
        let (job, is_new) = self.desk.begin(&arrived, command).await?;
        if is_new { Ok(Outcome::of(self.told(job).await)) } else { self.again(job).await }
    }

    fn arrived(&self, seen: &Sighting, trace: Option<&str>) -> Arrived {
        Arrived {
            arrival: seen.arrival(),
            size: seen.size,
            etag: seen.etag.clone(),
            at: self.desk.clock.now(),
            tenant: None,
            route: None,
            runner: Runner::default(),
            turn: None,
            trace: Some(trace::of(trace, &self.tracer)),
        }
    }

    /// The row was there. What it waits for may have come since.
    async fn again(&self, job: Job) -> Result<Outcome, RouteError> {
        if job.state == JobState::Incomplete { self.recheck(job).await } else { Ok(Outcome::known(job)) }
    }

    /// Look again whether a file is whole that was not. What is due and still not whole is looked at again later.
    ///
    /// # Errors
    /// As [`Router::ingest`]; also where the catalog does not have the route's revision yet.
    pub async fn recheck(&self, job: Job) -> Result<Outcome, RouteError> {
        if job.state != JobState::Incomplete {
            return Ok(Outcome::known(job));
        }
        let route = self.desk.route_of(&job).await?.ok_or_else(|| {
            let message = format!("the route of job {} is not in the catalog of this region", job.id);
            StoreError::new(StoreErrorKind::Unavailable, message)
        })?;
        let seen = self.sighting(&job)?;
        let command = match self.completeness(&route, &seen, job.arrived_at).await? {
            Completeness::Whole => route.verdict(job.size),
            Completeness::Wait { reason, until } => {
                let now = self.desk.clock.now();
                if job.hold.and_then(|hold| hold.retry_at).is_some_and(|at| at > now) {
                    return Ok(Outcome::known(job));
                }
                Command::Wait { reason, until }
            }
        };
        let id = job.id;
        match self.desk.change_from(job, &command).await {
            Ok(job) => Ok(Outcome::of(self.told(job).await)),
            // Somebody else was told the same at the same time.
            Err(ChangeError::Refused(_)) => {
                let job = self.desk.ledger.get(id).await?.ok_or(ChangeError::Unknown(id))?;
                Ok(Outcome::known(job))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ask the routes again about an object version that none of them took.
    ///
    /// # Errors
    /// As [`Router::ingest`].
    pub async fn reroute(&self, record: Job) -> Result<Outcome, RouteError> {
        if record.state != JobState::Unrouted {
            return Ok(Outcome::known(record));
        }
        let (table, seen) = (self.desk.catalog.routes().await?, self.sighting(&record)?);
        readable(&table, seen.key.as_str())?;
        if let Some(base) = names::base_of(&table, seen.key.as_str()) {
            let outcome =
                self.control_file(&table, &seen.bucket, &seen.logical, base, record.trace.as_deref()).await?;
            self.cancel(&record, names::CONTROL_FILE.to_owned()).await?;
            return Ok(outcome);
        }
        match self.choose(&table, seen.key.as_str()).await? {
            Choice::Taken(route, tenant) => {
                let outcome = self.take(&route, tenant, &seen, record.trace.as_deref()).await?;
                self.cancel(&record, format!("taken by route {}", route.effective_id())).await?;
                Ok(outcome)
            }
            Choice::None(reason) => {
                let job = self.desk.change_from(record, &Command::Unrouted { reason }).await?;
                Ok(Outcome::of(self.told(job).await))
            }
        }
    }

    async fn cancel(&self, record: &Job, reason: String) -> Result<(), RouteError> {
        match self.desk.change_and_tell(record.id, &Command::Cancel { reason }).await {
            Ok(_) | Err(ChangeError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The job that a route of the key's tenant has made of an object version, if any: a route that has since been changed
    /// to take other keys, or one that a newer route stands before.
    ///
    /// # Errors
    /// The ledger was not reached.
    pub async fn taken_before(
        &self,
        table: &RouteTable,
        arrival: &Arrival,
    ) -> Result<Option<Job>, RouteError> {
        let Some(tenant) = RouteTable::tenant_of(&arrival.key) else { return Ok(None) };
        let own = table.routes().filter(|route| route.tenant.as_ref() == Some(&tenant));
        self.taken_by(own, arrival).await
    }

    /// The job that one of these routes has made of an object version: each costs a read of the ledger.
    async fn taken_by(
        &self,
        routes: impl Iterator<Item = &Arc<Route>>,
        arrival: &Arrival,
    ) -> Result<Option<Job>, RouteError> {
        for route in routes {
            if let Some(job) = self.desk.ledger.get(JobId::of(&route.effective_id(), arrival)).await? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    fn sighting(&self, job: &Job) -> Result<Sighting, RouteError> {
        let bucket = self.buckets.here(&job.arrival.bucket);
        let bucket = bucket.ok_or_else(|| RouteError::Bucket(job.arrival.bucket.clone()))?;
        let key = job.arrival.key.parse().map_err(|error| RouteError::Name(format!("{error}")))?;
        Ok(sighting_of(job, bucket.clone(), key))
    }

    /// The job with its changes told, as far as topics and history were reached: the sweep tells the rest.
    async fn told(&self, job: Job) -> Job {
        self.desk.tell(&job).await.unwrap_or(job)
    }
}

/// Whether all routes that may take a key can be read. Otherwise its event is kept, and the sweep finds the version once
/// they can.
pub(crate) fn readable(table: &RouteTable, key: &str) -> Result<(), RouteError> {
    let Some(tenant) = RouteTable::tenant_of(key) else { return Ok(()) };
    let Some((id, why)) = table.unreadable(&tenant).next() else { return Ok(()) };
    let message = format!("route {id} of tenant {tenant} might take this key, and cannot be read: {why}");
    Err(StoreError::new(StoreErrorKind::Permanent, message).into())
}
