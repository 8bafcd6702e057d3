//! Putting jobs into queues, as far as their tenants have room.
//!
//! # Overview
//! What a tenant has in flight is read from an index, and indexes follow the writes: of two releases within that lag each
//! would fill the whole quota. So a release first enters what it admits in the tenant's [`Book`], one value in the strongly
//! consistent table `keys`, and only if nobody has entered anything since it looked. Whoever comes next counts what the
//! index shows, and what is in the book and the index does not show yet.
//!
//! # Crash consistency
//! A job that was entered and never sent still waits, and may be admitted again after [`GRACE`]. One that is sent twice is
//! one message.
//!
//! # Limits
//! The book forgets what the index has shown once. Where one copy of the index is behind another, a release that reads it
//! may admit as many more as that one lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use eft_domain::{Job, JobId, Millis, Tenant, TenantId};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    admission::{self, Share},
    desk::{ChangeError, Desk, TRIES},
    index::{Line, line_of},
    port::{JobSize, Load, Put, StoreError, StoreErrorKind, StoreResult},
};

/// How long a job that was admitted is waited for to be sent: many times what sending takes.
const GRACE: Duration = Duration::from_secs(10);

/// How long a book that nobody writes is kept. Nothing in it counts by then.
const KEPT: Duration = Duration::from_secs(3600);

/// Jobs in a book. With more that the index does not show, there is no room until it does: the value stays below 16 KB.
const MOST_UNSEEN: usize = 200;

/// Rows read at once.
const CONCURRENT: usize = 16;

/// What was admitted of a tenant, as far as the index of what is in flight has not shown it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    /// Entries so far: what stands there once never stands there again.
    number: u64,
    admitted: Vec<Admitted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Admitted {
    job: JobId,
    size: u64,
    /// [`Job::sends`] before it is sent.
    sends: u32,
    at: Millis,
}

/// A tenant's share, and what its book was when it was made up.
struct Made {
    share: Share,
    /// What stands there, as text.
    before: Option<String>,
    /// That, without what the index shows or has ended.
    book: Book,
}

impl Desk {
    /// Put jobs of these tenants into queues, as far as each has room; returns how many.
    ///
    /// # Errors
    /// Ledger, catalog or queue were not reached, the first such error; what could be sent was, and the rest waits.
    pub async fn release(&self, tenants: &[TenantId]) -> Result<usize, ChangeError> {
        self.release_with(tenants.to_vec(), &[]).await
    }

    /// The same for the tenants of jobs that were just accepted, which the index of those that wait may not show yet: they
    /// need not wait for the sweep.
    ///
    /// # Errors
    /// As [`Desk::release`].
    pub async fn release_fresh(&self, fresh: &[Job]) -> Result<usize, ChangeError> {
        let tenants: BTreeSet<_> = fresh.iter().filter_map(|job| job.tenant.clone()).collect();
        self.release_with(tenants.into_iter().collect(), fresh).await
    }

    async fn release_with(&self, tenants: Vec<TenantId>, fresh: &[Job]) -> Result<usize, ChangeError> {
        let (mut open, mut sent, mut failed) = (tenants, 0, None);
        for turn in 0..TRIES {
            let mut made = Vec::new();
            for id in open.drain(..) {
                match self.make_up(&id, fresh).await {
                    Ok(share) => made.extend(share),
                    // One that cannot be read is in nobody's way; a store that cannot be reached is in everybody's.
                    Err(error) if error.kind == StoreErrorKind::Permanent => {
                        failed = failed.or(Some(error.into()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let order = admission::order(made.iter().map(|made| &made.share));
            let mut granted = BTreeMap::new();
            for made in made {
                match self.admit(&made, &order).await {
                    Ok(Some(jobs)) => granted.extend(jobs.into_iter().map(|job| (job.id, job))),
                    Ok(None) => open.push(made.share.tenant.id),
                    Err(error) => failed = failed.or(Some(error.into())),
                }
            }
            for job in order.iter().filter_map(|id| granted.get(id)) {
                // One that cannot be sent is in nobody's way.
                match self.send(job).await {
                    Ok(_) => sent += 1,
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            // Whoever was quicker every time has seen what waits, and admits it.
            if open.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(u64::from(10 * turn))).await;
        }
        failed.map_or(Ok(sent), Err)
    }

    /// The share of a tenant for which something waits.
    async fn make_up(&self, id: &TenantId, fresh: &[Job]) -> StoreResult<Option<Made>> {
        let Some(tenant) = self.catalog.tenant(id).await?.filter(|tenant| !tenant.paused) else {
            return Ok(None);
        };
        let waiting = self.waiting_of(&tenant, fresh).await?;
        if waiting.is_empty() {
            return Ok(None);
        }
        // Before the index: what is entered after this is not in it, and keeps us from entering.
        let now = self.clock.now();
        let before = self.keys.get(&place_of(id), now).await?;
        let book = before.as_deref().map_or_else(|| Ok(Book::default()), |text| read(id, text))?;
        let shown = self.ledger.in_flight(id, tenant.max_jobs).await?;
        let shown: BTreeMap<JobId, u64> = shown.into_iter().map(|job| (job.job, job.size)).collect();
        let mut unseen = book.admitted;
        unseen.retain(|entry| !shown.contains_key(&entry.job));
        let rows = self.rows(unseen.iter().map(|entry| entry.job)).await?;
        let mut rows = rows.iter();
        unseen.retain(|entry| rows.next().is_some_and(|row| entry.is_in_flight(row.as_ref(), now)));
        let is_admitted = |job: &JobSize| unseen.iter().any(|entry| entry.job == job.job);
        let mut waiting: Vec<_> = waiting.into_iter().filter(|job| !is_admitted(job)).collect();
        waiting.truncate(MOST_UNSEEN.saturating_sub(unseen.len()));
        let load = Load::of(shown.values().copied().chain(unseen.iter().map(|entry| entry.size)));
        let book = Book { admitted: unseen, ..book };
        Ok(Some(Made { share: Share { tenant, waiting, load }, before, book }))
    }

    async fn waiting_of(&self, tenant: &Tenant, fresh: &[Job]) -> StoreResult<Vec<JobSize>> {
        let mut waiting = self.ledger.waiting(&tenant.id, admission::LOOK_AHEAD).await?;
        // Behind a full look-ahead their turn has not come, whatever the index shows.
        if waiting.len() < usize::from(admission::LOOK_AHEAD) {
            let is_unseen = |job: &&Job| {
                job.tenant.as_ref() == Some(&tenant.id) && waiting.iter().all(|other| other.job != job.id)
            };
            let unseen = fresh.iter().filter(is_unseen).map(|job| JobSize { job: job.id, size: job.size });
            waiting.extend(unseen.collect::<Vec<_>>());
        }
        Ok(waiting)
    }

    /// The rows of these jobs, in their order.
    async fn rows(&self, ids: impl Iterator<Item = JobId>) -> StoreResult<Vec<Option<Job>>> {
        // Made before they are streamed: a closure in a stream is not general enough for whoever spawns this.
        let reads: Vec<_> = ids.map(|id| self.ledger.get(id)).collect();
        stream::iter(reads).buffered(CONCURRENT).try_collect().await
    }

    /// Enters those of a tenant's jobs that are chosen and wait, which is to be seen in their rows; none where somebody else
    /// has entered others since.
    async fn admit(&self, made: &Made, order: &[JobId]) -> StoreResult<Option<Vec<Job>>> {
        let own = made.share.waiting.iter().map(|job| job.job).filter(|id| order.contains(id));
        // The list is late: some may have been sent since.
        let jobs: Vec<Job> = self.rows(own).await?.into_iter().flatten().filter(is_waiting).collect();
        if jobs.is_empty() {
            return Ok(Some(jobs));
        }
        let put = self.enter(made, &jobs).await?;
        Ok((put == Put::Done).then_some(jobs))
    }

    async fn enter(&self, made: &Made, jobs: &[Job]) -> StoreResult<Put> {
        let (now, id) = (self.clock.now(), &made.share.tenant.id);
        let new = jobs.iter().map(|job| Admitted { job: job.id, size: job.size, sends: job.sends, at: now });
        let admitted = made.book.admitted.iter().copied().chain(new).collect();
        let book = Book { number: made.book.number + 1, admitted };
        let text = serde_json::to_string(&book).map_err(|error| unreadable(id, &error))?;
        let place = place_of(id);
        match self.keys.swap(&place, made.before.as_deref(), &text, now.plus(KEPT), now).await {
            // The same number with the same jobs is as good as ours: who sends them is one.
            Err(error) if error.kind == StoreErrorKind::Indeterminate => {
                let stands = self.keys.get(&place, now).await?;
                Ok(if stands.as_ref() == Some(&text) { Put::Done } else { Put::Stale })
            }
            put => put,
        }
    }
}

impl Admitted {
    /// Whether it takes a place though the index does not show it.
    fn is_in_flight(&self, row: Option<&Job>, now: Millis) -> bool {
        match row.and_then(line_of) {
            Some((_, Line::InFlight)) => true,
            // One that waits once more has been sent meanwhile, and takes its turn as all do.
            Some((_, Line::Waiting)) => {
                row.is_some_and(|row| row.sends == self.sends) && now < self.at.plus(GRACE)
            }
            None => false,
        }
    }
}

fn is_waiting(job: &Job) -> bool {
    matches!(line_of(job), Some((_, Line::Waiting)))
}

fn place_of(tenant: &TenantId) -> String {
    format!("admitted#{tenant}")
}

fn read(tenant: &TenantId, text: &str) -> StoreResult<Book> {
    serde_json::from_str(text).map_err(|error| unreadable(tenant, &error))
}

fn unreadable(tenant: &TenantId, error: &serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, format!("what was admitted of tenant {tenant}: {error}"))
}
