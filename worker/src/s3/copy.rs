//! Identity routes: S3 copies the object itself, and none of its bytes pass through here.
//!
//! # Overview
//! A source whose CRC-64/NVME is known is copied whole, up to S3's bound for that. Others are copied in ranges, as the
//! parts of a multipart upload: S3 answers each with the CRC-64/NVME of what it wrote.
//!
//! # Failure handling
//! An endpoint that does not copy, or does not say a CRC-64/NVME, proves nothing: [`ServerCopy::run`] gives `None`,
//! nothing is left behind, and the caller streams the bytes. Everything unclear is settled by looking, as for any other
//! commit (`resolve.rs`).
//!
//! # Cancellation
//! By token, between parts: the upload is removed. A copy that publishes is carried through once it was sent.

use std::sync::Arc;

use aws_sdk_s3::{
    config::retry::RetryConfig,
    types::{ChecksumAlgorithm, MetadataDirective, TaggingDirective},
};
use eft_domain::Failure;
use eft_pipeline::{
    checksum::Crc64,
    concurrency::Concurrency,
    error::{interrupted, of_sink, of_source},
    port::{Committed, ErrorKind, ObjectSource, PartAck, PortError, PortResult, SinkLimits, Upload},
    progress::Progress,
    retry::{RetryPolicy, retrying},
    schedule::PartSchedule,
    transfer::{Delivery, Outcome, SEND_ATTEMPTS, Stopped},
};
use futures::{StreamExt, stream::FuturesUnordered};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::sync::CancellationToken;

use super::{
    S3Sink, S3Source,
    attributes::carry,
    crc_from_text,
    error::{part_error, port_error},
    resolve::{self, DELIVERY, Stands},
    sink::S3Upload,
    timeouts::within,
};

/// "You can store individual objects of up to 50 TB; CopyObject copies up to 5 GB" (S3 API reference; it counts GiB).
const LARGEST_WHOLE: u64 = 5 << 30;

/// Bytes of a copied part: large enough that requests do not count, small enough that eight at a time spread the work
/// of an object of a few GiB. None, reasonable default.
const PART: u64 = 256 << 20;

/// What stays as it is in `x-amz-copy-source`: RFC 3986 §2.3, and the slashes of the key.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// How an object is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `CopyObject`.
    Whole,
    /// `UploadPartCopy` of ranges.
    Parts(PartSchedule),
}

impl Method {
    /// For an object of `size` bytes; `None` when there is nothing that S3 could copy and prove.
    pub fn of(size: u64, crc: Option<u64>) -> Option<Self> {
        match (size, crc) {
            (0..=LARGEST_WHOLE, Some(_)) => Some(Self::Whole),
            (0, None) => None,
            _ => Some(Self::Parts(PartSchedule::known(size, PART, &SinkLimits::S3))),
        }
    }
}

/// A copy within one endpoint.
pub struct ServerCopy {
    /// What is copied.
    pub source: Arc<S3Source>,
    /// Where to.
    pub sink: S3Sink,
    /// How.
    pub method: Method,
    /// Requests in flight.
    pub concurrency: Concurrency,
    /// How requests are re-issued.
    pub retry: RetryPolicy,
    /// Where it counts.
    pub progress: Arc<Progress>,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// Why no object was made of copied parts.
enum Ended {
    Port(PortError),
    Run(Failure),
}

/// What was published, its checksum, and the parts it was copied in.
type Copied = (Committed, Crc64, u32);

impl ServerCopy {
    /// Carry it out; `None` when the endpoint cannot, and nothing was done.
    ///
    /// # Errors
    /// When the object is not there afterwards; what was begun is removed, or listed.
    pub async fn run(&self) -> Result<Option<Outcome>, Stopped> {
        let copied = match self.method {
            Method::Whole => self.whole().await,
            Method::Parts(schedule) => self.parts(&schedule).await,
        };
        let Some((committed, crc, parts)) = copied? else { return Ok(None) };
        Ok(Some(Outcome {
            source: crc,
            compared: self.source.known_crc().and(self.source.checksum()).map(|stored| stored.name()),
            output: crc,
            stages: Vec::new(),
            deliveries: vec![Delivery { parts, result: Ok(committed) }],
            resumed_from: None,
        }))
    }

    async fn whole(&self) -> Result<Option<Copied>, Stopped> {
        let crc = Crc64::from_parts(self.source.known_crc().unwrap_or_default(), self.source.size);
        if self.cancel.is_cancelled() {
            return Err(interrupted().into());
        }
        match retrying(&self.retry, |error| self.retried(error), || self.copy_object(crc)).await {
            Ok(committed) => {
                self.progress.wrote_part(crc.len());
                Ok(Some((committed, crc, 1)))
            }
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(self.failure(&error).await.into()),
        }
    }

    async fn copy_object(&self, whole: Crc64) -> PortResult<Committed> {
        let (source, sink) = (&self.source, &self.sink);
        let what = format!("CopyObject {} to {}", source.version.uri, sink.target.uri);
        let (if_none_match, if_match) = sink.conditions();
        let request = carry!(sink.client.sdk.copy_object(), &sink.target.attributes)
            .bucket(&sink.bucket)
            .key(&sink.key)
            .copy_source(self.copy_source())
            .set_copy_source_if_match(source.version.etag.clone())
            // Said anew, because our delivery id is among them.
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Replace)
            .metadata(DELIVERY, &sink.target.delivery_id)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .customize()
            // A copy publishes: it is repeated by us alone, after looking what the first one did.
            .config_override(aws_sdk_s3::config::Config::builder().retry_config(RetryConfig::disabled()));
        let done = match within(sink.client.timeouts.complete, &what, request.send()).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return self.settle(port_error(what, &error), whole).await,
            Err(late) => return resolve::after(sink, late, whole).await,
        };
        let result = done.copy_object_result();
        match result.and_then(|result| result.checksum_crc64_nvme()) {
            Some(crc) => {
                let etag = result.and_then(|result| result.e_tag());
                sink.committed(done.version_id(), etag, Some(crc), whole)
            }
            // Not in the answer; perhaps of the object.
            None => match resolve::look(sink, Some(whole)).await {
                Ok(Stands::Ours(committed)) => {
                    Ok(Committed { already_there: false, resolved: false, ..committed })
                }
                Err(looking) => {
                    let copied = PortError::new(ErrorKind::Transient, format!("{what}: no CRC-64/NVME"));
                    Err(resolve::blind(&copied, &looking))
                }
                Ok(_) => {
                    let message = format!("{what}: what stands there is not what was copied");
                    Err(PortError::new(ErrorKind::Damaged, message))
                }
            },
        }
    }

    /// A refused condition is of the source or of the destination; what stands there tells.
    async fn settle(&self, error: PortError, whole: Crc64) -> PortResult<Committed> {
        if error.kind != ErrorKind::Changed {
            return resolve::after(&self.sink, error, whole).await;
        }
        match resolve::look(&self.sink, Some(whole)).await {
            Ok(Stands::Ours(committed)) => Ok(resolve::settled(committed)),
            // An earlier attempt whose answer was lost may have made it.
            Err(looking) => Err(resolve::blind(&error, &looking)),
            Ok(Stands::Theirs(etag)) if self.sink.replaces.is_none() || etag != self.sink.replaces => {
                Err(self.sink.taken())
            }
            Ok(_) => Err(self.source_changed()),
        }
    }

    fn source_changed(&self) -> PortError {
        let message = format!("{}: replaced while it was copied", self.source.version.uri);
        PortError::new(ErrorKind::Changed, message)
    }

    async fn parts(&self, schedule: &PartSchedule) -> Result<Option<Copied>, Stopped> {
        let mut sent = 1;
        loop {
            let created = retrying(&self.retry, |error| self.retried(error), || self.sink.create()).await;
            let upload = match created {
                Ok(upload) => upload,
                Err(error) => return Err(self.failure(&error).await.into()),
            };
            let published = match self.copy_all(&upload, schedule).await {
                Ok(acks) => self.publish(&upload, acks).await,
                Err(error) => Err(Ended::Port(error)),
            };
            let ended = match published {
                Ok(copied) => return Ok(Some(copied)),
                Err(ended) => ended,
            };
            let left = retrying(&self.retry, |_| (), || upload.abort()).await.err();
            let failure = match ended {
                Ended::Port(error) => match (error.kind, &left) {
                    (ErrorKind::Spent, None) if sent < SEND_ATTEMPTS && !self.cancel.is_cancelled() => {
                        sent += 1;
                        self.progress.read_again();
                        continue;
                    }
                    (ErrorKind::Unsupported, None) => return Ok(None),
                    // What the copy left would stay behind the streamed object.
                    (ErrorKind::Unsupported, Some(left)) => of_sink(left),
                    _ => self.failure(&error).await,
                },
                Ended::Run(failure) => failure,
            };
            return Err(Stopped::new(failure, Vec::new(), left.into_iter().collect()));
        }
    }

    async fn copy_all(&self, upload: &S3Upload, schedule: &PartSchedule) -> PortResult<Vec<PartAck>> {
        if !self.sink.knows_crc64() {
            return Err(PortError::new(ErrorKind::Unsupported, "the endpoint knows no CRC-64/NVME"));
        }
        let (size, part) = (self.source.size, schedule.first());
        let mut starts = (0..size).step_by(usize::try_from(part).unwrap_or(usize::MAX)).zip(1..).peekable();
        let mut copying = FuturesUnordered::new();
        let mut acks = Vec::new();
        while starts.peek().is_some() || !copying.is_empty() {
            while copying.len() < self.concurrency.window() {
                let Some((start, number)) = starts.next() else { break };
                let end = size.min(start + part);
                copying.push(retrying(
                    &self.retry,
                    |error| self.retried(error),
                    move || self.copy_part(upload, number, start, end),
                ));
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {
                    // S3 goes on with copies it has begun, and an abort before they end would miss what they leave.
                    let ended = copying.map(drop).collect::<()>();
                    drop(tokio::time::timeout(self.sink.client.timeouts.answer, ended).await);
                    return Err(PortError::new(ErrorKind::Permanent, interrupted().message));
                }
                Some(ack) = copying.next(), if !copying.is_empty() => {
                    let ack = ack?;
                    self.concurrency.succeeded();
                    self.progress.wrote_part(ack.crc.len());
                    acks.push(ack);
                }
            }
        }
        acks.sort_by_key(|ack| ack.number);
        Ok(acks)
    }

    async fn copy_part(&self, upload: &S3Upload, number: u32, start: u64, end: u64) -> PortResult<PartAck> {
        let sink = &self.sink;
        let what = format!("UploadPartCopy {number} of {} to {}", self.source.version.uri, sink.target.uri);
        let request = sink
            .client
            .sdk
            .upload_part_copy()
            .bucket(&sink.bucket)
            .key(&sink.key)
            .upload_id(&upload.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .copy_source(self.copy_source())
            .copy_source_range(format!("bytes={start}-{}", end - 1))
            .set_copy_source_if_match(self.source.version.etag.clone());
        let answer = within(sink.client.timeouts.complete, &what, request.send()).await?;
        let done = answer.map_err(|error| match part_error(&what, &error) {
            error if error.kind == ErrorKind::Changed => self.source_changed(),
            error => error,
        })?;
        let result = done.copy_part_result();
        let crc = result.and_then(|result| result.checksum_crc64_nvme()).and_then(crc_from_text);
        let crc = crc.ok_or_else(|| {
            PortError::new(ErrorKind::Unsupported, format!("{what}: no CRC-64/NVME in the answer"))
        })?;
        let tag = result.and_then(|result| result.e_tag()).map(ToOwned::to_owned);
        let tag = tag.ok_or_else(|| PortError::new(ErrorKind::Permanent, format!("{what}: no ETag")))?;
        Ok(PartAck { number, tag, crc: Crc64::from_parts(crc, end - start) })
    }

    async fn publish(&self, upload: &S3Upload, acks: Vec<PartAck>) -> Result<Copied, Ended> {
        let whole = acks.iter().fold(Crc64::default(), |crc, ack| crc.then(ack.crc));
        if let Some(expected) = self.source.known_crc().filter(|expected| *expected != whole.value()) {
            let (uri, copied) = (&self.source.version.uri, whole.value());
            let message =
                format!("{uri}: the copy has CRC-64/NVME {copied:016x}, the store says {expected:016x}");
            return Err(Ended::Run(Failure::new(eft_domain::Code::IntegritySource, message)));
        }
        let commit = || upload.commit(&acks, whole);
        match retrying(&self.retry, |error| self.retried(error), commit).await {
            Ok(committed) => Ok((committed, whole, u32::try_from(acks.len()).unwrap_or(u32::MAX))),
            Err(error) if error.kind == ErrorKind::Spent => Err(Ended::Port(error)),
            Err(error) => Err(Ended::Run(of_sink(&error))),
        }
    }

    fn retried(&self, error: &PortError) {
        self.progress.retried();
        if error.kind == ErrorKind::Throttled {
            self.concurrency.throttled();
        }
    }

    /// Whose error it is: a copy names two objects, and S3's answer does not say which one it speaks of.
    async fn failure(&self, error: &PortError) -> Failure {
        match error.kind {
            _ if self.cancel.is_cancelled() => interrupted(),
            ErrorKind::Changed => of_source(error),
            ErrorKind::NotFound => {
                match S3Source::open(self.sink.client.clone(), &self.source.version.uri).await {
                    Err(gone) if gone.kind == ErrorKind::NotFound => of_source(&gone),
                    _ => of_sink(error),
                }
            }
            _ => of_sink(error),
        }
    }

    fn copy_source(&self) -> String {
        let key = utf8_percent_encode(&self.source.key, PATH);
        match &self.source.version.version_id {
            Some(version) => format!("{}/{key}?versionId={version}", self.source.bucket),
            None => format!("{}/{key}", self.source.bucket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_follows_size_and_checksum() {
        assert_eq!(Method::of(0, Some(0)), Some(Method::Whole));
        assert_eq!(Method::of(LARGEST_WHOLE, Some(1)), Some(Method::Whole));
        assert_eq!(Method::of(0, None), None);
        let parts = |size, crc| match Method::of(size, crc) {
            Some(Method::Parts(schedule)) => schedule.count(size),
            other => panic!("{other:?}"),
        };
        assert_eq!(parts(1, None), 1);
        assert_eq!(parts(LARGEST_WHOLE + 1, Some(1)), 21);
        assert!(parts(SinkLimits::S3.max_object, None) <= 10_000);
    }
}
