//! From a [`Route`] to its canonical JSON: every default said, every size in bytes, keys sorted.

use serde_json::{Map, Value, json};

use super::{
    Columns, CompleteWhen, CsvSpec, Destination, Encryption, Limits, Ordering, Route, S3Destination,
    StageSpec, ValidateSpec,
    names::word,
    stage::{
        charset, concat, csv_project, csv_to_jsonl, csv_to_parquet, ebcdic, edi, fixed_width, jsonl, magic,
        newline, records, scan, sidecar, split, trailer, unique, xml, zip,
    },
};

pub(super) fn route(route: &Route) -> Value {
    let limits = &route.limits;
    let mut map = object(json!({
        "complete_when": route.complete_when.to_string(),
        "on_empty": route.on_empty,
        "limits": {
            "max_input_bytes": limits.max_input_bytes.0,
            "max_output_bytes": limits.max_output_bytes.0,
            "max_ratio": limits.max_ratio,
            "max_record_bytes": limits.max_record_bytes.0,
            "max_fields": limits.max_fields,
            "max_errors": limits.max_errors,
        },
        "stages": route.stages.iter().map(stage).collect::<Vec<_>>(),
        "digests": route.digests,
        "destinations": route.destinations.iter().map(destination).collect::<Vec<_>>(),
        "executor": route.executor,
        "small": route.small.0,
        "ordering": match route.ordering {
            Ordering::None => json!("none"),
            Ordering::Strict(policy) => json!({ "strict": policy }),
        },
        "rpo": route.rpo,
    }));
    // Said only where they are not the default: a route of before these limits keeps its revision, and its delivery ids.
    if limits.max_entries != Limits::default().max_entries {
        map["limits"]["max_entries"] = limits.max_entries.into();
    }
    if limits.max_depth != Limits::default().max_depth {
        map["limits"]["max_depth"] = limits.max_depth.into();
    }
    put(&mut map, "id", &route.id);
    put(&mut map, "tenant", &route.tenant);
    if let Some(matches) = &route.matches {
        let mut inner = object(json!({ "prefix": matches.prefix }));
        put(&mut inner, "glob", &matches.glob);
        map.insert("match".to_owned(), inner.into());
    }
    if let Some(archive) = &route.archive {
        let archive = json!({ "storage_class": archive.storage_class, "original": archive.original });
        map.insert("archive".to_owned(), archive);
    }
    map.into()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn put<T: ToString>(map: &mut Map<String, Value>, name: &str, value: &Option<T>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value.to_string().into());
    }
}

fn stage(stage: &StageSpec) -> Value {
    match stage {
        StageSpec::Unzip(spec) => zip::encode_unzip(spec),
        StageSpec::Zip(spec) => zip::encode_zip(spec),
        StageSpec::Concat(spec) => json!({ "concat": concat::encode(spec) }),
        StageSpec::Charset(spec) => json!({ "charset": charset::encode(spec) }),
        StageSpec::CsvProject(spec) => json!({ "csv_project": csv_project::encode(spec) }),
        StageSpec::CsvToJsonl(spec) => json!({ "csv_to_jsonl": csv_to_jsonl::encode(spec) }),
        StageSpec::CsvToParquet(spec) => json!({ "csv_to_parquet": csv_to_parquet::encode(spec) }),
        StageSpec::Decompress(spec) => json!({ "decompress": { "codec": word(spec.codec) } }),
        StageSpec::Compress(spec) => {
            json!({ "compress": { "codec": word(spec.codec), "level": spec.level } })
        }
        StageSpec::Scan(spec) => json!({ "scan": scan::encode(spec) }),
        StageSpec::Split(spec) => json!({ "split": split::encode(spec) }),
        StageSpec::Drop(spec) => json!({ "drop": records::encode_drop(spec) }),
        StageSpec::Head(spec) => json!({ "head": records::encode_head(spec) }),
        StageSpec::Validate(ValidateSpec::Magic(spec)) => {
            json!({ "validate": { "magic": magic::encode(spec) } })
        }
        StageSpec::Validate(ValidateSpec::Sidecar(spec)) => {
            json!({ "validate": { "sidecar": sidecar::encode(spec) } })
        }
        StageSpec::Validate(ValidateSpec::Trailer(spec)) => {
            json!({ "validate": { "trailer": trailer::encode(spec) } })
        }
        StageSpec::Validate(ValidateSpec::Unique(spec)) => {
            json!({ "validate": { "unique": unique::encode(spec) } })
        }
        StageSpec::Ebcdic(spec) => json!({ "ebcdic": ebcdic::encode(spec) }),
        StageSpec::Newline(spec) => json!({ "newline": newline::encode(spec) }),
        StageSpec::StripBom => json!({ "strip_bom": {} }),
        StageSpec::PgpDecrypt(spec) => json!({ "pgp_decrypt": spec.encode() }),
        StageSpec::PgpEncrypt(spec) => json!({ "pgp_encrypt": spec.encode() }),
        StageSpec::PgpSign(spec) => json!({ "pgp_sign": spec.encode() }),
        StageSpec::PgpVerify(spec) => json!({ "pgp_verify": spec.encode() }),
        StageSpec::Validate(ValidateSpec::Utf8) => json!({ "validate": { "utf8": {} } }),
        StageSpec::Validate(ValidateSpec::Edi(spec)) => json!({ "validate": { "edi": edi::encode(*spec) } }),
        StageSpec::Validate(ValidateSpec::Xml(spec)) => json!({ "validate": { "xml": xml::encode(spec) } }),
        StageSpec::Validate(ValidateSpec::Jsonl(spec)) => {
            json!({ "validate": { "jsonl": jsonl::encode(spec) } })
        }
        StageSpec::Validate(ValidateSpec::FixedWidth(spec)) => {
            json!({ "validate": { "fixed_width": fixed_width::encode(spec) } })
        }
        StageSpec::Validate(ValidateSpec::Csv(spec)) => json!({ "validate": { "csv": csv(spec) } }),
    }
}

fn csv(spec: &CsvSpec) -> Value {
    let mut map = csv_dialect(spec, "columns");
    csv_rules(spec, &mut map);
    map.into()
}

/// Types and what may not be null.
pub(super) fn csv_rules(spec: &CsvSpec, map: &mut Map<String, Value>) {
    let types: Map<String, Value> =
        spec.types.iter().map(|(column, kind)| (column.clone(), word(*kind).into())).collect();
    map.insert("types".to_owned(), types.into());
    map.insert("not_null".to_owned(), json!(spec.not_null));
}

/// The dialect and the columns; `named` is the field with the names of a file without a header.
pub(super) fn csv_dialect(spec: &CsvSpec, named: &str) -> Map<String, Value> {
    let byte = |byte: Option<u8>| byte.map_or(json!(false), |byte| json!(char::from(byte).to_string()));
    let mut map = object(json!({
        "delimiter": byte(Some(spec.delimiter)),
        "quote": byte(spec.quote),
        "escape": byte(spec.escape),
        "terminator": word(spec.terminator),
        "null_values": spec.null_values,
        "utf8": spec.utf8,
    }));
    let (name, columns) = match &spec.columns {
        Columns::Header(names) => ("header", json!(names)),
        Columns::FromFile => ("header", json!(true)),
        Columns::Named(names) => (named, json!(names)),
        Columns::Unnamed => ("header", json!(false)),
    };
    map.insert(name.to_owned(), columns);
    map
}

fn destination(destination: &Destination) -> Value {
    let Destination::S3(S3Destination { bucket, key, region, on_existing, storage }) = destination;
    let mut map = object(json!({
        "bucket": bucket,
        "key": key.to_string(),
        "on_existing": on_existing,
        "metadata": storage.metadata,
        "tags": storage.tags,
    }));
    put(&mut map, "region", region);
    put(&mut map, "storage_class", &storage.storage_class);
    put(&mut map, "content_type", &storage.content_type);
    put(&mut map, "expected_owner", &storage.expected_owner);
    match &storage.encryption {
        Some(Encryption::S3) => map.insert("encryption".to_owned(), json!("s3")),
        Some(Encryption::Kms(key)) => map.insert("encryption".to_owned(), json!({ "kms": key })),
        None => None,
    };
    json!({ "s3": map })
}

impl std::fmt::Display for CompleteWhen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Immediate => f.write_str("immediate"),
            Self::Quiet(seconds) => write!(f, "quiet({seconds}s)"),
            Self::ControlFile(suffix) => write!(f, "control_file({})", Value::from(suffix.as_str())),
            Self::TransferEvent => f.write_str("transfer_event"),
        }
    }
}
