//! CreateMultipartUpload, CompleteMultipartUpload, AbortMultipartUpload, ListMultipartUploads.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;

use super::{Answer, Call, iso, parts::MOST_PARTS};
use crate::{
    checksum::{Algorithm, Checksum, ChecksumType, Claims, combine, hex, md5},
    conditions,
    error::{Code, S3Error},
    rope::Rope,
    store::{Object, Part, PartInfo, Upload},
    xml::{Element, Xml},
};

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let named = call.header("x-amz-checksum-algorithm").map(|name| Algorithm::parse(&name)).transpose()?;
    let chosen = named.filter(|algorithm| call.knows(*algorithm));
    let algorithm = chosen.unwrap_or(Algorithm::Crc64Nvme);
    let kind = match call.header("x-amz-checksum-type") {
        Some(_) if named.is_none() => {
            return Err(S3Error::new(
                Code::InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            ));
        }
        Some(name) if chosen.is_some() => ChecksumType::parse(&name, algorithm)?,
        _ => ChecksumType::default_of(algorithm),
    };
    let meta = call.meta()?;
    let target = call.target;
    let mut buckets = call.state.store.lock();
    let id = buckets.fresh_id();
    let upload = Upload {
        key: target.key.clone(),
        initiated: Timestamp::now(),
        meta,
        chosen,
        kind,
        parts: BTreeMap::new(),
    };
    buckets.get(&target.bucket)?.uploads.insert(id.clone(), upload);
    let mut xml = Xml::rooted("InitiateMultipartUploadResult");
    xml.leaf("Bucket", &target.bucket).leaf("Key", &target.key).leaf("UploadId", &id);
    call.upload_id = Some(id);
    Ok(Answer::xml(xml.end("InitiateMultipartUploadResult"))
        .optional("x-amz-checksum-algorithm", chosen.map(Algorithm::name))
        .optional("x-amz-checksum-type", chosen.map(|_| kind.name())))
}

pub(super) fn abort(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let target = call.target;
    let upload_id = target.query.get("uploadId").unwrap_or_default();
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(&target.bucket)?;
    bucket.upload(&target.key, upload_id)?;
    bucket.uploads.remove(upload_id);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// One `Part` of the request document.
struct Listed {
    number: u32,
    etag: String,
    checksums: Vec<(Algorithm, String)>,
}

fn listed(document: &[u8]) -> Result<Vec<Listed>, S3Error> {
    let malformed = || S3Error::from(Code::MalformedXML);
    let root = Element::parse(document)?;
    let parts: Vec<Listed> = root
        .all("Part")
        .map(|part| {
            let number =
                part.text_of("PartNumber").and_then(|text| text.trim().parse().ok()).ok_or_else(malformed)?;
            let etag = part.text_of("ETag").ok_or_else(malformed)?.trim().trim_matches('"').to_owned();
            let checksums = Algorithm::ALL
                .into_iter()
                .filter_map(|algorithm| {
                    Some((algorithm, part.text_of(algorithm.element())?.trim().to_owned()))
                })
                .collect();
            Ok(Listed { number, etag, checksums })
        })
        .collect::<Result<_, S3Error>>()?;
    if parts.is_empty() || parts.len() > MOST_PARTS as usize {
        return Err(malformed());
    }
    if !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(Code::InvalidPartOrder.into());
    }
    Ok(parts)
}

pub(super) async fn complete(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let target = call.target;
    let upload_id = target.query.get("uploadId").unwrap_or_default();
    let listed = listed(&call.body.document().await?)?;
    let claims = call.claims()?;

    let mut buckets = call.state.store.lock();
    let id = buckets.fresh_id();
    let bucket = buckets.get(&target.bucket)?;
    let upload = bucket.upload(&target.key, upload_id)?;
    let parts = choose(call, upload, &listed)?;
    let object = assemble(upload, &parts)?;
    verify(call, upload, &claims, &object)?;
    conditions::check_write(call.headers, &call.state.profile, bucket, &target.key)?;
    bucket.uploads.remove(upload_id);
    let object = bucket.insert(&target.key, object, id);

    let mut xml = Xml::rooted("CompleteMultipartUploadResult");
    xml.leaf("Location", format_args!("{}/{}/{}", call.state.endpoint(), target.bucket, target.key));
    xml.leaf("Bucket", &target.bucket)
        .leaf("Key", &target.key)
        .leaf("ETag", format_args!("\"{}\"", object.etag));
    if let Some(checksum) = call.shown(object.checksum()) {
        xml.leaf(checksum.algorithm.element(), checksum.value).leaf("ChecksumType", checksum.kind.name());
    }
    Ok(Answer::xml(xml.end("CompleteMultipartUploadResult"))
        .optional("x-amz-version-id", bucket.shown(&object.version_id)))
}

/// The uploaded parts that the request lists, each checked.
fn choose<'a>(
    call: &Call<'_>,
    upload: &'a Upload,
    listed: &[Listed],
) -> Result<Vec<(u32, &'a Part)>, S3Error> {
    let mut chosen = Vec::with_capacity(listed.len());
    for entry in listed {
        let wrong = || {
            S3Error::from(Code::InvalidPart).detail("PartNumber", entry.number).detail("ETag", &entry.etag)
        };
        let part =
            upload.parts.get(&entry.number).filter(|part| part.etag == entry.etag).ok_or_else(wrong)?;
        for (algorithm, value) in entry.checksums.iter().filter(|(algorithm, _)| call.knows(*algorithm)) {
            if *algorithm == upload.algorithm() && *value != Checksum::full(*algorithm, &part.raw).value {
                return Err(wrong());
            }
        }
        chosen.push((entry.number, part));
    }
    let before_last = chosen.split_last().map(|(_, before)| before).unwrap_or_default();
    let least = call.state.min_part_size;
    if let Some((number, part)) = before_last.iter().find(|(_, part)| part.body.len() < least) {
        return Err(S3Error::from(Code::EntityTooSmall)
            .detail("ProposedSize", part.body.len())
            .detail("MinSizeAllowed", least)
            .detail("PartNumber", number)
            .detail("ETag", &part.etag));
    }
    Ok(chosen)
}

fn assemble(upload: &Upload, parts: &[(u32, &Part)]) -> Result<Object, S3Error> {
    let algorithm = upload.algorithm();
    let (mut body, mut crc64, mut etags) = (Rope::default(), 0, Vec::new());
    for (_, part) in parts {
        crc64 = combine(crc64, part.crc64, part.body.len());
        body.append(&part.body);
        // S3 takes the MD5 of the parts' MD5s; ours are as long, MD5 or not.
        etags
            .extend((0..16).filter_map(|at| u8::from_str_radix(part.etag.get(at * 2..at * 2 + 2)?, 16).ok()));
    }
    let mut object = Object::new(body, format!("{}-{}", hex(&md5(&etags)), parts.len()), Some(crc64));
    object.meta = upload.meta.clone();
    if algorithm != Algorithm::Crc64Nvme {
        object.chosen = Some(match upload.kind {
            ChecksumType::FullObject => {
                let pieces = parts.iter().map(|(_, part)| (part.raw.as_slice(), part.body.len()));
                let raw = algorithm.combine(pieces).ok_or_else(|| S3Error::from(Code::InternalError))?;
                Checksum::full(algorithm, &raw)
            }
            ChecksumType::Composite => {
                let all: Vec<u8> = parts.iter().flat_map(|(_, part)| part.raw.iter().copied()).collect();
                let value =
                    format!("{}-{}", Checksum::full(algorithm, &algorithm.of(&all)).value, parts.len());
                Checksum { algorithm, kind: ChecksumType::Composite, value }
            }
        });
    }
    object.parts = parts
        .iter()
        .map(|(number, part)| PartInfo {
            number: *number,
            size: part.body.len(),
            checksum: upload.chosen.map(|algorithm| Checksum::full(algorithm, &part.raw)),
        })
        .collect();
    Ok(object)
}

/// What the request says about the whole: checksum, its type, size.
fn verify(call: &Call<'_>, upload: &Upload, claims: &Claims, object: &Object) -> Result<(), S3Error> {
    let refuse = |message: String| Err(S3Error::new(Code::InvalidRequest, message));
    if let Some(size) = call.header("x-amz-mp-object-size") {
        let size: u64 = size.parse().map_err(|_| S3Error::invalid("x-amz-mp-object-size is not a number"))?;
        if size != object.size() {
            return refuse(format!(
                "The provided 'x-amz-mp-object-size' header value {size} does not match what was computed: {}",
                object.size()
            ));
        }
    }
    let actual = object.checksum();
    if let Some(kind) = call.header("x-amz-checksum-type").filter(|_| call.knows(actual.algorithm))
        && kind != actual.kind.name()
    {
        return refuse(format!("The upload was created using the {} checksum mode.", upload.kind.name()));
    }
    for (algorithm, value) in &claims.values {
        if *algorithm != actual.algorithm {
            return refuse(format!(
                "The upload was created using a different checksum than {}.",
                algorithm.name()
            ));
        }
        // Composite values are accepted without their `-N`.
        if *value != actual.value && !actual.value.starts_with(&format!("{value}-")) {
            return Err(S3Error::new(
                Code::BadDigest,
                format!("The {} you specified did not match the calculated checksum.", algorithm.name()),
            ));
        }
    }
    Ok(())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let query = &call.target.query;
    let page = query.page("max-uploads")?;
    let prefix = query.get("prefix").unwrap_or_default();
    let after =
        (query.get("key-marker").unwrap_or_default(), query.get("upload-id-marker").unwrap_or_default());
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(&call.target.bucket)?;
    let mut all: Vec<_> = bucket
        .uploads
        .iter()
        .map(|(id, upload)| (upload.key.as_str(), id.as_str(), upload))
        .filter(|(key, id, _)| key.starts_with(prefix) && (*key, *id) > after)
        // Without an upload id, the marker is past every upload of its key.
        .filter(|(key, ..)| !after.1.is_empty() || after.0.is_empty() || *key > after.0)
        .collect();
    all.sort_unstable_by_key(|(key, id, _)| (*key, *id));
    let truncated = all.len() > page;
    all.truncate(page);

    let mut xml = Xml::rooted("ListMultipartUploadsResult");
    xml.leaf("Bucket", &call.target.bucket).leaf("KeyMarker", after.0).leaf("UploadIdMarker", after.1);
    xml.leaf("Prefix", prefix);
    if let Some((key, id, _)) = all.last().filter(|_| truncated) {
        xml.leaf("NextKeyMarker", key).leaf("NextUploadIdMarker", id);
    }
    xml.leaf("MaxUploads", page).leaf("IsTruncated", truncated);
    for (key, id, upload) in all {
        xml.open("Upload").leaf("Key", key).leaf("UploadId", id).leaf("Initiated", iso(upload.initiated));
        xml.leaf("StorageClass", upload.meta.storage_class.as_deref().unwrap_or("STANDARD")).close("Upload");
    }
    Ok(Answer::xml(xml.end("ListMultipartUploadsResult")))
}
