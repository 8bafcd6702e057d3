//! UploadPart, UploadPartCopy, ListParts.

use jiff::Timestamp;

use super::{Answer, Call, copy, iso, put};
use crate::{
    checksum::{Algorithm, Checksum},
    error::{Code, S3Error},
    range,
    receive::Wanted,
    rope::Rope,
    store::{Part, cheap_etag},
    xml::Xml,
};

/// Most parts of an upload ("Multipart upload limits", Amazon S3 User Guide).
pub(super) const MOST_PARTS: u32 = 10_000;

fn ids<'a>(call: &Call<'a>) -> Result<(u32, &'a str), S3Error> {
    let number = call.target.part_number().filter(|number| (1..=MOST_PARTS).contains(number));
    let number = number
        .ok_or_else(|| S3Error::invalid("Part number must be an integer between 1 and 10000, inclusive"))?;
    Ok((number, call.target.query.get("uploadId").unwrap_or_default()))
}

/// What the upload wants of its parts: the algorithm, and whether bytes are kept.
fn expectations(call: &Call<'_>, upload_id: &str) -> Result<(Option<Algorithm>, bool), S3Error> {
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(&call.target.bucket)?;
    let chosen = bucket.upload(&call.target.key, upload_id)?.chosen;
    Ok((chosen, bucket.keeps_bytes()))
}

fn store(call: &Call<'_>, upload_id: &str, number: u32, part: Part) -> Result<(), S3Error> {
    let mut buckets = call.state.store.lock();
    let upload = buckets.get(&call.target.bucket)?.upload(&call.target.key, upload_id)?;
    upload.parts.insert(number, part);
    Ok(())
}

pub(super) async fn upload(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let (number, upload_id) = ids(call)?;
    put::check_length(call)?;
    let (chosen, keep) = expectations(call, upload_id)?;
    let mut claims = call.claims()?;
    if let (Some(chosen), Some(sent)) = (chosen, claims.algorithm())
        && chosen != sent
    {
        return Err(S3Error::new(
            Code::InvalidRequest,
            format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                chosen.name().to_lowercase(),
                sent.name().to_lowercase()
            ),
        ));
    }
    let wanted = Wanted { keep, algorithm: chosen, md5: false, claims: &mut claims };
    let received = call.body.receive(wanted).await?;
    let digests = received.digests;
    let etag = digests
        .md5
        .map_or_else(|| cheap_etag(digests.crc64, received.size), |md5| crate::checksum::hex(&md5));
    let raw_of = |algorithm| digests.raw(algorithm).ok_or_else(|| S3Error::from(Code::InternalError));
    let raw = raw_of(chosen.unwrap_or(Algorithm::Crc64Nvme))?;
    // What the client sent comes back, also when the upload as a whole goes by another algorithm.
    let answered = claims.algorithm().or(chosen).unwrap_or(Algorithm::Crc64Nvme);
    let shown = Checksum::full(answered, &raw_of(answered)?);
    let part = Part {
        body: received.body,
        etag: etag.clone(),
        crc64: digests.crc64,
        raw,
        modified: Timestamp::now(),
    };
    store(call, upload_id, number, part)?;
    Ok(Answer::ok().etag(&etag).checksum(call.shown(shown)))
}

pub(super) fn copy(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let (number, upload_id) = ids(call)?;
    let (chosen, _) = expectations(call, upload_id)?;
    let (source, source_version) = copy::source(call)?;
    let body = match call.header("x-amz-copy-source-range") {
        Some(header) => source.body.slice(range::parse_copy(&header, source.size())?),
        None => source.body.clone(),
    };
    if body.len() > put::LARGEST_PUT {
        return Err(S3Error::new(
            Code::InvalidRequest,
            format!(
                "The specified copy source is larger than the maximum allowable size for a copy source: {}",
                put::LARGEST_PUT
            ),
        ));
    }
    let crc64 = crc64_of(&body, source.size(), || source.crc64())?;
    let algorithm = chosen.unwrap_or(Algorithm::Crc64Nvme);
    let raw = copy::raw_checksum(algorithm, &body, crc64)?;
    let etag = cheap_etag(crc64, body.len());
    let part = Part {
        body: copy::kept(call, body)?,
        etag: etag.clone(),
        crc64,
        raw: raw.clone(),
        modified: Timestamp::now(),
    };
    let mut xml = Xml::rooted("CopyPartResult");
    xml.leaf("ETag", format_args!("\"{etag}\"")).leaf("LastModified", iso(part.modified));
    if let Some(checksum) = call.shown(Checksum::full(algorithm, &raw)) {
        xml.leaf(checksum.algorithm.element(), checksum.value);
    }
    store(call, upload_id, number, part)?;
    Ok(Answer::xml(xml.end("CopyPartResult")).optional("x-amz-copy-source-version-id", source_version))
}

/// The CRC-64 of a copied range; a piece of discarded bytes has none.
fn crc64_of(body: &Rope, whole: u64, whole_crc64: impl Fn() -> u64) -> Result<u64, S3Error> {
    match body.len() == whole {
        true => Ok(whole_crc64()),
        false if body.is_readable() => Ok(body.crc64()),
        false => Err(Code::InvalidObjectState.into()),
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let target = call.target;
    let upload_id = target.query.get("uploadId").unwrap_or_default();
    let page = target.query.page("max-parts")?;
    let after = match target.query.text("part-number-marker") {
        Some(text) => text.parse().map_err(|_| S3Error::invalid("part-number-marker is not a number"))?,
        None => 0u32,
    };
    let mut buckets = call.state.store.lock();
    let upload = buckets.get(&target.bucket)?.upload(&target.key, upload_id)?;
    let mut rest = upload.parts.range(after.saturating_add(1)..).peekable();
    let shown: Vec<_> = rest.by_ref().take(page).collect();
    let truncated = rest.peek().is_some();

    let mut xml = Xml::rooted("ListPartsResult");
    xml.leaf("Bucket", &target.bucket).leaf("Key", &target.key).leaf("UploadId", upload_id);
    xml.leaf("PartNumberMarker", after);
    if truncated {
        xml.optional("NextPartNumberMarker", shown.last().map(|(number, _)| number));
    }
    xml.leaf("MaxParts", page).leaf("IsTruncated", truncated);
    xml.leaf("StorageClass", upload.meta.storage_class.as_deref().unwrap_or("STANDARD"));
    if let Some(chosen) = upload.chosen.filter(|chosen| call.knows(*chosen)) {
        xml.leaf("ChecksumAlgorithm", chosen.name()).leaf("ChecksumType", upload.kind.name());
    }
    for (number, part) in shown {
        xml.open("Part").leaf("PartNumber", number).leaf("LastModified", iso(part.modified));
        xml.leaf("ETag", format_args!("\"{}\"", part.etag)).leaf("Size", part.body.len());
        if let Some(checksum) = call.shown(Checksum::full(upload.algorithm(), &part.raw)) {
            xml.leaf(checksum.algorithm.element(), checksum.value);
        }
        xml.close("Part");
    }
    Ok(Answer::xml(xml.end("ListPartsResult")))
}
