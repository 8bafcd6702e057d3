//! An object version in S3 as a source.

use std::ops::Range;

use aws_sdk_s3::{
    error::DisplayErrorContext,
    operation::head_object::HeadObjectOutput,
    types::{ChecksumMode, ChecksumType},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use eft_domain::{ObjectUri, ObjectVersion, VersionId};
use eft_pipeline::{
    port::{ErrorKind, Frames, ObjectSource, PortError, PortResult},
    stored::Stored,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};

use super::{Client, attributes::Attributes, crc_from_text, error::port_error, timeouts::within};

/// A pinned object version.
#[derive(Debug)]
pub struct S3Source {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version: ObjectVersion,
    pub(super) size: u64,
    pub(super) stored: Option<Stored>,
    attributes: Attributes,
}

impl S3Source {
    /// Look at an object and pin what is there: its version where the bucket keeps versions, its ETag always.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, or what the endpoint answered.
    pub async fn open(client: Client, uri: &ObjectUri) -> PortResult<Self> {
        let ObjectUri::S3 { bucket, key, version_id } = uri else {
            return Err(PortError::new(ErrorKind::Permanent, format!("{uri} is not in S3")));
        };
        let head = client
            .sdk
            .head_object()
            .bucket(bucket.as_str())
            .key(key.as_str())
            .set_version_id(version_id.as_ref().map(ToString::to_string))
            .checksum_mode(ChecksumMode::Enabled)
            .send();
        let what = format!("HEAD {uri}");
        let head = within(client.timeouts.answer, &what, head).await?;
        let head = head.map_err(|error| match port_error(&what, &error) {
            error if error.kind == ErrorKind::NotFound => {
                PortError::new(error.kind, format!("{uri}: no such object, version or bucket"))
            }
            error => error,
        })?;
        let size = head.content_length().and_then(|size| u64::try_from(size).ok()).ok_or_else(|| {
            PortError::new(ErrorKind::Permanent, format!("{what}: the endpoint does not say the size"))
        })?;
        let stored = stored(&head);
        // `null` is what S3 calls the version of an object in a bucket without versions: it can be overwritten.
        let version_id =
            head.version_id().filter(|id| *id != "null").and_then(|id| id.parse::<VersionId>().ok());
        let attributes = Attributes::of(&client, uri, &head).await?;
        Ok(Self {
            attributes,
            bucket: bucket.to_string(),
            key: key.to_string(),
            version: ObjectVersion {
                uri: uri.clone(),
                version_id,
                etag: head.e_tag().map(ToOwned::to_owned),
                size: Some(size),
                last_modified: head.last_modified().map(ToString::to_string),
            },
            client,
            size,
            stored,
        })
    }

    /// What was pinned.
    pub fn version(&self) -> &ObjectVersion {
        &self.version
    }

    /// Whether an answer is the range that was asked for: bytes from elsewhere in the object would pass every checksum that
    /// is made of them. An endpoint that does not say may have sent the whole object.
    fn is_range(&self, asked: &Range<u64>, said: Option<&str>) -> Result<(), String> {
        let Some(said) = said else {
            let whole = *asked == (0..self.size);
            return if whole { Ok(()) } else { Err("without saying which range".to_owned()) };
        };
        let (range, size) =
            said.strip_prefix("bytes ").and_then(|said| said.split_once('/')).unwrap_or_default();
        let same = range == format!("{}-{}", asked.start, asked.end - 1);
        let same_size = size == "*" || size.parse() == Ok(self.size);
        if same && same_size { Ok(()) } else { Err(format!("`{said}`")) }
    }

    /// The full-object CRC-64/NVME that the endpoint keeps.
    pub fn known_crc(&self) -> Option<u64> {
        match self.stored {
            Some(Stored::Crc64(crc)) => Some(crc),
            _ => None,
        }
    }

    /// Its size in bytes, and its CRC-64/NVME where that is known.
    pub(crate) fn size_and_crc(&self) -> (u64, Option<u64>) {
        (self.size, self.known_crc())
    }

    /// What it carries besides its bytes.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}

/// The full-object checksum of a HEAD. A composite one is of the parts' checksums, not of the bytes.
fn stored(head: &HeadObjectOutput) -> Option<Stored> {
    if matches!(head.checksum_type(), Some(ChecksumType::Composite)) {
        return None;
    }
    let bytes = |text: &str| STANDARD.decode(text).ok();
    let crc64 = || head.checksum_crc64_nvme().and_then(crc_from_text).map(Stored::Crc64);
    let crc32 =
        || head.checksum_crc32().and_then(bytes)?.try_into().ok().map(u32::from_be_bytes).map(Stored::Crc32);
    let crc32c = || {
        head.checksum_crc32_c().and_then(bytes)?.try_into().ok().map(u32::from_be_bytes).map(Stored::Crc32c)
    };
    let sha256 = || head.checksum_sha256().and_then(bytes)?.try_into().ok().map(Stored::Sha256);
    let sha1 = || head.checksum_sha1().and_then(bytes)?.try_into().ok().map(Stored::Sha1);
    crc64().or_else(crc32).or_else(crc32c).or_else(sha256).or_else(sha1)
}

impl ObjectSource for S3Source {
    fn uri(&self) -> String {
        self.version.uri.to_string()
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn checksum(&self) -> Option<Stored> {
        self.stored
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        async move {
            let what = format!("GET {} bytes {}-{}", self.version.uri, range.start, range.end - 1);
            let request = self
                .client
                .sdk
                .get_object()
                .bucket(&self.bucket)
                .key(&self.key)
                .range(format!("bytes={}-{}", range.start, range.end - 1))
                .set_version_id(self.version.version_id.as_ref().map(ToString::to_string))
                .set_if_match(self.version.etag.clone());
            let answer =
                within(self.client.timeouts.answer, &what, request.send()).await?.map_err(|error| {
                    let error = port_error(&what, &error);
                    match error.kind {
                        ErrorKind::Changed => PortError::new(
                            error.kind,
                            format!("{}: replaced while it was read", self.version.uri),
                        ),
                        _ => error,
                    }
                })?;
            self.is_range(&range, answer.content_range()).map_err(|said| {
                PortError::new(ErrorKind::Permanent, format!("{what}: the endpoint answered {said}"))
            })?;
            let frames = stream::unfold(Some((answer.body, what)), |state| async move {
                let (mut body, what) = state?;
                match body.next().await? {
                    Ok(frame) => Some((Ok(frame), Some((body, what)))),
                    Err(error) => {
                        let text = format!("{what}: {}", DisplayErrorContext(&error));
                        let error = PortError::new(ErrorKind::Transient, text);
                        Some((Err(error), None))
                    }
                }
            });
            Ok(frames.boxed())
        }
        .boxed()
    }
}
