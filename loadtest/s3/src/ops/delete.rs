//! DeleteObject, DeleteObjects.

use http::StatusCode;
use jiff::Timestamp;

use super::{Answer, Call};
use crate::{
    conditions,
    error::{Code, S3Error},
    store::{Buckets, Entry, Versioning},
    xml::{Element, Xml},
};

/// Most keys of one request.
const MOST_KEYS: usize = 1000;

/// What a delete did: the version it touched, and whether that is a delete marker.
#[derive(Default)]
struct Deleted {
    version_id: Option<String>,
    marker: bool,
}

fn delete(
    buckets: &mut Buckets,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
) -> Result<Deleted, S3Error> {
    let fresh = buckets.fresh_id();
    let bucket = buckets.get(bucket)?;
    let versioning = bucket.versioning;
    if let Some(version_id) = version_id {
        let Some(history) = bucket.keys.get_mut(key) else {
            return Ok(Deleted { version_id: Some(version_id.to_owned()), marker: false });
        };
        let gone =
            history.iter().position(|entry| entry.version_id() == version_id).map(|at| history.remove(at));
        if history.is_empty() {
            bucket.keys.remove(key);
        }
        let marker = matches!(gone, Some(Entry::Marker { .. }));
        return Ok(Deleted { version_id: Some(version_id.to_owned()), marker });
    }
    if versioning == Versioning::Off {
        bucket.keys.remove(key);
        return Ok(Deleted::default());
    }
    let version_id = if versioning == Versioning::Enabled { fresh } else { "null".to_owned() };
    let history = bucket.keys.entry(key.to_owned()).or_default();
    history.retain(|entry| entry.version_id() != version_id);
    history.push(Entry::Marker { version_id: version_id.clone(), modified: Timestamp::now() });
    Ok(Deleted { version_id: Some(version_id), marker: true })
}

pub(super) fn one(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let target = call.target;
    let mut buckets = call.state.store.lock();
    conditions::check_write(call.headers, &call.state.profile, buckets.get(&target.bucket)?, &target.key)?;
    let deleted = delete(&mut buckets, &target.bucket, &target.key, target.query.text("versionId"))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT)
        .optional("x-amz-version-id", deleted.version_id)
        .optional("x-amz-delete-marker", deleted.marker.then_some(true)))
}

pub(super) async fn many(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let document = Element::parse(&call.body.document().await?)?;
    let quiet = document.text_of("Quiet") == Some("true");
    let objects: Vec<_> = document.all("Object").collect();
    if objects.is_empty() || objects.len() > MOST_KEYS {
        return Err(Code::MalformedXML.into());
    }
    let bucket = call.target.bucket.as_str();
    let mut buckets = call.state.store.lock();
    buckets.get(bucket)?;
    let mut xml = Xml::rooted("DeleteResult");
    for object in objects {
        let key = object.text_of("Key").ok_or_else(|| S3Error::from(Code::MalformedXML))?;
        let version_id = object.text_of("VersionId").filter(|id| !id.is_empty());
        let result = match call.state.denies(bucket, key) {
            true => Err(S3Error::from(Code::AccessDenied)),
            false => delete(&mut buckets, bucket, key, version_id),
        };
        match result {
            Ok(_) if quiet => {}
            Ok(deleted) => {
                xml.open("Deleted").leaf("Key", key).optional("VersionId", version_id);
                if deleted.marker {
                    xml.leaf("DeleteMarker", true).optional("DeleteMarkerVersionId", deleted.version_id);
                }
                xml.close("Deleted");
            }
            Err(error) => {
                xml.open("Error").leaf("Key", key).optional("VersionId", version_id);
                xml.leaf("Code", format_args!("{:?}", error.code))
                    .leaf("Message", &error.message)
                    .close("Error");
            }
        }
    }
    Ok(Answer::xml(xml.end("DeleteResult")))
}
