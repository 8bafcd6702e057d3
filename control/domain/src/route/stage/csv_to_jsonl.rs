//! `csv_to_jsonl`: one JSON object a record.

use serde_json::Value;

use super::{
    CsvSpec,
    csv_input::{self, OnError},
};
use crate::route::{Limits, cursor::At, decode_stage, encode, errors::Report};

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
    "omit_null",
];

const NAMED: &str = "columns";

/// Parameters of `csv_to_jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct CsvToJsonlSpec {
    /// The dialect and the types of the input, which is UTF-8.
    pub input: CsvSpec,
    /// What becomes of broken records.
    pub on_error: OnError,
    /// A null is left out; otherwise it is written as `null`. Default false.
    pub omit_null: bool,
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<CsvToJsonlSpec> {
    let fields = at.fields(report, FIELDS)?;
    let input = csv_input::decode(&fields, NAMED, report);
    let (spec, on_error) = input.map_or((None, None), |(spec, on_error)| (Some(spec), Some(on_error)));
    let input = decode_stage::csv_rules(&fields, spec, report);
    let omit_null = fields.or("omit_null", false, |at| at.boolean(report));
    Some(CsvToJsonlSpec { input: input?, on_error: on_error?, omit_null: omit_null? })
}

pub(in crate::route) fn check(spec: &CsvToJsonlSpec, limits: &Limits, path: &str, report: &mut Report) {
    csv_input::check(&spec.input, NAMED, spec.on_error, limits, path, report);
}

pub(in crate::route) fn encode(spec: &CsvToJsonlSpec) -> Value {
    let mut map = csv_input::encode(&spec.input, NAMED, spec.on_error);
    map.remove("utf8");
    encode::csv_rules(&spec.input, &mut map);
    map.insert("omit_null".to_owned(), spec.omit_null.into());
    map.into()
}
