//! `validate: { trailer: … }`: the last record says how many there are, and what a column adds up to.

use serde_json::{Value, json};

use super::{
    super::{
        cursor::At,
        errors::{Report, quoted},
    },
    records::{DialectSpec, RecordsSpec, check_records, decode_records, encode_records},
};
use crate::text::Word;

/// Parameters of `validate.trailer`. At least one of `prefix`, `count` and `sum` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailerSpec {
    /// What a record is.
    pub records: RecordsSpec,
    /// The first record is a header: it is no data. Default false.
    pub header: bool,
    /// What the trailer begins with, and no other record; 1 to 64 bytes.
    pub prefix: Option<String>,
    /// Where it says how many records there are.
    pub count: Option<CountSpec>,
    /// Where it says what a column adds up to.
    pub sum: Option<SumSpec>,
}

/// Where the trailer says how many records there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountSpec {
    /// The place in the trailer.
    pub field: Place,
    /// Which records are counted. Default [`Counted::Data`].
    pub of: Counted,
}

/// Which records a trailer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// All but the header and the trailer.
    #[default]
    Data,
    /// Header and trailer as well.
    All,
}

/// Where the trailer says what a column adds up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumSpec {
    /// The place in each data record.
    pub column: ColumnRef,
    /// The place in the trailer.
    pub field: Place,
}

/// A place in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `3`: the field with this number, from 1.
    Field(u32),
    /// `[4, 13]`: the bytes from the first to the last of these numbers, from 1.
    Bytes(u32, u32),
}

/// A column of the data records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// By its name in the header.
    Name(String),
    /// By its place.
    At(Place),
}

/// Longest prefix, in bytes; record types are 1 to 10. Reasonable default.
const MAX_PREFIX: usize = 64;
/// Furthest place in a record; far beyond fixed-width records, which end at 32 KiB. Reasonable default.
const MAX_PLACE: u64 = 1 << 20;

impl Word for Counted {
    const WORDS: &'static [(&'static str, Self)] = &[("data", Self::Data), ("all", Self::All)];
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(number) => write!(f, "field {number}"),
            Self::Bytes(from, to) => write!(f, "bytes {from} to {to}"),
        }
    }
}

impl RecordsSpec {
    /// How fields are told apart, where there are some.
    pub fn dialect(&self) -> Option<DialectSpec> {
        match self {
            Self::Lines => None,
            Self::Csv(dialect) => Some(*dialect),
        }
    }
}

pub(in super::super) const FIELDS: &[&str] =
    &["records", "delimiter", "quote", "escape", "header", "prefix", "count", "sum"];
pub(in super::super) const COUNT: &[&str] = &["field", "of"];
pub(in super::super) const SUM: &[&str] = &["column", "field"];

pub(in super::super) fn decode(at: &At<'_>, report: &mut Report) -> Option<TrailerSpec> {
    let fields = at.fields(report, FIELDS)?;
    let records = decode_records(&fields, report);
    let header = fields.or("header", false, |at| at.boolean(report));
    let prefix = fields.or("prefix", None, |at| prefix(at, report).map(Some));
    let count = fields.or("count", None, |at| count(at, report).map(Some));
    let sum = fields.or("sum", None, |at| sum(at, report).map(Some));
    let spec = TrailerSpec { records: records?, header: header?, prefix: prefix?, count: count?, sum: sum? };
    if spec.prefix.is_none() && spec.count.is_none() && spec.sum.is_none() {
        return at
            .fault(report, "checks nothing: say what the trailer holds with `count`, `sum` or `prefix`");
    }
    Some(spec)
}

fn prefix(at: &At<'_>, report: &mut Report) -> Option<String> {
    match at.text(report)? {
        text if (1..=MAX_PREFIX).contains(&text.len()) => Some(text.to_owned()),
        _ => at.fault(report, format!("must be a text of 1 to {MAX_PREFIX} bytes")),
    }
}

fn count(at: &At<'_>, report: &mut Report) -> Option<CountSpec> {
    let fields = at.fields(report, COUNT)?;
    let of = fields.or("of", Counted::Data, |at| at.word(report));
    let field = fields.need(report, "field").and_then(|at| place(at, report));
    Some(CountSpec { field: field?, of: of? })
}

fn sum(at: &At<'_>, report: &mut Report) -> Option<SumSpec> {
    let fields = at.fields(report, SUM)?;
    let column = fields.need(report, "column").and_then(|at| decode_column(at, report));
    let field = fields.need(report, "field").and_then(|at| place(at, report));
    Some(SumSpec { column: column?, field: field? })
}

/// A name, the number of a field, or byte positions.
pub(in super::super) fn decode_column(at: &At<'_>, report: &mut Report) -> Option<ColumnRef> {
    match at.as_text() {
        Some(name) => Some(ColumnRef::Name(name.to_owned())),
        None => place(at, report).map(ColumnRef::At),
    }
}

fn place(at: &At<'_>, report: &mut Report) -> Option<Place> {
    let number = |at: &At<'_>, report: &mut Report| {
        at.integer(report, 1..=MAX_PLACE).and_then(|number| u32::try_from(number).ok())
    };
    if !at.is_list() {
        return number(at, report).map(Place::Field);
    }
    match at.list(report)?.as_slice() {
        [from, to] => {
            let (from, to) = (number(from, report), number(to, report));
            let (from, to) = (from?, to?);
            if from > to {
                return at.fault(report, format!("ends before it begins: write [{to}, {from}]"));
            }
            Some(Place::Bytes(from, to))
        }
        _ => at.fault(report, "must be the number of a field, or two byte positions such as [4, 13]"),
    }
}

pub(in super::super) fn encode(spec: &TrailerSpec) -> Value {
    let mut value = encode_records(&spec.records);
    value["header"] = spec.header.into();
    if let Some(prefix) = &spec.prefix {
        value["prefix"] = prefix.as_str().into();
    }
    if let Some(CountSpec { field, of }) = spec.count {
        value["count"] = json!({ "field": encode_place(field), "of": super::super::names::word(of) });
    }
    if let Some(SumSpec { column, field }) = &spec.sum {
        value["sum"] = json!({ "column": encode_column(column), "field": encode_place(*field) });
    }
    value
}

pub(in super::super) fn encode_column(column: &ColumnRef) -> Value {
    match column {
        ColumnRef::Name(name) => name.as_str().into(),
        ColumnRef::At(place) => encode_place(*place),
    }
}

fn encode_place(place: Place) -> Value {
    match place {
        Place::Field(number) => number.into(),
        Place::Bytes(from, to) => json!([from, to]),
    }
}

pub(in super::super) fn check(spec: &TrailerSpec, path: &str, report: &mut Report) {
    check_records(&spec.records, path, report);
    if let Some(count) = &spec.count {
        check_place(count.field, spec.records, &format!("{path}/count/field"), report);
    }
    if let Some(sum) = &spec.sum {
        check_place(sum.field, spec.records, &format!("{path}/sum/field"), report);
        check_column(&sum.column, spec.records, spec.header, &format!("{path}/sum/column"), report);
    }
}

fn check_place(place: Place, records: RecordsSpec, path: &str, report: &mut Report) {
    if matches!((place, records), (Place::Field(_), RecordsSpec::Lines)) {
        report.add(path, "lines have no fields: give byte positions such as [4, 13], or say `records: csv`");
    }
}

/// A column that these records do not have.
pub(in super::super) fn check_column(
    column: &ColumnRef,
    records: RecordsSpec,
    header: bool,
    path: &str,
    report: &mut Report,
) {
    match column {
        ColumnRef::At(place) => check_place(*place, records, path, report),
        ColumnRef::Name(name) if records == RecordsSpec::Lines => report.add(
            path,
            format!(
                "lines have no column {}: give byte positions such as [4, 13], or say `records: csv`",
                quoted(name)
            ),
        ),
        ColumnRef::Name(name) if !header => report.add(
            path,
            format!("column {} has no name: say `header: true`, or give its number", quoted(name)),
        ),
        ColumnRef::Name(_) => {}
    }
}
