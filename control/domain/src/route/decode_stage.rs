//! From the tree to the stages of a route.

use std::collections::BTreeMap;

use super::{
    Codec, ColumnType, Columns, CompressSpec, ConcatSpec, CsvSpec, DecompressSpec, JsonlSpec,
    RecordTerminator, ScanSpec, SidecarSpec, StageSpec, UniqueSpec, ValidateSpec, XmlSpec,
    cursor::{At, Fields},
    decode::only,
    errors::{Report, did_you_mean, quoted},
    names,
    stage::{
        charset, concat, csv_project, csv_to_jsonl, csv_to_parquet, ebcdic, edi, fixed_width, jsonl, magic,
        newline, pgp, records, scan, sidecar, split, trailer, unique, xml, zip,
    },
};

/// Gzip and bzip2: implementations agree on 1 to 9. Xz: above 6 only the dictionary grows, which is never larger than a
/// block here. Zstd: above 19 the window outgrows a worker's budget (G9).
pub(super) fn level_range(codec: Codec) -> std::ops::RangeInclusive<u64> {
    match codec {
        Codec::Bzip2 | Codec::Gzip => 1..=9,
        Codec::Xz => 0..=6,
        Codec::Zstd => 1..=19,
    }
}

fn default_level(codec: Codec) -> i32 {
    match codec {
        Codec::Bzip2 => 9,
        Codec::Gzip | Codec::Xz => 6,
        Codec::Zstd => 3,
    }
}

pub(super) fn stage(at: &At<'_>, report: &mut Report) -> Option<StageSpec> {
    if let Some(name) = at.as_text() {
        let problem = match name {
            "charset" => "`charset` needs an encoding: write `charset: { from: windows-1252 }`".to_owned(),
            "ebcdic" => "`ebcdic` needs a code page and records: write `ebcdic: { from: cp037, records: { fixed: 80 } }`".to_owned(),
            "newline" => "`newline` needs a line end: write `newline: { to: lf }`".to_owned(),
            "scan" => return Some(StageSpec::Scan(ScanSpec::default())),
            "strip_bom" => return Some(StageSpec::StripBom),
            "concat" => return Some(StageSpec::Concat(ConcatSpec::default())),
            "compress" | "decompress" => format!("`{name}` needs a codec: write `{name}: {{ codec: gzip }}`"),
            "drop" => "`drop` needs a number: write `drop: { first: 1 }`".to_owned(),
            "head" => "`head` needs a number: write `head: { first: 100 }`".to_owned(),
            "split" => "`split` needs a place to cut: write `split: { after_records: 1000000 }`".to_owned(),
            "csv_project" => {
                "`csv_project` needs columns: write `csv_project: { header: true, columns: [a, b] }`"
                    .to_owned()
            }
            "csv_to_jsonl" => {
                "`csv_to_jsonl` needs the names of the columns: write `csv_to_jsonl: { header: true }`"
                    .to_owned()
            }
            "csv_to_parquet" => {
                "`csv_to_parquet` needs the names of the columns: write `csv_to_parquet: { header: true }`"
                    .to_owned()
            }
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
        "charset" => charset::decode(&inner, report).map(StageSpec::Charset),
        "decompress" => decompress(&inner, report),
        "ebcdic" => ebcdic::decode(&inner, report).map(StageSpec::Ebcdic),
        "newline" => newline::decode(&inner, report).map(StageSpec::Newline),
        "concat" if inner.is_null() => Some(StageSpec::Concat(ConcatSpec::default())),
        "concat" => concat::decode(&inner, report).map(StageSpec::Concat),
        "scan" if inner.is_null() => Some(StageSpec::Scan(ScanSpec::default())),
        "scan" => scan::decode(&inner, report).map(StageSpec::Scan),
        "strip_bom" if inner.is_null() => Some(StageSpec::StripBom),
        "strip_bom" => inner.fields(report, names::STRIP_BOM).map(|_| StageSpec::StripBom),
        "compress" => compress(&inner, report),
        "drop" => records::decode_drop(&inner, report).map(StageSpec::Drop),
        "head" => records::decode_head(&inner, report).map(StageSpec::Head),
        "split" => split::decode(&inner, report).map(StageSpec::Split),
        "csv_project" => csv_project::decode(&inner, report).map(StageSpec::CsvProject),
        "csv_to_jsonl" => csv_to_jsonl::decode(&inner, report).map(StageSpec::CsvToJsonl),
        "csv_to_parquet" => csv_to_parquet::decode(&inner, report).map(StageSpec::CsvToParquet),
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

fn decompress(at: &At<'_>, report: &mut Report) -> Option<StageSpec> {
    let fields = at.fields(report, names::DECOMPRESS)?;
    let codec = fields.need(report, "codec")?;
    if codec.as_text() == Some(zip::WORD) {
        return zip::decode_unzip(&fields, report).map(StageSpec::Unzip);
    }
    if let Some(entry) = fields.get("entry").or_else(|| fields.get("entries")) {
        return entry.fault(report, "is for `codec: zip`, which has entries; leave it out");
    }
    Some(StageSpec::Decompress(DecompressSpec { codec: codec.word(report)? }))
}

fn compress(at: &At<'_>, report: &mut Report) -> Option<StageSpec> {
    let fields = at.fields(report, names::COMPRESS)?;
    if fields.get("codec").and_then(At::as_text) == Some(zip::WORD) {
        return zip::decode_zip(&fields, report).map(StageSpec::Zip);
    }
    if let Some(entry) = fields.get("entry") {
        return entry.fault(report, "is for `codec: zip`, which has entries; leave it out");
    }
    let codec = fields.need(report, "codec").and_then(|at| at.word(report));
    let level = fields.get("level").map(|at| level(at, codec, report));
    let codec = codec?;
    let level = match level {
        Some(level) => i32::try_from(level?).ok()?,
        None => default_level(codec),
    };
    Some(StageSpec::Compress(CompressSpec { codec, level }))
}

fn level(at: &At<'_>, codec: Option<Codec>, report: &mut Report) -> Option<u64> {
    // Without a codec the level can still be of the wrong type.
    let Some(codec) = codec else { return at.integer(report, 0..=u64::from(u8::MAX)) };
    let range = level_range(codec);
    if codec != Codec::Xz {
        return at.integer(report, range);
    }
    // Everybody knows `xz -9`: say why not.
    let level = at.integer(report, 0..=9)?;
    if range.contains(&level) {
        return Some(level);
    }
    at.fault(
        report,
        format!(
            "xz levels 7 to 9 differ from 6 only in dictionaries of 16 to 64 MiB, which need up to 674 MiB of memory a \
             thread and are of no use in blocks that are compressed in parallel; must be from 0 to 6, is {level}"
        ),
    )
}

fn validate(at: &At<'_>, report: &mut Report) -> Option<ValidateSpec> {
    if let Some(name) = at.as_text() {
        return match plain(name) {
            Some(spec) => Some(spec),
            None => at
                .fault(report, needs_more(name).unwrap_or_else(|| unknown("check", name, names::VALIDATORS))),
        };
    }
    let (name, inner) = only(at, report, "check", names::VALIDATORS)?;
    match name {
        _ if inner.is_null() && plain(name).is_some() => plain(name),
        "unique" => unique::decode(&inner, report).map(ValidateSpec::Unique),
        "fixed_width" => fixed_width::decode(&inner, report).map(ValidateSpec::FixedWidth),
        "trailer" => trailer::decode(&inner, report).map(ValidateSpec::Trailer),
        "magic" => magic::decode(&inner, report).map(ValidateSpec::Magic),
        "sidecar" => sidecar::decode(&inner, report).map(ValidateSpec::Sidecar),
        "csv" => csv(&inner, report).map(ValidateSpec::Csv),
        "edi" => edi::decode(&inner, report).map(ValidateSpec::Edi),
        "jsonl" => jsonl::decode(&inner, report).map(ValidateSpec::Jsonl),
        "xml" => xml::decode(&inner, report).map(ValidateSpec::Xml),
        _ => inner.fields(report, names::UTF8).map(|_| ValidateSpec::Utf8),
    }
}

/// What to write where a check needs more than its name.
fn needs_more(name: &str) -> Option<String> {
    let (needs, example) = match name {
        "edi" => ("a standard", "validate: { edi: { standard: x12 } }"),
        "fixed_width" => ("a length", "fixed_width: { record: 80 }"),
        "magic" => ("the types", "magic: { types: [pdf, zip] }"),
        "trailer" => ("to know what to check", "trailer: { records: csv, count: { field: 2 } }"),
        _ => return None,
    };
    Some(format!("`{name}` needs {needs}: write `{example}`"))
}

/// A check that needs nothing said.
fn plain(name: &str) -> Option<ValidateSpec> {
    Some(match name {
        "csv" => ValidateSpec::Csv(CsvSpec::default()),
        "jsonl" => ValidateSpec::Jsonl(JsonlSpec::default()),
        "sidecar" => ValidateSpec::Sidecar(SidecarSpec::default()),
        "unique" => ValidateSpec::Unique(UniqueSpec::default()),
        "utf8" => ValidateSpec::Utf8,
        "xml" => ValidateSpec::Xml(XmlSpec::default()),
        _ => return None,
    })
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
    let spec = csv_dialect(&fields, "columns", report);
    csv_rules(&fields, spec, report)
}

/// The dialect and the columns, without rules; `named` is the field with the names of a file without a header.
pub(super) fn csv_dialect(fields: &Fields<'_>, named: &str, report: &mut Report) -> Option<CsvSpec> {
    let default = CsvSpec::default();
    let delimiter = fields.or("delimiter", default.delimiter, |at| byte(at, report));
    let quote = fields.or("quote", default.quote, |at| optional_byte(at, report));
    let escape = fields.or("escape", default.escape, |at| optional_byte(at, report));
    let terminator = fields.or("terminator", default.terminator, |at| at.word(report));
    let columns = columns(fields, named, report);
    let null_values = fields.or("null_values", default.null_values, |at| at.texts(report));
    // What has no such field reads nothing else than UTF-8.
    let utf8 = match fields.knows("utf8") {
        true => fields.or("utf8", default.utf8, |at| at.boolean(report)),
        false => Some(true),
    };
    Some(CsvSpec {
        delimiter: delimiter?,
        quote: quote?,
        escape: escape?,
        terminator: terminator?,
        columns: columns?,
        null_values: null_values?,
        utf8: utf8?,
        types: default.types,
        not_null: default.not_null,
    })
}

/// The spec with its rules: types and what may not be null.
pub(super) fn csv_rules(fields: &Fields<'_>, spec: Option<CsvSpec>, report: &mut Report) -> Option<CsvSpec> {
    let types = fields.or("types", BTreeMap::new(), |at| types(at, report));
    let not_null = fields.or("not_null", Vec::new(), |at| at.texts(report));
    Some(CsvSpec { types: types?, not_null: not_null?, ..spec? })
}

pub(super) fn byte(at: &At<'_>, report: &mut Report) -> Option<u8> {
    match at.text(report)?.as_bytes() {
        [b'\r' | b'\n'] => at.fault(report, "must not be a line end"),
        [0] => at.fault(report, "must not be NUL, which is never text"),
        [byte] => Some(*byte),
        _ => at.fault(report, "must be one ASCII character (a tab is \"\\t\")"),
    }
}

/// `false` says that there is none.
pub(super) fn optional_byte(at: &At<'_>, report: &mut Report) -> Option<Option<u8>> {
    match at.as_bool() {
        Some(false) => Some(None),
        Some(true) => at.fault(report, "must be one ASCII character, or false for none"),
        None => byte(at, report).map(Some),
    }
}

fn columns(fields: &Fields<'_>, named: &str, report: &mut Report) -> Option<Columns> {
    let header = fields.get("header").map(|at| match at.as_bool() {
        Some(true) => Some(Columns::FromFile),
        Some(false) => Some(Columns::Unnamed),
        None => names_of(at, report).map(Columns::Header),
    });
    let names = fields.get(named).map(|at| {
        let names = names_of(at, report).map(Columns::Named);
        if !matches!(header, None | Some(Some(Columns::Unnamed))) {
            return at.fault(
                report,
                format!("{named} are for a file without a header: keep either `header` or `{named}`"),
            );
        }
        names
    });
    match (names, header) {
        (Some(names), _) => names,
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
