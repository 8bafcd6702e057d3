//! Routes that look at no byte: S3 copies the object itself, or joins several, and none of their bytes pass through here.
//!
//! # Overview
//! A source whose CRC-64/NVME is known is copied whole, up to S3's bound for that. Others are copied in ranges, as the
//! parts of a multipart upload: S3 answers each with the CRC-64/NVME of what it wrote. Several are joined by copying
//! each in such ranges, where none but the last is smaller than a part may be.
//!
//! # Failure handling
//! An endpoint that does not copy, or does not say a CRC-64/NVME, proves nothing: [`ServerCopy::run`] gives `None`,
//! nothing is left behind, and the caller streams the bytes. Everything unclear is settled by looking, as for any other
//! commit (`resolve.rs`).
//!
//! # Cancellation
//! By token, between parts: the upload is removed. A copy that publishes is carried through once it was sent.

use std::{ops::Range, sync::Arc};

use aws_sdk_s3::{
    config::retry::RetryConfig,
    types::{ChecksumAlgorithm, MetadataDirective, TaggingDirective},
};
use eft_domain::{Failure, ObjectUri};
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

/// How objects are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// `CopyObject`, of the only one.
    Whole,
    /// `UploadPartCopy` of ranges, in the order of the parts.
    Parts(Vec<CopyRange>),
}

/// A range of one of the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRange {
    /// Which.
    pub source: usize,
    /// Bytes of it.
    pub bytes: Range<u64>,
}

impl Method {
    /// For objects of these sizes with these CRC-64/NVME, one behind the other; `None` when S3 cannot copy them so, or
    /// prove that it did.
    pub fn of(sources: &[(u64, Option<u64>)]) -> Option<Self> {
        match sources {
            [(0..=LARGEST_WHOLE, Some(_))] => Some(Self::Whole),
            _ => {
                let total = sources.iter().try_fold(0_u64, |total, (size, _)| total.checked_add(*size))?;
                let part = PartSchedule::known(total, PART, &SinkLimits::S3).first();
                Self::parts(sources.iter().map(|(size, _)| *size), part)
            }
        }
    }

    /// Ranges of `part` bytes of objects of these sizes. What is left at the end of an object and would be smaller than S3
    /// allows goes with the range before it; only the very last may be small.
    pub fn parts(sizes: impl IntoIterator<Item = u64>, part: u64) -> Option<Self> {
        let SinkLimits { min_part, max_part, max_parts, .. } = SinkLimits::S3;
        let sizes: Vec<_> = sizes.into_iter().enumerate().filter(|(_, size)| *size > 0).collect();
        let mut ranges = Vec::new();
        for (at, &(source, size)) in sizes.iter().enumerate() {
            let is_last = at + 1 == sizes.len();
            let mut start = 0;
            while start < size {
                let left = size - start;
                let joined = !is_last && left < part + min_part;
                let len = if joined { left } else { left.min(part) };
                if len > max_part
                    || (len < min_part && !is_last)
                    || ranges.len() as u64 >= u64::from(max_parts)
                {
                    return None;
                }
                ranges.push(CopyRange { source, bytes: start..start + len });
                start += len;
            }
        }
        (!ranges.is_empty()).then_some(Self::Parts(ranges))
    }
}

/// A copy within one endpoint.
pub struct ServerCopy {
    /// What is copied, one behind the other.
    pub sources: Vec<Arc<S3Source>>,
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
    Met(Met),
    Run(Failure),
}

/// What was published, its checksum, and the parts it was copied in.
type Copied = (Committed, Crc64, u32);

/// What a request met, and which source it was of.
type Met = (PortError, usize);

impl ServerCopy {
    /// Carry it out; `None` when the endpoint cannot, and nothing was done.
    ///
    /// # Errors
    /// When the object is not there afterwards; what was begun is removed, or listed.
    pub async fn run(&self) -> Result<Option<Outcome>, Stopped> {
        let copied = match &self.method {
            Method::Whole => self.whole().await,
            Method::Parts(ranges) => self.parts(ranges).await,
        };
        let Some((committed, crc, parts)) = copied? else { return Ok(None) };
        Ok(Some(Outcome {
            source: crc,
            compared: self.compared(),
            output: crc,
            stages: Vec::new(),
            deliveries: vec![Delivery { parts, result: Ok(committed) }],
            resumed_from: None,
        }))
    }

    /// The checksum of every source that the store keeps, and S3 copied by.
    fn compared(&self) -> Option<&'static str> {
        let mut names = self.sources.iter().map(|source| source.known_crc().and(source.checksum()));
        let first = names.next().flatten()?;
        names.all(|stored| stored.is_some()).then(|| first.name())
    }

    fn source(&self, at: usize) -> &S3Source {
        &self.sources[at]
    }

    async fn whole(&self) -> Result<Option<Copied>, Stopped> {
        let source = self.source(0);
        let crc = Crc64::from_parts(source.known_crc().unwrap_or_default(), source.size);
        if self.cancel.is_cancelled() {
            return Err(interrupted().into());
        }
        match retrying(&self.retry, |error| self.retried(error), || self.copy_object(crc)).await {
            Ok(committed) => {
                self.progress.wrote_part(crc.len());
                Ok(Some((committed, crc, 1)))
            }
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(self.failure(&(error, 0)).await.into()),
        }
    }

    async fn copy_object(&self, whole: Crc64) -> PortResult<Committed> {
        let (source, sink) = (self.source(0), &self.sink);
        sink.client.permit.publish().await?;
        let what = format!("CopyObject {} to {}", source.version.uri, sink.target.uri);
        let (if_none_match, if_match) = sink.conditions();
        let request = carry!(sink.client.sdk.copy_object(), &sink.target.attributes)
            .bucket(&sink.bucket)
            .key(&sink.key)
            .copy_source(copy_source(source))
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
            Ok(Stands::Theirs(theirs)) if !self.sink.may_follow(&theirs) => Err(self.sink.taken()),
            _ => Err(source_changed(self.source(0))),
        }
    }

    async fn parts(&self, ranges: &[CopyRange]) -> Result<Option<Copied>, Stopped> {
        let mut sent = 1;
        loop {
            let created = retrying(&self.retry, |error| self.retried(error), || self.sink.create()).await;
            let upload = match created {
                Ok(upload) => upload,
                Err(error) => return Err(self.failure(&(error, 0)).await.into()),
            };
            let published = match self.copy_all(&upload, ranges).await {
                Ok(acks) => self.publish(&upload, ranges, acks).await,
                Err(met) => Err(Ended::Met(met)),
            };
            let ended = match published {
                Ok(copied) => return Ok(Some(copied)),
                Err(ended) => ended,
            };
            let left = retrying(&self.retry, |_| (), || upload.abort()).await.err();
            let failure = match ended {
                Ended::Met(met) => match (met.0.kind, &left) {
                    (ErrorKind::Spent, None) if sent < SEND_ATTEMPTS && !self.cancel.is_cancelled() => {
                        sent += 1;
                        self.progress.read_again();
                        continue;
                    }
                    (ErrorKind::Unsupported, None) => return Ok(None),
                    // What the copy left would stay behind the streamed object.
                    (ErrorKind::Unsupported, Some(left)) => of_sink(left),
                    _ => self.failure(&met).await,
                },
                Ended::Run(failure) => failure,
            };
            return Err(Stopped::new(failure, Vec::new(), left.into_iter().collect()));
        }
    }

    async fn copy_all(&self, upload: &S3Upload, ranges: &[CopyRange]) -> Result<Vec<PartAck>, Met> {
        if !self.sink.knows_crc64() {
            return Err((PortError::new(ErrorKind::Unsupported, "the endpoint knows no CRC-64/NVME"), 0));
        }
        let mut ranges = ranges.iter().zip(1..).peekable();
        let mut copying = FuturesUnordered::new();
        let mut acks = Vec::new();
        while ranges.peek().is_some() || !copying.is_empty() {
            while copying.len() < self.concurrency.window() {
                let Some((range, number)) = ranges.next() else { break };
                copying.push(async move {
                    let copy = || self.copy_part(upload, number, range);
                    let copied = retrying(&self.retry, |error| self.retried(error), copy).await;
                    copied.map_err(|error| (error, range.source))
                });
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {
                    self.wait_for(copying).await;
                    return Err((PortError::new(ErrorKind::Permanent, interrupted().message), 0));
                }
                Some(ack) = copying.next(), if !copying.is_empty() => {
                    let ack = match ack {
                        Ok(ack) => ack,
                        Err(met) => {
                            self.wait_for(copying).await;
                            return Err(met);
                        }
                    };
                    self.concurrency.succeeded();
                    self.progress.wrote_part(ack.crc.len());
                    acks.push(ack);
                }
            }
        }
        acks.sort_by_key(|ack| ack.number);
        Ok(acks)
    }

    /// S3 goes on with copies it has begun, and an abort before they end would miss what they leave.
    async fn wait_for<T>(&self, copying: FuturesUnordered<impl Future<Output = T>>) {
        let ended = copying.map(drop).collect::<()>();
        drop(tokio::time::timeout(self.sink.client.timeouts.answer, ended).await);
    }

    async fn copy_part(&self, upload: &S3Upload, number: u32, range: &CopyRange) -> PortResult<PartAck> {
        let (sink, source) = (&self.sink, self.source(range.source));
        let (start, end) = (range.bytes.start, range.bytes.end);
        let what = format!("UploadPartCopy {number} of {} to {}", source.version.uri, sink.target.uri);
        let request = sink
            .client
            .sdk
            .upload_part_copy()
            .bucket(&sink.bucket)
            .key(&sink.key)
            .upload_id(&upload.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .copy_source(copy_source(source))
            .copy_source_range(format!("bytes={start}-{}", end - 1))
            .set_copy_source_if_match(source.version.etag.clone());
        let answer = within(sink.client.timeouts.complete, &what, request.send()).await?;
        let done = answer.map_err(|error| match part_error(&what, &error) {
            error if error.kind == ErrorKind::Changed => source_changed(source),
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

    async fn publish(
        &self,
        upload: &S3Upload,
        ranges: &[CopyRange],
        acks: Vec<PartAck>,
    ) -> Result<Copied, Ended> {
        let whole = acks.iter().fold(Crc64::default(), |crc, ack| crc.then(ack.crc));
        let mut copied = vec![Crc64::default(); self.sources.len()];
        for (range, ack) in ranges.iter().zip(&acks) {
            copied[range.source] = copied[range.source].then(ack.crc);
        }
        for (source, copied) in self.sources.iter().zip(copied) {
            if let Some(expected) = source.known_crc().filter(|expected| *expected != copied.value()) {
                let (uri, copied) = (&source.version.uri, copied.value());
                let message =
                    format!("{uri}: the copy has CRC-64/NVME {copied:016x}, the store says {expected:016x}");
                return Err(Ended::Run(Failure::new(eft_domain::Code::IntegritySource, message)));
            }
        }
        let commit = || upload.commit(&acks, whole);
        match retrying(&self.retry, |error| self.retried(error), commit).await {
            Ok(committed) => Ok((committed, whole, u32::try_from(acks.len()).unwrap_or(u32::MAX))),
            Err(error) if error.kind == ErrorKind::Spent => Err(Ended::Met((error, 0))),
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
    async fn failure(&self, (error, source): &Met) -> Failure {
        match error.kind {
            _ if self.cancel.is_cancelled() => interrupted(),
            ErrorKind::Changed => of_source(error),
            ErrorKind::NotFound => {
                match S3Source::open(self.sink.client.clone(), &pinned(self.source(*source))).await {
                    Err(gone) if gone.kind == ErrorKind::NotFound => of_source(&gone),
                    _ => of_sink(error),
                }
            }
            _ => of_sink(error),
        }
    }
}

fn source_changed(source: &S3Source) -> PortError {
    PortError::new(ErrorKind::Changed, format!("{}: replaced while it was copied", source.version.uri))
}

/// The very version that was copied.
fn pinned(source: &S3Source) -> ObjectUri {
    match source.version.uri.clone() {
        ObjectUri::S3 { bucket, key, version_id } => {
            ObjectUri::S3 { bucket, key, version_id: source.version.version_id.clone().or(version_id) }
        }
        other => other,
    }
}

/// What `x-amz-copy-source` names a source by.
fn copy_source(source: &S3Source) -> String {
    let key = utf8_percent_encode(&source.key, PATH);
    match &source.version.version_id {
        Some(version) => format!("{}/{key}?versionId={version}", source.bucket),
        None => format!("{}/{key}", source.bucket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_follows_size_and_checksum() {
        assert_eq!(Method::of(&[]), None);
        assert_eq!(Method::of(&[(0, Some(0))]), Some(Method::Whole));
        assert_eq!(Method::of(&[(LARGEST_WHOLE, Some(1))]), Some(Method::Whole));
        assert_eq!(Method::of(&[(0, None)]), None);
        let parts = |size, crc| match Method::of(&[(size, crc)]) {
            Some(Method::Parts(ranges)) => ranges.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(parts(1, None), 1);
        assert_eq!(parts(LARGEST_WHOLE + 1, Some(1)), 21);
        assert!(parts(SinkLimits::S3.max_object, None) <= 10_000);
    }

    /// Checked by hand against "Amazon S3 multipart upload limits".
    #[test]
    fn joined_objects_are_cut_as_s3_takes_parts() {
        const MIB: u64 = 1 << 20;
        let ranges = |sizes: &[u64]| match Method::parts(sizes.iter().copied(), 10 * MIB) {
            Some(Method::Parts(ranges)) => Some(
                ranges
                    .iter()
                    .map(|range| (range.source, range.bytes.end - range.bytes.start))
                    .collect::<Vec<_>>(),
            ),
            _ => None,
        };
        assert_eq!(
            ranges(&[24 * MIB, 0, 25 * MIB, 5 * MIB, 21 * MIB]).unwrap(),
            [
                (0, 10 * MIB),
                (0, 14 * MIB),
                (2, 10 * MIB),
                (2, 10 * MIB),
                (2, 5 * MIB),
                (3, 5 * MIB),
                (4, 10 * MIB),
                (4, 10 * MIB),
                (4, MIB)
            ]
        );
        assert_eq!(ranges(&[5 * MIB, 1]).unwrap(), [(0, 5 * MIB), (1, 1)]);
        assert_eq!(ranges(&[5 * MIB - 1, 1]), None, "a small part that is not the last");
        assert_eq!(ranges(&[0, 0]), None);
        assert_eq!(ranges(&[10 * MIB; 10_000]).unwrap().len(), 10_000);
        assert_eq!(ranges(&[10 * MIB; 10_001]), None);
        // Two objects are never copied whole, whatever is known of them.
        assert!(matches!(Method::of(&[(5 * MIB, Some(1)), (5 * MIB, Some(1))]), Some(Method::Parts(_))));
    }
}
