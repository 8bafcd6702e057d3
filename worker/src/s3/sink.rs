//! An object in S3 as a sink: one conditional PUT, or a multipart upload with a full-object checksum.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use aws_sdk_s3::{
    config::retry::RetryConfig,
    error::ProvideErrorMetadata as _,
    types::{ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use eft_domain::{ObjectUri, receipt::WriteCapability, route::OnExisting};
use eft_pipeline::{
    checksum::Crc64,
    port::{
        Committed, ErrorKind, ObjectSink, Part, PartAck, PassingPart, PortError, PortResult, SinkLimits,
        Upload, Verified,
    },
};
use futures::{FutureExt, future::BoxFuture};

use super::{
    Client,
    attributes::{Attributes, carry},
    begin::LostCreates,
    body, crc_from_text, crc_to_text,
    error::{part_error, port_error, speaks_of_checksum},
    resolve::{self, DELIVERY, Other, Stands},
    timeouts::within,
};

/// How often an abort is repeated while parts that were on their way still arrive.
const ABORTS: usize = 4;

/// What is to be written where.
#[derive(Clone, Debug)]
pub struct Target {
    /// The object.
    pub uri: ObjectUri,
    /// What to do when the name is taken.
    pub on_existing: OnExisting,
    /// Written into the object's metadata; recognises our own object.
    pub delivery_id: String,
    /// What the object carries besides its bytes.
    pub attributes: Attributes,
}

/// A place for one object.
#[derive(Clone, Debug)]
pub struct S3Sink {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) target: Arc<Target>,
    /// An object of this very delivery stood here when the sink was opened: it is known by that, whatever its bytes.
    pub(super) stood: bool,
    /// What stood here when the sink was opened, and may be replaced or get a newer version.
    before: Option<Box<Other>>,
    facts: Arc<Facts>,
}

/// What the endpoint turned out not to know, and what it may hold.
#[derive(Debug, Default)]
struct Facts {
    no_crc64: AtomicBool,
    no_condition: AtomicBool,
    /// It keeps a CRC-64 of each part.
    keeps_crc64: AtomicBool,
    /// It has not taken a part that was sent while it was read.
    passes_no_more: AtomicBool,
    lost_creates: LostCreates,
    lost_commit: AtomicBool,
}

impl S3Sink {
    /// Look at the destination before a byte moves.
    ///
    /// # Errors
    /// `Exists` when the name is taken, the policy is to fail and the object is not this very delivery.
    pub async fn open(client: Client, target: Target) -> PortResult<(Self, Option<Committed>)> {
        let mut sink = Self::unchecked(client, target)?;
        match resolve::look(&sink, None).await {
            Ok(Stands::Ours(committed)) => {
                sink.stood = true;
                return Ok((sink, Some(committed)));
            }
            Ok(Stands::Theirs(theirs)) => match sink.target.on_existing {
                OnExisting::Fail => return Err(sink.taken()),
                OnExisting::Replace | OnExisting::Version => sink.before = Some(Box::new(theirs)),
            },
            // Writers that may not read are common; the condition on the write protects them.
            Ok(Stands::Nothing) | Err(PortError { kind: ErrorKind::Denied, .. }) => {}
            Err(error) => return Err(error),
        }
        Ok((sink, None))
    }

    /// A sink that has not looked: only the commit will find a taken name.
    ///
    /// # Errors
    /// `Permanent` when the target is not an object that can be written.
    pub fn unchecked(client: Client, target: Target) -> PortResult<Self> {
        let ObjectUri::S3 { bucket, key, version_id: None } = &target.uri else {
            let message = format!("{} is not a destination: a version cannot be written", target.uri);
            return Err(PortError::new(ErrorKind::Permanent, message));
        };
        let (bucket, key) = (bucket.to_string(), key.to_string());
        Ok(Self {
            client,
            bucket,
            key,
            target: Arc::new(target),
            stood: false,
            before: None,
            facts: Arc::default(),
        })
    }

    /// The endpoint compared our checksum.
    pub fn knows_crc64(&self) -> bool {
        !self.facts.no_crc64.load(Relaxed)
    }

    /// What the endpoint does with conditions on writes.
    pub fn write_capability(&self) -> WriteCapability {
        match (self.knows_conditions(), self.client.is_aws) {
            (false, _) => WriteCapability::Unsupported,
            (true, true) => WriteCapability::Enforced,
            (true, false) => WriteCapability::Unproven,
        }
    }

    /// The endpoint does not compare our checksum.
    pub(super) fn forget_crc64(&self) {
        self.facts.no_crc64.store(true, Relaxed);
    }

    /// The endpoint has said that it keeps a CRC-64 of each part.
    pub(super) fn keeps_crc64(&self) {
        self.facts.keeps_crc64.store(self.knows_crc64(), Relaxed);
    }

    /// Parts are sent from memory from now on.
    pub(super) fn passes_no_more(&self) {
        self.facts.passes_no_more.store(true, Relaxed);
    }

    pub(super) fn lost_creates(&self) -> &LostCreates {
        &self.facts.lost_creates
    }

    /// An error of a commit that nobody may look at. Only a refused load is sure to have had no effect, as long as it was
    /// never anything else.
    pub(super) fn unproven(&self, error: PortError) -> PortError {
        let lost = self.facts.lost_commit.fetch_or(error.kind != ErrorKind::Throttled, Relaxed);
        match lost || error.kind != ErrorKind::Throttled {
            true => PortError { kind: ErrorKind::Unproven, ..error },
            false => error,
        }
    }

    fn knows_conditions(&self) -> bool {
        !self.facts.no_condition.load(Relaxed)
    }

    pub(super) fn taken(&self) -> PortError {
        PortError::new(ErrorKind::Exists, format!("{}: the name is taken by another object", self.target.uri))
    }

    /// `If-None-Match` and `If-Match` of the commit.
    pub(super) fn conditions(&self) -> (Option<String>, Option<String>) {
        if !self.knows_conditions() || self.adds_versions() {
            return (None, None);
        }
        match self.before.as_ref().and_then(|before| before.etag.clone()) {
            Some(etag) => (None, Some(etag)),
            None => (Some("*".to_owned()), None),
        }
    }

    /// The write that publishes carries a condition.
    pub(super) fn is_conditional(&self) -> bool {
        self.conditions() != (None, None)
    }

    /// Whether ours may come after this object: the one that stood here all the time.
    pub(super) fn may_follow(&self, other: &Other) -> bool {
        self.before.as_ref().is_some_and(|before| before.is(other))
    }

    /// Ours may stand under the name without being the latest.
    pub(super) fn adds_versions(&self) -> bool {
        self.target.on_existing == OnExisting::Version
    }

    /// The version that an earlier run has made. No condition keeps this one from making another.
    async fn stands_already(&self) -> PortResult<Option<Committed>> {
        if !self.stood || !self.adds_versions() {
            return Ok(None);
        }
        match resolve::look(self, None).await? {
            Stands::Ours(committed) => Ok(Some(resolve::stood(committed))),
            _ => Ok(None),
        }
    }

    /// Settle a failed commit; an endpoint without conditions is asked again without one.
    async fn settle(&self, error: PortError, whole: Crc64) -> PortResult<Committed> {
        if error.kind == ErrorKind::Changed && self.stood {
            // Made by an earlier run. What makes the bytes may make others each time, as encryption does.
            return match resolve::look(self, None).await? {
                Stands::Ours(committed) => Ok(committed),
                _ => Err(self.taken()),
            };
        }
        if speaks_of_checksum(&error) && self.knows_crc64() {
            // Nothing was written: asked once more without.
            self.facts.no_crc64.store(true, Relaxed);
            return Err(PortError::new(ErrorKind::Transient, error.message));
        }
        if error.kind == ErrorKind::Unsupported && self.is_conditional() {
            self.facts.no_condition.store(true, Relaxed);
            return match resolve::look(self, Some(whole)).await? {
                Stands::Ours(committed) => Ok(resolve::settled(committed)),
                Stands::Theirs(theirs) if !self.may_follow(&theirs) => Err(self.taken()),
                _ => Err(PortError::new(ErrorKind::Transient, error.message)),
            };
        }
        resolve::after(self, error, whole).await
    }

    pub(super) fn committed(
        &self,
        version: Option<&str>,
        etag: Option<&str>,
        crc: Option<&str>,
        whole: Crc64,
    ) -> PortResult<Committed> {
        let crc = crc.and_then(crc_from_text);
        if crc.is_some_and(|crc| crc != whole.value()) {
            let message = format!("{}: the store's CRC-64/NVME is not the one sent", self.target.uri);
            return Err(PortError::new(ErrorKind::Damaged, message));
        }
        if crc.is_none() {
            self.facts.no_crc64.store(true, Relaxed);
        }
        Ok(Committed {
            version: version.filter(|id| *id != "null").map(ToOwned::to_owned),
            etag: etag.map(ToOwned::to_owned),
            verified: if crc.is_some() { Verified::Checksum } else { Verified::SizeOnly },
            whole: Some(whole),
            already_there: false,
            resolved: false,
        })
    }

    async fn put_once(&self, part: &Part) -> PortResult<Committed> {
        if let Some(committed) = self.stands_already().await? {
            return Ok(committed);
        }
        self.client.permit.publish().await?;
        let what = format!("PUT {}", self.target.uri);
        let (if_none_match, if_match) = self.conditions();
        let request = carry!(self.client.sdk.put_object(), &self.target.attributes);
        let request = request
            .bucket(&self.bucket)
            .key(&self.key)
            .metadata(DELIVERY, &self.target.delivery_id)
            .content_length(i64::try_from(part.len()).unwrap_or(i64::MAX))
            .set_checksum_crc64_nvme(self.knows_crc64().then(|| crc_to_text(part.crc.value())))
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .body(body::of_segments(&part.segments, part.len()))
            .customize()
            // The signed CRC header covers the bytes; a SHA-256 of them would be the largest cost of all.
            .disable_payload_signing()
            // A write that publishes is repeated by us alone, after looking what the first one did.
            .config_override(aws_sdk_s3::config::Config::builder().retry_config(RetryConfig::disabled()));
        match within(self.client.timeouts.part(part.len()), &what, request.send()).await {
            Ok(Ok(done)) => {
                self.committed(done.version_id(), done.e_tag(), done.checksum_crc64_nvme(), part.crc)
            }
            Ok(Err(error)) => {
                let error = port_error(what, &error);
                let refused = error.kind == ErrorKind::Changed;
                let committed = self.settle(error, part.crc).await?;
                // Another run of the same delivery was first.
                Ok(if refused { resolve::stood(committed) } else { committed })
            }
            Err(late) => resolve::after(self, late, part.crc).await,
        }
    }
}

impl ObjectSink for S3Sink {
    fn uri(&self) -> String {
        self.target.uri.to_string()
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits::S3
    }

    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>> {
        async move { self.put_once(&part).await }.boxed()
    }

    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>> {
        async move { self.create().await.map(|upload| Box::new(upload) as Box<dyn Upload>) }.boxed()
    }

    fn reopen<'a>(&'a self, id: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>> {
        async move {
            let upload = S3Upload { sink: self.clone(), id: id.to_owned() };
            upload.exists().await?;
            Ok(Box::new(upload) as Box<dyn Upload>)
        }
        .boxed()
    }

    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>> {
        async move {
            let listed = self.listed_uploads().await?;
            Ok(listed.into_iter().filter_map(|upload| upload.upload_id).collect())
        }
        .boxed()
    }
}

/// A multipart upload under way.
#[derive(Debug)]
pub(super) struct S3Upload {
    pub(super) sink: S3Sink,
    pub(super) id: String,
}

impl S3Upload {
    async fn upload_part(&self, part: Part) -> PortResult<PartAck> {
        let sink = &self.sink;
        let what = format!("UploadPart {} of {}", part.number, sink.target.uri);
        let request = sink
            .client
            .sdk
            .upload_part()
            .bucket(&sink.bucket)
            .key(&sink.key)
            .upload_id(&self.id)
            .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
            .content_length(i64::try_from(part.len()).unwrap_or(i64::MAX))
            .set_checksum_crc64_nvme(sink.knows_crc64().then(|| crc_to_text(part.crc.value())))
            .body(body::of_segments(&part.segments, part.len()))
            .customize()
            .disable_payload_signing();
        let answer = within(sink.client.timeouts.part(part.len()), &what, request.send()).await?;
        let done = answer.map_err(|error| part_error(&what, &error))?;
        let tag = done.e_tag().map(ToOwned::to_owned);
        let tag = tag.ok_or_else(|| PortError::new(ErrorKind::Permanent, format!("{what}: no ETag")))?;
        Ok(PartAck { number: part.number, tag, crc: part.crc })
    }

    async fn complete(&self, parts: &[PartAck], whole: Crc64) -> PortResult<Committed> {
        let sink = &self.sink;
        if let Some(committed) = sink.stands_already().await? {
            self.remove().await?;
            return Ok(committed);
        }
        sink.client.permit.publish().await?;
        let what = format!("CompleteMultipartUpload {}", sink.target.uri);
        let crc = sink.knows_crc64();
        let parts = parts.iter().map(|ack| {
            CompletedPart::builder()
                .part_number(i32::try_from(ack.number).unwrap_or(i32::MAX))
                .e_tag(&ack.tag)
                .set_checksum_crc64_nvme(crc.then(|| crc_to_text(ack.crc.value())))
                .build()
        });
        let (if_none_match, if_match) = sink.conditions();
        let request = sink
            .client
            .sdk
            .complete_multipart_upload()
            .bucket(&sink.bucket)
            .key(&sink.key)
            .upload_id(&self.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build())
            .mpu_object_size(i64::try_from(whole.len()).unwrap_or(i64::MAX))
            .set_checksum_crc64_nvme(crc.then(|| crc_to_text(whole.value())))
            .set_checksum_type(crc.then_some(ChecksumType::FullObject))
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .customize()
            .config_override(aws_sdk_s3::config::Config::builder().retry_config(RetryConfig::disabled()));
        match within(sink.client.timeouts.complete, &what, request.send()).await {
            Ok(Ok(done)) => {
                sink.committed(done.version_id(), done.e_tag(), done.checksum_crc64_nvme(), whole)
            }
            Ok(Err(error)) => {
                let code = error.code().map(ToOwned::to_owned);
                let error = port_error(&what, &error);
                match code.as_deref() {
                    Some("NoSuchUpload") => return resolve::gone(sink, error, whole).await,
                    Some("ConditionalRequestConflict") => {
                        return resolve::conflict(sink, error, whole).await;
                    }
                    _ => {}
                }
                let refused = error.kind == ErrorKind::Changed;
                let committed = sink.settle(error, whole).await?;
                if !refused {
                    return Ok(committed);
                }
                // Another run of the same delivery was first: its object stands, and this upload with it.
                self.remove().await?;
                Ok(resolve::stood(committed))
            }
            Err(late) => resolve::after(sink, late, whole).await,
        }
    }

    /// Abort, and look whether a part that was still on its way has brought the upload back.
    pub(super) async fn remove(&self) -> PortResult<()> {
        let (sink, timeouts) = (&self.sink, &self.sink.client.timeouts);
        let what = format!("AbortMultipartUpload {} of {}", self.id, sink.target.uri);
        let mut last = PortError::new(ErrorKind::Transient, format!("{what}: parts keep arriving"));
        for _ in 0..ABORTS {
            let abort = sink
                .client
                .sdk
                .abort_multipart_upload()
                .bucket(&sink.bucket)
                .key(&sink.key)
                .upload_id(&self.id);
            if let Err(error) = within(timeouts.answer, &what, abort.send()).await? {
                let error = port_error(&what, &error);
                if error.kind != ErrorKind::NotFound {
                    return Err(error);
                }
            }
            let parts = sink.client.sdk.list_parts().bucket(&sink.bucket).key(&sink.key).upload_id(&self.id);
            let listed = within(timeouts.answer, &what, parts.send()).await?;
            match listed.map_err(|error| port_error(format!("ListParts after {what}"), &error)) {
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
                // Not allowed to list: the abort's own answer has to do.
                Err(error) if error.kind == ErrorKind::Denied => return Ok(()),
                Err(error) => last = error,
                Ok(_) => {}
            }
            tokio::time::sleep(timeouts.abort_pause).await;
        }
        Err(last)
    }
}

impl Upload for S3Upload {
    fn id(&self) -> Option<String> {
        Some(self.id.clone())
    }

    fn parts(&self, count: u32, whole: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>> {
        self.proven_parts(count, whole).boxed()
    }

    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>> {
        self.upload_part(part).boxed()
    }

    fn passes(&self) -> bool {
        let facts = &self.sink.facts;
        facts.keeps_crc64.load(Relaxed) && !facts.passes_no_more.load(Relaxed)
    }

    fn pass(&self, part: PassingPart) -> BoxFuture<'_, PortResult<PartAck>> {
        self.pass_part(part).boxed()
    }

    fn commit<'a>(&'a self, parts: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>> {
        self.complete(parts, whole).boxed()
    }

    fn abort(&self) -> BoxFuture<'_, PortResult<()>> {
        async move {
            let removed = self.remove().await;
            match (removed, self.sink.remove_lost(Some(&self.id)).await) {
                (Err(error), Err(lost)) => {
                    Err(PortError::new(error.kind, format!("{}; {}", error.message, lost.message)))
                }
                (removed, lost) => removed.and(lost),
            }
        }
        .boxed()
    }
}
