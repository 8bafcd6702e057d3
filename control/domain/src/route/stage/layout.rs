//! Records whose columns stand at fixed places, as `ebcdic` and `validate.fixed_width` read them.

use serde_json::{Map, Value, json};

use crate::route::{
    Limits,
    check::repeated,
    cursor::{At, Fields},
    errors::{Report, quoted},
};

/// A column at a fixed place of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// Its name.
    pub name: String,
    /// Its first byte in the record, counted from 1. Default: right behind the column before it.
    pub start: u32,
    /// Its bytes.
    pub length: u32,
    /// What it holds.
    pub kind: T,
}

impl<T> Placed<T> {
    /// Its last byte in the record, counted from 1.
    pub fn end(&self) -> u64 {
        u64::from(self.start) + u64::from(self.length) - 1
    }
}

/// Bytes of a record up to the end of its last column.
pub fn width<T>(layout: &[Placed<T>]) -> u64 {
    layout.iter().map(Placed::end).max().unwrap_or(0)
}

/// The columns of a layout; `kind` reads what a column says besides its place.
pub(super) fn decode<T>(
    at: &At<'_>,
    report: &mut Report,
    known: &'static [&'static str],
    kind: impl Fn(&Fields<'_>, &At<'_>, u32, &mut Report) -> Option<T>,
) -> Option<Vec<Placed<T>>> {
    let items = at.list(report)?;
    if items.is_empty() {
        return at.fault(report, "must name at least one column");
    }
    let mut next = Some(1);
    // Each column is read before the first fault ends the list: all of them are reported.
    let columns: Vec<_> = items.iter().map(|at| column(at, report, known, &mut next, &kind)).collect();
    columns.into_iter().collect()
}

/// `next` is where the column before it ended; `None` once that is not known.
fn column<T>(
    at: &At<'_>,
    report: &mut Report,
    known: &'static [&'static str],
    next: &mut Option<u32>,
    kind: impl Fn(&Fields<'_>, &At<'_>, u32, &mut Report) -> Option<T>,
) -> Option<Placed<T>> {
    let behind = next.take();
    let fields = at.fields(report, known)?;
    let name = fields.need(report, "name").and_then(|at| at.text(report));
    let most = u64::from(u32::MAX >> 1);
    let length = fields.need(report, "length").and_then(|at| at.integer(report, 1..=most));
    let length = length.and_then(|length| u32::try_from(length).ok());
    let start = match fields.get("start") {
        Some(at) => at.integer(report, 1..=most).and_then(|start| u32::try_from(start).ok()),
        None => behind,
    };
    let kind = kind(&fields, at, length.unwrap_or(1), report);
    let (start, length) = (start?, length?);
    *next = start.checked_add(length);
    Some(Placed { name: name?.to_owned(), start, length, kind: kind? })
}

/// The place of a column, for its JSON.
pub(super) fn encode<T>(column: &Placed<T>) -> Map<String, Value> {
    let place = json!({ "name": column.name, "start": column.start, "length": column.length });
    if let Value::Object(map) = place { map } else { Map::new() }
}

/// Contradictions of a layout, for records of `record` bytes where that is known.
pub(super) fn check<T>(
    layout: &[Placed<T>],
    record: Option<u64>,
    limits: &Limits,
    path: &str,
    report: &mut Report,
) {
    if layout.len() > limits.max_fields as usize {
        report.add(
            path,
            format!("names {} columns, but `limits.max_fields` is {}", layout.len(), limits.max_fields),
        );
    }
    let names: Vec<String> = layout.iter().map(|column| column.name.clone()).collect();
    for (at, name) in repeated(&names) {
        report.add(format!("{path}/{at}/name"), format!("column {} is named twice", quoted(name)));
    }
    for (at, pair) in layout.windows(2).enumerate() {
        if u64::from(pair[1].start) <= pair[0].end() {
            report.add(
                format!("{path}/{}/start", at + 1),
                format!(
                    "is {}, but column {} goes to byte {}; columns stand in order and do not overlap",
                    pair[1].start,
                    quoted(&pair[0].name),
                    pair[0].end()
                ),
            );
        }
    }
    if let Some(record) = record.filter(|record| *record < width(layout)) {
        report.add(
            path,
            format!("has {} bytes, but a record has {record}; correct one of them", width(layout)),
        );
    }
}

/// A record longer than the limit on records.
pub(super) fn check_record(bytes: u64, limits: &Limits, path: &str, report: &mut Report) {
    let most = limits.max_record_bytes;
    if bytes > most.bytes() {
        report.add(
            path,
            format!("a record of {bytes} bytes is longer than `limits.max_record_bytes`, which is {most}"),
        );
    }
}
