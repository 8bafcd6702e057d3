//! Object versions whose event was lost: the ingest buckets are listed against the ledger.
//!
//! # Crash consistency
//! The place in a listing is kept after every page. A page that was not finished is listed again, and what it has made is
//! known already.

use std::time::Duration;

use eft_domain::{BucketName, JobId, Millis, ObjectKey, VersionId, message::Created, route::RouteTable};
use eft_router::{Outcome, RouteError, names};
use futures::{StreamExt, future, stream};

use crate::{CONCURRENT, Deadline, ObjectEntry, Report, Sweep};

/// Versions that are listed at once; S3 gives at most 1,000.
const PAGE: u16 = 1_000;

/// What became of a version.
enum Seen {
    /// It is none of the sweep's business.
    Passed,
    /// It had no row.
    Found(Box<Outcome>, u64),
}

impl Sweep {
    /// List the buckets from where the last sweep stopped, and do what the lost events would have done.
    pub(crate) async fn versions(&self, deadline: Deadline, report: &mut Report) {
        let mut lists: Vec<_> = self
            .router
            .buckets
            .iter()
            .flat_map(|(logical, bucket)| {
                self.settings.prefixes.iter().map(move |prefix| (logical, bucket, prefix))
            })
            .collect();
        // A large bucket must not be the only one that is ever looked at.
        if !lists.is_empty() {
            let first = self.router.desk.clock.now().0 / 60_000 % lists.len() as u64;
            lists.rotate_left(usize::try_from(first).unwrap_or_default());
        }
        for (logical, bucket, prefix) in lists {
            match self.list(logical, bucket, prefix, deadline, report).await {
                Ok(()) => report.listings_ended += 1,
                Err(Stop::Budget) => {
                    report.out_of_time = true;
                    return;
                }
                Err(Stop::Halted) => {}
                Err(Stop::Error(error)) => self.failed(report, "listing", bucket.as_str(), &error),
            }
        }
    }

    async fn list(
        &self,
        logical: &str,
        bucket: &BucketName,
        prefix: &str,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<(), Stop> {
        let place = format!("sweep#{logical}#{prefix}");
        let mut after: Option<String> = self.place(&place).await?;
        loop {
            if deadline.is_over() || report.found_bytes >= self.settings.bytes {
                return Err(Stop::Budget);
            }
            let page = self.listing.versions(bucket, prefix, after.as_deref(), PAGE).await?;
            let catalog = &self.router.desk.catalog;
            let (table, tenants) = future::try_join(catalog.routes(), catalog.tenants()).await?;
            // The events of these are refused as well. It must not look as if the ledger were down.
            let waits = |entry: &ObjectEntry| {
                let owner = RouteTable::tenant_of(&entry.key);
                table.may_be_unreadable(&entry.key) || owner.is_some_and(|id| tenants.get(&id).is_err())
            };
            let (waiting, entries): (Vec<_>, Vec<_>) = page.items.into_iter().partition(waits);
            report.listed += waiting.len() as u64;
            let (versions, failed) =
                (entries.len(), self.look_for(logical, bucket, &table, entries, report).await);
            // One that could not be looked at has its turn with the next listing and stops no other; where none could, the
            // ledger is down, and the next sweep begins here.
            if versions > 0 && failed == versions {
                return Err(Stop::Halted);
            }
            after = page.next;
            self.keep(&place, &after).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// How many could not be looked at.
    async fn look_for(
        &self,
        logical: &str,
        bucket: &BucketName,
        table: &RouteTable,
        entries: Vec<ObjectEntry>,
        report: &mut Report,
    ) -> usize {
        let mut failed = 0;
        let mut found = Vec::new();
        let looks = stream::iter(entries).map(|entry| async move {
            let looked = self.look_for_one(logical, bucket, table, &entry).await;
            (entry, looked)
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(CONCURRENT));
        while let Some((entry, looked)) = looks.next().await {
            report.listed += 1;
            match looked {
                Ok(Seen::Passed) => {}
                Ok(Seen::Found(outcome, bytes)) => {
                    report.found += 1;
                    report.found_bytes = report.found_bytes.saturating_add(bytes);
                    found.push(*outcome);
                }
                Err(error) => {
                    failed += 1;
                    self.failed(report, "version", &entry.key, &error);
                }
            }
        }
        match self.router.release(&found).await {
            Ok(sent) => report.released += sent as u64,
            Err(error) => self.failed(report, "release", "", &error),
        }
        failed
    }

    async fn look_for_one(
        &self,
        logical: &str,
        bucket: &BucketName,
        table: &RouteTable,
        entry: &ObjectEntry,
    ) -> Result<Seen, RouteError> {
        let desk = &self.router.desk;
        let now = desk.clock.now();
        if entry.last_modified.plus(self.settings.grace) > now || is_forgotten(entry, desk.retention.0, now) {
            return Ok(Seen::Passed);
        }
        // What S3 lists and we have no name for is nobody's file.
        let (Ok(key), Ok(version)) = (entry.key.parse::<ObjectKey>(), entry.version_id.parse::<VersionId>())
        else {
            return Ok(Seen::Passed);
        };
        if names::ignored(&entry.key, entry.size).is_some() || names::base_of(table, &entry.key).is_some() {
            return Ok(Seen::Passed);
        }
        let arrival = eft_domain::Arrival {
            bucket: logical.to_owned(),
            key: entry.key.clone(),
            version_id: entry.version_id.clone(),
        };
        let expected = match table.select(&entry.key) {
            Some(route) => JobId::of(&route.effective_id(), &arrival),
            None => JobId::unrouted(&arrival),
        };
        if desk.ledger.get(expected).await?.is_some()
            || desk.ledger.get(JobId::unrouted(&arrival)).await?.is_some()
            || self.router.taken_before(table, &arrival).await?.is_some()
        {
            return Ok(Seen::Passed);
        }
        let event = Created {
            bucket: bucket.clone(),
            key,
            version_id: Some(version),
            etag: entry.etag.clone(),
            size: Some(entry.size),
            sequencer: None,
            reason: None,
        };
        let outcome = self.router.created(&event, None).await?;
        Ok(Seen::Found(Box::new(outcome), entry.size))
    }
}

/// Whether the row of a version may have been removed because its time was over: it must not be run once more.
fn is_forgotten(entry: &ObjectEntry, retention: Duration, now: Millis) -> bool {
    entry.last_modified.plus(retention) <= now
}

/// Why a listing stops before its end.
enum Stop {
    Budget,
    Halted,
    Error(eft_store::StoreError),
}

impl From<eft_store::StoreError> for Stop {
    fn from(error: eft_store::StoreError) -> Self {
        Self::Error(error)
    }
}
