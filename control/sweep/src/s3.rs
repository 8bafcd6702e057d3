//! The ports over S3.

use aws_sdk_s3::{Client, primitives::DateTime};
use eft_domain::{BucketName, Millis};
use eft_router::lookup::{NULL_VERSION, s3_error};
use eft_store::{Page, StoreResult};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};

use crate::port::{Listing, ObjectEntry, UploadEntry, Uploads};

/// S3.
#[derive(Clone, Debug)]
pub struct S3(pub Client);

/// Where a listing goes on: two markers, because a page may end between two versions of one key.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Markers {
    key: Option<String>,
    id: Option<String>,
}

impl Markers {
    fn read(after: Option<&str>) -> Self {
        // One that cannot be read is none: the listing begins anew, which is always right.
        after.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn next(is_truncated: Option<bool>, key: Option<String>, id: Option<String>) -> Option<String> {
        let more = is_truncated == Some(true) && key.is_some();
        more.then(|| serde_json::to_string(&Self { key, id }).ok()).flatten()
    }
}

fn millis(at: Option<DateTime>) -> Millis {
    let millis = at.and_then(|at| at.to_millis().ok()).and_then(|millis| u64::try_from(millis).ok());
    // What has no date is taken for new: nothing is done about it.
    Millis(millis.unwrap_or(u64::MAX))
}

impl Listing for S3 {
    fn versions<'a>(
        &'a self,
        bucket: &'a BucketName,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<ObjectEntry>>> {
        async move {
            let Markers { key, id } = Markers::read(after);
            let page = self
                .0
                .list_object_versions()
                .bucket(bucket.as_str())
                .set_prefix(Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty()))
                .set_key_marker(key)
                .set_version_id_marker(id)
                .max_keys(limit.into())
                .send()
                .await
                .map_err(|error| s3_error(&format!("ListObjectVersions s3://{bucket}/{prefix}"), &error))?;
            let items = page.versions.unwrap_or_default().into_iter().filter_map(|version| {
                Some(ObjectEntry {
                    key: version.key?,
                    version_id: version.version_id.unwrap_or_else(|| NULL_VERSION.to_owned()),
                    size: version.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                    etag: version.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
                    last_modified: millis(version.last_modified),
                })
            });
            let next = Markers::next(page.is_truncated, page.next_key_marker, page.next_version_id_marker);
            Ok(Page { items: items.collect(), next })
        }
        .boxed()
    }
}

impl Uploads for S3 {
    fn list<'a>(
        &'a self,
        bucket: &'a BucketName,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, StoreResult<Page<UploadEntry>>> {
        async move {
            let Markers { key, id } = Markers::read(after);
            let request = self.0.list_multipart_uploads().bucket(bucket.as_str());
            let page = request.set_key_marker(key).set_upload_id_marker(id).send().await;
            let page =
                page.map_err(|error| s3_error(&format!("ListMultipartUploads s3://{bucket}"), &error))?;
            let items = page.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
                Some(UploadEntry {
                    key: upload.key?,
                    upload_id: upload.upload_id?,
                    initiated: millis(upload.initiated),
                })
            });
            let next = Markers::next(page.is_truncated, page.next_key_marker, page.next_upload_id_marker);
            Ok(Page { items: items.collect(), next })
        }
        .boxed()
    }

    fn abort<'a>(
        &'a self,
        bucket: &'a BucketName,
        upload: &'a UploadEntry,
    ) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let request = self.0.abort_multipart_upload().bucket(bucket.as_str()).key(&upload.key);
            match request.upload_id(&upload.upload_id).send().await {
                Ok(_) => Ok(()),
                Err(error)
                    if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) =>
                {
                    Ok(())
                }
                Err(error) => {
                    Err(s3_error(&format!("AbortMultipartUpload s3://{bucket}/{}", upload.key), &error))
                }
            }
        }
        .boxed()
    }
}
