//! `csv_to_parquet`: records as an Apache Parquet file.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ColumnType, CsvSpec,
    csv_input::{self, OnError},
};
use crate::{
    ByteSize,
    route::{
        Limits,
        cursor::At,
        decode_stage, encode,
        errors::{Report, join, quoted},
        names::word,
    },
    text::Word,
};

pub(in crate::route) const FIELDS: &[&str] = &[
    "delimiter",
    "quote",
    "escape",
    "terminator",
    "header",
    NAMED,
    "types",
    "not_null",
    "null_values",
    "on_error",
    "decimals",
    "compression",
    "row_group_rows",
    "row_group_bytes",
];
pub(in crate::route) const DECIMAL: &[&str] = &["precision", "scale"];

const NAMED: &str = "columns";

/// Digits that fit the 16 bytes of the largest decimal readers have.
const MAX_PRECISION: u64 = 38;
/// Rows are counted in a list of levels of their own; more than this many are no use to a reader. Reasonable default.
const MAX_ROWS: u64 = 10_000_000;
/// A row group is held in memory.
const MAX_BYTES: ByteSize = ByteSize::mib(1024);
/// Below this the group's own description is a part of the file worth counting.
const MIN_BYTES: ByteSize = ByteSize(64 << 10);

/// Parameters of `csv_to_parquet`.
#[derive(Clone, Debug, PartialEq)]
pub struct CsvToParquetSpec {
    /// The dialect and the types of the input, which is UTF-8.
    pub input: CsvSpec,
    /// What becomes of broken records.
    pub on_error: OnError,
    /// The size of each column of type decimal.
    pub decimals: BTreeMap<String, DecimalSize>,
    /// How pages are compressed. Default [`ParquetCompression::Zstd`].
    pub compression: ParquetCompression,
    /// Most rows of a row group. Default 1,000,000.
    pub row_group_rows: u64,
    /// Bytes of values after which a row group is written. Default 8 MiB.
    pub row_group_bytes: ByteSize,
}

/// The size of a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecimalSize {
    /// Digits in all, 1 to 38.
    pub precision: u8,
    /// Digits behind the point, at most `precision`.
    pub scale: u8,
}

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParquetCompression {
    /// Zstandard, level 3.
    #[default]
    Zstd,
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

impl Word for ParquetCompression {
    const WORDS: &'static [(&'static str, Self)] =
        &[("zstd", Self::Zstd), ("snappy", Self::Snappy), ("none", Self::None)];
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<CsvToParquetSpec> {
    let fields = at.fields(report, FIELDS)?;
    let input = csv_input::decode(&fields, NAMED, report);
    let (spec, on_error) = input.map_or((None, None), |(spec, on_error)| (Some(spec), Some(on_error)));
    let input = decode_stage::csv_rules(&fields, spec, report);
    let decimals = fields.or("decimals", BTreeMap::new(), |at| decimals(at, report));
    let compression = fields.or("compression", ParquetCompression::default(), |at| at.word(report));
    let row_group_rows = fields.or("row_group_rows", 1_000_000, |at| at.integer(report, 1..=MAX_ROWS));
    let row_group_bytes =
        fields.or("row_group_bytes", ByteSize::mib(8), |at| at.size(report, MIN_BYTES..=MAX_BYTES));
    Some(CsvToParquetSpec {
        input: input?,
        on_error: on_error?,
        decimals: decimals?,
        compression: compression?,
        row_group_rows: row_group_rows?,
        row_group_bytes: row_group_bytes?,
    })
}

fn decimals(at: &At<'_>, report: &mut Report) -> Option<BTreeMap<String, DecimalSize>> {
    let entries = at.entries(report)?;
    let sizes: Vec<_> =
        entries.iter().map(|(column, at)| Some(((*column).to_owned(), decimal(at, report)?))).collect();
    sizes.into_iter().collect()
}

fn decimal(at: &At<'_>, report: &mut Report) -> Option<DecimalSize> {
    let fields = at.fields(report, DECIMAL)?;
    let digits = |name: &str, low, report: &mut Report| {
        let digits = fields.need(report, name)?.integer(report, low..=MAX_PRECISION)?;
        u8::try_from(digits).ok()
    };
    let (precision, scale) = (digits("precision", 1, report), digits("scale", 0, report));
    Some(DecimalSize { precision: precision?, scale: scale? })
}

pub(in crate::route) fn check(spec: &CsvToParquetSpec, limits: &Limits, path: &str, report: &mut Report) {
    csv_input::check(&spec.input, NAMED, spec.on_error, limits, path, report);
    for (name, kind) in &spec.input.types {
        if *kind == ColumnType::Decimal && !spec.decimals.contains_key(name) {
            let problem = format!(
                "column {} is a decimal, which has a size in Parquet: add `decimals: {{ NAME: {{ precision: 18, scale: 2 }} }}`",
                quoted(name)
            );
            report.add(join(&join(path, "types"), name), problem);
        }
    }
    for (name, size) in &spec.decimals {
        let at = join(&join(path, "decimals"), name);
        if spec.input.types.get(name) != Some(&ColumnType::Decimal) {
            report.add(
                at.clone(),
                format!("column {} is no decimal; say so in `types`, or leave it out here", quoted(name)),
            );
        }
        if size.scale > size.precision {
            let DecimalSize { precision, scale } = size;
            report.add(
                at,
                format!(
                    "{scale} digits behind the point of {precision} in all; raise `precision` or lower `scale`"
                ),
            );
        }
    }
}

pub(in crate::route) fn encode(spec: &CsvToParquetSpec) -> Value {
    let mut map = csv_input::encode(&spec.input, NAMED, spec.on_error);
    map.remove("utf8");
    encode::csv_rules(&spec.input, &mut map);
    let size = |size: &DecimalSize| json!({ "precision": size.precision, "scale": size.scale });
    let decimals: Map<String, Value> =
        spec.decimals.iter().map(|(name, decimal)| (name.clone(), size(decimal))).collect();
    map.insert("decimals".to_owned(), decimals.into());
    map.insert("compression".to_owned(), word(spec.compression).into());
    map.insert("row_group_rows".to_owned(), spec.row_group_rows.into());
    map.insert("row_group_bytes".to_owned(), spec.row_group_bytes.bytes().into());
    map.into()
}
