//! How stages tell records apart, and the stages that cut them: `head: …` and `drop: …`.

use serde_json::{Value, json};

use super::super::{
    Limits,
    cursor::{At, Fields},
    decode_stage::{byte, optional_byte},
    errors::{Report, join},
};
use crate::{ByteSize, text::Word};

/// What a record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordsSpec {
    /// `records: lines`: up to and including a line feed.
    #[default]
    Lines,
    /// `records: csv`: up to and including a line feed outside quotes (RFC 4180).
    Csv(DialectSpec),
}

/// What separates fields, and what quotes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialectSpec {
    /// Field separator, one ASCII byte. Default `,`.
    pub delimiter: u8,
    /// Quote, one ASCII byte; `None`: quotes have no meaning. Default `"`.
    pub quote: Option<u8>,
    /// Escape byte inside quoted fields. Default none.
    pub escape: Option<u8>,
}

impl Default for DialectSpec {
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"'), escape: None }
    }
}

/// Parameters of `head`: only the first records pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSpec {
    /// How many. Not 0.
    pub first: u64,
    /// What a record is.
    pub records: RecordsSpec,
}

/// Parameters of `drop`: all but the first and the last records pass. One of the numbers is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropSpec {
    /// How many at the start. Default 0.
    pub first: u64,
    /// How many at the end; at most [`MAX_LAST`], and as many as [`MAX_HELD`] has room for. Default 0.
    pub last: u64,
    /// What a record is.
    pub records: RecordsSpec,
}

/// Most records that are held back to be dropped at the end; trailers have one, reports a few. Reasonable default.
pub const MAX_LAST: u64 = 1_000;

/// Most bytes that are held back, at `limits.max_record_bytes` a record: half the memory a run has by default.
pub const MAX_HELD: ByteSize = ByteSize::mib(32);

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Lines,
    Csv,
}

impl Word for Format {
    const WORDS: &'static [(&'static str, Self)] = &[("lines", Self::Lines), ("csv", Self::Csv)];
}

pub(in super::super) const HEAD: &[&str] = &["first", "records", "delimiter", "quote", "escape"];
pub(in super::super) const DROP: &[&str] = &["first", "last", "records", "delimiter", "quote", "escape"];
const DIALECT: [&str; 3] = ["delimiter", "quote", "escape"];

pub(in super::super) fn decode_head(at: &At<'_>, report: &mut Report) -> Option<HeadSpec> {
    let fields = at.fields(report, HEAD)?;
    let first = fields.need(report, "first").map(|at| at.integer(report, 1..=u64::MAX));
    let records = decode_records(&fields, report);
    Some(HeadSpec { first: first.flatten()?, records: records? })
}

pub(in super::super) fn decode_drop(at: &At<'_>, report: &mut Report) -> Option<DropSpec> {
    let fields = at.fields(report, DROP)?;
    let first = fields.or("first", 0, |at| at.integer(report, 0..=u64::MAX));
    let last = fields.or("last", 0, |at| at.integer(report, 0..=MAX_LAST));
    let records = decode_records(&fields, report);
    let (first, last) = (first?, last?);
    if first == 0 && last == 0 {
        return at.fault(report, "drops nothing: say how many with `first`, `last` or both");
    }
    Some(DropSpec { first, last, records: records? })
}

/// `records` and the fields of its dialect.
pub(in super::super) fn decode_records(fields: &Fields<'_>, report: &mut Report) -> Option<RecordsSpec> {
    let format = fields.or("records", Format::Lines, |at| at.word(report));
    let dialect = decode_dialect(fields, report);
    if format? == Format::Csv {
        return dialect.map(RecordsSpec::Csv);
    }
    for name in DIALECT {
        if let Some(at) = fields.get(name) {
            report.add(
                at.path.clone(),
                "lines have no fields and no quotes: say `records: csv`, or leave it out",
            );
        }
    }
    Some(RecordsSpec::Lines)
}

/// `delimiter`, `quote` and `escape`.
pub(in super::super) fn decode_dialect(fields: &Fields<'_>, report: &mut Report) -> Option<DialectSpec> {
    let default = DialectSpec::default();
    let delimiter = fields.or("delimiter", default.delimiter, |at| byte(at, report));
    let quote = fields.or("quote", default.quote, |at| optional_byte(at, report));
    let escape = fields.or("escape", default.escape, |at| optional_byte(at, report));
    Some(DialectSpec { delimiter: delimiter?, quote: quote?, escape: escape? })
}

pub(in super::super) fn encode_head(spec: &HeadSpec) -> Value {
    let mut value = encode_records(&spec.records);
    value["first"] = spec.first.into();
    value
}

pub(in super::super) fn encode_drop(spec: &DropSpec) -> Value {
    let mut value = encode_records(&spec.records);
    (value["first"], value["last"]) = (spec.first.into(), spec.last.into());
    value
}

pub(in super::super) fn encode_records(spec: &RecordsSpec) -> Value {
    match spec {
        RecordsSpec::Lines => json!({ "records": "lines" }),
        RecordsSpec::Csv(dialect) => {
            let mut value = encode_dialect(dialect);
            value["records"] = "csv".into();
            value
        }
    }
}

pub(in super::super) fn encode_dialect(spec: &DialectSpec) -> Value {
    let byte = |byte: Option<u8>| byte.map_or(json!(false), |byte| json!(char::from(byte).to_string()));
    json!({ "delimiter": byte(Some(spec.delimiter)), "quote": byte(spec.quote), "escape": byte(spec.escape) })
}

pub(in super::super) fn check_drop(spec: &DropSpec, limits: &Limits, path: &str, report: &mut Report) {
    check_records(&spec.records, path, report);
    let record = limits.max_record_bytes;
    let held = ByteSize(spec.last.saturating_mul(record.bytes()));
    if spec.last > MAX_LAST || held > MAX_HELD {
        report.add(
            join(path, "last"),
            format!(
                "{} records of up to {record} would be held back, {held} in all; at most {MAX_LAST} records and \
                 {MAX_HELD} can be: lower it or `limits.max_record_bytes`",
                spec.last
            ),
        );
    }
}

pub(in super::super) fn check_records(spec: &RecordsSpec, path: &str, report: &mut Report) {
    if let RecordsSpec::Csv(dialect) = spec {
        check_dialect(dialect, path, report);
    }
}

/// Bytes of a dialect that mean two things.
pub(in super::super) fn check_dialect(spec: &DialectSpec, path: &str, report: &mut Report) {
    if spec.quote == Some(spec.delimiter) {
        report.add(join(path, "quote"), "is the delimiter as well; choose another, or `quote: false`");
    }
    if spec.escape == Some(spec.delimiter) {
        report.add(join(path, "escape"), "is the delimiter as well; choose another");
    }
    if spec.escape.is_some() && spec.quote.is_none() {
        report.add(
            join(path, "escape"),
            "has a meaning inside quotes only, and `quote` is false; leave it out",
        );
    }
    if spec.escape.is_some() && spec.escape == spec.quote {
        report.add(join(path, "escape"), "a doubled quote is always read as one; leave `escape` out");
    }
}
