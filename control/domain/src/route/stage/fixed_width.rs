//! `validate.fixed_width`: records of a fixed length, with columns at fixed places.

use serde_json::{Value, json};

use super::layout::{self, Placed, width};
use crate::{
    route::{
        ColumnType, Limits,
        cursor::{At, Fields},
        errors::{Report, join},
        names::word,
    },
    text::Word,
};

pub(in crate::route) const FIXED_WIDTH: &[&str] = &["record", "terminator", "columns"];
pub(in crate::route) const COLUMN: &[&str] = &["name", "start", "length", "type", "not_null"];

/// Parameters of `validate.fixed_width`. Lengths are in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedWidthSpec {
    /// Bytes of a record, without what ends it. Default: up to the end of the last column.
    pub record: u32,
    /// What ends a record. Default [`LineTerminator::Any`].
    pub terminator: LineTerminator,
    /// The columns, in order; bytes between them are not looked at.
    pub columns: Vec<Placed<FixedColumn>>,
}

/// What ends a record of a fixed length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineTerminator {
    /// CRLF, LF, each alone or mixed.
    #[default]
    Any,
    /// LF only; a CR is an ordinary byte.
    Lf,
    /// CRLF only.
    CrLf,
    /// Nothing: the next record follows at once.
    None,
}

/// What a column of fixed width must look like, with the blanks around it left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedColumn {
    /// Its type. Default text.
    pub ty: ColumnType,
    /// It may not be blank. Default false.
    pub not_null: bool,
}

impl Word for LineTerminator {
    const WORDS: &'static [(&'static str, Self)] =
        &[("any", Self::Any), ("lf", Self::Lf), ("crlf", Self::CrLf), ("none", Self::None)];
}

impl LineTerminator {
    /// Most bytes it has.
    pub fn longest(self) -> u64 {
        match self {
            Self::Any | Self::CrLf => 2,
            Self::Lf => 1,
            Self::None => 0,
        }
    }
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<FixedWidthSpec> {
    let fields = at.fields(report, FIXED_WIDTH)?;
    let terminator = fields.or("terminator", LineTerminator::default(), |at| at.word(report));
    let columns = fields.or("columns", Vec::new(), |at| layout::decode(at, report, COLUMN, column));
    let record = fields.get("record").map(|at| at.integer(report, 1..=u64::from(u32::MAX >> 1)));
    let columns = columns?;
    let record = match record {
        Some(record) => record?,
        None if columns.is_empty() => {
            return at.fault(report, "needs `record`, the bytes of a record, or `columns`, or both");
        }
        None => width(&columns),
    };
    let Ok(record) = u32::try_from(record) else {
        return at.fault(report, format!("a record of {record} bytes is too long"));
    };
    Some(FixedWidthSpec { record, terminator: terminator?, columns })
}

fn column(fields: &Fields<'_>, _: &At<'_>, _: u32, report: &mut Report) -> Option<FixedColumn> {
    let ty = fields.or("type", ColumnType::Text, |at| at.word(report));
    let not_null = fields.or("not_null", false, |at| at.boolean(report));
    Some(FixedColumn { ty: ty?, not_null: not_null? })
}

pub(in crate::route) fn encode(spec: &FixedWidthSpec) -> Value {
    let columns = spec.columns.iter().map(|column| {
        let mut map = layout::encode(column);
        map.insert("type".to_owned(), word(column.kind.ty).into());
        map.insert("not_null".to_owned(), column.kind.not_null.into());
        Value::from(map)
    });
    let mut value = json!({ "record": spec.record, "terminator": word(spec.terminator) });
    if !spec.columns.is_empty() {
        value["columns"] = columns.collect();
    }
    value
}

/// Contradictions.
pub(in crate::route) fn check(spec: &FixedWidthSpec, limits: &Limits, path: &str, report: &mut Report) {
    let record = u64::from(spec.record);
    layout::check(&spec.columns, Some(record), limits, &join(path, "columns"), report);
    layout::check_record(record + spec.terminator.longest(), limits, path, report);
}
