//! `split: …`: several objects instead of one, cut between records.

use serde_json::Value;

use super::{
    super::{cursor::At, errors::Report},
    RecordsSpec, StageSpec,
    records::{check_records, decode_records, encode_records},
};
use crate::ByteSize;

pub(in super::super) const SPLIT: &[&str] =
    &["after_records", "after_bytes", "header", "max_outputs", "records", "delimiter", "quote", "escape"];

/// Most objects one run may make: each is an upload that stays open until all of them are published. Reasonable default.
pub(in super::super) const MAX_OUTPUTS: u64 = 10_000;

/// Objects a run makes at most where the route does not say. Reasonable default.
pub(in super::super) const DEFAULT_OUTPUTS: u64 = 1_000;

/// Parameters of `split`. At least one of the two bounds is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitSpec {
    /// An object ends with so many records, the header not counted.
    pub after_records: Option<u64>,
    /// An object ends with the record that takes it to so many bytes.
    pub after_bytes: Option<ByteSize>,
    /// The first record is a header, and every object begins with it. Default false.
    pub header: bool,
    /// Most objects; more are refused. Default [`DEFAULT_OUTPUTS`].
    pub max_outputs: u64,
    /// What a record is.
    pub records: RecordsSpec,
}

pub(in super::super) fn decode(at: &At<'_>, report: &mut Report) -> Option<SplitSpec> {
    let fields = at.fields(report, SPLIT)?;
    let after_records = fields.or("after_records", None, |at| at.integer(report, 1..=u64::MAX).map(Some));
    let after_bytes =
        fields.or("after_bytes", None, |at| at.size(report, ByteSize(1)..=ByteSize(u64::MAX)).map(Some));
    let header = fields.or("header", false, |at| at.boolean(report));
    let max_outputs = fields.or("max_outputs", DEFAULT_OUTPUTS, |at| at.integer(report, 2..=MAX_OUTPUTS));
    let records = decode_records(&fields, report);
    let (after_records, after_bytes) = (after_records?, after_bytes?);
    if after_records.is_none() && after_bytes.is_none() {
        return at.fault(report, "cuts nowhere: say where with `after_records`, `after_bytes` or both");
    }
    Some(SplitSpec {
        after_records,
        after_bytes,
        header: header?,
        max_outputs: max_outputs?,
        records: records?,
    })
}

pub(in super::super) fn encode(spec: &SplitSpec) -> Value {
    let mut value = encode_records(&spec.records);
    if let Some(records) = spec.after_records {
        value["after_records"] = records.into();
    }
    if let Some(bytes) = spec.after_bytes {
        value["after_bytes"] = bytes.bytes().into();
    }
    (value["header"], value["max_outputs"]) = (spec.header.into(), spec.max_outputs.into());
    value
}

pub(in super::super) fn check(spec: &SplitSpec, path: &str, report: &mut Report) {
    check_records(&spec.records, path, report);
}

/// What stands behind a `split` begins anew with every object, which two stages cannot do.
pub(in super::super) fn check_place(stages: &[StageSpec], report: &mut Report) {
    let Some(at) = stages.iter().position(|stage| matches!(stage, StageSpec::Split(_))) else { return };
    for (behind, stage) in stages.iter().enumerate().skip(at + 1) {
        let problem = match stage {
            StageSpec::Zip(_) => {
                "makes one archive, and stands behind `split`, which makes several objects; \
                                  compress with another codec"
            }
            StageSpec::Split(_) => "splits what a stage before it has split; remove one of them",
            _ => continue,
        };
        report.add(format!("/stages/{behind}"), problem);
    }
}
