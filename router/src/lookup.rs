//! What stands in S3 now, where an event says too little or was long ago.

use aws_sdk_s3::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::head_object::HeadObjectError,
    primitives::DateTime,
};
use eft_domain::{BucketName, Millis, ObjectKey, VersionId};
use eft_store::{StoreError, StoreErrorKind, StoreResult};
use futures::{FutureExt, future::BoxFuture};

/// What S3 calls the version of an object in a bucket without versions.
pub const NULL_VERSION: &str = "null";

/// An object version as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its version; `null` in a bucket without versions.
    pub version_id: String,
    /// Bytes.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: Option<String>,
    /// When it was written, to the second; of one that was sent in parts, when that was begun.
    pub modified: Millis,
}

/// Looks at objects without reading them.
pub trait Objects: Send + Sync {
    /// A version of a key, or its latest; none where there is none, or where the latest is a delete marker.
    fn head<'a>(
        &'a self,
        bucket: &'a BucketName,
        key: &'a ObjectKey,
        version: Option<&'a VersionId>,
    ) -> BoxFuture<'a, StoreResult<Option<Found>>>;
}

/// S3.
#[derive(Clone, Debug)]
pub struct S3Objects(pub Client);

impl Objects for S3Objects {
    fn head<'a>(
        &'a self,
        bucket: &'a BucketName,
        key: &'a ObjectKey,
        version: Option<&'a VersionId>,
    ) -> BoxFuture<'a, StoreResult<Option<Found>>> {
        async move {
            let request = self.0.head_object().bucket(bucket.as_str()).key(key.as_str());
            let asked = request.set_version_id(version.map(ToString::to_string)).send().await;
            match asked {
                Ok(found) => Ok(Some(Found {
                    version_id: found.version_id.unwrap_or_else(|| NULL_VERSION.to_owned()),
                    size: found.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                    etag: found.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
                    modified: Millis(millis(found.last_modified.as_ref())),
                })),
                Err(error) if is_gone(&error) => Ok(None),
                Err(error) => Err(s3_error(&format!("HEAD s3://{bucket}/{key}"), &error)),
            }
        }
        .boxed()
    }
}

fn millis(at: Option<&DateTime>) -> u64 {
    at.and_then(|at| at.to_millis().ok()).and_then(|at| u64::try_from(at).ok()).unwrap_or_default()
}

/// Not there; a delete marker asked for by its version answers 405 and has no body that says why.
fn is_gone(error: &SdkError<HeadObjectError>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    error.as_service_error().is_some_and(HeadObjectError::is_not_found)
        || matches!(status, Some(404 | 405 | 410))
}

/// What S3 said, as the ports say it.
pub fn s3_error<E>(what: &str, error: &SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let kind = match (error.code(), status) {
        (Some("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded"), _)
        | (_, Some(429 | 503)) => StoreErrorKind::Throttled,
        (_, Some(401 | 403)) => StoreErrorKind::Denied,
        // What is asked of S3 here can be asked again, whatever became of the first time.
        (_, None | Some(500..)) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Permanent,
    };
    let text = match (error.code(), status) {
        (Some(code), _) => format!("{code}: {}", error.message().unwrap_or("no message")),
        (None, Some(status)) => format!("HTTP status {status}"),
        (None, None) => DisplayErrorContext(error).to_string(),
    };
    StoreError::new(kind, format!("{what}: {text}"))
}
