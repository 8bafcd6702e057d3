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
//! one message, or one that finds its run taken.
//!
//! # Limits
//! The book forgets what the index has shown once. Where one copy of the index is behind another, a release that reads it
//! may admit as many more as that one lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use eft_domain::{Job, JobId, Millis, Tenant, TenantId};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    admission::{self, Share},
    desk::{ChangeError, Desk, TRIES},
    index::{Line, line_of},
    port::{JobSize, Load, Put, StoreError, StoreErrorKind, StoreResult},
};

/// How long a job that was admitted is waited for to be sent: several times what a portion takes.
const GRACE: Duration = Duration::from_secs(10);

/// Jobs that are entered, and then sent, before the next are: a second or two with some 50 ms for each.
const PORTION: usize = 25;

/// How long a book that nobody writes is kept. Nothing in it counts by then.
const KEPT: Duration = Duration::from_secs(3600);

/// Jobs in a book. With more that the index does not show, there is no room until it does: the value stays below 16 KB.
const MOST_UNSEEN: usize = 150;

/// Jobs that are looked at first: the end of a job makes room for few. Only where all of them have room is there a look at
/// [`admission::LOOK_AHEAD`].
const FEW: u16 = 10;

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
    /// Of its row before it is sent.
    generation: u32,
    sends: u32,
    at: Millis,
}

/// A tenant's share, and what its book was when it was made up.
struct Made {
    share: Share,
    /// More may wait than was looked at.
    is_cut: bool,
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
            let mut made = BTreeMap::new();
            for id in open.drain(..) {
                match self.make_up(&id, fresh).await {
                    Ok(Some(share)) => drop(made.insert(id, share)),
                    Ok(None) => {}
                    // One that cannot be read is in nobody's way; a store that cannot be reached is in everybody's.
                    Err(error) if error.kind == StoreErrorKind::Permanent => {
                        failed = failed.or(Some(error.into()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let order = admission::order(made.values().map(|made| &made.share));
            let whose = whose(&made);
            for portion in order.chunks(PORTION) {
                let mut entered = BTreeMap::new();
                for (tenant, jobs) in group(portion, &whose) {
                    let Some(share) = made.get_mut(tenant) else { continue };
                    match self.admit(share, &jobs, &mut failed).await {
                        Ok(Some(own)) => entered.extend(own.into_iter().map(|entry| (entry.job, entry))),
                        // Others have admitted jobs of it since: it begins anew.
                        Ok(None) => open.extend(made.remove(tenant).map(|made| made.share.tenant.id)),
                        Err(error) => failed = failed.or(Some(error.into())),
                    }
                }
                for entry in portion.iter().filter_map(|id| entered.get(id)) {
                    match self.send_once(entry).await {
                        Ok(is_sent) => sent += usize::from(is_sent),
                        // One that cannot be sent is in nobody's way.
                        Err(error) => {
                            failed = failed.or(Some(error));
                            if let Some(made) = whose.get(&entry.job).and_then(|id| made.get_mut(id)) {
                                self.leave(made, entry).await;
                            }
                        }
                    }
                }
            }
            // Where others were quicker every time, the rest is theirs and the sweep's.
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
        match self.look_at(&tenant, fresh, FEW).await? {
            Some(made) if made.may_take_more() => self.look_at(&tenant, fresh, admission::LOOK_AHEAD).await,
            made => Ok(made),
        }
    }

    /// The share of a tenant, as far as the first so many of what waits.
    async fn look_at(&self, tenant: &Tenant, fresh: &[Job], ahead: u16) -> StoreResult<Option<Made>> {
        let id = &tenant.id;
        let mut waiting = self.ledger.waiting(id, ahead).await?;
        let is_page_full = waiting.len() >= usize::from(ahead);
        // Behind a full look-ahead their turn has not come, whatever the index shows.
        if !is_page_full {
            let is_unseen = |job: &&Job| {
                job.tenant.as_ref() == Some(id) && waiting.iter().all(|other| other.job != job.id)
            };
            let unseen = fresh.iter().filter(is_unseen).map(|job| JobSize { job: job.id, size: job.size });
            waiting.extend(unseen.collect::<Vec<_>>());
        }
        if waiting.is_empty() {
            return Ok(None);
        }
        // Before the index: what is entered after this is not in it, and keeps us from entering.
        let now = self.clock.now();
        let before = self.keys.get(&place_of(id), now).await?;
        // One that nobody can read is written anew: for a moment the index is all there is.
        let book: Book =
            before.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let shown = self.ledger.in_flight(id, tenant.max_jobs).await?;
        let shown: BTreeMap<JobId, u64> = shown.into_iter().map(|job| (job.job, job.size)).collect();
        let mut unseen = Vec::new();
        let entries: Vec<_> =
            book.admitted.into_iter().filter(|entry| !shown.contains_key(&entry.job)).collect();
        for (entry, row) in entries.iter().zip(self.rows(entries.iter().map(|entry| entry.job)).await) {
            let takes_a_place = match row {
                Ok(row) => entry.is_in_flight(row.as_ref(), now),
                Err(error) if error.kind == StoreErrorKind::Permanent => now < entry.at.plus(GRACE),
                Err(error) => return Err(error),
            };
            unseen.extend(takes_a_place.then_some(*entry));
        }
        // What was just accepted waits, also where the index still shows the run before.
        let is_admitted = |job: &JobSize| {
            unseen.iter().any(|entry| entry.job == job.job)
                || (shown.contains_key(&job.job) && fresh.iter().all(|fresh| fresh.id != job.job))
        };
        waiting.retain(|job| !is_admitted(job));
        let room = MOST_UNSEEN.saturating_sub(unseen.len());
        let is_cut = is_page_full && waiting.len() <= room;
        waiting.truncate(room);
        let load = Load::of(shown.values().copied().chain(unseen.iter().map(|entry| entry.size)));
        let book = Book { admitted: unseen, ..book };
        let share = Share { tenant: tenant.clone(), waiting, load };
        Ok(Some(Made { share, is_cut, before, book }))
    }

    /// The rows of these jobs, in their order.
    async fn rows(&self, ids: impl Iterator<Item = JobId>) -> Vec<StoreResult<Option<Job>>> {
        // Made before they are streamed: a closure in a stream is not general enough for whoever spawns this.
        let reads: Vec<_> = ids.map(|id| self.ledger.get(id)).collect();
        stream::iter(reads).buffered(CONCURRENT).collect().await
    }

    /// Enters those of a tenant's jobs that wait, which is to be seen in their rows; none where somebody else has entered
    /// others since.
    async fn admit(
        &self,
        made: &mut Made,
        jobs: &[JobId],
        failed: &mut Option<ChangeError>,
    ) -> StoreResult<Option<Vec<Admitted>>> {
        let (now, mut own) = (self.clock.now(), Vec::new());
        for row in self.rows(jobs.iter().copied()).await {
            match row {
                // The list is late: it may have been sent since.
                Ok(row) => own.extend(row.filter(is_waiting).map(|job| Admitted::of(&job, now))),
                // One that cannot be read is in nobody's way.
                Err(error) => *failed = failed.take().or(Some(error.into())),
            }
        }
        if own.is_empty() {
            return Ok(Some(own));
        }
        let admitted = made.book.admitted.iter().chain(&own).copied().collect();
        Ok(match self.enter(made, admitted).await {
            Ok(put) => (put == Put::Done).then_some(own),
            Err(error) if error.kind == StoreErrorKind::Indeterminate => {
                let stands = self.keys.get(&place_of(&made.share.tenant.id), now).await?;
                let book: Option<Book> = stands.and_then(|text| serde_json::from_str(&text).ok());
                book.is_some_and(|book| own.iter().all(|entry| book.admitted.contains(entry))).then_some(own)
            }
            Err(error) => return Err(error),
        })
    }

    /// Takes a job out that was not sent, so that it need not wait for [`GRACE`]. Where that fails it waits.
    async fn leave(&self, made: &mut Made, entry: &Admitted) {
        let admitted = made.book.admitted.iter().filter(|other| *other != entry).copied().collect();
        drop(self.enter(made, admitted).await);
    }

    /// Writes the book if nobody has since it was read.
    async fn enter(&self, made: &mut Made, admitted: Vec<Admitted>) -> StoreResult<Put> {
        let (now, place) = (self.clock.now(), place_of(&made.share.tenant.id));
        let book = Book { number: made.book.number + 1, admitted };
        let text = serde_json::to_string(&book).map_err(|error| {
            StoreError::new(StoreErrorKind::Permanent, format!("write what was admitted: {error}"))
        })?;
        let put = self.keys.swap(&place, made.before.as_deref(), &text, now.plus(KEPT), now).await?;
        if put == Put::Done {
            (made.book, made.before) = (book, Some(text));
        }
        Ok(put)
    }

    async fn send_once(&self, entry: &Admitted) -> Result<bool, ChangeError> {
        // It may have been cancelled since, or sent.
        match self.ledger.get(entry.job).await?.filter(|row| entry.is_of(row)) {
            Some(row) => self.send(&row).await.map(|_| true),
            None => Ok(false),
        }
    }
}

impl Made {
    /// Whether all that was looked at has room, and more may wait.
    fn may_take_more(&self) -> bool {
        self.is_cut && admission::order([&self.share]).len() == self.share.waiting.len()
    }
}

/// Which tenant each job is of that waits.
fn whose(made: &BTreeMap<TenantId, Made>) -> BTreeMap<JobId, TenantId> {
    let jobs = |(id, made): (&TenantId, &Made)| {
        let pairs = made.share.waiting.iter().map(|job| (job.job, id.clone()));
        pairs.collect::<Vec<_>>()
    };
    made.iter().flat_map(jobs).collect()
}

/// Jobs by their tenants, in their order.
fn group<'a>(jobs: &[JobId], whose: &'a BTreeMap<JobId, TenantId>) -> BTreeMap<&'a TenantId, Vec<JobId>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for id in jobs {
        if let Some(tenant) = whose.get(id) {
            groups.entry(tenant).or_default().push(*id);
        }
    }
    groups
}

impl Admitted {
    fn of(row: &Job, at: Millis) -> Self {
        Self { job: row.id, size: row.size, generation: row.generation, sends: row.sends, at }
    }

    /// Whether this is of its row as it waits now. One that waits once more has been sent meanwhile, or was replayed, and
    /// takes its turn as all do.
    fn is_of(&self, row: &Job) -> bool {
        is_waiting(row) && (row.generation, row.sends) == (self.generation, self.sends)
    }

    /// Whether it takes a place though the index does not show it.
    fn is_in_flight(&self, row: Option<&Job>, now: Millis) -> bool {
        match row.and_then(line_of) {
            Some((_, Line::InFlight)) => true,
            Some((_, Line::Waiting)) => row.is_some_and(|row| self.is_of(row)) && now < self.at.plus(GRACE),
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
