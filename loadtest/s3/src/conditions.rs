//! Preconditions: of reads, of copy sources, of writes.

use http::HeaderMap;
use jiff::{Timestamp, fmt::rfc2822};

use crate::{
    config::{Feature, Profile},
    error::{Code, S3Error},
    store::{Bucket, Object},
};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a list of entity tags (or `*`) names this one; quotes are optional.
fn names(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == etag)
}

fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    rfc2822::parse(text(headers, name)?).ok().map(|zoned| zoned.timestamp())
}

fn failed(condition: &str) -> S3Error {
    S3Error::from(Code::PreconditionFailed).detail("Condition", condition)
}

/// `If-*` of GET and HEAD (RFC 9110, section 13.2.2). A 304 comes as an error with that status.
pub(crate) fn check_read(headers: &HeaderMap, object: &Object) -> Result<(), S3Error> {
    check(headers, object, ["if-match", "if-unmodified-since", "if-none-match", "if-modified-since"], 304)
}

/// `x-amz-copy-source-if-*`.
pub(crate) fn check_copy_source(headers: &HeaderMap, object: &Object) -> Result<(), S3Error> {
    let names = [
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-unmodified-since",
        "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-modified-since",
    ];
    check(headers, object, names, 412)
}

fn check(
    headers: &HeaderMap,
    object: &Object,
    [matching, unmodified, none_match, modified]: [&'static str; 4],
    not_modified: u16,
) -> Result<(), S3Error> {
    // HTTP dates have whole seconds.
    let changed_at = object.modified.as_second();
    let unchanged =
        || failed(none_match).with_status(not_modified).header("etag", format_args!("\"{}\"", object.etag));
    if let Some(list) = text(headers, matching) {
        if !names(list, &object.etag) {
            return Err(failed("If-Match"));
        }
    } else if date(headers, unmodified).is_some_and(|date| changed_at > date.as_second()) {
        return Err(failed("If-Unmodified-Since"));
    }
    if let Some(list) = text(headers, none_match) {
        if names(list, &object.etag) {
            return Err(unchanged());
        }
    } else if date(headers, modified).is_some_and(|date| changed_at <= date.as_second()) {
        return Err(unchanged());
    }
    Ok(())
}

/// `If-Match` and `If-None-Match: *` of a write to `key`. Call under the lock that also covers the write.
pub(crate) fn check_write(
    headers: &HeaderMap,
    profile: &Profile,
    bucket: &Bucket,
    key: &str,
) -> Result<(), S3Error> {
    let (matching, none_match) = (text(headers, "if-match"), text(headers, "if-none-match"));
    if matching.is_none() && none_match.is_none() {
        return Ok(());
    }
    match profile.conditional {
        Feature::Supported => {}
        Feature::Ignored => return Ok(()),
        Feature::Refused => return Err(Code::NotImplemented.into()),
    }
    let current = bucket.current(key);
    match none_match {
        None => {}
        Some("*") if current.is_some() => return Err(failed("If-None-Match")),
        Some("*") => {}
        Some(_) => return Err(S3Error::from(Code::NotImplemented).detail("Header", "If-None-Match")),
    }
    match (matching, current) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(S3Error::from(Code::NoSuchKey).detail("Key", key)),
        (Some(list), Some(object)) if names(list, &object.etag) => Ok(()),
        _ => Err(failed("If-Match")),
    }
}
