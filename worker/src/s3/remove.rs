//! What nobody needs any more under a prefix: every version of it.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use eft_pipeline::port::{ErrorKind, PortError, PortResult};

use super::{Client, error::port_error, timeouts::within};

impl Client {
    /// Remove every version of every object whose key starts so; returns how many there were. What comes to stand
    /// meanwhile may stay.
    ///
    /// # Errors
    /// As the endpoint answered; some may be gone then.
    pub async fn remove_all(&self, bucket: &str, prefix: &str) -> PortResult<usize> {
        let mut removed = 0;
        loop {
            let what = format!("ListObjectVersions s3://{bucket}/{prefix}");
            let page = self.sdk.list_object_versions().bucket(bucket).prefix(prefix).send();
            let page = within(self.timeouts.answer, &what, page).await?;
            let page = page.map_err(|error| port_error(&what, &error))?;
            let versions = page.versions().iter().map(|found| (found.key(), found.version_id()));
            let marks = page.delete_markers().iter().map(|found| (found.key(), found.version_id()));
            let found = versions.chain(marks).filter_map(|(key, version)| {
                let named = ObjectIdentifier::builder().key(key?);
                named.set_version_id(version.map(ToOwned::to_owned)).build().ok()
            });
            let found: Vec<_> = found.collect();
            if found.is_empty() {
                return Ok(removed);
            }
            removed += found.len();
            self.remove(bucket, found).await?;
            if page.is_truncated() != Some(true) {
                return Ok(removed);
            }
        }
    }

    async fn remove(&self, bucket: &str, found: Vec<ObjectIdentifier>) -> PortResult<()> {
        let what = format!("DeleteObjects s3://{bucket}");
        let delete = Delete::builder().set_objects(Some(found)).quiet(true).build();
        let delete =
            delete.map_err(|error| PortError::new(ErrorKind::Permanent, format!("{what}: {error}")))?;
        let done = self.sdk.delete_objects().bucket(bucket).delete(delete).send();
        let done = within(self.timeouts.answer, &what, done).await?;
        let done = done.map_err(|error| port_error(&what, &error))?;
        match done.errors().first() {
            None => Ok(()),
            Some(error) => {
                let message =
                    format!("{what}: {}: {}", error.key().unwrap_or("?"), error.code().unwrap_or("?"));
                Err(PortError::new(ErrorKind::Transient, message))
            }
        }
    }
}
