//! What the stages that read CSV records and write something else share with `validate.csv`: the dialect.

use serde_json::{Map, Value};

use super::{Columns, CsvSpec};
use crate::{
    route::{
        Limits, check, cursor::Fields, decode_stage, encode, errors::Report, errors::quoted, names::word,
    },
    text::Word,
};

/// What becomes of a record that breaks the dialect or its types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The file is rejected at the first one, whatever `limits.max_errors` says.
    #[default]
    Fail,
    /// It is left out of the output, counted and reported; one more than `limits.max_errors` rejects the file.
    Drop,
}

impl Word for OnError {
    const WORDS: &'static [(&'static str, Self)] = &[("fail", Self::Fail), ("drop", Self::Drop)];
}

/// The dialect, without types, and what becomes of broken records. `named` is the field with the names of the columns
/// of a file without a header.
pub(super) fn decode(fields: &Fields<'_>, named: &str, report: &mut Report) -> Option<(CsvSpec, OnError)> {
    let spec = decode_stage::csv_dialect(fields, named, report);
    let on_error = fields.or("on_error", OnError::default(), |at| at.word(report));
    let spec = spec?;
    if spec.columns == Columns::Unnamed {
        let header = fields.get("header");
        let problem =
            format!("needs the names of the columns: write `header: true`, or name them in `{named}`");
        return match header {
            Some(at) => at.fault(report, problem),
            None => fields.fault(report, problem),
        };
    }
    Some((spec, on_error?))
}

/// What cannot be, of the dialect and the columns. `path` is that of the stage's parameters.
pub(super) fn check(
    spec: &CsvSpec,
    named: &str,
    on_error: OnError,
    limits: &Limits,
    path: &str,
    report: &mut Report,
) {
    check::csv(spec, named, limits, path, report);
    if on_error == OnError::Drop && limits.max_errors == 0 {
        report.add(
            format!("{path}/on_error"),
            "drops broken records, but `limits.max_errors` is 0 and lets none pass; raise it, or write \
             `on_error: fail`",
        );
    }
}

/// The canonical form of the dialect; `named` as in [`decode`].
pub(super) fn encode(spec: &CsvSpec, named: &str, on_error: OnError) -> Map<String, Value> {
    let mut map = encode::csv_dialect(spec, named);
    map.insert("on_error".to_owned(), word(on_error).into());
    map
}

/// A column that is asked for must be one of those the route names, if it names any.
pub(super) fn check_known(spec: &CsvSpec, named: &str, column: &str, path: String, report: &mut Report) {
    let (field, names) = match &spec.columns {
        Columns::Header(names) => ("header", names),
        Columns::Named(names) => (named, names),
        Columns::FromFile | Columns::Unnamed => return,
    };
    if !names.iter().any(|name| name == column) {
        let hint = crate::route::errors::did_you_mean(column, names.iter().map(String::as_str));
        report.add(path, format!("column {} is not in `{field}`{hint}", quoted(column)));
    }
}
