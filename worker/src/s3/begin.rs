//! Beginning a multipart upload.
//!
//! # Overview
//! The answer to `CreateMultipartUpload` is the only place that says the upload's id. S3 has no token that would make the
//! request idempotent: sent twice it begins two. So it is sent once, and never again before it is known what the first
//! one did.
//!
//! # Failure handling
//! An answer that is lost (no answer, a closed connection, a 5xx, a document that cannot be read) may have left an upload
//! that nobody knows, billed until a lifecycle rule removes it. Uploads carry no name of ours that a listing shows, so
//! this one is told by what it must be, and only what is all of it is removed:
//! - of exactly this key, and of the checksum algorithm we asked for where the listing says one;
//! - initiated while we waited for an answer that was lost, by the store's own clock (`clock.rs`);
//! - without a part: nobody knows its id, so nobody writes to it;
//! - one of no more than there are lost answers: of two, one at least is somebody else's, and neither is touched.
//!
//! Another run's upload of the same key has parts, or another time, but for a moment after it was begun. Should it be taken
//! for ours in that moment, and ours have had no effect, it has lost no byte: its first part is refused, and the run
//! begins anew ([`ErrorKind::Spent`]).
//!
//! A lost answer costs a listing, and two or three requests if something is there; any other beginning costs one request.
//! What cannot be looked for or removed is said in the error, and tried once more with the next answer and when the run
//! has failed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::{
    config::retry::RetryConfig,
    types::{ChecksumAlgorithm, ChecksumType, MultipartUpload},
};
use eft_pipeline::port::{ErrorKind, PortError, PortResult};
use tokio::time::Instant;

use super::{
    attributes::carry,
    error::{port_error, speaks_of_checksum},
    resolve::DELIVERY,
    sink::{S3Sink, S3Upload},
    timeouts::within,
};

/// A create whose answer was lost.
#[derive(Clone, Copy, Debug)]
struct Lost {
    asked: Instant,
    given_up: Instant,
    crc64: bool,
}

/// The creates of one sink whose answers were lost, and that were not looked for yet.
#[derive(Debug, Default)]
pub(super) struct LostCreates(Mutex<Vec<Lost>>);

impl LostCreates {
    fn get(&self) -> MutexGuard<'_, Vec<Lost>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl S3Sink {
    /// Begin an upload.
    ///
    /// # Errors
    /// As the endpoint answers. `Transient` when the answer is lost: what it had begun is removed, or the message says
    /// that it may be there.
    pub(super) async fn create(&self) -> PortResult<S3Upload> {
        loop {
            let (crc64, asked) = (self.knows_crc64(), Instant::now());
            let error = match self.create_once(crc64).await {
                Ok(upload) => {
                    // What an earlier look has missed. This upload stands; it does not fail for another's sake.
                    drop(self.remove_lost(Some(&upload.id)).await);
                    return Ok(upload);
                }
                Err(error) => error,
            };
            if crc64 && speaks_of_checksum(&error) {
                self.forget_crc64();
                continue;
            }
            if error.kind == ErrorKind::Transient {
                self.lost_creates().get().push(Lost { asked, given_up: Instant::now(), crc64 });
            }
            return Err(match self.remove_lost(None).await {
                Ok(()) => error,
                Err(left) => PortError::new(error.kind, format!("{}; {}", error.message, left.message)),
            });
        }
    }

    async fn create_once(&self, crc64: bool) -> PortResult<S3Upload> {
        let what = format!("CreateMultipartUpload {}", self.target.uri);
        let request = carry!(self.client.sdk.create_multipart_upload(), &self.target.attributes)
            .bucket(&self.bucket)
            .key(&self.key)
            .metadata(DELIVERY, &self.target.delivery_id)
            .set_checksum_algorithm(crc64.then_some(ChecksumAlgorithm::Crc64Nvme))
            .set_checksum_type(crc64.then_some(ChecksumType::FullObject))
            .customize()
            .config_override(aws_sdk_s3::config::Config::builder().retry_config(RetryConfig::disabled()));
        let answer = within(self.client.timeouts.answer, &what, request.send()).await?;
        let created = answer.map_err(|error| port_error(&what, &error))?;
        if created.checksum_algorithm() == Some(&ChecksumAlgorithm::Crc64Nvme) {
            self.keeps_crc64();
        }
        match created.upload_id() {
            Some(id) => Ok(S3Upload { sink: self.clone(), id: id.to_owned() }),
            None => Err(PortError::new(ErrorKind::Transient, format!("{what}: no upload id"))),
        }
    }

    /// Remove what lost creates have begun, but not `known`, which is ours by its answer.
    ///
    /// # Errors
    /// As the endpoint answers, with a message that says what may be left.
    pub(super) async fn remove_lost(&self, known: Option<&str>) -> PortResult<()> {
        let lost = self.lost_creates().get().clone();
        if lost.is_empty() {
            return Ok(());
        }
        let removed = self.remove_each(&lost, known).await.map_err(|error| {
            let count = match lost.len() {
                1 => "an upload".to_owned(),
                count => format!("up to {count} uploads"),
            };
            PortError::new(error.kind, format!("{count} may be left behind: {}", error.message))
        });
        removed.map(|()| self.lost_creates().get().clear())
    }

    async fn remove_each(&self, lost: &[Lost], known: Option<&str>) -> PortResult<()> {
        let mut empty = Vec::new();
        let listed = self.listed_uploads().await?;
        if lost.iter().any(|lost| self.client.clock.between(lost.asked, lost.given_up).is_none()) {
            let message = "the endpoint does not date its answers, so what is ours cannot be told";
            return Err(PortError::new(ErrorKind::Unsupported, message));
        }
        for listed in listed {
            let Some(id) = listed.upload_id().filter(|id| Some(*id) != known) else { continue };
            if !lost.iter().any(|lost| self.may_be(&listed, lost)) {
                continue;
            }
            let upload = S3Upload { sink: self.clone(), id: id.to_owned() };
            match upload.list_parts(1).await {
                Ok(parts) if parts.is_empty() => empty.push(upload),
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if empty.len() > lost.len() {
            let ids: Vec<_> = empty.iter().map(|upload| upload.id.as_str()).collect();
            let message = format!("one of the uploads {}, begun at the same time", ids.join(", "));
            return Err(PortError::new(ErrorKind::Indeterminate, message));
        }
        for upload in empty {
            upload.remove().await?;
        }
        Ok(())
    }

    /// As far as the listing says.
    fn may_be(&self, listed: &MultipartUpload, lost: &Lost) -> bool {
        let then = self.client.clock.between(lost.asked, lost.given_up);
        let initiated = listed.initiated().map(|initiated| initiated.secs());
        let algorithm = listed.checksum_algorithm().filter(|_| lost.crc64);
        algorithm.is_none_or(|algorithm| *algorithm == ChecksumAlgorithm::Crc64Nvme)
            && then.zip(initiated).is_some_and(|(then, initiated)| then.contains(&initiated))
    }
}
