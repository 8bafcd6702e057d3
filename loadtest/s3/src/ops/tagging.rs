//! Object tags, and the `x-amz-tagging` header.

use std::sync::Arc;

use http::StatusCode;

use super::{Answer, Call};
use crate::{
    error::{Code, S3Error},
    router::Query,
    store::Entry,
    xml::{Element, Xml},
};

/// Most tags of an object ("Object tagging", Amazon S3 User Guide).
const MOST_TAGS: usize = 10;

/// Parses `a=1&b=2`.
pub(super) fn parse_header(text: &str) -> Result<Vec<(String, String)>, S3Error> {
    checked(Query::parse(text)?.into_pairs())
}

fn checked(tags: Vec<(String, String)>) -> Result<Vec<(String, String)>, S3Error> {
    if tags.len() > MOST_TAGS {
        return Err(S3Error::new(Code::InvalidArgument, "Object tags cannot be greater than 10"));
    }
    Ok(tags)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(&call.target.bucket)?;
    let object = bucket.find(&call.target.key, call.query("versionId"))?;
    let mut xml = Xml::rooted("Tagging");
    xml.open("TagSet");
    for (key, value) in &object.meta.tags {
        xml.open("Tag").leaf("Key", key).leaf("Value", value).close("Tag");
    }
    xml.close("TagSet");
    let answer = Answer::xml(xml.end("Tagging"));
    Ok(answer.optional("x-amz-version-id", bucket.shown(&object.version_id)))
}

pub(super) async fn put(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let document = Element::parse(&call.body.document().await?)?;
    let malformed = || S3Error::from(Code::MalformedXML);
    let tags = document
        .child("TagSet")
        .ok_or_else(malformed)?
        .all("Tag")
        .map(|tag| {
            let text = |name| tag.text_of(name).map(str::to_owned).ok_or_else(malformed);
            Ok((text("Key")?, text("Value")?))
        })
        .collect::<Result<_, S3Error>>()?;
    set(call, checked(tags)?, StatusCode::OK)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    set(call, Vec::new(), StatusCode::NO_CONTENT)
}

fn set(call: &Call<'_>, tags: Vec<(String, String)>, status: StatusCode) -> Result<Answer, S3Error> {
    let key = &call.target.key;
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(&call.target.bucket)?;
    let found = bucket.find(key, call.query("versionId"))?;
    let stored = bucket.keys.get_mut(key).into_iter().flatten().find_map(|entry| match entry {
        Entry::Object(object) if object.version_id == found.version_id => Some(object),
        _ => None,
    });
    // A synthetic object that was never written has no place for tags.
    let stored = stored.ok_or_else(|| S3Error::from(Code::MethodNotAllowed))?;
    Arc::make_mut(stored).meta.tags = tags;
    Ok(Answer::empty(status).optional("x-amz-version-id", bucket.shown(&found.version_id)))
}
