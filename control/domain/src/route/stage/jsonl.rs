//! `validate.jsonl`: the spec, how it is read and how it is written.

use serde_json::{Map, Number, Value};

use super::json_schema::JsonSchema;
use crate::{
    route::{
        cursor::At,
        errors::{Report, join},
        names::word,
    },
    text::Word,
    tree::Kind,
};

/// The fields of `validate.jsonl`.
pub(in crate::route) const FIELDS: &[&str] = &["schema", "unique_keys", "blank_lines"];

/// Parameters of `validate.jsonl`: JSON Lines, one JSON text (RFC 8259) a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonlSpec {
    /// What every record has to be valid against. Default: nothing but JSON.
    pub schema: Option<JsonSchema>,
    /// No object may have a key twice. Default false: RFC 8259 leaves it to the reader which of them counts.
    pub unique_keys: bool,
    /// What a line without a value is. Default [`BlankLines::Reject`].
    pub blank_lines: BlankLines,
}

/// What a line with nothing but white space is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlankLines {
    /// A broken record.
    #[default]
    Reject,
    /// No record; it is passed on.
    Skip,
}

impl Word for BlankLines {
    const WORDS: &'static [(&'static str, Self)] = &[("reject", Self::Reject), ("skip", Self::Skip)];
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<JsonlSpec> {
    let fields = at.fields(report, FIELDS)?;
    let default = JsonlSpec::default();
    let schema = fields.or("schema", None, |at| schema(at, report).map(Some));
    let unique_keys = fields.or("unique_keys", default.unique_keys, |at| at.boolean(report));
    let blank_lines = fields.or("blank_lines", default.blank_lines, |at| at.word(report));
    Some(JsonlSpec { schema: schema?, unique_keys: unique_keys?, blank_lines: blank_lines? })
}

pub(in crate::route) fn encode(spec: &JsonlSpec) -> Value {
    let mut map = Map::new();
    map.insert("unique_keys".to_owned(), spec.unique_keys.into());
    map.insert("blank_lines".to_owned(), word(spec.blank_lines).into());
    if let Some(schema) = &spec.schema {
        map.insert("schema".to_owned(), schema.value().clone());
    }
    map.into()
}

fn schema(at: &At<'_>, report: &mut Report) -> Option<JsonSchema> {
    if !matches!(at.node.kind, Kind::Map(_)) {
        return at.entries(report).and(None);
    }
    let value = value(at, report)?;
    match JsonSchema::new(value) {
        Ok(schema) => Some(schema),
        Err(fault) => {
            report.add(format!("{}{}", at.path, fault.path), fault.problem);
            None
        }
    }
}

/// The plain value of a tree; keys that stand twice are reported.
fn value(at: &At<'_>, report: &mut Report) -> Option<Value> {
    Some(match &at.node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Number(number) => Value::Number(Number::clone(number)),
        Kind::Text(text) => text.as_str().into(),
        Kind::List(_) => {
            let items: Vec<_> = at.list(report)?.iter().map(|item| value(item, report)).collect();
            Value::Array(items.into_iter().collect::<Option<_>>()?)
        }
        Kind::Map(entries) => {
            let read = at.entries(report)?;
            let twice = read.len() < entries.len();
            let members: Vec<_> =
                read.iter().map(|(key, at)| Some(((*key).to_owned(), value(at, report)?))).collect();
            let members = members.into_iter().collect::<Option<Map<_, _>>>()?;
            if twice {
                return None;
            }
            Value::Object(members)
        }
    })
}

/// The deepest record that can be held against a schema: serde_json builds no deeper value.
const MAX_SCHEMA_DEPTH: u32 = 127;

/// What the limits of a route say against the spec.
pub(in crate::route) fn check(spec: &JsonlSpec, max_depth: u32, path: &str, report: &mut Report) {
    if spec.schema.is_some() && max_depth > MAX_SCHEMA_DEPTH {
        report.add(
            join(path, "schema"),
            format!("takes records at most {MAX_SCHEMA_DEPTH} deep, but `limits.max_depth` is {max_depth}; lower it"),
        );
    }
}
