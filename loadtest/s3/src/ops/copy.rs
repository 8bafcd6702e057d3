//! CopyObject, and what UploadPartCopy shares with it: finding the source.

use std::sync::Arc;

use super::{Answer, Call, iso, put::LARGEST_PUT};
use crate::{
    checksum::{Algorithm, Checksum, Hashers},
    conditions,
    error::{Code, S3Error},
    rope::{Rope, Segment},
    router::{Query, decode},
    store::Object,
    xml::Xml,
};

/// The source of a copy with its conditions checked, and its version id as shown.
pub(super) fn source(call: &Call<'_>) -> Result<(Arc<Object>, Option<String>), S3Error> {
    let header = call.header("x-amz-copy-source").unwrap_or_default();
    let (path, query) = header.split_once('?').unwrap_or((&header, ""));
    let path = decode(path)?;
    let invalid =
        || S3Error::invalid("Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
    let (bucket, key) = path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(invalid)?;
    if call.state.denies(bucket, key) {
        return Err(Code::AccessDenied.into());
    }
    let query = Query::parse(query)?;
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(bucket)?;
    let object = bucket.find(key, query.text("versionId"))?;
    conditions::check_copy_source(call.headers, &object)?;
    let version_id = bucket.shown(&object.version_id).map(str::to_owned);
    Ok((object, version_id))
}

/// The raw checksum of bytes that are already stored; unreadable bytes have only their CRC-64.
pub(super) fn raw_checksum(algorithm: Algorithm, body: &Rope, crc64: u64) -> Result<Vec<u8>, S3Error> {
    if algorithm == Algorithm::Crc64Nvme {
        return Ok(crc64.to_be_bytes().to_vec());
    }
    if !body.is_readable() {
        return Err(Code::InvalidObjectState.into());
    }
    let mut hashers = Hashers::new(&[algorithm], false);
    body.clone().frames().for_each(|frame| hashers.update(&frame));
    hashers.finish().raw(algorithm).ok_or_else(|| Code::InternalError.into())
}

/// What the target bucket keeps of a body.
pub(super) fn kept(call: &Call<'_>, body: Rope) -> Result<Rope, S3Error> {
    let keep = call.state.store.lock().get(&call.target.bucket)?.keeps_bytes();
    Ok(if keep { body } else { Segment::Dropped(body.len()).into() })
}

pub(super) fn object(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let (source, source_version) = source(call)?;
    if source.size() > LARGEST_PUT {
        return Err(S3Error::new(
            Code::InvalidRequest,
            format!(
                "The specified copy source is larger than the maximum allowable size for a copy source: {LARGEST_PUT}"
            ),
        ));
    }
    let given = call.meta()?;
    let replaces = |header: &str| call.header(header).is_some_and(|value| value == "REPLACE");
    let mut meta = source.meta.clone();
    meta.storage_class = given.storage_class;
    if replaces("x-amz-metadata-directive") {
        meta.headers = given.headers;
    }
    if replaces("x-amz-tagging-directive") {
        meta.tags = given.tags;
    }
    let chosen = match call.header("x-amz-checksum-algorithm") {
        Some(name) => Some(Algorithm::parse(&name)?).filter(|algorithm| call.knows(*algorithm)),
        // A composite checksum cannot be carried over to an object in one piece; S3 computes its own.
        None => source.chosen.as_ref().map(|checksum| checksum.algorithm),
    };
    let crc64 = source.crc64();
    let checksum = chosen
        .filter(|algorithm| *algorithm != Algorithm::Crc64Nvme)
        .map(|algorithm| {
            Ok::<_, S3Error>(Checksum::full(algorithm, &raw_checksum(algorithm, &source.body, crc64)?))
        })
        .transpose()?;
    // A copy in one piece has no parts; a multipart ETag would say it does, but an opaque one serves as well.
    let mut copy = Object::new(kept(call, source.body.clone())?, source.etag.clone(), Some(crc64));
    copy.meta = meta;
    copy.chosen = checksum;

    let target = call.target;
    let mut buckets = call.state.store.lock();
    let id = buckets.fresh_id();
    let bucket = buckets.get(&target.bucket)?;
    conditions::check_write(call.headers, &call.state.profile, bucket, &target.key)?;
    let copy = bucket.insert(&target.key, copy, id);
    let mut xml = Xml::rooted("CopyObjectResult");
    xml.leaf("ETag", format_args!("\"{}\"", copy.etag)).leaf("LastModified", iso(copy.modified));
    if let Some(checksum) = call.shown(copy.checksum()) {
        xml.leaf(checksum.algorithm.element(), checksum.value).leaf("ChecksumType", checksum.kind.name());
    }
    Ok(Answer::xml(xml.end("CopyObjectResult"))
        .optional("x-amz-version-id", bucket.shown(&copy.version_id))
        .optional("x-amz-copy-source-version-id", source_version))
}
