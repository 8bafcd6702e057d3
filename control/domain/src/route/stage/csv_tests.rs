//! The stages that read CSV and write something else: what a route may say of them, and what is refused.

use serde_json::{Value, json};

use super::{
    Change, ColumnSource, CsvOutput, DecimalSize, LineEnd, OnError, ParquetCompression, QuoteStyle, StageSpec,
};
use crate::ByteSize;
use crate::route::{ColumnType, Columns, Profile, Route, schema_test::fault_of};

/// Parsed, and the same again from its canonical form, which the schema accepts.
fn stage(text: &str) -> StageSpec {
    let text = format!("limits: {{ max_errors: 5 }}\nstages:\n  - {text}\n");
    let route = Route::parse_yaml(&text, Profile::Cli).unwrap_or_else(|errors| panic!("{text}: {errors}"));
    let value = route.to_value();
    assert_eq!(fault_of(&value), None);
    let again = Route::parse_json(&value.to_string(), Profile::Cli).unwrap();
    assert_eq!(route, again);
    route.stages.into_iter().next().unwrap()
}

/// The faults of a route with this stage, without its place.
fn faults(stage: Value) -> String {
    let route = json!({ "stages": [stage] }).to_string();
    let errors = Route::parse_json(&route, Profile::Cli).unwrap_err().to_string();
    errors.replace("/stages/0/", "")
}

#[test]
fn a_projection_says_its_columns() {
    let StageSpec::CsvProject(spec) = stage(
        "csv_project: { delimiter: ';', header: true, on_error: drop, null_values: ['', NA], columns: [id, \
         { name: b, as: c }, { name: card, mask: { keep_last: 4, with: '#' } }, { name: pin, mask: {} }, \
         { name: email, hash: { key: pepper-1 } }, { constant: EFT, as: source }], \
         output: { delimiter: '|', quote: always, terminator: crlf, header: false } }",
    ) else {
        panic!("another stage")
    };
    assert_eq!((spec.input.delimiter, &spec.input.columns), (b';', &Columns::FromFile));
    assert_eq!(spec.on_error, OnError::Drop);
    let column = |name: &str, change| ColumnSource::Column(name.to_owned(), change);
    let columns: Vec<_> = spec.columns.iter().map(|column| (&*column.name, column.source.clone())).collect();
    let expected = [
        ("id", column("id", Change::None)),
        ("c", column("b", Change::None)),
        ("card", column("card", Change::Mask { keep_last: 4, with: b'#' })),
        ("pin", column("pin", Change::Mask { keep_last: 0, with: b'*' })),
        ("email", column("email", Change::Hash { key: "pepper-1".to_owned() })),
        ("source", ColumnSource::Constant("EFT".to_owned())),
    ];
    assert_eq!(columns, expected);
    let output =
        CsvOutput { delimiter: b'|', quote: QuoteStyle::Always, terminator: LineEnd::CrLf, header: false };
    assert_eq!(spec.output, output);
}

#[test]
fn a_projection_has_defaults() {
    let StageSpec::CsvProject(spec) = stage("csv_project: { names: [a, b], columns: [b] }") else {
        panic!("another stage")
    };
    assert_eq!(spec.input.columns, Columns::Named(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!((spec.on_error, spec.output), (OnError::Fail, CsvOutput::default()));
}

#[test]
fn a_projection_that_cannot_be_is_refused() {
    let project = |inner: Value| faults(json!({ "csv_project": inner }));
    let columns = |columns: Value| project(json!({ "header": true, "columns": columns }));
    for (found, expected) in [
        (
            project(json!({ "columns": ["a"] })),
            "csv_project: needs the names of the columns: write `header: true`, or name them in `names`",
        ),
        (
            project(json!({ "header": false, "columns": ["a"] })),
            "csv_project/header: needs the names of the columns: write `header: true`, or name them in `names`",
        ),
        (project(json!({ "header": true })), "csv_project: `columns` is missing"),
        (columns(json!([])), "csv_project/columns: must name at least one column"),
        (
            project(json!({ "header": ["a"], "names": ["a"], "columns": ["a"] })),
            "csv_project/names: names are for a file without a header: keep either `header` or `names`",
        ),
        (
            columns(json!([{ "as": "x" }])),
            "csv_project/columns/0: needs the `name` of a column of the input, or a `constant`",
        ),
        (
            columns(json!([{ "name": "a", "constant": "b" }])),
            "csv_project/columns/0: is either a column of the input (`name`) or a `constant`",
        ),
        (
            columns(json!([{ "constant": "b" }])),
            "csv_project/columns/0: a constant needs the name of its column: add `as`",
        ),
        (
            columns(json!([{ "constant": "b", "as": "c", "mask": {} }])),
            "csv_project/columns/0: a constant is neither masked nor hashed: write the text it shall be",
        ),
        (
            columns(json!([{ "name": "a", "mask": {}, "hash": { "key": "k" } }])),
            "csv_project/columns/0/hash: a column is either masked or hashed, not both",
        ),
        (
            columns(json!([{ "name": "a", "mask": { "with": "é", "keep_last": 65 } }])),
            "csv_project/columns/0/mask/keep_last: must be a whole number from 0 to 64, is 65\n\
             csv_project/columns/0/mask/with: must be one visible ASCII character",
        ),
        (
            columns(json!([{ "name": "a", "hash": { "key": "../k" } }])),
            "csv_project/columns/0/hash/key: must be the name of a secret: at most 64 letters, digits, `-`, `_` \
             and `.`, the first no `.`; the secret itself never stands in a route",
        ),
        (
            columns(json!(["a", { "name": "b", "as": "a" }])),
            "csv_project/columns/1: is the second column `a` of the output; rename it with `as`",
        ),
        (
            project(json!({ "header": ["card", "b"], "columns": ["crad"] })),
            "csv_project/columns/0/name: column `crad` is not in `header`; did you mean `card`?",
        ),
        (
            project(json!({ "header": true, "columns": ["a"], "on_error": "drop" })),
            "csv_project/on_error: drops broken records, but `limits.max_errors` is 0 and lets none pass; raise it, \
             or write `on_error: fail`",
        ),
        (
            project(json!({ "header": true, "columns": ["a"], "output": { "delimiter": "\"" } })),
            "csv_project/output/delimiter: must not be the quote",
        ),
        (
            project(json!({ "header": true, "columns": ["a"], "types": {} })),
            "csv_project/types: unknown field `types`, known are delimiter, quote, escape, terminator, header, names, \
             null_values, utf8, on_error, columns, output",
        ),
        (
            faults(json!("csv_project")).replace("/stages/0", ""),
            ": `csv_project` needs columns: write `csv_project: { header: true, columns: [a, b] }`",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn json_lines_have_types_and_names() {
    let StageSpec::CsvToJsonl(spec) = stage(
        "csv_to_jsonl: { columns: [a, b], types: { a: integer }, not_null: [a], null_values: [NA], on_error: drop, \
         omit_null: true }",
    ) else {
        panic!("another stage")
    };
    assert_eq!((spec.input.types["a"], spec.input.utf8, spec.omit_null), (ColumnType::Integer, true, true));
    assert_eq!(
        (spec.input.not_null.len(), spec.input.null_values.len(), spec.on_error),
        (1, 1, OnError::Drop)
    );
    let StageSpec::CsvToJsonl(spec) = stage("csv_to_jsonl: { header: true }") else {
        panic!("another stage")
    };
    assert_eq!((spec.omit_null, spec.on_error), (false, OnError::Fail));
    for (inner, expected) in [
        (
            json!({}),
            "csv_to_jsonl: needs the names of the columns: write `header: true`, or name them in `columns`",
        ),
        (
            json!({ "header": true, "utf8": false, "types": { "a": "int" } }),
            "csv_to_jsonl/utf8: unknown field `utf8`, known are delimiter, quote, escape, terminator, header, columns, \
             types, not_null, null_values, on_error, omit_null\n\
             csv_to_jsonl/types/a: `int` is not one of text, integer, decimal, float, boolean, date, timestamp, uuid",
        ),
        (
            json!({ "header": ["a", "a"], "types": { "b": "text" } }),
            "csv_to_jsonl/header/1: column `a` is named twice\n\
             csv_to_jsonl/types/b: column `b` is not in `header`",
        ),
    ] {
        assert_eq!(faults(json!({ "csv_to_jsonl": inner })), expected);
    }
}

#[test]
fn parquet_has_types_decimals_and_groups() {
    let StageSpec::CsvToParquet(spec) = stage(
        "csv_to_parquet: { columns: [a, b], types: { a: decimal }, decimals: { a: { precision: 12, scale: 2 } }, \
         compression: snappy, row_group_rows: 5, row_group_bytes: 1MiB }",
    ) else {
        panic!("another stage")
    };
    assert_eq!(spec.decimals["a"], DecimalSize { precision: 12, scale: 2 });
    assert_eq!((spec.compression, spec.row_group_rows), (ParquetCompression::Snappy, 5));
    assert_eq!(spec.row_group_bytes, ByteSize::mib(1));
    let StageSpec::CsvToParquet(spec) = stage("csv_to_parquet: { header: true }") else { panic!("another") };
    assert_eq!((spec.compression, spec.row_group_rows), (ParquetCompression::Zstd, 1_000_000));
    assert_eq!(spec.row_group_bytes, ByteSize::mib(8));
    for (inner, expected) in [
        (
            json!({ "columns": ["a", "b"], "types": { "a": "decimal" }, "decimals": { "b": { "precision": 3, "scale": 4 } } }),
            "csv_to_parquet/types/a: column `a` is a decimal, which has a size in Parquet: add `decimals: { NAME: { \
             precision: 18, scale: 2 } }`\n\
             csv_to_parquet/decimals/b: column `b` is no decimal; say so in `types`, or leave it out here\n\
             csv_to_parquet/decimals/b: 4 digits behind the point of 3 in all; raise `precision` or lower `scale`",
        ),
        (
            json!({ "header": true, "decimals": { "b": { "precision": 39 } }, "row_group_bytes": 1, "row_group_rows": 0,
                "compression": "lz4" }),
            "csv_to_parquet/decimals/b/precision: must be a whole number from 1 to 38, is 39\n\
             csv_to_parquet/decimals/b: `scale` is missing\n\
             csv_to_parquet/compression: `lz4` is not one of zstd, snappy, none\n\
             csv_to_parquet/row_group_rows: must be a whole number from 1 to 10000000, is 0\n\
             csv_to_parquet/row_group_bytes: must be at least 64KiB and at most 1GiB, is 1B",
        ),
    ] {
        assert_eq!(faults(json!({ "csv_to_parquet": inner })), expected);
    }
}

#[test]
fn nothing_reads_text_behind_parquet() {
    let parquet = r#"{"csv_to_parquet": {"header": true}}"#;
    for (after, expected) in [
        (r#"{"validate": "utf8"}"#, "checks text, and stage 0 has written Parquet; move it before stage 0"),
        (parquet, "reads text, and stage 0 has written Parquet; move it before stage 0"),
        (
            r#"{"decompress": {"codec": "gzip"}}"#,
            "reads gzip, but stage 0 has just written Parquet; remove one of them",
        ),
    ] {
        let text = format!(r#"{{"stages": [{parquet}, {after}]}}"#);
        let errors = Route::parse_json(&text, Profile::Cli).unwrap_err().to_string();
        assert_eq!(errors, format!("/stages/1: {expected}"));
    }
}

#[test]
fn records_are_read_before_they_are_compressed() {
    let text = r#"{"stages": [{"compress": {"codec": "gzip"}},
        {"csv_project": {"header": true, "columns": ["a"]}}]}"#;
    let errors = Route::parse_json(text, Profile::Cli).unwrap_err().to_string();
    assert_eq!(
        errors,
        "/stages/1: reads the content of what stage 0 has compressed with gzip; move it before stage 0"
    );
}
