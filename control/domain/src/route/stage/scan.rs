//! `scan: …`: a virus scanner sees the bytes, and nothing is published before its verdict.

use serde_json::{Value, json};

use super::{
    super::{Codec, cursor::At, errors::Report},
    CompressSpec, StageSpec,
};
use crate::ByteSize;

pub(in super::super) const FIELDS: &[&str] = &["max_bytes", "larger"];

/// Most bytes a scanner is given: ClamAV scans no file of 2 GiB (clamd.conf(5), `MaxFileSize`).
pub(in super::super) const MOST_BYTES: ByteSize = ByteSize::mib(2047);

/// Parameters of `scan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanSpec {
    /// The scanner is given so many bytes at most. Default 25 MiB: what Debian's clamd takes.
    pub max_bytes: ByteSize,
    /// What becomes of a larger file. Default [`Larger::Refuse`].
    pub larger: Larger,
}

words! {
    /// What becomes of a file that is larger than the scanner takes.
    pub enum Larger {
        /// It is refused.
        Refuse = "refuse",
        /// It passes, and the receipt says that it was not scanned to its end.
        Pass = "pass",
    }
}

impl Default for ScanSpec {
    fn default() -> Self {
        Self { max_bytes: ByteSize::mib(25), larger: Larger::Refuse }
    }
}

pub(in super::super) fn decode(at: &At<'_>, report: &mut Report) -> Option<ScanSpec> {
    let fields = at.fields(report, FIELDS)?;
    let default = ScanSpec::default();
    let max_bytes = fields.or("max_bytes", default.max_bytes, |at| at.size(report, ByteSize(1)..=MOST_BYTES));
    let larger = fields.or("larger", default.larger, |at| at.word(report));
    Some(ScanSpec { max_bytes: max_bytes?, larger: larger? })
}

pub(in super::super) fn encode(spec: &ScanSpec) -> Value {
    json!({ "max_bytes": spec.max_bytes.bytes(), "larger": spec.larger })
}

/// A scanner finds nothing in what it cannot read: a clean verdict on that would mean nothing.
pub(in super::super) fn check_place(stages: &[StageSpec], report: &mut Report) {
    let mut hidden = None;
    for (at, stage) in stages.iter().enumerate() {
        match (stage, hidden) {
            (StageSpec::Scan(_), Some((by, how))) => report.add(
                format!("/stages/{at}"),
                format!(
                    "scans what stage {by} has {how}, in which a scanner finds nothing; move it before stage {by}"
                ),
            ),
            (StageSpec::PgpEncrypt(_) | StageSpec::PgpSign(_), _) => {
                hidden = Some((at, "made an OpenPGP message of"));
            }
            (StageSpec::CsvToParquet(_), _) => hidden = Some((at, "written as Parquet")),
            // ClamAV unpacks bzip2, gzip and xz.
            (StageSpec::Compress(CompressSpec { codec: Codec::Zstd, .. }), _) => {
                hidden = Some((at, "compressed with zstd"));
            }
            _ => {}
        }
    }
}
