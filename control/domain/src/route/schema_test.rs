//! The committed JSON Schema and the decoder say the same: the same fields, the same words, and every example that
//! the decoder reads is valid. The checker below knows the keywords the schema uses and refuses others.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    BlankLines, CodePage, Codec, ColumnType, Counted, Digest, EdiStandard, Executor, HeadOfLine, Larger,
    LineEnd, LineTerminator, LoneCr, Malformed, ManifestForm, MediaType, OnEmpty, OnError, OnExisting,
    ParquetCompression, PgpCipher, PgpCompression, PgpIntegrity, PgpVerify, QuoteStyle, RecordTerminator,
    Route, Rpo, SidecarDigest, StorageClass, names,
    stage::{self, charset, csv_project, csv_to_jsonl, csv_to_parquet, ebcdic, fixed_width, newline, pgp},
    tests::{examples, profile},
};
use crate::{text::Word, tree::Node};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../route.schema.json")).unwrap()
}

#[test]
fn schema_and_decoder_know_the_same_fields() {
    let schema = schema();
    for (name, known) in [
        ("route", names::ROUTE),
        ("match", names::MATCH),
        ("limits", names::LIMITS),
        ("stage", names::STAGES),
        ("charset", charset::CHARSET),
        ("csv_to_parquet", csv_to_parquet::FIELDS),
        ("parquet_decimal", csv_to_parquet::DECIMAL),
        ("decompress", names::DECOMPRESS),
        ("compress", names::COMPRESS),
        ("ebcdic", ebcdic::EBCDIC),
        ("ebcdic_records", ebcdic::RECORDS),
        ("ebcdic_field", ebcdic::FIELD),
        ("fixed_width", fixed_width::FIXED_WIDTH),
        ("fixed_width_column", fixed_width::COLUMN),
        ("newline", newline::NEWLINE),
        ("strip_bom", names::STRIP_BOM),
        ("pgp_decrypt", pgp::DECRYPT),
        ("pgp_verify", pgp::VERIFY),
        ("pgp_encrypt", pgp::ENCRYPT),
        ("pgp_sign", pgp::SIGN),
        ("validate", names::VALIDATORS),
        ("csv", names::CSV),
        ("drop", stage::records::DROP),
        ("head", stage::records::HEAD),
        ("scan", stage::scan::FIELDS),
        ("split", stage::split::SPLIT),
        ("concat", stage::concat::FIELDS),
        ("trailer", stage::trailer::FIELDS),
        ("trailer_count", stage::trailer::COUNT),
        ("trailer_sum", stage::trailer::SUM),
        ("unique", stage::unique::FIELDS),
        ("magic", stage::magic::FIELDS),
        ("sidecar", stage::sidecar::FIELDS),
        ("edi", stage::edi::FIELDS),
        ("jsonl", stage::jsonl::FIELDS),
        ("csv_column", csv_project::COLUMN),
        ("csv_hash", csv_project::HASH),
        ("csv_mask", csv_project::MASK),
        ("csv_output", csv_project::OUTPUT),
        ("csv_project", csv_project::FIELDS),
        ("csv_to_jsonl", csv_to_jsonl::FIELDS),
        ("xml", stage::xml::FIELDS),
        ("utf8", names::UTF8),
        ("destination", names::DESTINATIONS),
        ("s3", names::S3),
        ("encryption", names::ENCRYPTION),
        ("archive", names::ARCHIVE),
        ("ordering", names::ORDERING),
    ] {
        let definition = &schema["$defs"][name];
        let fields: BTreeSet<_> =
            definition["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, known.iter().copied().collect(), "{name}");
        assert_eq!(definition["additionalProperties"], false, "{name}");
    }
}

#[test]
fn schema_and_decoder_know_the_same_words() {
    let schema = schema();
    let defs = &schema["$defs"];
    fn words<T: Word>() -> Value {
        T::WORDS.iter().map(|(word, _)| *word).collect()
    }
    let route = &defs["route"]["properties"];
    let mut with_zip: Vec<_> = Codec::WORDS.iter().map(|(word, _)| *word).chain(["zip"]).collect();
    with_zip.sort_unstable();
    let with_zip = Value::from(with_zip);
    for (listed, known) in [
        (&defs["codec"]["enum"], with_zip),
        (&defs["charset"]["properties"]["malformed"]["enum"], words::<Malformed>()),
        (&defs["concat"]["properties"]["manifest"]["enum"], words::<ManifestForm>()),
        (&defs["newline"]["properties"]["to"]["enum"], words::<LineEnd>()),
        (&defs["newline"]["properties"]["lone_cr"]["enum"], words::<LoneCr>()),
        (&defs["ebcdic"]["properties"]["from"]["enum"], words::<CodePage>()),
        (&defs["ebcdic_field"]["properties"]["type"]["enum"], words::<ebcdic::Kind>()),
        (&defs["fixed_width"]["properties"]["terminator"]["enum"], words::<LineTerminator>()),
        (&defs["fixed_width_column"]["properties"]["type"]["enum"], words::<ColumnType>()),
        (&defs["storage_class"]["enum"], words::<StorageClass>()),
        (&defs["csv"]["properties"]["types"]["additionalProperties"]["enum"], words::<ColumnType>()),
        (&defs["csv"]["properties"]["terminator"]["enum"], words::<RecordTerminator>()),
        (&defs["magic"]["properties"]["types"]["items"]["enum"], words::<MediaType>()),
        (&defs["scan"]["properties"]["larger"]["enum"], words::<Larger>()),
        (&defs["sidecar"]["properties"]["digest"]["enum"], words::<SidecarDigest>()),
        (&defs["trailer_count"]["properties"]["of"]["enum"], words::<Counted>()),
        (&defs["edi"]["properties"]["standard"]["enum"], words::<EdiStandard>()),
        (&defs["jsonl"]["properties"]["blank_lines"]["enum"], words::<BlankLines>()),
        (&defs["csv_output"]["properties"]["quote"]["enum"], words::<QuoteStyle>()),
        (&defs["csv_output"]["properties"]["terminator"]["enum"], words::<LineEnd>()),
        (&defs["csv_project"]["properties"]["terminator"]["enum"], words::<RecordTerminator>()),
        (&defs["csv_to_jsonl"]["properties"]["types"]["additionalProperties"]["enum"], words::<ColumnType>()),
        (&defs["csv_to_jsonl"]["properties"]["terminator"]["enum"], words::<RecordTerminator>()),
        (
            &defs["csv_to_parquet"]["properties"]["types"]["additionalProperties"]["enum"],
            words::<ColumnType>(),
        ),
        (&defs["csv_to_parquet"]["properties"]["terminator"]["enum"], words::<RecordTerminator>()),
        (&defs["csv_to_parquet"]["properties"]["compression"]["enum"], words::<ParquetCompression>()),
        (&defs["on_error"]["enum"], words::<OnError>()),
        (&defs["s3"]["properties"]["on_existing"]["enum"], words::<OnExisting>()),
        (&defs["ordering"]["properties"]["strict"]["enum"], words::<HeadOfLine>()),
        (&defs["pgp_decrypt"]["properties"]["verify"]["enum"], words::<PgpVerify>()),
        (&defs["pgp_encrypt"]["properties"]["cipher"]["enum"], words::<PgpCipher>()),
        (&defs["pgp_encrypt"]["properties"]["integrity"]["enum"], words::<PgpIntegrity>()),
        (&defs["pgp_compression"]["enum"], words::<PgpCompression>()),
        (&route["on_empty"]["enum"], words::<OnEmpty>()),
        (&route["executor"]["enum"], words::<Executor>()),
        (&route["rpo"]["enum"], words::<Rpo>()),
        (&route["digests"]["items"]["enum"], words::<Digest>()),
    ] {
        assert_eq!(*listed, known);
    }
}

#[test]
fn the_full_example_uses_every_field() {
    let (_, text) = examples("examples").into_iter().find(|(name, _)| name == "full.yaml").unwrap();
    let used = text.as_str();
    for known in [
        names::ROUTE,
        names::MATCH,
        names::LIMITS,
        stage::jsonl::FIELDS,
        names::S3,
        names::ARCHIVE,
        names::COMPRESS,
    ] {
        // Another codec's, which it does not use.
        for field in known.iter().filter(|field| **field != "entry") {
            assert!(used.contains(&format!("{field}:")), "examples/full.yaml does not use `{field}`");
        }
    }
}

#[test]
fn examples_are_valid_and_so_is_their_canonical_form() {
    let schema = schema();
    for (name, text) in examples("examples") {
        let node = Node::parse_yaml(&text).unwrap_or_else(|error| panic!("{}", error.problem));
        let value = node.into_value().unwrap();
        let route = Route::parse_yaml(&text, profile(&name)).unwrap();
        for value in [value, route.to_value()] {
            let fault = invalid(&schema, &schema, &value, &name);
            assert_eq!(fault, None);
        }
    }
}

#[test]
fn what_the_schema_refuses_the_decoder_refuses() {
    let schema = schema();
    let mut refused = 0;
    for (name, text) in examples("examples/bad") {
        let Some(value) = Node::parse_yaml(&text).ok().and_then(|node| node.into_value().ok()) else {
            continue;
        };
        if invalid(&schema, &schema, &value, &name).is_some() {
            refused += 1;
            assert!(Route::parse_yaml(&text, super::Profile::Cli).is_err(), "{name}");
        }
    }
    assert!(refused >= 3, "only {refused} bad examples are refused by the schema");
}

/// Why a value is not valid under the committed schema.
pub(super) fn fault_of(value: &Value) -> Option<String> {
    let schema = schema();
    invalid(&schema, &schema, value, "")
}

/// Why a value is not valid; patterns are left to the decoder.
fn invalid(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    let fault = |what: &str| Some(format!("{path}: {value} {what}"));
    let length = |text: &str| text.chars().count() as u64;
    for (keyword, rule) in schema.as_object()? {
        let found = match keyword.as_str() {
            "$ref" => {
                let target = root.pointer(rule.as_str()?.trim_start_matches('#')).expect("a definition");
                invalid(root, target, value, path)
            }
            "oneOf" => {
                let fits =
                    rule.as_array()?.iter().filter(|one| invalid(root, one, value, path).is_none()).count();
                if fits == 1 { None } else { fault("fits none or several") }
            }
            "enum" => {
                if rule.as_array()?.contains(value) {
                    None
                } else {
                    fault("is not listed")
                }
            }
            "const" => {
                if rule == value {
                    None
                } else {
                    fault("is not it")
                }
            }
            "type" => {
                let fits = match rule.as_str()? {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_u64() || value.is_i64(),
                    other => panic!("type {other}"),
                };
                if fits { None } else { fault("is of another type") }
            }
            "properties" => value.as_object().and_then(|map| {
                map.iter().find_map(|(key, item)| match &rule[key] {
                    Value::Null => None,
                    rule => invalid(root, rule, item, &format!("{path}/{key}")),
                })
            }),
            "additionalProperties" => value.as_object().and_then(|map| {
                map.iter().filter(|(key, _)| schema["properties"][key.as_str()].is_null()).find_map(
                    |(key, item)| {
                        if *rule == false {
                            fault(&format!("has an unknown `{key}`"))
                        } else {
                            invalid(root, rule, item, path)
                        }
                    },
                )
            }),
            "required" => value.as_object().and_then(|map| {
                let missing = rule
                    .as_array()?
                    .iter()
                    .find(|key| !map.contains_key(key.as_str().unwrap_or_default()))?;
                fault(&format!("lacks {missing}"))
            }),
            "items" => value
                .as_array()
                .and_then(|items| items.iter().find_map(|item| invalid(root, rule, item, path))),
            "minItems" => value
                .as_array()
                .filter(|items| (items.len() as u64) < rule.as_u64().unwrap_or(0))
                .and_then(|_| fault("is short")),
            "minProperties" => value
                .as_object()
                .filter(|map| (map.len() as u64) < rule.as_u64().unwrap_or(0))
                .and_then(|_| fault("is short")),
            "maxProperties" => value
                .as_object()
                .filter(|map| (map.len() as u64) > rule.as_u64().unwrap_or(0))
                .and_then(|_| fault("is long")),
            "minLength" => value
                .as_str()
                .filter(|text| length(text) < rule.as_u64().unwrap_or(0))
                .and_then(|_| fault("is short")),
            "maxLength" => value
                .as_str()
                .filter(|text| length(text) > rule.as_u64().unwrap_or(0))
                .and_then(|_| fault("is long")),
            "minimum" => value
                .as_u64()
                .filter(|number| *number < rule.as_u64().unwrap_or(0))
                .and_then(|_| fault("is small")),
            "maximum" => value
                .as_u64()
                .filter(|number| *number > rule.as_u64().unwrap_or(0))
                .and_then(|_| fault("is large")),
            "$schema" | "$id" | "$defs" | "title" | "description" | "default" | "pattern" | "uniqueItems" => {
                None
            }
            other => panic!("the checker does not know `{other}`"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
