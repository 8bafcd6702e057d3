//! What the sweep asks of S3.

use eft_domain::{BucketName, Millis};
use eft_store::{Page, StoreResult};
use futures::future::BoxFuture;

/// An object version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// The key, as S3 has it; one that is no [`ObjectKey`](eft_domain::ObjectKey) is nobody's file.
    pub key: String,
    /// The version; `null` in a bucket without versions.
    pub version_id: String,
    /// Bytes.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: Option<String>,
    /// When it was made.
    pub last_modified: Millis,
}

/// Lists object versions.
pub trait Listing: Send + Sync {
    /// Versions of the objects whose keys start with `prefix`, by key and from the newest to the oldest, without delete
    /// markers; at most `limit` of them, and perhaps none although there are more. `after` is what an earlier page said.
    fn versions<'a>(
        &'a self,
        bucket: &'a BucketName,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<ObjectEntry>>>;
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadEntry {
    /// The key it would make.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// When it was begun.
    pub initiated: Millis,
}

/// Lists and aborts multipart uploads.
pub trait Uploads: Send + Sync {
    /// Uploads of a bucket.
    fn list<'a>(
        &'a self,
        bucket: &'a BucketName,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, StoreResult<Page<UploadEntry>>>;

    /// Abort one; fine where there is none.
    fn abort<'a>(&'a self, bucket: &'a BucketName, upload: &'a UploadEntry)
    -> BoxFuture<'a, StoreResult<()>>;
}
