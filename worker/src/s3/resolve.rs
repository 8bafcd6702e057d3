//! What a commit did whose answer was lost, unclear or a refusal: decided by looking.
//!
//! The object carries our delivery id, so ours can be told from another writer's whatever the endpoint answered.

use aws_sdk_s3::types::ChecksumMode;
use eft_pipeline::{
    checksum::Crc64,
    port::{Committed, ErrorKind, PortError, PortResult, Verified},
};

use super::{crc_from_text, error::port_error, sink::S3Sink, timeouts::within};

/// The metadata entry that holds the delivery id.
pub(super) const DELIVERY: &str = "eft-delivery-id";

/// Versions of a name that are looked through for ours, the newest first.
const NEWEST: i32 = 20;

/// What stands under the name.
#[derive(Debug)]
pub(super) enum Stands {
    /// Our delivery, whole.
    Ours(Committed),
    /// Something else.
    Theirs(Other),
    /// Nothing; where versions are added, also nothing but others' versions.
    Nothing,
}

/// An object that is not ours.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
}

impl Other {
    fn new(etag: Option<&str>, version: Option<&str>) -> Self {
        let version = version.filter(|id| *id != "null");
        Self { etag: etag.map(ToOwned::to_owned), version: version.map(ToOwned::to_owned) }
    }

    /// Whether this is that very object. Equal bytes mostly have equal ETags, so a version says more where there is one.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.version, &other.version) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.etag.is_some() && self.etag == other.etag,
            _ => false,
        }
    }
}

/// Look. `whole` is compared where it is known. Where versions are added ours may stand under newer ones.
pub(super) async fn look(sink: &S3Sink, whole: Option<Crc64>) -> PortResult<Stands> {
    let theirs = match look_at(sink, whole, None).await? {
        Stands::Theirs(theirs) if sink.adds_versions() => theirs,
        stands => return Ok(stands),
    };
    match (beneath(sink, whole, &theirs).await, whole) {
        // Nothing has come upon what stood there.
        (Err(error), Some(_)) if !error.is_retryable() && sink.may_follow(&theirs) => Ok(Stands::Nothing),
        (Ok(Some(committed)), _) => Ok(Stands::Ours(committed)),
        (Ok(None), Some(_)) => Ok(Stands::Nothing),
        (Ok(None), None) => Ok(Stands::Theirs(theirs)),
        // Before anything is sent: those who may not look through versions are common.
        (Err(error), None) if !error.is_retryable() => Ok(Stands::Theirs(theirs)),
        (Err(error), _) => Err(error),
    }
}

/// Look for ours among the versions. What stood there before is no end to it: an object of several parts is dated from when
/// its upload was begun.
async fn beneath(sink: &S3Sink, whole: Option<Crc64>, newest: &Other) -> PortResult<Option<Committed>> {
    let what = format!("ListObjectVersions {}", sink.target.uri);
    let page =
        sink.client.sdk.list_object_versions().bucket(&sink.bucket).prefix(&sink.key).max_keys(NEWEST).send();
    let page = within(sink.client.timeouts.answer, &what, page).await?;
    let page = page.map_err(|error| port_error(&what, &error))?;
    // The key itself comes before those that it is a prefix of, and its newest version first.
    for version in page.versions() {
        if version.key() != Some(&sink.key) {
            return Ok(None);
        }
        let other = Other::new(version.e_tag(), version.version_id());
        if newest.is(&other) || sink.may_follow(&other) {
            continue;
        }
        if let Stands::Ours(committed) = look_at(sink, whole, version.version_id()).await? {
            return Ok(Some(committed));
        }
    }
    if page.is_truncated() == Some(true) {
        let message = format!("{what}: ours is none of the newest {NEWEST} versions, and there are more");
        return Err(PortError::new(ErrorKind::Permanent, message));
    }
    Ok(None)
}

async fn look_at(sink: &S3Sink, whole: Option<Crc64>, version: Option<&str>) -> PortResult<Stands> {
    let what = format!("HEAD {}", sink.target.uri);
    let head = sink
        .client
        .sdk
        .head_object()
        .bucket(&sink.bucket)
        .key(&sink.key)
        .set_version_id(version.map(ToOwned::to_owned))
        .checksum_mode(ChecksumMode::Enabled);
    let head = match within(sink.client.timeouts.answer, &what, head.send()).await? {
        Ok(head) => head,
        Err(error) => {
            let error = port_error(what, &error);
            return if error.kind == ErrorKind::NotFound { Ok(Stands::Nothing) } else { Err(error) };
        }
    };
    let delivery = head.metadata().and_then(|metadata| metadata.get(DELIVERY));
    let crc = head.checksum_crc64_nvme().and_then(crc_from_text);
    let size = head.content_length().and_then(|size| u64::try_from(size).ok());
    let same =
        whole.is_none_or(|whole| size == Some(whole.len()) && crc.is_none_or(|crc| crc == whole.value()));
    let stored = crc.zip(size).map(|(crc, size)| Crc64::from_parts(crc, size));
    if delivery.is_some_and(|id| *id == sink.target.delivery_id) && same {
        return Ok(Stands::Ours(Committed {
            version: head.version_id().filter(|id| *id != "null").map(ToOwned::to_owned),
            etag: head.e_tag().map(ToOwned::to_owned),
            verified: if crc.is_some() { Verified::Checksum } else { Verified::SizeOnly },
            whole: whole.or(stored),
            already_there: true,
            resolved: false,
        }));
    }
    Ok(Stands::Theirs(Other::new(head.e_tag(), head.version_id())))
}

/// The outcome of a commit that did not answer with success.
///
/// # Errors
/// `Exists` for another writer's object; `Transient` when nothing stands there, so that the commit is tried again, or
/// `Unproven` when that may not be looked at; the error itself when trying again cannot help; `Indeterminate` when looking
/// failed.
pub(super) async fn after(sink: &S3Sink, error: PortError, whole: Crc64) -> PortResult<Committed> {
    if matches!(
        error.kind,
        ErrorKind::Denied | ErrorKind::Checksum | ErrorKind::Permanent | ErrorKind::Unsupported
    ) {
        return Err(error);
    }
    match look(sink, Some(whole)).await {
        Ok(Stands::Ours(committed)) => Ok(settled(committed)),
        Ok(Stands::Theirs(_)) if error.kind == ErrorKind::Changed => Err(sink.taken()),
        Ok(_) if error.kind == ErrorKind::Changed => Err(PortError::new(ErrorKind::Transient, error.message)),
        // No condition would find out on the next try.
        Ok(Stands::Theirs(theirs)) if !sink.is_conditional() && !sink.may_follow(&theirs) => {
            Err(sink.taken())
        }
        Ok(_) => Err(error),
        // Without the right to look, but with a condition on the write: doing it again does no harm.
        Err(looking)
            if looking.kind == ErrorKind::Denied && error.is_retryable() && sink.is_conditional() =>
        {
            Err(sink.unproven(error))
        }
        Err(looking) => Err(blind(&error, &looking)),
    }
}

/// The outcome of a commit whose upload is not there any more: an earlier attempt has made the object of it, or somebody
/// has removed it.
///
/// # Errors
/// `Exists` for another writer's object; `Permanent` when nothing stands there; `Indeterminate` when looking failed.
pub(super) async fn gone(sink: &S3Sink, error: PortError, whole: Crc64) -> PortResult<Committed> {
    match look(sink, Some(whole)).await {
        Ok(Stands::Ours(committed)) => Ok(settled(committed)),
        Ok(Stands::Theirs(theirs)) if !sink.may_follow(&theirs) => Err(sink.taken()),
        Ok(_) => {
            let message =
                format!("{}; somebody has removed it: does a rule abort uploads so early?", error.message);
            Err(PortError::new(ErrorKind::Permanent, message))
        }
        Err(looking) => Err(blind(&error, &looking)),
    }
}

/// The outcome of a commit that S3 refused because of another write under way: such an upload has to be begun anew ("On a
/// 409 failure you should re-initiate the multipart upload with CreateMultipartUpload and re-upload each part", S3 API
/// reference), unless the other write has settled the matter.
///
/// # Errors
/// `Exists` for another writer's object; otherwise `Spent`; `Indeterminate` when looking failed.
pub(super) async fn conflict(sink: &S3Sink, error: PortError, whole: Crc64) -> PortResult<Committed> {
    match look(sink, Some(whole)).await {
        Ok(Stands::Ours(committed)) => Ok(settled(committed)),
        Ok(Stands::Theirs(theirs)) if sink.is_conditional() && !sink.may_follow(&theirs) => Err(sink.taken()),
        Ok(_) => Err(PortError::new(ErrorKind::Spent, error.message)),
        // The condition on the next commit does the looking.
        Err(looking) if looking.kind == ErrorKind::Denied && sink.is_conditional() => {
            Err(PortError::new(ErrorKind::Spent, error.message))
        }
        Err(looking) => Err(blind(&error, &looking)),
    }
}

/// What a commit did that nobody could look at.
pub(super) fn blind(error: &PortError, looking: &PortError) -> PortError {
    let message = format!("{}; looking what stands there failed too: {}", error.message, looking.message);
    PortError::new(ErrorKind::Indeterminate, message)
}

/// What was found is what this attempt sent.
pub(super) fn settled(found: Committed) -> Committed {
    Committed { already_there: false, resolved: true, ..found }
}

/// As found: made by another run of the same delivery.
pub(super) fn stood(found: Committed) -> Committed {
    Committed { already_there: true, resolved: false, ..found }
}
