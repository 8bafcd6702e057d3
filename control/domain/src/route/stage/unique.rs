//! `validate: { unique: … }`: no two records have the same key.

use serde_json::{Value, json};

use super::{
    super::{cursor::At, errors::Report},
    records::{RecordsSpec, check_records, decode_records, encode_records},
    trailer::{ColumnRef, check_column, decode_column, encode_column},
};
use crate::ByteSize;

/// Parameters of `validate.unique`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueSpec {
    /// What a record is.
    pub records: RecordsSpec,
    /// The first record is a header: it is no data. Default false.
    pub header: bool,
    /// What makes the key, in this order, each once. Empty: the whole record without its line end.
    pub columns: Vec<ColumnRef>,
    /// Memory for keys, 1 MiB to 4 GiB. Default 64 MiB.
    pub memory: ByteSize,
}

/// Memory a key takes at most: a digest of 16 bytes and a number of 8 in a table that may be half empty.
const BYTES_PER_KEY: u64 = 64;

const LEAST_MEMORY: ByteSize = ByteSize::mib(1);
const MOST_MEMORY: ByteSize = ByteSize::gib(4);
const DEFAULT_MEMORY: ByteSize = ByteSize::mib(64);

impl UniqueSpec {
    /// Most keys that fit in the memory.
    pub fn max_keys(&self) -> u64 {
        self.memory.bytes() / BYTES_PER_KEY
    }
}

pub(in super::super) const FIELDS: &[&str] =
    &["records", "delimiter", "quote", "escape", "header", "columns", "memory"];

pub(in super::super) fn decode(at: &At<'_>, report: &mut Report) -> Option<UniqueSpec> {
    let fields = at.fields(report, FIELDS)?;
    let records = decode_records(&fields, report);
    let header = fields.or("header", false, |at| at.boolean(report));
    let columns = fields.or("columns", Vec::new(), |at| {
        let items = at.list(report)?;
        if items.is_empty() {
            return at.fault(
                report,
                "must name at least one column; leave it out where the whole record is the key",
            );
        }
        // Each item is read before the first fault ends the list: all of them are reported.
        let columns: Vec<_> = items.iter().map(|item| decode_column(item, report)).collect();
        columns.into_iter().collect()
    });
    let memory = fields.or("memory", DEFAULT_MEMORY, |at| at.size(report, LEAST_MEMORY..=MOST_MEMORY));
    Some(UniqueSpec { records: records?, header: header?, columns: columns?, memory: memory? })
}

impl Default for UniqueSpec {
    /// No line stands twice.
    fn default() -> Self {
        Self { records: RecordsSpec::Lines, header: false, columns: Vec::new(), memory: DEFAULT_MEMORY }
    }
}

pub(in super::super) fn encode(spec: &UniqueSpec) -> Value {
    let mut value = encode_records(&spec.records);
    (value["header"], value["memory"]) = (spec.header.into(), spec.memory.bytes().into());
    if !spec.columns.is_empty() {
        value["columns"] = json!(spec.columns.iter().map(encode_column).collect::<Vec<_>>());
    }
    value
}

pub(in super::super) fn check(spec: &UniqueSpec, path: &str, report: &mut Report) {
    check_records(&spec.records, path, report);
    for (at, column) in spec.columns.iter().enumerate() {
        let path = format!("{path}/columns/{at}");
        if spec.columns[..at].contains(column) {
            report.add(path.clone(), "stands here a second time; keep one of them");
        }
        check_column(column, spec.records, spec.header, &path, report);
    }
}
