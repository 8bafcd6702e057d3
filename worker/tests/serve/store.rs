//! S3 as far as router, sweep and runs see it: object versions, uploads that anybody may write to and complete, and a
//! conditional name. It knows no token.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use eft_domain::{BucketName, JobId, Millis, ObjectKey, RunId, VersionId};
use eft_router::{Found, Objects};
use eft_store::{
    Clock, Page, StoreResult,
    faulty::{Call, Fates, befall},
};
use eft_sweep::{Listing, ObjectEntry, UploadEntry, Uploads};
use futures::{FutureExt, future::BoxFuture};

/// Parts of every object.
pub(crate) const PARTS: u32 = 8;
/// Versions of a page of a listing: small, so that a sweep dies between two of them.
const PAGE: usize = 4;

struct Upload {
    key: String,
    at: Millis,
    parts: BTreeSet<u32>,
}

#[derive(Default)]
struct Inner {
    /// Versions of a key, the newest last.
    versions: BTreeMap<String, Vec<ObjectEntry>>,
    uploads: BTreeMap<String, Upload>,
    /// The delivery that stands under each name, and how often it came to stand there.
    visible: BTreeMap<JobId, (RunId, u32)>,
    /// The jobs whose deliveries came to stand, in this order, and when.
    order: Vec<(JobId, Millis)>,
    next: u64,
    read: BTreeMap<JobId, u32>,
    /// Objects that came to stand without all their parts.
    partial: u32,
}

/// The buckets.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

impl Store {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { inner: Arc::default(), clock }
    }

    /// The buckets as a process sees them.
    pub(crate) fn seen_by(&self, fates: Arc<dyn Fates>) -> Seen {
        Seen { store: self.clone(), fates }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new version of an ingest object.
    pub(crate) fn put(&self, key: &str, version: &str, size: u64) {
        let entry = ObjectEntry {
            key: key.to_owned(),
            version_id: version.to_owned(),
            size,
            etag: Some(format!("etag-{version}")),
            last_modified: self.clock.now(),
        };
        self.inner().versions.entry(key.to_owned()).or_default().push(entry);
    }

    /// How often an object came to stand under the name of a job.
    pub(crate) fn published(&self, id: JobId) -> u32 {
        self.inner().visible.get(&id).map_or(0, |(_, times)| *times)
    }

    /// The jobs whose objects came to stand, in this order, and when.
    pub(crate) fn order(&self) -> Vec<(JobId, Millis)> {
        self.inner().order.clone()
    }

    /// Uploads that are open.
    pub(crate) fn open(&self) -> usize {
        self.inner().uploads.len()
    }

    /// Objects that were visible and not whole.
    pub(crate) fn partial(&self) -> u32 {
        self.inner().partial
    }

    /// Parts read for a job, all its owners together.
    pub(crate) fn read(&self, id: JobId) -> u32 {
        self.inner().read.get(&id).copied().unwrap_or(0)
    }

    /// One more part of the source is read.
    pub(crate) fn count(&self, id: JobId) {
        *self.inner().read.entry(id).or_default() += 1;
    }
}

/// The buckets as a process sees them.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) store: Store,
    fates: Arc<dyn Fates>,
}

impl Seen {
    async fn ask<T>(&self, call: Call<'_>, then: impl FnOnce(&mut Inner) -> T) -> StoreResult<T> {
        befall(self.fates.as_ref(), call, async { Ok(then(&mut self.store.inner())) }).await
    }

    /// `CreateMultipartUpload`.
    pub(crate) async fn begin(&self, key: &str) -> StoreResult<String> {
        let at = self.store.clock.now();
        self.ask(Call::write("begin", key), |inner| {
            inner.next += 1;
            let id = format!("upload-{}", inner.next);
            inner.uploads.insert(id.clone(), Upload { key: key.to_owned(), at, parts: BTreeSet::new() });
            id
        })
        .await
    }

    /// `ListParts`: whether there is such an upload.
    pub(crate) async fn is_open(&self, upload: &str) -> StoreResult<bool> {
        self.ask(Call::read("is_open", upload), |inner| inner.uploads.contains_key(upload)).await
    }

    /// `UploadPart`; `false`: there is no such upload.
    pub(crate) async fn part(&self, upload: &str, part: u32) -> StoreResult<bool> {
        self.ask(Call::write("part", upload), |inner| match inner.uploads.get_mut(upload) {
            Some(upload) => {
                upload.parts.insert(part);
                true
            }
            None => false,
        })
        .await
    }

    /// `CompleteMultipartUpload` with `If-None-Match: *`; `false`: the name is taken, or there is no such upload.
    pub(crate) async fn complete(&self, run: RunId, upload: &str) -> StoreResult<bool> {
        let clock = self.store.clock;
        self.ask(Call::write("complete", upload), move |inner| {
            if inner.visible.contains_key(&run.job()) {
                return false;
            }
            let Some(upload) = inner.uploads.remove(upload) else { return false };
            inner.partial += u32::from(upload.parts.len() as u32 != PARTS);
            inner.visible.entry(run.job()).or_insert((run, 0)).1 += 1;
            // Now, and not when it was asked: its worker may have been stopped in between.
            inner.order.push((run.job(), clock.now()));
            true
        })
        .await
    }

    /// `HEAD`: whether what stands under the name of a job is the delivery of this run.
    pub(crate) async fn stands(&self, run: RunId) -> StoreResult<bool> {
        self.ask(Call::read("stands", ""), |inner| {
            inner.visible.get(&run.job()).is_some_and(|(found, _)| *found == run)
        })
        .await
    }

    /// `AbortMultipartUpload`.
    pub(crate) async fn end(&self, upload: &str) -> StoreResult<()> {
        self.ask(Call::write("abort", upload), |inner| drop(inner.uploads.remove(upload))).await
    }
}

impl Objects for Seen {
    fn head<'a>(
        &'a self,
        _: &'a BucketName,
        key: &'a ObjectKey,
        version: Option<&'a VersionId>,
    ) -> BoxFuture<'a, StoreResult<Option<Found>>> {
        self.ask(Call::read("head", key.as_str()), move |inner| {
            let versions = inner.versions.get(key.as_str())?;
            let found = match version {
                Some(version) => versions.iter().find(|found| found.version_id == version.as_str()),
                None => versions.last(),
            };
            let ObjectEntry { version_id, size, etag, last_modified: modified, .. } = found?.clone();
            Some(Found { version_id, size, etag, modified })
        })
        .boxed()
    }
}

impl Listing for Seen {
    fn versions<'a>(
        &'a self,
        _: &'a BucketName,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<ObjectEntry>>> {
        self.ask(Call::read("versions", prefix), move |inner| {
            let place = |entry: &ObjectEntry| format!("{}#{}", entry.key, entry.version_id);
            let all = inner.versions.values().flat_map(|versions| versions.iter().rev());
            let mut items: Vec<_> = all.filter(|entry| entry.key.starts_with(prefix)).cloned().collect();
            if let Some(at) = after.and_then(|after| items.iter().position(|entry| place(entry) == after)) {
                items.drain(..=at);
            }
            let more = items.len() > PAGE.min(limit.into());
            items.truncate(PAGE.min(limit.into()));
            let next = items.last().filter(|_| more).map(place);
            Page { items, next }
        })
        .boxed()
    }
}

impl Uploads for Seen {
    fn list<'a>(
        &'a self,
        bucket: &'a BucketName,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, StoreResult<Page<UploadEntry>>> {
        self.ask(Call::read("uploads", bucket.as_str()), |inner| {
            let entry = |(id, upload): (&String, &Upload)| UploadEntry {
                key: upload.key.clone(),
                upload_id: id.clone(),
                initiated: upload.at,
            };
            Page { items: inner.uploads.iter().map(entry).collect(), next: None }
        })
        .boxed()
    }

    fn abort<'a>(&'a self, _: &'a BucketName, upload: &'a UploadEntry) -> BoxFuture<'a, StoreResult<()>> {
        self.end(&upload.upload_id).boxed()
    }
}
