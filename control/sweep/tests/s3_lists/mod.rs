//! Lists of object versions and uploads, as S3 gives them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use eft_domain::{BucketName, Millis};
use eft_store::{Page, StoreResult};
use eft_sweep::{Listing, ObjectEntry, UploadEntry, Uploads};
use futures::{FutureExt, future::BoxFuture};

use crate::kit::FakeS3;

/// Lists what the fake has, with pages as small as one likes; every page takes a second.
pub(crate) struct Lists {
    pub(crate) s3: FakeS3,
    pub(crate) page: usize,
    pub(crate) pages: Arc<Mutex<u32>>,
}

impl Listing for Lists {
    fn versions<'a>(
        &'a self,
        _: &'a BucketName,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> BoxFuture<'a, StoreResult<Page<ObjectEntry>>> {
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            *self.pages.lock().unwrap() += 1;
            let objects = self.s3.objects.lock().unwrap();
            let all =
                objects.iter().filter(|(key, _)| key.starts_with(prefix)).flat_map(|(key, versions)| {
                    versions.iter().rev().map(move |version| ObjectEntry {
                        key: key.clone(),
                        version_id: version.id.clone(),
                        size: version.size,
                        etag: version.etag.clone(),
                        last_modified: version.at,
                    })
                });
            let from: usize = after.map_or(0, |after| after.parse().unwrap());
            let items: Vec<_> = all.skip(from).take(self.page.min(limit.into())).collect();
            let total: usize = objects.values().map(Vec::len).sum();
            let to = from + items.len();
            Ok(Page { items, next: (to < total).then(|| to.to_string()) })
        }
        .boxed()
    }
}

/// Uploads by bucket.
#[derive(Clone, Default)]
pub(crate) struct FakeUploads(Arc<Mutex<BTreeMap<String, Vec<UploadEntry>>>>);

impl FakeUploads {
    pub(crate) fn begin(&self, bucket: &str, key: &str, id: &str, at: Millis) {
        let upload = UploadEntry { key: key.to_owned(), upload_id: id.to_owned(), initiated: at };
        self.0.lock().unwrap().entry(bucket.to_owned()).or_default().push(upload);
    }

    pub(crate) fn left(&self) -> Vec<String> {
        self.0.lock().unwrap().values().flatten().map(|upload| upload.upload_id.clone()).collect()
    }
}

impl Uploads for FakeUploads {
    fn list<'a>(
        &'a self,
        bucket: &'a BucketName,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, StoreResult<Page<UploadEntry>>> {
        let items = self.0.lock().unwrap().get(bucket.as_str()).cloned().unwrap_or_default();
        async move { Ok(Page { items, next: None }) }.boxed()
    }

    fn abort<'a>(
        &'a self,
        bucket: &'a BucketName,
        upload: &'a UploadEntry,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.0.lock().unwrap().entry(bucket.to_string()).or_default().retain(|other| other != upload);
        async move { Ok(()) }.boxed()
    }
}
