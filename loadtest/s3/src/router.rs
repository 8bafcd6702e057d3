//! From an HTTP request to the S3 operation it names.

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::error::{Code, S3Error};

macro_rules! ops {
    ($($name:ident,)*) => {
        /// An S3 operation, by its API name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the names are S3's")]
        pub enum Op { $($name,)* }

        impl Op {
            /// The API name.
            pub fn name(self) -> &'static str {
                match self { $(Op::$name => stringify!($name),)* }
            }
        }
    };
}

ops! {
    AbortMultipartUpload, CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteBucket,
    DeleteObject, DeleteObjectTagging, DeleteObjects, GetBucketLocation, GetBucketVersioning, GetObject,
    GetObjectAttributes, GetObjectTagging, HeadBucket, HeadObject, ListBuckets, ListMultipartUploads,
    ListObjectVersions, ListObjects, ListObjectsV2, ListParts, PutBucketVersioning, PutObject, PutObjectTagging,
    Unknown, UploadPart, UploadPartCopy,
}

/// A request's place: what it wants done, and to what.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) op: Op,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) query: Query,
}

impl Target {
    pub(crate) fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, S3Error> {
        let path = uri.path().strip_prefix('/').unwrap_or(uri.path());
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = Query::parse(uri.query().unwrap_or_default())?;
        let bucket = decode(bucket)?;
        let key = decode(key)?;
        // "Object key names", Amazon S3 User Guide.
        if key.len() > 1024 {
            return Err(Code::KeyTooLongError.into());
        }
        let op = operation(method, &bucket, &key, &query, headers.contains_key("x-amz-copy-source"));
        Ok(Self { op, bucket, key, query })
    }

    pub(crate) fn part_number(&self) -> Option<u32> {
        self.query.get("partNumber").and_then(|text| text.parse().ok())
    }
}

fn operation(method: &Method, bucket: &str, key: &str, query: &Query, copies: bool) -> Op {
    let has = |name| query.has(name);
    if bucket.is_empty() {
        return if method == Method::GET { Op::ListBuckets } else { Op::Unknown };
    }
    // Sub-resources this server does not have must not be mistaken for the plain operation.
    const FOREIGN: [&str; 14] = [
        "acl",
        "cors",
        "encryption",
        "legal-hold",
        "lifecycle",
        "logging",
        "notification",
        "object-lock",
        "policy",
        "replication",
        "restore",
        "retention",
        "select",
        "website",
    ];
    if FOREIGN.into_iter().any(has) || key.is_empty() && has("tagging") {
        return Op::Unknown;
    }
    match (method.as_str(), key.is_empty()) {
        ("GET", true) if has("location") => Op::GetBucketLocation,
        ("GET", true) if has("versioning") => Op::GetBucketVersioning,
        ("GET", true) if has("versions") => Op::ListObjectVersions,
        ("GET", true) if has("uploads") => Op::ListMultipartUploads,
        ("GET", true) if query.get("list-type") == Some("2") => Op::ListObjectsV2,
        ("GET", true) => Op::ListObjects,
        ("HEAD", true) => Op::HeadBucket,
        ("PUT", true) if has("versioning") => Op::PutBucketVersioning,
        ("PUT", true) => Op::CreateBucket,
        ("DELETE", true) => Op::DeleteBucket,
        ("POST", true) if has("delete") => Op::DeleteObjects,
        ("GET", false) if has("uploadId") => Op::ListParts,
        ("GET", false) if has("tagging") => Op::GetObjectTagging,
        ("GET", false) if has("attributes") => Op::GetObjectAttributes,
        ("GET", false) => Op::GetObject,
        ("HEAD", false) => Op::HeadObject,
        ("PUT", false) if has("uploadId") && copies => Op::UploadPartCopy,
        ("PUT", false) if has("uploadId") => Op::UploadPart,
        ("PUT", false) if has("tagging") => Op::PutObjectTagging,
        ("PUT", false) if copies => Op::CopyObject,
        ("PUT", false) => Op::PutObject,
        ("POST", false) if has("uploads") => Op::CreateMultipartUpload,
        ("POST", false) if has("uploadId") => Op::CompleteMultipartUpload,
        ("DELETE", false) if has("uploadId") => Op::AbortMultipartUpload,
        ("DELETE", false) if has("tagging") => Op::DeleteObjectTagging,
        ("DELETE", false) => Op::DeleteObject,
        _ => Op::Unknown,
    }
}

/// Percent-decodes once.
pub(crate) fn decode(text: &str) -> Result<String, S3Error> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| Code::InvalidURI.into())
}

/// A decoded query string.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str) -> Result<Self, S3Error> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // In a query, unlike in a path, `+` is a space.
            Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        });
        pairs.collect::<Result<_, S3Error>>().map(Self)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// The value, when it is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A page size: at most 1,000, S3's own limit and default.
    pub(crate) fn page(&self, name: &str) -> Result<usize, S3Error> {
        match self.text(name) {
            None => Ok(1000),
            Some(text) => {
                let size: usize =
                    text.parse().map_err(|_| S3Error::invalid(format!("{name} is not a number")))?;
                Ok(size.min(1000))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, uri: &str) -> Target {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Target::parse(&method, &uri.parse().unwrap(), &HeaderMap::new()).unwrap()
    }

    #[test]
    fn keys_are_decoded_once() {
        assert_eq!(target("GET", "/b/a%20b%2Bc+d%2525/%C3%A9//x").key, "a b+c+d%25/é//x");
        assert_eq!(target("GET", "/b?prefix=a%2Bb+c").query.get("prefix"), Some("a+b c"));
        let bad = Target::parse(&Method::GET, &"/b/%ff".parse().unwrap(), &HeaderMap::new());
        assert_eq!(bad.unwrap_err().code, Code::InvalidURI);
    }

    #[test]
    fn operations_have_their_names() {
        for (method, uri, op) in [
            ("GET", "/", Op::ListBuckets),
            ("GET", "/b?list-type=2", Op::ListObjectsV2),
            ("GET", "/b/", Op::ListObjects),
            ("HEAD", "/b", Op::HeadBucket),
            ("POST", "/b?delete", Op::DeleteObjects),
            ("POST", "/b/k?uploads", Op::CreateMultipartUpload),
            ("PUT", "/b/k?partNumber=1&uploadId=x", Op::UploadPart),
            ("GET", "/b/k?x-id=GetObject", Op::GetObject),
            ("GET", "/b/k?acl", Op::Unknown),
            ("POST", "/b/k", Op::Unknown),
        ] {
            assert_eq!(target(method, uri).op, op, "{method} {uri}");
        }
    }
}
