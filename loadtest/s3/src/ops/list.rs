//! ListObjects (both versions) and ListObjectVersions: one walk, three documents.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Answer, Call, iso};
use crate::{
    error::S3Error,
    store::{Entry, Object},
    xml::Xml,
};

/// Left alone by `encoding-type=url`, as S3 does.
const URL_ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// Which of the two document forms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    V1,
    V2,
}

/// The parameters all listings share.
struct Asked<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    page: usize,
    encoded: bool,
}

impl<'a> Asked<'a> {
    fn of(call: &Call<'a>) -> Result<Self, S3Error> {
        let query = &call.target.query;
        Ok(Self {
            prefix: query.get("prefix").unwrap_or_default(),
            delimiter: query.get("delimiter").unwrap_or_default(),
            page: query.page("max-keys")?,
            encoded: query.get("encoding-type") == Some("url"),
        })
    }

    /// A key as the document shows it.
    fn show(&self, key: &str) -> String {
        if self.encoded { utf8_percent_encode(key, URL_ENCODED).to_string() } else { key.to_owned() }
    }

    fn head(&self, xml: &mut Xml, bucket: &str) {
        xml.leaf("Name", bucket).leaf("Prefix", self.show(self.prefix)).leaf("MaxKeys", self.page);
        if !self.delimiter.is_empty() {
            xml.leaf("Delimiter", self.show(self.delimiter));
        }
        if self.encoded {
            xml.leaf("EncodingType", "url");
        }
    }

    /// The common prefix that swallows this key, if any.
    fn common<'k>(&self, key: &'k str) -> Option<&'k str> {
        let at = key.get(self.prefix.len()..)?.find(self.delimiter).filter(|_| !self.delimiter.is_empty())?;
        key.get(..self.prefix.len() + at + self.delimiter.len())
    }
}

/// One line of a listing.
enum Row<'k, T> {
    Item(&'k str, T),
    Prefix(&'k str),
}

/// Walks the keys after `after`, folding common prefixes; gives one row more than a page when there are more.
fn walk<'k, V, T>(
    keys: &'k BTreeMap<String, V>,
    asked: &Asked<'_>,
    after: &str,
    mut rows_of: impl FnMut(&'k str, &'k V) -> Vec<T>,
) -> Vec<Row<'k, T>> {
    let mut rows = Vec::new();
    let start = if !after.is_empty() && after >= asked.prefix {
        Bound::Excluded(after)
    } else {
        Bound::Included(asked.prefix)
    };
    let mut last_prefix = asked.common(after).filter(|_| after.starts_with(asked.prefix));
    for (key, value) in keys.range::<str, _>((start, Bound::Unbounded)) {
        if !key.starts_with(asked.prefix) || rows.len() > asked.page {
            break;
        }
        let items = rows_of(key, value);
        match asked.common(key) {
            Some(prefix) if !items.is_empty() => {
                // A marker inside a common prefix is past only the keys before it, one equal to it past them all.
                let skip = last_prefix == Some(prefix) && (rows_end_with(&rows, prefix) || after == prefix);
                if !skip {
                    rows.push(Row::Prefix(prefix));
                    last_prefix = Some(prefix);
                }
            }
            Some(_) => {}
            None => rows.extend(items.into_iter().map(|item| Row::Item(key.as_str(), item))),
        }
    }
    rows
}

fn rows_end_with<T>(rows: &[Row<'_, T>], prefix: &str) -> bool {
    matches!(rows.last(), Some(Row::Prefix(last)) if *last == prefix)
}

fn common_prefixes<T>(xml: &mut Xml, asked: &Asked<'_>, rows: &[Row<'_, T>]) {
    for row in rows {
        if let Row::Prefix(prefix) = row {
            xml.open("CommonPrefixes").leaf("Prefix", asked.show(prefix)).close("CommonPrefixes");
        }
    }
}

fn object_fields(xml: &mut Xml, object: &Object) {
    xml.leaf("LastModified", iso(object.modified)).leaf("ETag", format_args!("\"{}\"", object.etag));
    xml.leaf("Size", object.size());
    xml.leaf("StorageClass", object.meta.storage_class.as_deref().unwrap_or("STANDARD"));
}

pub(super) fn objects(call: &mut Call<'_>, api: Api) -> Result<Answer, S3Error> {
    let asked = Asked::of(call)?;
    let query = &call.target.query;
    let token = query.text("continuation-token");
    let after = match (api, token) {
        (Api::V1, _) => query.get("marker").unwrap_or_default().to_owned(),
        (Api::V2, None) => query.get("start-after").unwrap_or_default().to_owned(),
        (Api::V2, Some(token)) => BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|raw| String::from_utf8(raw).ok())
            .ok_or_else(|| S3Error::invalid("The continuation token provided is incorrect"))?,
    };
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(&call.target.bucket)?;
    let mut rows = walk(&bucket.keys, &asked, &after, |_, history| match history.last() {
        Some(Entry::Object(object)) => vec![Arc::clone(object)],
        _ => Vec::new(),
    });
    let truncated = rows.len() > asked.page && asked.page > 0;
    rows.truncate(asked.page);
    let next = rows.last().filter(|_| truncated).map(|row| match row {
        Row::Item(key, _) => *key,
        Row::Prefix(prefix) => *prefix,
    });

    let mut xml = Xml::rooted("ListBucketResult");
    asked.head(&mut xml, &call.target.bucket);
    xml.leaf("IsTruncated", truncated);
    match api {
        Api::V1 => {
            xml.leaf("Marker", asked.show(&after)).optional("NextMarker", next.map(|next| asked.show(next)));
        }
        Api::V2 => {
            xml.leaf("KeyCount", rows.len()).optional("ContinuationToken", token);
            xml.optional("StartAfter", query.text("start-after").map(|after| asked.show(after)));
            xml.optional("NextContinuationToken", next.map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)));
        }
    }
    let owner = api == Api::V1 || query.get("fetch-owner") == Some("true");
    for row in &rows {
        if let Row::Item(key, object) = row {
            xml.open("Contents").leaf("Key", asked.show(key));
            object_fields(&mut xml, object);
            if let Some(checksum) = call.shown(object.checksum()) {
                xml.leaf("ChecksumAlgorithm", checksum.algorithm.name())
                    .leaf("ChecksumType", checksum.kind.name());
            }
            if owner {
                xml.open("Owner").leaf("ID", "eft-s3").leaf("DisplayName", "eft-s3").close("Owner");
            }
            xml.close("Contents");
        }
    }
    common_prefixes(&mut xml, &asked, &rows);
    Ok(Answer::xml(xml.end("ListBucketResult")))
}

pub(super) fn versions(call: &mut Call<'_>) -> Result<Answer, S3Error> {
    let asked = Asked::of(call)?;
    let query = &call.target.query;
    let key_marker = query.get("key-marker").unwrap_or_default();
    let version_marker = query.get("version-id-marker").unwrap_or_default();
    let mut buckets = call.state.store.lock();
    let bucket = buckets.get(&call.target.bucket)?;
    // Newest first; each with whether it is the current one.
    let newest_first = |history: &[Entry]| -> Vec<(Entry, bool)> {
        history.iter().rev().enumerate().map(|(at, entry)| (entry.clone(), at == 0)).collect()
    };
    let mut rows = Vec::new();
    if let Some(history) = bucket.keys.get(key_marker).filter(|_| !version_marker.is_empty()) {
        let all = newest_first(history);
        let seen =
            all.iter().position(|(entry, _)| entry.version_id() == version_marker).map_or(0, |at| at + 1);
        rows.extend(all.into_iter().skip(seen).map(|entry| Row::Item(key_marker, entry)));
    }
    rows.extend(walk(&bucket.keys, &asked, key_marker, |_, history| newest_first(history)));
    let truncated = rows.len() > asked.page && asked.page > 0;
    rows.truncate(asked.page);

    let mut xml = Xml::rooted("ListVersionsResult");
    asked.head(&mut xml, &call.target.bucket);
    xml.leaf("KeyMarker", asked.show(key_marker)).leaf("VersionIdMarker", version_marker);
    xml.leaf("IsTruncated", truncated);
    match rows.last().filter(|_| truncated) {
        Some(Row::Item(key, (entry, _))) => {
            xml.leaf("NextKeyMarker", asked.show(key)).leaf("NextVersionIdMarker", entry.version_id());
        }
        Some(Row::Prefix(prefix)) => {
            xml.leaf("NextKeyMarker", asked.show(prefix));
        }
        None => {}
    }
    for row in &rows {
        let Row::Item(key, (entry, latest)) = row else { continue };
        let name = if matches!(entry, Entry::Object(_)) { "Version" } else { "DeleteMarker" };
        xml.open(name).leaf("Key", asked.show(key));
        xml.leaf("VersionId", entry.version_id()).leaf("IsLatest", latest);
        match entry {
            Entry::Object(object) => object_fields(&mut xml, object),
            Entry::Marker { modified, .. } => {
                xml.leaf("LastModified", iso(*modified));
            }
        }
        xml.open("Owner").leaf("ID", "eft-s3").leaf("DisplayName", "eft-s3").close("Owner").close(name);
    }
    common_prefixes(&mut xml, &asked, &rows);
    Ok(Answer::xml(xml.end("ListVersionsResult")))
}
