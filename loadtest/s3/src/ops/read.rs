//! GetObject, HeadObject, GetObjectAttributes.

use std::{ops::Range, sync::Arc};

use http::StatusCode;

use super::{Answer, Call, http_date};
use crate::{
    body::ResponseBody,
    checksum::Checksum,
    conditions,
    error::{Code, S3Error},
    range,
    store::Object,
    xml::Xml,
};

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let (found, answer, range) = locate(call)?;
    if !found.body.is_readable() {
        return Err(S3Error::new(
            Code::InvalidObjectState,
            "The bytes of this object were discarded on arrival",
        ));
    }
    let body = if range == (0..found.size()) { found.body.clone() } else { found.body.slice(range) };
    Ok(Answer { body: ResponseBody::rope(body), ..answer })
}

pub(super) fn head(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let (_, answer, range) = locate(call)?;
    Ok(answer.header("content-length", range.end - range.start))
}

/// The object, the head of the answer, and the bytes asked for.
fn locate(call: &mut Call<'_>) -> Result<(Arc<Object>, Answer, Range<u64>), S3Error> {
    let target = call.target;
    let (object, version_id) = {
        let mut buckets = call.state.store.lock();
        let bucket = buckets.get(&target.bucket)?;
        let object = bucket.find(&target.key, target.query.text("versionId"))?;
        let version_id = bucket.shown(&object.version_id).map(str::to_owned);
        (object, version_id)
    };
    conditions::check_read(call.headers, &object)?;
    let (part, checksum) = match target.query.text("partNumber") {
        Some(_) => {
            let number =
                target.part_number().ok_or_else(|| S3Error::invalid("partNumber is not a number"))?;
            let (range, checksum) = part_range(&object, number)?;
            (Some(range), checksum)
        }
        None => (None, Some(object.checksum())),
    };
    let asked = match (&part, call.header("range")) {
        (Some(_), Some(_)) => {
            return Err(S3Error::new(
                Code::InvalidRequest,
                "Cannot specify both Range header and partNumber query parameter",
            ));
        }
        (None, Some(header)) => range::parse(&header, object.size())?,
        (part, None) => part.clone(),
    };
    let mut answer = Answer::ok();
    if let Some(range) = &asked {
        answer.status = StatusCode::PARTIAL_CONTENT;
        if !range.is_empty() {
            let last = range.end - 1;
            answer = answer
                .header("content-range", format_args!("bytes {}-{last}/{}", range.start, object.size()));
        }
    }
    // S3 shows a checksum only with the bytes it is of.
    let of_these_bytes = asked.is_none() || part.is_some();
    let mode = call.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"));
    if mode && of_these_bytes {
        answer = answer.checksum(checksum.and_then(|checksum| call.shown(checksum)));
    }
    let parts = (part.is_some() && !object.parts.is_empty()).then_some(object.parts.len());
    answer = answer
        .etag(&object.etag)
        .header("last-modified", http_date(object.modified))
        .header("accept-ranges", "bytes")
        .optional("x-amz-version-id", version_id)
        .optional("x-amz-mp-parts-count", parts)
        .optional("x-amz-storage-class", object.meta.storage_class.as_deref());
    if !object.meta.tags.is_empty() {
        answer = answer.header("x-amz-tagging-count", object.meta.tags.len());
    }
    answer = with_meta(call, answer, &object);
    let range = asked.unwrap_or(0..object.size());
    Ok((object, answer, range))
}

/// The stored headers, each replaced by its `response-*` parameter.
fn with_meta(call: &Call<'_>, mut answer: Answer, object: &Object) -> Answer {
    let mut typed = false;
    for (name, value) in &object.meta.headers {
        if call.query(&format!("response-{name}")).is_none() {
            typed |= name == "content-type";
            answer = answer.header(name, value);
        }
    }
    for name in [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    ] {
        if let Some(value) = call.query(&format!("response-{name}")) {
            typed |= name == "content-type";
            answer = answer.header(name, value);
        }
    }
    if typed { answer } else { answer.header("content-type", "binary/octet-stream") }
}

/// Where a part lies, and its checksum. An object put in one piece is its own part 1.
fn part_range(object: &Object, number: u32) -> Result<(Range<u64>, Option<Checksum>), S3Error> {
    if object.parts.is_empty() && number == 1 {
        return Ok((0..object.size(), Some(object.checksum())));
    }
    let mut start = 0;
    for (position, part) in object.parts.iter().enumerate() {
        // Parts are counted anew on completion: 1, 2, 3 … whatever numbers they were uploaded with.
        if position as u32 + 1 == number {
            return Ok((start..start + part.size, part.checksum.clone()));
        }
        start += part.size;
    }
    Err(S3Error::from(Code::InvalidPartNumber).detail("ActualPartCount", object.parts.len().max(1)))
}

pub(super) fn attributes(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let (object, _, _) = locate(call)?;
    let asked = call.header("x-amz-object-attributes").unwrap_or_default();
    let wants = |name: &str| asked.split(',').any(|have| have.trim() == name);
    let mut xml = Xml::rooted("GetObjectAttributesResponse");
    if wants("ETag") {
        xml.leaf("ETag", &object.etag);
    }
    if let Some(checksum) = call.shown(object.checksum()).filter(|_| wants("Checksum")) {
        xml.open("Checksum").leaf(checksum.algorithm.element(), checksum.value);
        xml.leaf("ChecksumType", checksum.kind.name()).close("Checksum");
    }
    if wants("ObjectParts") && !object.parts.is_empty() {
        xml.open("ObjectParts").leaf("PartsCount", object.parts.len());
        for part in &object.parts {
            xml.open("Part").leaf("PartNumber", part.number).leaf("Size", part.size);
            if let Some(checksum) = &part.checksum {
                xml.leaf(checksum.algorithm.element(), &checksum.value);
            }
            xml.close("Part");
        }
        xml.close("ObjectParts");
    }
    if wants("StorageClass") {
        xml.leaf("StorageClass", object.meta.storage_class.as_deref().unwrap_or("STANDARD"));
    }
    if wants("ObjectSize") {
        xml.leaf("ObjectSize", object.size());
    }
    let answer = Answer::xml(xml.end("GetObjectAttributesResponse"));
    Ok(answer
        .header("last-modified", http_date(object.modified))
        .header("x-amz-version-id", &object.version_id))
}
