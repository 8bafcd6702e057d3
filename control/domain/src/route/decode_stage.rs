//! From the tree to the stages of a route.

use std::collections::BTreeMap;

use super::{
    Codec, ColumnType, Columns, CompressSpec, CsvSpec, DecompressSpec, RecordTerminator, StageSpec,
    ValidateSpec,
    cursor::{At, Fields},
    decode::only,
    errors::{Report, did_you_mean, quoted},
    names,
    stage::pgp,
};

/// Gzip: RFC 1951 implementations agree on 1 to 9. Zstd: above 19 the window outgrows a worker's budget (G9).
pub(super) fn level_range(codec: Codec) -> std::ops::RangeInclusive<u64> {
    match codec {
        Codec::Gzip => 1..=9,
        Codec::Zstd => 1..=19,
    }
}

fn default_level(codec: Codec) -> i32 {
    match codec {
        Codec::Gzip => 6,
        Codec::Zstd => 3,
    }
}

pub(super) fn stage(at: &At<'_>, report: &mut Report) -> Option<StageSpec> {
    if let Some(name) = at.as_text() {
        let problem = match name {
            "compress" | "decompress" => format!("`{name}` needs a codec: write `{name}: {{ codec: gzip }}`"),
            "validate" => "`validate` needs a check: write `validate: utf8`".to_owned(),
            "pgp_decrypt" => "`pgp_decrypt` needs keys: write \
                              `pgp_decrypt: { keys: [ours], signers: [theirs] }`"
                .to_owned(),
            "pgp_verify" => {
                "`pgp_verify` needs signers: write `pgp_verify: { signers: [theirs] }`".to_owned()
            }
            "pgp_encrypt" => {
                "`pgp_encrypt` needs recipients: write `pgp_encrypt: { recipients: [theirs] }`".to_owned()
            }
            "pgp_sign" => "`pgp_sign` needs a key: write `pgp_sign: { sign_with: ours }`".to_owned(),
            _ => unknown("stage", name, names::STAGES),
        };
        return at.fault(report, problem);
    }
    let (name, inner) = only(at, report, "stage", names::STAGES)?;
    match name {
        "decompress" => decompress(&inner, report).map(StageSpec::Decompress),
        "compress" => compress(&inner, report).map(StageSpec::Compress),
        "pgp_decrypt" => pgp::decrypt(&inner, report).map(StageSpec::PgpDecrypt),
        "pgp_encrypt" => pgp::encrypt(&inner, report).map(StageSpec::PgpEncrypt),
        "pgp_sign" => pgp::sign(&inner, report).map(StageSpec::PgpSign),
        "pgp_verify" => pgp::verify(&inner, report).map(StageSpec::PgpVerify),
        _ => validate(&inner, report).map(StageSpec::Validate),
    }
}

fn unknown(what: &str, name: &str, known: &[&'static str]) -> String {
    let hint = did_you_mean(name, known.iter().copied());
    format!("unknown {what} {}, known are {}{hint}", quoted(name), known.join(", "))
}

fn decompress(at: &At<'_>, report: &mut Report) -> Option<DecompressSpec> {
    let fields = at.fields(report, names::DECOMPRESS)?;
    let codec = fields.need(report, "codec")?.word(report)?;
    Some(DecompressSpec { codec })
}

fn compress(at: &At<'_>, report: &mut Report) -> Option<CompressSpec> {
    let fields = at.fields(report, names::COMPRESS)?;
    let codec = fields.need(report, "codec").and_then(|at| at.word(report));
    // Without a codec the level can still be of the wrong type.
    let range = codec.map_or(1..=u64::from(u8::MAX), level_range);
    let level = fields.get("level").map(|at| at.integer(report, range));
    let codec = codec?;
    let level = match level {
        Some(level) => i32::try_from(level?).ok()?,
        None => default_level(codec),
    };
    Some(CompressSpec { codec, level })
}

fn validate(at: &At<'_>, report: &mut Report) -> Option<ValidateSpec> {
    if let Some(name) = at.as_text() {
        return match name {
            "utf8" => Some(ValidateSpec::Utf8),
            "csv" => Some(ValidateSpec::Csv(CsvSpec::default())),
            _ => at.fault(report, unknown("check", name, names::VALIDATORS)),
        };
    }
    let (name, inner) = only(at, report, "check", names::VALIDATORS)?;
    match name {
        _ if inner.is_null() => {
            Some(if name == "csv" { ValidateSpec::Csv(CsvSpec::default()) } else { ValidateSpec::Utf8 })
        }
        "csv" => csv(&inner, report).map(ValidateSpec::Csv),
        _ => inner.fields(report, names::UTF8).map(|_| ValidateSpec::Utf8),
    }
}

impl Default for CsvSpec {
    /// RFC 4180 with any line end, no header and no rules but an equal number of fields.
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            terminator: RecordTerminator::Any,
            columns: Columns::Unnamed,
            types: BTreeMap::new(),
            not_null: Vec::new(),
            null_values: vec![String::new()],
            utf8: true,
        }
    }
}

fn csv(at: &At<'_>, report: &mut Report) -> Option<CsvSpec> {
    let fields = at.fields(report, names::CSV)?;
    let default = CsvSpec::default();
    let delimiter = fields.or("delimiter", default.delimiter, |at| byte(at, report));
    let quote = fields.or("quote", default.quote, |at| optional_byte(at, report));
    let escape = fields.or("escape", default.escape, |at| optional_byte(at, report));
    let terminator = fields.or("terminator", default.terminator, |at| at.word(report));
    let columns = columns(&fields, report);
    let types = fields.or("types", default.types, |at| types(at, report));
    let not_null = fields.or("not_null", default.not_null, |at| at.texts(report));
    let null_values = fields.or("null_values", default.null_values, |at| at.texts(report));
    let utf8 = fields.or("utf8", default.utf8, |at| at.boolean(report));
    Some(CsvSpec {
        delimiter: delimiter?,
        quote: quote?,
        escape: escape?,
        terminator: terminator?,
        columns: columns?,
        types: types?,
        not_null: not_null?,
        null_values: null_values?,
        utf8: utf8?,
    })
}

fn byte(at: &At<'_>, report: &mut Report) -> Option<u8> {
    match at.text(report)?.as_bytes() {
        [b'\r' | b'\n'] => at.fault(report, "must not be a line end"),
        [0] => at.fault(report, "must not be NUL, which is never text"),
        [byte] => Some(*byte),
        _ => at.fault(report, "must be one ASCII character (a tab is \"\\t\")"),
    }
}

/// `false` says that there is none.
fn optional_byte(at: &At<'_>, report: &mut Report) -> Option<Option<u8>> {
    match at.as_bool() {
        Some(false) => Some(None),
        Some(true) => at.fault(report, "must be one ASCII character, or false for none"),
        None => byte(at, report).map(Some),
    }
}

fn columns(fields: &Fields<'_>, report: &mut Report) -> Option<Columns> {
    let header = fields.get("header").map(|at| match at.as_bool() {
        Some(true) => Some(Columns::FromFile),
        Some(false) => Some(Columns::Unnamed),
        None => names_of(at, report).map(Columns::Header),
    });
    let named = fields.get("columns").map(|at| {
        let names = names_of(at, report).map(Columns::Named);
        if !matches!(header, None | Some(Some(Columns::Unnamed))) {
            return at
                .fault(report, "columns are for a file without a header: keep either `header` or `columns`");
        }
        names
    });
    match (named, header) {
        (Some(named), _) => named,
        (None, Some(header)) => header,
        (None, None) => Some(Columns::Unnamed),
    }
}

fn names_of(at: &At<'_>, report: &mut Report) -> Option<Vec<String>> {
    match at.texts(report)? {
        names if names.is_empty() => at.fault(report, "must name at least one column"),
        names => Some(names),
    }
}

fn types(at: &At<'_>, report: &mut Report) -> Option<BTreeMap<String, ColumnType>> {
    let types: Vec<_> = at
        .entries(report)?
        .iter()
        .map(|(column, at)| Some(((*column).to_owned(), at.word(report)?)))
        .collect();
    types.into_iter().collect()
}
