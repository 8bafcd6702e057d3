//! Where an object is: `s3://bucket/key`, a local path, or `-`.
//!
//! Exact, not URL-like: nothing is percent-decoded and every character of a key means itself. One suffix is special,
//! `?versionId=`: what follows the last one is the version id. A key that holds that text itself is written with an
//! empty one after it (`s3://b/odd?versionId=name?versionId=`).

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::text::shown;

/// S3: "object key name ... is a sequence of Unicode characters with UTF-8 encoding of up to 1,024 bytes".
pub const MAX_KEY_BYTES: usize = 1024;

const VERSION: &str = "?versionId=";

/// Why a text does not say where an object is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {reason}")]
pub struct ParseObjectError {
    text: String,
    reason: String,
}

impl ParseObjectError {
    fn new(text: &str, reason: impl Into<String>) -> Self {
        Self { text: shown(text, 120), reason: reason.into() }
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $check:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseObjectError;

            fn from_str(text: &str) -> Result<Self, ParseObjectError> {
                match $check(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(reason) => Err(ParseObjectError::new(text, reason)),
                }
            }
        }

        serde_as_text!($name);
    )*};
}

texts! {
    /// A bucket name: 3 to 63 of `a-z 0-9 - .`, letter or digit at both ends, no two dots in a row, no IPv4 address
    /// (S3 user guide, "General purpose bucket naming rules"). Reserved prefixes and suffixes are S3's to refuse:
    /// access point aliases and directory buckets carry them and are valid here.
    BucketName, bucket_fault;
    /// A key: 1 to 1,024 bytes of UTF-8, any characters.
    ObjectKey, key_fault;
    /// A version id: opaque, at most 1,024 bytes of visible ASCII without `?`.
    VersionId, version_fault;
}

fn bucket_fault(text: &str) -> Option<&'static str> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=63).contains(&text.len()) {
        Some("is not a bucket name: it must have 3 to 63 characters")
    } else if !text.chars().all(|c| alphanumeric(c) || c == '-' || c == '.') {
        Some("is not a bucket name: only a-z, 0-9, `-` and `.` are allowed")
    } else if !text.starts_with(alphanumeric) || !text.ends_with(alphanumeric) {
        Some("is not a bucket name: it must start and end with a letter or digit")
    } else if text.contains("..") {
        Some("is not a bucket name: two dots in a row")
    } else if text.parse::<std::net::Ipv4Addr>().is_ok() {
        Some("is not a bucket name: it looks like an IP address")
    } else {
        None
    }
}

fn key_fault(text: &str) -> Option<&'static str> {
    match text.len() {
        0 => Some("has no key after the bucket"),
        1..=MAX_KEY_BYTES => None,
        _ => Some("is longer than the 1,024 bytes S3 allows for a key"),
    }
}

fn version_fault(text: &str) -> Option<&'static str> {
    let plain = (1..=1024).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'?');
    (!plain).then_some(
        "is not a version id; if it belongs to the key, write `?versionId=` once more after the whole key",
    )
}

/// Where an object is, as people and receipts write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectUri {
    /// `s3://bucket/key`, optionally with `?versionId=…`.
    S3 {
        /// The bucket.
        bucket: BucketName,
        /// The key.
        key: ObjectKey,
        /// A certain version; otherwise the latest.
        version_id: Option<VersionId>,
    },
    /// A local path; `file:` before it is optional, and needed for a file called `-`.
    Local(PathBuf),
    /// `-`: standard input or output.
    Std,
}

impl ObjectUri {
    /// An object of S3, latest version.
    pub fn s3(bucket: BucketName, key: ObjectKey) -> Self {
        Self::S3 { bucket, key, version_id: None }
    }

    /// The place of the object with this number, where several are made: `{n}` of the name stands for the number, with
    /// at least five digits. `None` where the name has no `{n}`.
    pub fn numbered(&self, number: u64) -> Option<Self> {
        let place =
            |name: &str| name.contains("{n}").then(|| name.replacen("{n}", &format!("{number:05}"), 1));
        match self {
            Self::S3 { bucket, key, .. } => {
                let key = place(key.as_str())?.parse().ok()?;
                Some(Self::s3(bucket.clone(), key))
            }
            Self::Local(path) => Some(Self::Local(place(path.to_str()?)?.into())),
            Self::Std => None,
        }
    }

    /// The place of an archive's entry with this name, which `{entry}` of the name stands for. `None` where the name has no
    /// `{entry}`, and for what would be no key.
    pub fn of_entry(&self, entry: &str) -> Option<Self> {
        let place = |name: &str| name.contains("{entry}").then(|| name.replacen("{entry}", entry, 1));
        match self {
            Self::S3 { bucket, key, .. } => {
                let key = place(key.as_str())?.parse().ok()?;
                Some(Self::s3(bucket.clone(), key))
            }
            Self::Local(path) => Some(Self::Local(place(path.to_str()?)?.into())),
            Self::Std => None,
        }
    }

    /// Whether this is one of the places that a place with `{n}` or `{entry}` in its name stands for, or that place itself.
    pub fn is_of(&self, pattern: &Self) -> bool {
        let (Self::S3 { bucket, key, .. }, Self::S3 { bucket: same, key: names, .. }) = (self, pattern)
        else {
            return self == pattern;
        };
        let middle = |start: &str, end: &str| key.as_str().strip_prefix(start)?.strip_suffix(end);
        let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        let named = match (names.as_str().split_once("{n}"), names.as_str().split_once("{entry}")) {
            (Some((start, end)), _) => middle(start, end).is_some_and(is_number),
            (_, Some((start, end))) => middle(start, end).is_some_and(|entry| !entry.is_empty()),
            (None, None) => false,
        };
        bucket == same && (named || key == names)
    }

    /// The last segment of the name: `c.csv` of `s3://b/a/c.csv`. Empty for a key that ends with `/` and for `-`.
    pub fn name(&self) -> &str {
        match self {
            Self::S3 { key, .. } => key.as_str().rsplit('/').next().unwrap_or_default(),
            Self::Local(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            Self::Std => "",
        }
    }

    /// What has this name in the same folder, its latest version; `None` for `-`, and for what would be no key.
    pub fn beside(&self, name: &str) -> Option<Self> {
        match self {
            Self::S3 { bucket, key, .. } => {
                let folder =
                    key.as_str().rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                Some(Self::s3(bucket.clone(), format!("{folder}{name}").parse().ok()?))
            }
            Self::Local(path) => Some(Self::Local(path.with_file_name(name))),
            Self::Std => None,
        }
    }

    /// Whether it is in S3.
    pub fn is_s3(&self) -> bool {
        matches!(self, Self::S3 { .. })
    }

    /// The local path, if it is one.
    pub fn path(&self) -> Option<&Path> {
        if let Self::Local(path) = self { Some(path) } else { None }
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key, version_id } => {
                write!(f, "s3://{bucket}/{key}")?;
                match version_id {
                    Some(version) => write!(f, "{VERSION}{version}"),
                    None if key.as_str().contains(VERSION) => f.write_str(VERSION),
                    None => Ok(()),
                }
            }
            Self::Local(path) => {
                let text = path.to_string_lossy();
                let ambiguous = text == "-" || text.starts_with("s3://") || text.starts_with("file:");
                write!(f, "{}{text}", if ambiguous { "file:" } else { "" })
            }
            Self::Std => f.write_str("-"),
        }
    }
}

impl FromStr for ObjectUri {
    type Err = ParseObjectError;

    fn from_str(text: &str) -> Result<Self, ParseObjectError> {
        if text == "-" {
            return Ok(Self::Std);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return parse_s3(text, rest);
        }
        let path = match text.strip_prefix("file:") {
            Some(rest) => match rest.strip_prefix("//") {
                Some(absolute) if absolute.starts_with('/') => absolute,
                Some(_) => {
                    return Err(ParseObjectError::new(text, "names a host; write `file:///path` or a path"));
                }
                None => rest,
            },
            None => text,
        };
        match path {
            "" => Err(ParseObjectError::new(text, "is empty; write a path, `s3://bucket/key` or `-`")),
            path if path.contains('\0') => Err(ParseObjectError::new(text, "holds a NUL byte")),
            path => Ok(Self::Local(PathBuf::from(path))),
        }
    }
}

fn parse_s3(text: &str, rest: &str) -> Result<ObjectUri, ParseObjectError> {
    let again = |error: ParseObjectError| ParseObjectError::new(text, error.reason);
    let (bucket, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (key, version_id) = match rest.rsplit_once(VERSION) {
        Some((key, "")) => (key, None),
        Some((key, version)) => (key, Some(version.parse().map_err(again)?)),
        None => (rest, None),
    };
    Ok(ObjectUri::S3 { bucket: bucket.parse().map_err(again)?, key: key.parse().map_err(again)?, version_id })
}

serde_as_text!(ObjectUri);

/// An object as it stood when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectVersion {
    /// Where it is.
    pub uri: ObjectUri,
    /// Its version, where the store has versions.
    pub version_id: Option<VersionId>,
    /// Its ETag, quotes included as S3 sends it. Pins a read (`If-Match`); never a checksum.
    pub etag: Option<String>,
    /// Its size in bytes; `None` for a stream.
    pub size: Option<u64>,
    /// When it was last modified, as the store says it (RFC 3339).
    pub last_modified: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s3(bucket: &str, key: &str, version: Option<&str>) -> ObjectUri {
        ObjectUri::S3 {
            bucket: bucket.parse().unwrap(),
            key: key.parse().unwrap(),
            version_id: version.map(|version| version.parse().unwrap()),
        }
    }

    #[test]
    fn a_place_of_several_objects_knows_its_own() {
        let uri = |text: &str| text.parse::<ObjectUri>().unwrap();
        for pattern in ["s3://out/a-{n}.csv", "s3://out/a/{entry}", "s3://out/a.csv"].map(uri) {
            for number in [1, 99_999, 100_000] {
                let numbered = pattern.numbered(number).or_else(|| pattern.of_entry("d/e.csv"));
                assert!(numbered.unwrap_or_else(|| pattern.clone()).is_of(&pattern), "{pattern}");
            }
        }
        for (other, pattern) in [
            ("s3://out/a-0001.csv", "s3://out/a-{n}.csv"),
            ("s3://out/a-0000x.csv", "s3://out/a-{n}.csv"),
            ("s3://out/a-00001.csv.gz", "s3://out/a-{n}.csv"),
            ("s3://other/a-00001.csv", "s3://out/a-{n}.csv"),
            ("s3://out/b-00001.csv", "s3://out/a-{n}.csv"),
            ("s3://out/a/", "s3://out/a/{entry}"),
            ("s3://out/b.csv", "s3://out/a.csv"),
        ] {
            assert!(!uri(other).is_of(&uri(pattern)), "{other} {pattern}");
        }
    }

    #[test]
    fn reads_what_people_write() {
        for (text, expected) in [
            ("s3://bucket/key", s3("bucket", "key", None)),
            ("s3://bucket/a b/?x=1#y%20ä/", s3("bucket", "a b/?x=1#y%20ä/", None)),
            ("s3://bucket//", s3("bucket", "/", None)),
            ("s3://bucket/k?versionId=3/L4k+q", s3("bucket", "k", Some("3/L4k+q"))),
            ("s3://bucket/k?versionId=a?versionId=b", s3("bucket", "k?versionId=a", Some("b"))),
            ("s3://bucket/k?versionId=a?versionId=", s3("bucket", "k?versionId=a", None)),
            ("-", ObjectUri::Std),
            ("file:-", ObjectUri::Local("-".into())),
            ("file:///tmp/a?b", ObjectUri::Local("/tmp/a?b".into())),
            ("file:a", ObjectUri::Local("a".into())),
            ("./s3://x", ObjectUri::Local("./s3://x".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(s3("bucket", "a/b.csv", None).name(), "b.csv");
        assert_eq!(s3("bucket", "a/", None).name(), "");
    }

    #[test]
    fn refuses_with_a_reason() {
        let long = format!("s3://bucket/{}", "ä".repeat(513));
        for (text, reason) in [
            ("", "is empty"),
            ("file:", "is empty"),
            ("file://host/a", "names a host"),
            ("a\0b", "NUL"),
            ("s3://bucket", "has no key"),
            ("s3://bucket/", "has no key"),
            ("s3:///key", "3 to 63"),
            ("s3://Bucket/k", "only a-z"),
            ("s3://-bucket/k", "start and end"),
            ("s3://buc..ket/k", "two dots"),
            ("s3://192.168.0.1/k", "IP address"),
            ("s3://bucket/k?versionId=a b", "not a version id"),
            (&long, "1,024 bytes"),
        ] {
            let error = text.parse::<ObjectUri>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.chars().count() < 320, "{error}");
        }
    }

    #[test]
    fn stands_in_json_as_its_text() {
        let uri = s3("bucket", "k \"é", Some("v"));
        let json = serde_json::to_string(&uri).unwrap();
        assert_eq!(json, r#""s3://bucket/k \"é?versionId=v""#);
        assert_eq!(serde_json::from_str::<ObjectUri>(&json).unwrap(), uri);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            bucket in "[a-z0-9][a-z0-9-]{1,20}[a-z0-9]",
            key in "(.|\\?versionId=|/| ){1,20}",
            version in proptest::option::of("[!->@-~]{1,20}"),
            path in "(s3://|file:|//|-|.|/){1,4}",
        ) {
            let uri = s3(&bucket, &key, version.as_deref());
            prop_assert_eq!(uri.to_string().parse(), Ok(uri));
            let local = ObjectUri::Local(path.replace('\0', "").into());
            if local.path() != Some(Path::new("")) {
                prop_assert_eq!(local.to_string().parse(), Ok(local));
            }
        }

        #[test]
        fn what_is_read_is_written_in_one_way(text in "(s3://|bucket|/|-|file:|\\?versionId=|.){0,8}") {
            if let Ok(uri) = text.parse::<ObjectUri>() {
                let again = uri.to_string();
                prop_assert_eq!(again.parse::<ObjectUri>().map(|uri| uri.to_string()), Ok(again));
            }
        }
    }
}
