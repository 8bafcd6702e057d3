//! When a file is whole: the rule of its route, asked of S3 and of what Transfer Family has reported.
//!
//! Rules are asked when the file arrives, when the fact they wait for arrives, and by the sweep when the wait is over:
//! always by [`Router::completeness`], so that the order of the two facts makes no difference.

use std::time::Duration;

use eft_domain::{Job, Millis, Route, message::Uploaded, route::CompleteWhen};
use eft_store::StoreResult;
use serde_json::{Value, json};

use crate::{
    lookup::Found,
    route::{Router, Sighting},
};

/// How long a control file or a transfer's end is waited for until S3 is asked again. Both raise an event of their own;
/// only where that was lost does this count.
pub const ASK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// How long the report of a transfer is kept: longer than an event of S3 is on its way (EventBridge and SQS give up after
/// 24 hours and 4 days).
pub const REPORT_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Whether a file is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It is.
    Whole,
    /// It is not known to be.
    Wait {
        /// What is waited for.
        reason: String,
        /// When to look again.
        until: Duration,
    },
}

impl Completeness {
    fn wait(reason: impl Into<String>, until: Duration) -> Self {
        Self::Wait { reason: reason.into(), until }
    }
}

impl Router {
    /// Whether a version is whole by the rule of its route. `since`: when it was first heard of.
    pub(crate) async fn completeness(
        &self,
        route: &Route,
        seen: &Sighting,
        since: Millis,
    ) -> StoreResult<Completeness> {
        match &route.complete_when {
            CompleteWhen::Immediate => Ok(Completeness::Whole),
            CompleteWhen::Quiet(seconds) => {
                self.quiet(seen, since, Duration::from_secs((*seconds).into())).await
            }
            CompleteWhen::ControlFile(suffix) => self.controlled(seen, suffix).await,
            CompleteWhen::TransferEvent => {
                if self.is_reported(seen).await? {
                    return Ok(Completeness::Whole);
                }
                Ok(Completeness::wait("its transfer was not reported as complete", ASK_AGAIN))
            }
        }
    }

    /// Control files are left lying, and so are files whose upload was cut: a control file is of what was the latest version
    /// of its file when it was written.
    async fn controlled(&self, seen: &Sighting, suffix: &str) -> StoreResult<Completeness> {
        let (bucket, name) = (&seen.bucket, format!("{}{suffix}", seen.key));
        let control = match name.parse() {
            Ok(control) => self.objects.head(bucket, &control, None).await?,
            // A name that is too long for S3 is there never.
            Err(_) => None,
        };
        let Some(control) = control else {
            return Ok(Completeness::wait(format!("its control file `{name}` is not there"), ASK_AGAIN));
        };
        // Nothing will change what was superseded.
        let for_good = self.desk.retention.0;
        let gone = || Completeness::wait("it was deleted before its control file was seen", for_good);
        let Some(latest) = self.objects.head(bucket, &seen.key, None).await? else { return Ok(gone()) };
        let this = match (latest.version_id == seen.version_id, seen.version_id.parse()) {
            (false, _) if latest.modified <= control.modified => {
                let reason =
                    format!("superseded by version {} before its control file came", latest.version_id);
                return Ok(Completeness::wait(reason, for_good));
            }
            (false, Ok(version)) => self.objects.head(bucket, &seen.key, Some(&version)).await?,
            _ => Some(latest),
        };
        Ok(match this {
            Some(this) if this.modified <= control.modified => Completeness::Whole,
            Some(_) => Completeness::wait(
                format!("its control file `{name}` is older than it, and of another"),
                ASK_AGAIN,
            ),
            None => gone(),
        })
    }

    async fn quiet(&self, seen: &Sighting, since: Millis, time: Duration) -> StoreResult<Completeness> {
        let elapsed = self.desk.clock.now().since(since);
        if elapsed < time {
            let reason = format!("it has to be the latest version of its key for {} s", time.as_secs());
            return Ok(Completeness::wait(reason, time - elapsed));
        }
        // Nothing will change what was superseded: it is kept as long as any record and looked at no more.
        let for_good = self.desk.retention.0;
        Ok(match self.objects.head(&seen.bucket, &seen.key, None).await? {
            Some(latest) if latest.version_id == seen.version_id => Completeness::Whole,
            Some(latest) => {
                Completeness::wait(format!("superseded by version {}", latest.version_id), for_good)
            }
            None => Completeness::wait("it was deleted before it had been quiet", for_good),
        })
    }

    /// Keep what Transfer Family says of an upload that came to its end. Two keys, because either side may know the file
    /// by its ETag or by its length only.
    pub(crate) async fn report(&self, logical: &str, upload: &Uploaded) -> StoreResult<()> {
        let now = self.desk.clock.now();
        let value = json!({ "etag": upload.etag, "bytes": upload.bytes }).to_string();
        let by_etag = upload.etag.as_ref().map(|etag| report_key(logical, upload.key.as_str(), 'e', etag));
        let by_bytes =
            upload.bytes.map(|bytes| report_key(logical, upload.key.as_str(), 'b', &bytes.to_string()));
        for key in by_etag.into_iter().chain(by_bytes) {
            self.desk.keys.put(&key, &value, now.plus(REPORT_KEPT)).await?;
        }
        Ok(())
    }

    /// Whether the transfer of a version was reported as complete.
    async fn is_reported(&self, seen: &Sighting) -> StoreResult<bool> {
        let (logical, key, now) = (&seen.logical, seen.key.as_str(), self.desk.clock.now());
        if let Some(etag) = &seen.etag
            && self.desk.keys.get(&report_key(logical, key, 'e', etag), now).await?.is_some()
        {
            return Ok(true);
        }
        let Some(report) =
            self.desk.keys.get(&report_key(logical, key, 'b', &seen.size.to_string()), now).await?
        else {
            return Ok(false);
        };
        let report: Value = serde_json::from_str(&report).unwrap_or_default();
        // The same length is enough only where one of the two does not know the ETag.
        Ok(seen.etag.is_none() || report.get("etag").is_none_or(Value::is_null))
    }
}

/// The key of a report. Bucket names hold no `#`, and what stands behind the last one holds none either, so that no two
/// reports have one key by accident.
fn report_key(logical: &str, key: &str, by: char, what: &str) -> String {
    format!("upload#{logical}#{key}#{by}{what}")
}

/// Whether an object is the one that an upload has made: by its ETag, and where one of them has none, by its length.
pub(crate) fn is_of(found: &Found, upload: &Uploaded) -> bool {
    match (&found.etag, &upload.etag) {
        (Some(one), Some(other)) => one == other,
        _ => upload.bytes.is_none_or(|bytes| bytes == found.size),
    }
}

/// What a row knows of its object.
pub(crate) fn sighting_of(job: &Job, bucket: eft_domain::BucketName, key: eft_domain::ObjectKey) -> Sighting {
    Sighting {
        bucket,
        logical: job.arrival.bucket.clone(),
        key,
        version_id: job.arrival.version_id.clone(),
        size: job.size,
        etag: job.etag.clone(),
    }
}
