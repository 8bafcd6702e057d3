//! PutObject.

use super::{Answer, Call};
use crate::{
    checksum::{Algorithm, Checksum},
    conditions,
    error::{Code, S3Error},
    receive::Wanted,
    store::{self, Object},
};

/// Largest single PUT and largest part: 5 GiB ("Multipart upload limits", Amazon S3 User Guide).
pub(super) const LARGEST_PUT: u64 = 5 << 30;

/// Refuses by the announced length, before the body is read.
pub(super) fn check_length(call: &Call<'_>) -> Result<(), S3Error> {
    let length = call.header("x-amz-decoded-content-length").or_else(|| call.header("content-length"));
    if length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > LARGEST_PUT) {
        return Err(S3Error::from(Code::EntityTooLarge).detail("MaxSizeAllowed", LARGEST_PUT));
    }
    Ok(())
}

pub(super) async fn object(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let target = call.target;
    check_length(call)?;
    let keep = {
        // Early refusal, as S3 does; the conditions count again when the bytes are here.
        let mut buckets = call.state.store.lock();
        let bucket = buckets.get(&target.bucket)?;
        conditions::check_write(call.headers, &call.state.profile, bucket, &target.key)?;
        bucket.keeps_bytes()
    };
    let mut claims = call.claims()?;
    let wanted = Wanted { keep, algorithm: None, md5: keep, claims: &mut claims };
    let received = call.body.receive(wanted).await?;
    let digests = received.digests;
    let etag = store::etag(digests.md5, digests.crc64, received.size);
    let mut object = Object::new(received.body, etag, Some(digests.crc64));
    object.meta = call.meta()?;
    object.chosen = claims
        .algorithm()
        .filter(|algorithm| *algorithm != Algorithm::Crc64Nvme)
        .and_then(|algorithm| Some(Checksum::full(algorithm, &digests.raw(algorithm)?)));

    let mut buckets = call.state.store.lock();
    let id = buckets.fresh_id();
    let bucket = buckets.get(&target.bucket)?;
    conditions::check_write(call.headers, &call.state.profile, bucket, &target.key)?;
    let object = bucket.insert(&target.key, object, id);
    Ok(Answer::ok()
        .etag(&object.etag)
        .checksum(call.shown(object.checksum()))
        .optional("x-amz-version-id", bucket.shown(&object.version_id)))
}
