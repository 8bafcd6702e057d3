//! What is done about one event.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use eft_domain::{
    BucketName, Job, JobState, ObjectKey, Route, RouteId, RouteRevision, VersionId,
    message::{Created, Ingest, Uploaded},
    route::RouteTable,
};
use eft_store::{Buckets, ChangeError, Desk, StoreError};
use eft_telemetry::{Tracer, table};

use crate::{
    complete::is_of,
    lookup::{Found, Objects},
    names, settle,
};

/// Why nothing was done about an event; its message is given again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The event is of a bucket that files do not arrive in: a rule of EventBridge names it by mistake.
    #[error(
        "bucket {0} is no ingest bucket of this region: correct the rule that sends its events, or EFT_INGEST_BUCKETS"
    )]
    Bucket(String),
    /// What a row or an event says is no name that S3 takes.
    #[error("{0}")]
    Name(String),
    /// The job could not be made or changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// S3, catalog or keys were not reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RouteError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bucket(_) => "ingest.bucket",
            Self::Name(_) => "ingest.name",
            Self::Change(ChangeError::Refused(_)) => "ingest.refused",
            Self::Change(_) | Self::Store(_) => "ingest.unavailable",
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// The name is that of no file.
    Ignored,
    /// The object is not there any more, and there is nothing to do.
    Gone,
    /// A fact was kept that another event will ask for.
    Noted,
    /// The job was there already, and stands as it stood.
    Known,
    /// No route takes it; there is a record that says so.
    Unrouted,
    /// It waits until it is whole.
    Incomplete,
    /// It is to be run.
    Accepted,
    /// It ended before it began.
    Dismissed,
}

impl What {
    /// The word of the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Gone => "gone",
            Self::Noted => "noted",
            Self::Known => "known",
            Self::Unrouted => "unrouted",
            Self::Incomplete => "incomplete",
            Self::Accepted => "accepted",
            Self::Dismissed => "dismissed",
        }
    }
}

/// What became of an event, and of which job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What.
    pub what: What,
    /// Why, in words, where the job does not say.
    pub reason: Option<String>,
    /// The job as it now stands.
    pub job: Option<Job>,
}

impl Outcome {
    pub(crate) fn nothing(what: What, reason: impl Into<String>) -> Self {
        Self { what, reason: Some(reason.into()), job: None }
    }

    /// What has just become of a job.
    pub(crate) fn of(job: Job) -> Self {
        let what = match job.state {
            JobState::Accepted => What::Accepted,
            JobState::Incomplete => What::Incomplete,
            JobState::Unrouted => What::Unrouted,
            state if state.is_terminal() => What::Dismissed,
            _ => What::Known,
        };
        Self { what, reason: None, job: Some(job) }
    }

    pub(crate) fn known(job: Job) -> Self {
        Self { what: What::Known, reason: None, job: Some(job) }
    }

    /// The job, if it is to be put into a queue.
    pub fn to_release(&self) -> Option<&Job> {
        self.job.as_ref().filter(|job| job.state == JobState::Accepted && job.sent_at.is_none())
    }
}

/// An object version as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The bucket's name in this region.
    pub bucket: BucketName,
    /// Its name in both.
    pub logical: String,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version_id: String,
    /// Bytes.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: Option<String>,
}

impl Sighting {
    pub(crate) fn found(bucket: &BucketName, logical: &str, key: &ObjectKey, found: Found) -> Self {
        let Found { version_id, size, etag, .. } = found;
        Self { bucket: bucket.clone(), logical: logical.to_owned(), key: key.clone(), version_id, size, etag }
    }
}

/// Makes jobs of object versions.
pub struct Router {
    /// Where jobs are changed.
    pub desk: Desk,
    /// What stands in S3.
    pub objects: Arc<dyn Objects>,
    /// Which buckets files arrive in.
    pub buckets: Buckets,
    /// What it counts.
    pub metrics: table::Router,
    /// What makes its spans.
    pub tracer: Tracer,
    revisions: Mutex<HashMap<RouteId, (Arc<Route>, RouteRevision)>>,
}

impl Router {
    /// A router at a desk.
    pub fn new(desk: Desk, objects: Arc<dyn Objects>, buckets: Buckets) -> Self {
        Self {
            desk,
            objects,
            buckets,
            metrics: table::Router::default(),
            tracer: Tracer::default(),
            revisions: Mutex::default(),
        }
    }

    /// With what makes its spans.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Do what an event asks for. The job is a row when this returns, and was told if topics and history were reached;
    /// [`Router::release`] puts it into its queue.
    ///
    /// # Errors
    /// Nothing, or not everything, was done; the same event again does the rest.
    ///
    /// # Cancellation
    /// As after an error.
    pub async fn ingest(&self, event: &Ingest, trace: Option<&str>) -> Result<Outcome, RouteError> {
        match event {
            Ingest::Created(created) => self.created(created, trace).await,
            Ingest::Uploaded(upload) => self.uploaded(upload, trace).await,
        }
    }

    /// Put the jobs of these outcomes into their queues, as far as their tenants have room; returns how many were sent.
    /// What is not sent stands in the ledger and is released with the next event of its tenant, by a worker that has
    /// finished a job, or by the sweep.
    ///
    /// # Errors
    /// Ledger, catalog or queue were not reached.
    pub async fn release<'a>(
        &self,
        outcomes: impl IntoIterator<Item = &'a Outcome>,
    ) -> Result<usize, ChangeError> {
        let fresh: Vec<_> = outcomes.into_iter().filter_map(Outcome::to_release).cloned().collect();
        if fresh.is_empty() { Ok(0) } else { self.desk.release_fresh(&fresh).await }
    }

    /// An object version is there.
    ///
    /// # Errors
    /// As [`Router::ingest`].
    pub async fn created(&self, event: &Created, trace: Option<&str>) -> Result<Outcome, RouteError> {
        let logical = self.logical(&event.bucket)?;
        // A name can be left out before its size is known, except where it depends on the size.
        if let Some(reason) = names::ignored(event.key.as_str(), event.size.unwrap_or(u64::MAX)) {
            return Ok(Outcome::nothing(What::Ignored, reason));
        }
        let table = self.desk.catalog.routes().await?;
        settle::readable(&table, event.key.as_str())?;
        if let Some(base) = names::base_of(&table, event.key.as_str()) {
            return self.control_file(&table, &event.bucket, logical, base, trace).await;
        }
        let Some(seen) = self.sight(event, logical).await? else {
            return Ok(Outcome::nothing(What::Gone, "the object version is not there any more"));
        };
        if let Some(reason) = names::ignored(seen.key.as_str(), seen.size) {
            return Ok(Outcome::nothing(What::Ignored, reason));
        }
        self.settle(&table, &seen, trace).await
    }

    /// An event with everything that is known of its object version.
    async fn sight(&self, event: &Created, logical: &str) -> Result<Option<Sighting>, RouteError> {
        let Created { bucket, key, version_id, etag, size, .. } = event;
        let found = match (version_id, size) {
            (Some(version), Some(size)) => {
                return Ok(Some(Sighting {
                    bucket: bucket.clone(),
                    logical: logical.to_owned(),
                    key: key.clone(),
                    version_id: version.to_string(),
                    size: *size,
                    etag: etag.clone(),
                }));
            }
            // Without a version this is the latest: where it is newer than the event, the sweep finds the one of the event.
            (version, _) => self.objects.head(bucket, key, version.as_ref()).await?.map(|found| Found {
                version_id: version.as_ref().map_or(found.version_id, VersionId::to_string),
                ..found
            }),
        };
        Ok(found.map(|found| Sighting::found(bucket, logical, key, found)))
    }

    /// A control file has arrived: its file may be whole now, if it is there.
    pub(crate) async fn control_file(
        &self,
        table: &RouteTable,
        bucket: &BucketName,
        logical: &str,
        base: &str,
        trace: Option<&str>,
    ) -> Result<Outcome, RouteError> {
        let key: ObjectKey = base.parse().map_err(|error| RouteError::Name(format!("{error}")))?;
        match self.objects.head(bucket, &key, None).await? {
            Some(found) => self.settle(table, &Sighting::found(bucket, logical, &key, found), trace).await,
            // The file looks for its control file when it comes.
            None => Ok(Outcome::nothing(What::Ignored, names::CONTROL_FILE)),
        }
    }

    /// An upload over SFTP has ended.
    async fn uploaded(&self, event: &Uploaded, trace: Option<&str>) -> Result<Outcome, RouteError> {
        let Uploaded { bucket, key, bytes, complete, .. } = event;
        let logical = self.logical(bucket)?;
        if let Some(reason) = names::ignored(key.as_str(), bytes.unwrap_or(u64::MAX)) {
            return Ok(Outcome::nothing(What::Ignored, reason));
        }
        if *complete {
            self.report(logical, event).await?;
        }
        let table = self.desk.catalog.routes().await?;
        settle::readable(&table, key.as_str())?;
        if let Some(base) = names::base_of(&table, key.as_str()) {
            return self.control_file(&table, bucket, logical, base, trace).await;
        }
        let found = self.objects.head(bucket, key, None).await?.filter(|found| is_of(found, event));
        let Some(found) = found else {
            return Ok(Outcome::nothing(
                What::Noted,
                "the key's latest version is not the one that was uploaded",
            ));
        };
        let seen = Sighting::found(bucket, logical, key, found);
        if *complete {
            self.settle(&table, &seen, trace).await
        } else {
            self.broken(&table, &seen, trace).await
        }
    }

    fn logical(&self, bucket: &BucketName) -> Result<&str, RouteError> {
        self.buckets.logical(bucket).ok_or_else(|| RouteError::Bucket(bucket.to_string()))
    }

    /// The revision of an active route. It is a digest of the whole text, and there are many files to one revision.
    pub(crate) fn revision(&self, route: &Arc<Route>) -> RouteRevision {
        let id = route.effective_id();
        let mut known = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&id) {
            Some((same, revision)) if Arc::ptr_eq(same, route) => *revision,
            _ => {
                let revision = route.revision();
                known.insert(id, (Arc::clone(route), revision));
                revision
            }
        }
    }
}
