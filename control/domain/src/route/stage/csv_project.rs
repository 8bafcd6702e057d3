//! `csv_project`: columns selected, ordered, renamed, masked, hashed or added.

use serde_json::{Map, Value, json};

use super::{
    CsvSpec, LineEnd,
    csv_input::{self, OnError},
};
use crate::{
    route::{
        Limits,
        cursor::{At, Fields},
        decode_stage,
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
    "null_values",
    "utf8",
    "on_error",
    "columns",
    "output",
];
pub(in crate::route) const COLUMN: &[&str] = &["name", "constant", "as", "mask", "hash"];
pub(in crate::route) const MASK: &[&str] = &["keep_last", "with"];
pub(in crate::route) const HASH: &[&str] = &["key"];
pub(in crate::route) const OUTPUT: &[&str] = &["delimiter", "quote", "terminator", "header"];

/// `columns` are those of the output here.
const NAMED: &str = "names";

/// Characters a mask may leave: more are no mask. Reasonable default.
const MAX_KEPT: u64 = 64;

/// Parameters of `csv_project`.
#[derive(Clone, Debug, PartialEq)]
pub struct CsvProjectSpec {
    /// The dialect of the input; it has no types.
    pub input: CsvSpec,
    /// What becomes of broken records.
    pub on_error: OnError,
    /// The columns of the output, in order; at least one.
    pub columns: Vec<OutputColumn>,
    /// The dialect of the output.
    pub output: CsvOutput,
}

/// A column of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its name in the header.
    pub name: String,
    /// Where its values come from.
    pub source: ColumnSource,
}

/// Where the values of an output column come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSource {
    /// The column of this name in the input.
    Column(String, Change),
    /// The same text in every record.
    Constant(String),
}

/// What is done to a value. Nulls stay nulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// All characters but the last ones are replaced, one by one; a value that is not longer than what would be kept is
    /// replaced whole.
    Mask {
        /// Characters kept at the end. Default 0.
        keep_last: u32,
        /// What replaces a character, one of visible ASCII. Default `*`.
        with: u8,
    },
    /// HMAC-SHA-256 of the text, 64 lower-case hexadecimal digits.
    Hash {
        /// The name of the secret.
        key: String,
    },
}

/// The dialect of the output; a quote is `"`, doubled inside a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvOutput {
    /// Field separator, one ASCII byte. Default `,`.
    pub delimiter: u8,
    /// Which fields are quoted. Default [`QuoteStyle::Minimal`].
    pub quote: QuoteStyle,
    /// What ends a record, the last one too. Default [`LineEnd::Lf`].
    pub terminator: LineEnd,
    /// The first record names the columns. Default true.
    pub header: bool,
}

impl Default for CsvOutput {
    fn default() -> Self {
        Self { delimiter: b',', quote: QuoteStyle::Minimal, terminator: LineEnd::Lf, header: true }
    }
}

/// Which fields of the output are quoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuoteStyle {
    /// Those with a delimiter, a quote or a line end in them, and texts that unquoted would mean null.
    #[default]
    Minimal,
    /// All of them, nulls too.
    Always,
}

impl Word for QuoteStyle {
    const WORDS: &'static [(&'static str, Self)] = &[("minimal", Self::Minimal), ("always", Self::Always)];
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<CsvProjectSpec> {
    let fields = at.fields(report, FIELDS)?;
    let input = csv_input::decode(&fields, NAMED, report);
    let columns = fields.need(report, "columns").and_then(|at| columns(at, report));
    let output = fields.or("output", CsvOutput::default(), |at| output(at, report));
    let (input, on_error) = input?;
    Some(CsvProjectSpec { input, on_error, columns: columns?, output: output? })
}

fn columns(at: &At<'_>, report: &mut Report) -> Option<Vec<OutputColumn>> {
    let items = at.list(report)?;
    if items.is_empty() {
        return at.fault(report, "must name at least one column");
    }
    // Each item is read before the first fault ends the list: all of them are reported.
    let columns: Vec<_> = items.iter().map(|item| column(item, report)).collect();
    columns.into_iter().collect()
}

fn column(at: &At<'_>, report: &mut Report) -> Option<OutputColumn> {
    if let Some(name) = at.as_text() {
        return Some(OutputColumn {
            name: name.to_owned(),
            source: ColumnSource::Column(name.to_owned(), Change::None),
        });
    }
    let fields = at.fields(report, COLUMN)?;
    let text = |name: &str, report: &mut Report| match fields.get(name) {
        Some(at) => at.text(report).map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let (name, constant, renamed) = (text("name", report), text("constant", report), text("as", report));
    let change = change(&fields, report);
    let (name, constant, renamed, change) = (name?, constant?, renamed?, change?);
    match (name, constant) {
        (Some(name), None) => Some(OutputColumn {
            name: renamed.unwrap_or_else(|| name.clone()),
            source: ColumnSource::Column(name, change),
        }),
        (None, Some(text)) => {
            if change != Change::None {
                return at
                    .fault(report, "a constant is neither masked nor hashed: write the text it shall be");
            }
            match renamed {
                Some(name) => Some(OutputColumn { name, source: ColumnSource::Constant(text) }),
                None => at.fault(report, "a constant needs the name of its column: add `as`"),
            }
        }
        (Some(_), Some(_)) => at.fault(report, "is either a column of the input (`name`) or a `constant`"),
        (None, None) => at.fault(report, "needs the `name` of a column of the input, or a `constant`"),
    }
}

fn change(fields: &Fields<'_>, report: &mut Report) -> Option<Change> {
    let mask = fields.get("mask").map(|at| mask(at, report));
    let hash = fields.get("hash").map(|at| {
        let key = at.fields(report, HASH)?.need(report, "key").and_then(|at| key_name(at, report))?;
        Some((at, Change::Hash { key }))
    });
    match (mask, hash) {
        (Some(_), Some(hash)) => hash?.0.fault(report, "a column is either masked or hashed, not both"),
        (Some(mask), None) => mask,
        (None, Some(hash)) => Some(hash?.1),
        (None, None) => Some(Change::None),
    }
}

fn mask(at: &At<'_>, report: &mut Report) -> Option<Change> {
    let fields = at.fields(report, MASK)?;
    let keep_last = fields.or("keep_last", 0, |at| at.integer(report, 0..=MAX_KEPT));
    let with = fields.or("with", b'*', |at| match at.text(report)?.as_bytes() {
        [byte] if byte.is_ascii_graphic() => Some(*byte),
        _ => at.fault(report, "must be one visible ASCII character"),
    });
    Some(Change::Mask { keep_last: u32::try_from(keep_last?).ok()?, with: with? })
}

/// A name that is safe as a file's.
fn key_name(at: &At<'_>, report: &mut Report) -> Option<String> {
    let name = at.text(report)?;
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(sound) {
        return at.fault(
            report,
            "must be the name of a secret: at most 64 letters, digits, `-`, `_` and `.`, the first no `.`; the \
             secret itself never stands in a route",
        );
    }
    Some(name.to_owned())
}

fn output(at: &At<'_>, report: &mut Report) -> Option<CsvOutput> {
    let fields = at.fields(report, OUTPUT)?;
    let default = CsvOutput::default();
    let delimiter = fields.or("delimiter", default.delimiter, |at| match decode_stage::byte(at, report)? {
        b'"' => at.fault(report, "must not be the quote"),
        byte => Some(byte),
    });
    let quote = fields.or("quote", default.quote, |at| at.word(report));
    let terminator = fields.or("terminator", default.terminator, |at| at.word(report));
    let header = fields.or("header", default.header, |at| at.boolean(report));
    Some(CsvOutput { delimiter: delimiter?, quote: quote?, terminator: terminator?, header: header? })
}

/// Contradictions; `path` is that of the parameters.
pub(in crate::route) fn check(spec: &CsvProjectSpec, limits: &Limits, path: &str, report: &mut Report) {
    csv_input::check(&spec.input, NAMED, spec.on_error, limits, path, report);
    let mut seen = std::collections::HashSet::new();
    for (at, column) in spec.columns.iter().enumerate() {
        let path = join(&join(path, "columns"), at);
        if !seen.insert(&column.name) {
            let name = quoted(&column.name);
            report
                .add(path.clone(), format!("is the second column {name} of the output; rename it with `as`"));
        }
        match &column.source {
            ColumnSource::Column(name, _) => {
                csv_input::check_known(&spec.input, NAMED, name, join(&path, "name"), report);
            }
            ColumnSource::Constant(text) if text.contains('\0') => {
                report.add(join(&path, "constant"), "must not have a NUL in it, which is never text");
            }
            ColumnSource::Constant(_) => {}
        }
    }
    if spec.columns.len() > limits.max_fields as usize {
        report.add(
            join(path, "columns"),
            format!("are {}, but `limits.max_fields` is {}", spec.columns.len(), limits.max_fields),
        );
    }
}

pub(in crate::route) fn encode(spec: &CsvProjectSpec) -> Value {
    let mut map = csv_input::encode(&spec.input, NAMED, spec.on_error);
    let CsvOutput { delimiter, quote, terminator, header } = spec.output;
    map.insert("columns".to_owned(), spec.columns.iter().map(encode_column).collect());
    map.insert(
        "output".to_owned(),
        json!({
            "delimiter": char::from(delimiter).to_string(),
            "quote": word(quote),
            "terminator": word(terminator),
            "header": header,
        }),
    );
    map.into()
}

fn encode_column(column: &OutputColumn) -> Value {
    let mut map = Map::new();
    map.insert("as".to_owned(), json!(column.name));
    match &column.source {
        ColumnSource::Constant(text) => map.insert("constant".to_owned(), json!(text)),
        ColumnSource::Column(name, change) => {
            map.insert("name".to_owned(), json!(name));
            match change {
                Change::None => None,
                Change::Mask { keep_last, with } => map.insert(
                    "mask".to_owned(),
                    json!({ "keep_last": keep_last, "with": char::from(*with).to_string() }),
                ),
                Change::Hash { key } => map.insert("hash".to_owned(), json!({ "key": key })),
            }
        }
    };
    map.into()
}
