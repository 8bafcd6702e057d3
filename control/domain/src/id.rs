//! Identity. Everything that must be the same in both regions and after any crash is derived, never drawn.
//!
//! ```text
//! arrival  = (logical bucket, key, version id)
//! job      = UUIDv5(route id, arrival)
//! run      = job . generation            replay makes the next generation
//! delivery = UUIDv5(run, route revision, destination)
//! ```
//!
//! Event ids, times, ETags and sequencers are never identity: the same version of an object announces itself under
//! many of them. Names are fed to UUIDv5 with their lengths, so that no two lists of texts give the same bytes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Millis, ObjectUri, ObjectVersion, text::shown};

/// Name spaces, drawn once: fixed for ever, or every job would be a new one.
const JOB_SPACE: Uuid = Uuid::from_u128(0x4f2c_90a3_6c1b_5e0e_9b51_7d3a_18e4_c601);
const DELIVERY_SPACE: Uuid = Uuid::from_u128(0x4f2c_90a3_6c1b_5e0e_9b51_7d3a_18e4_c602);
const REVISION_SPACE: Uuid = Uuid::from_u128(0x4f2c_90a3_6c1b_5e0e_9b51_7d3a_18e4_c603);

/// UUIDv5 over texts, each preceded by its length.
fn derive(space: &Uuid, parts: &[&str]) -> Uuid {
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(space, &name)
}

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct ParseIdError {
    what: &'static str,
    rule: &'static str,
    text: String,
}

impl ParseIdError {
    fn new(what: &'static str, rule: &'static str, text: &str) -> Self {
        Self { what, rule, text: shown(text, 80) }
    }
}

const NAME_RULE: &str = "1 to 64 of a-z, 0-9, `-`, `_`, `.`, starting with a letter or digit";

fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
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
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if is_name(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ParseIdError::new($what, NAME_RULE, text))
                }
            }
        }

        serde_as_text!($name);
    )*};
}

names! {
    /// The name of a route, unique in its tenant and stable over its revisions.
    RouteId, "route id";
    /// The name of a tenant.
    TenantId, "tenant id";
    /// The name of a partner, unique in its tenant.
    PartnerId, "partner id";
}

impl RouteId {
    /// The id of a route that was given none (a route file on the command line): its revision, so that two such
    /// routes are the same route exactly when they say the same.
    pub fn of_revision(revision: RouteRevision) -> Self {
        Self(format!("unnamed-{revision}"))
    }
}

/// Parses the one spelling we write: 36 characters, lower case, hyphens.
fn parse_uuid(text: &str, what: &'static str) -> Result<Uuid, ParseIdError> {
    let bad = || ParseIdError::new(what, "a UUID in lower case with hyphens", text);
    let uuid = Uuid::try_parse(text).map_err(|_| bad())?;
    if uuid.hyphenated().to_string() == text { Ok(uuid) } else { Err(bad()) }
}

macro_rules! uuids {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id as a UUID.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_uuid(text, $what).map(Self)
            }
        }

        serde_as_text!($name);
    )*};
}

uuids! {
    /// One arrival on one route, for ever and in either region.
    JobId, "job id";
    /// One destination of one run. Stored in the delivered object's metadata: that is how a run that lost the
    /// answer to its commit recognises its own object.
    DeliveryId, "delivery id";
    /// An entry of the audit trail (UUIDv7). The one id that is drawn: a request that is sent twice has been sent twice.
    AuditId, "audit id";
}

impl AuditId {
    /// Before every entry.
    pub const FIRST: Self = Self(Uuid::nil());

    /// Behind every entry.
    pub const LAST: Self = Self(Uuid::max());

    /// The id of an entry of this time, with what was drawn for it. Ids and their texts sort as times do.
    pub fn new(at: Millis, draw: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(at.0, draw).into_uuid())
    }

    /// The least id of this time.
    pub fn first_at(at: Millis) -> Self {
        Self::new(at, &[0; 10])
    }

    /// The id before this one, if there is one.
    pub fn before(self) -> Option<Self> {
        Some(Self(Uuid::from_u128(self.0.as_u128().checked_sub(1)?)))
    }
}

/// An object version under an ingest prefix: what a job is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Arrival {
    /// The bucket's logical name, the same in both regions.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The version id; replicas keep it.
    pub version_id: String,
}

impl Arrival {
    /// The arrival of a source named on the command line.
    ///
    /// S3 without versioning has the version `null`, as S3 itself says. A local file or stream has no version: size
    /// and modification time stand in, which is enough to name a run in a receipt and no promise of identity.
    pub fn of(source: &ObjectVersion) -> Self {
        match &source.uri {
            ObjectUri::S3 { bucket, key, version_id } => {
                let version = source.version_id.as_ref().or(version_id.as_ref());
                Self {
                    bucket: bucket.to_string(),
                    key: key.to_string(),
                    version_id: version.map_or_else(|| "null".to_owned(), ToString::to_string),
                }
            }
            local => Self {
                bucket: "file:".to_owned(),
                key: local.to_string(),
                version_id: format!(
                    "{}@{}",
                    source.size.map_or_else(|| "unknown".to_owned(), |size| size.to_string()),
                    source.last_modified.as_deref().unwrap_or("unknown")
                ),
            },
        }
    }
}

impl JobId {
    /// The job of an arrival on a route.
    pub fn of(route: &RouteId, arrival: &Arrival) -> Self {
        Self(derive(&JOB_SPACE, &[route.as_str(), &arrival.bucket, &arrival.key, &arrival.version_id]))
    }

    /// The record of an arrival that no route takes. No route has an empty name.
    pub fn unrouted(arrival: &Arrival) -> Self {
        Self(derive(&JOB_SPACE, &["", &arrival.bucket, &arrival.key, &arrival.version_id]))
    }
}

/// One pass of a job: the first, or a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    job: JobId,
    generation: u32,
}

impl RunId {
    /// The first run of a job.
    pub fn first(job: JobId) -> Self {
        Self { job, generation: 1 }
    }

    /// The run with this number, from 1.
    pub(crate) fn nth(job: JobId, generation: u32) -> Self {
        Self { job, generation }
    }

    /// The run after this one; `None` after 4,294,967,295 of them.
    pub fn next(self) -> Option<Self> {
        Some(Self { generation: self.generation.checked_add(1)?, ..self })
    }

    /// The job.
    pub fn job(self) -> JobId {
        self.job
    }

    /// 1 for the first run.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.generation)
    }
}

impl FromStr for RunId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bad = || ParseIdError::new("run id", "`<job id>.<generation>`, generation from 1", text);
        let (job, generation) = text.split_once('.').ok_or_else(bad)?;
        if generation.starts_with(['0', '+']) {
            return Err(bad());
        }
        let generation = generation.parse().map_err(|_| bad())?;
        Ok(Self { job: job.parse().map_err(|_| bad())?, generation })
    }
}

serde_as_text!(RunId);

impl DeliveryId {
    /// The delivery of a run to a destination.
    pub fn of(run: RunId, revision: RouteRevision, destination: &ObjectUri) -> Self {
        Self(derive(&DELIVERY_SPACE, &[&run.to_string(), &revision.to_string(), &destination.to_string()]))
    }

    /// The same delivery of what a manifest names: `versions` is a digest of what that was.
    pub fn of_joined(self, versions: &str) -> Self {
        Self(derive(&DELIVERY_SPACE, &[&self.to_string(), versions]))
    }
}

/// Which text of a route: 16 hexadecimal digits of a UUIDv5 of its canonical JSON. Two revisions are equal exactly
/// when the routes say the same, whatever their spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteRevision(u64);

impl RouteRevision {
    /// The revision of a canonical route text.
    pub(crate) fn of_canonical(json: &str) -> Self {
        // The first 8 bytes hold the version nibble: 60 bits of SHA-1 remain, plenty for the revisions of one route.
        Self((derive(&REVISION_SPACE, &[json]).as_u128() >> 64) as u64)
    }
}

impl fmt::Display for RouteRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for RouteRevision {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let value = if hex { u64::from_str_radix(text, 16).ok() } else { None };
        value.map(Self).ok_or_else(|| ParseIdError::new("route revision", "16 of 0-9, a-f", text))
    }
}

serde_as_text!(RouteRevision);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(bucket: &str, key: &str, version_id: &str) -> Arrival {
        Arrival { bucket: bucket.into(), key: key.into(), version_id: version_id.into() }
    }

    fn job() -> JobId {
        JobId::of(&"orders".parse().unwrap(), &arrival("ingest", "in/a.csv", "v1"))
    }

    /// Pinned: an id that changes makes a second job of every file that ever arrived.
    #[test]
    fn derived_ids_are_pinned() {
        assert_eq!(job().to_string(), "60103e97-4777-5c71-a745-3fa7d439fdaa");
        let revision = "0123456789abcdef".parse().unwrap();
        let delivery = DeliveryId::of(RunId::first(job()), revision, &"s3://out/a.csv".parse().unwrap());
        assert_eq!(delivery.to_string(), "f88a241c-9ccd-5ff4-8374-c9098f29120f");
    }

    #[test]
    fn every_part_of_an_arrival_counts_and_where_it_ends() {
        let ids: std::collections::HashSet<_> =
            [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("", "ab", "c")]
                .into_iter()
                .flat_map(|(bucket, key, version)| {
                    ["r", "ra"]
                        .map(|route| JobId::of(&route.parse().unwrap(), &arrival(bucket, key, version)))
                })
                .collect();
        assert_eq!(ids.len(), 8);
    }

    #[test]
    fn every_part_of_a_delivery_counts() {
        let of = |run: RunId, revision: &str, uri: &str| {
            DeliveryId::of(run, revision.parse().unwrap(), &uri.parse().unwrap())
        };
        let first = RunId::first(job());
        let ids = [
            of(first, "0000000000000000", "s3://out/a"),
            of(first.next().unwrap(), "0000000000000000", "s3://out/a"),
            of(first, "0000000000000001", "s3://out/a"),
            of(first, "0000000000000000", "s3://out/b"),
        ];
        assert_eq!(std::collections::HashSet::from(ids).len(), 4);
    }

    #[test]
    fn runs_read_back_in_one_spelling() {
        let run = RunId::first(job()).next().unwrap();
        assert_eq!(run.to_string().parse(), Ok(run));
        assert_eq!((run.job(), run.generation()), (job(), 2));
        let id = job();
        for text in [
            "",
            ".1",
            &format!("{id}"),
            &format!("{id}.0"),
            &format!("{id}.01"),
            &format!("{id}.+1"),
            &format!("{id}.1.1"),
            &format!("{{{id}}}.1"),
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
        assert!(id.to_string().to_uppercase().parse::<JobId>().is_err());
        assert!(RunId { job: id, generation: u32::MAX }.next().is_none());
    }

    #[test]
    fn entries_sort_as_times_do_and_so_do_their_texts() {
        let at = |millis: u64| Millis(1_795_737_600_000 + millis);
        let (first, last) = (AuditId::first_at(at(1)), AuditId::new(at(1), &[0xff; 10]));
        assert_eq!(last.to_string(), "01a21a4d-4001-7fff-bfff-ffffffffffff");
        let order = [
            AuditId::FIRST,
            AuditId::new(at(0), &[0xff; 10]),
            first,
            last,
            AuditId::first_at(at(2)),
            AuditId::LAST,
        ];
        assert!(order.is_sorted() && order.map(|id| id.to_string()).is_sorted());
        assert!(order.iter().all(|id| id.to_string().parse() == Ok(*id)));
        assert!(first.before().unwrap() < first && first.before().unwrap() > order[1]);
        assert_eq!(AuditId::FIRST.before(), None);
    }

    #[test]
    fn names_and_revisions_keep_their_rules() {
        for text in ["a", "0", "orders-daily_v1.2", &"a".repeat(64)] {
            assert_eq!(text.parse::<RouteId>().unwrap().as_str(), text);
        }
        for text in ["", "-a", ".", "A", "a b", "é", &"a".repeat(65)] {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
        }
        for text in ["", "0123456789abcde", "0123456789ABCDEF", "+123456789abcdef"] {
            assert!(text.parse::<RouteRevision>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_source_without_versions_has_the_version_null() {
        let source = |uri: &str| ObjectVersion {
            uri: uri.parse().unwrap(),
            version_id: None,
            etag: None,
            size: Some(3),
            last_modified: None,
        };
        assert_eq!(Arrival::of(&source("s3://in-bucket/k")), arrival("in-bucket", "k", "null"));
        assert_eq!(Arrival::of(&source("s3://in-bucket/k?versionId=v")), arrival("in-bucket", "k", "v"));
        assert_eq!(Arrival::of(&source("a/b")), arrival("file:", "a/b", "3@unknown"));
    }
}
