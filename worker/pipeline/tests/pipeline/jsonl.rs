//! Every rule of `validate.jsonl`, with exact records, offsets and words; what other readers of JSON say; any arrival.

use bytes::Bytes;
use eft_domain::route::{BlankLines, JsonSchema, JsonlSpec, Limits, StageSpec, ValidateSpec};
use eft_domain::{ByteSize, Code};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, Flow, Input, JsonlValidate, MAX_REJECTS, Output, Stage};
use proptest::prelude::*;
use serde_json::{Value, json};

fn tolerant() -> Limits {
    Limits { max_errors: u64::MAX, ..Limits::default() }
}

fn stage(spec: &JsonlSpec, limits: &Limits) -> AnyStage {
    AnyStage::new(&StageSpec::Validate(ValidateSpec::Jsonl(spec.clone())), limits).unwrap().unwrap()
}

/// What comes of a file, whole; the same byte by byte and cut at any place.
fn judge(spec: &JsonlSpec, limits: &Limits, file: &[u8]) -> Outcome {
    let file = Bytes::copy_from_slice(file);
    let whole = drive(vec![stage(spec, limits)], &Arrival::whole(&file));
    whole.assert_same(&drive(vec![stage(spec, limits)], &Arrival::bytewise(&file)));
    for at in 0..file.len().min(300) {
        whole.assert_same(&drive(vec![stage(spec, limits)], &Arrival::cut(&file, &[at], 1, &[1])));
    }
    if whole.verdict.is_ok() {
        assert!(whole.bytes == file, "a tap changed the bytes");
    }
    whole
}

/// The rejects of a tolerated file, as `record@offset column: reason`.
fn rejects(spec: &JsonlSpec, file: &[u8]) -> Vec<String> {
    let outcome = judge(spec, &tolerant(), file);
    assert_eq!(outcome.verdict, Ok(()));
    let rows = outcome.report().rejects.iter().map(|reject| {
        let column = reject.column.as_deref().unwrap_or("-");
        format!("{}@{} {column}: {}", reject.record, reject.offset, reject.reason)
    });
    rows.collect()
}

fn plain(file: &[u8]) -> Vec<String> {
    rejects(&JsonlSpec::default(), file)
}

fn message(spec: &JsonlSpec, limits: &Limits, file: &[u8]) -> (Code, String) {
    let failure = judge(spec, limits, file).verdict.unwrap_err();
    (failure.code, failure.message)
}

fn with_schema(schema: Value) -> JsonlSpec {
    JsonlSpec { schema: Some(JsonSchema::new(schema).unwrap()), ..JsonlSpec::default() }
}

#[test]
fn records_are_counted() {
    let count = |file: &[u8]| judge(&JsonlSpec::default(), &tolerant(), file).report().records;
    assert_eq!(count(b""), Some(0));
    assert_eq!(count(b"1"), Some(1));
    assert_eq!(count(b"1\n"), Some(1));
    assert_eq!(count(b"1\r\n{}\r\n"), Some(2));
    assert_eq!(count(b"1\n\n2"), Some(3));
}

#[test]
fn a_blank_line_is_a_broken_record_or_none() {
    assert_eq!(plain(b"1\n\n2\n"), ["2@2 -: blank line"]);
    assert_eq!(plain(b"1\n \t\r\n2\n\n"), ["2@2 -: blank line", "4@8 -: blank line"]);
    let skip = JsonlSpec { blank_lines: BlankLines::Skip, ..JsonlSpec::default() };
    let outcome = judge(&skip, &Limits::default(), b"\n1\n \r\n2\n\n");
    assert_eq!((&outcome.verdict, outcome.report().records), (&Ok(()), Some(2)));
    assert_eq!(rejects(&skip, b"\n1\n\nx"), ["2@4 -: expected a value at byte 4, found \"x\""]);
    // White space of others is no white space here.
    assert_eq!(rejects(&skip, b"\x0c\n"), ["1@0 -: expected a value at byte 0, found \"\\u{c}\""]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (line, row) in [
        ("nul", "-: expected a value at byte 2, found \"nul\""),
        ("NaN", "-: expected a value at byte 2, found \"NaN\""),
        ("[1,]", "/1: expected a value at byte 5, found \"]\""),
        ("[1 2]", "/0: expected \",\" or \"]\" at byte 5, found \"2]\""),
        ("{\"a\":1,}", "-: expected a key in double quotes at byte 9, found \"}\""),
        ("{a:1}", "-: expected a key in double quotes or \"}\" at byte 3, found \"a:1}\""),
        ("{\"a\" 1}", "/a: expected \":\" at byte 7, found \"1}\""),
        ("{\"a\":{\"b\":[0,{\"c\":tru}]}}", "/a/b/1/c: expected a value at byte 20, found \"tru}]}}\""),
        (
            "{\"a/b\":{\"~\":\"\\x\"}}",
            "/a~1b/~0: expected one of \"\\/bfnrt or uXXXX behind a backslash at byte 16, found \"x\\\"}}\"",
        ),
        ("{\"a\":1", "/a: expected \",\" or \"}\" at byte 8, the line ends"),
        ("\"abc", "-: the line ends at byte 6 in a string"),
        ("\"a\tb\"", "-: control character 0x09 in a string at byte 4; write it as \\u0009"),
        ("[\"\\ud800\"]", "/0: half a surrogate pair at byte 4, found \"\\\\ud800\\\"]\""),
        ("{} {}", "-: text behind the value at byte 5, found \"{}\""),
        ("[01]", "/0: expected no digit behind a leading zero at byte 4, found \"1]\""),
        ("1.", "-: expected a digit at byte 4, the line ends"),
        ("\u{feff}1", "-: byte order mark, which JSON has none of"),
    ] {
        assert_eq!(plain(format!("1\n{line}\n2\n").as_bytes()), [format!("2@2 {row}")], "{line}");
    }
    assert_eq!(plain(b"1\n\"\xc3\"\n"), ["2@2 -: not UTF-8 at byte 3: truncated sequence (c3)"]);
    assert_eq!(plain(b"\"\xe2\x82\n1\n"), ["1@0 -: not UTF-8 at byte 1: truncated sequence (e2 82)"]);
    let cut_by_end = "1@0 -: not UTF-8 at byte 1: truncated sequence at the end of the file (e2 82)";
    assert_eq!(plain(b"\"\xe2\x82"), [cut_by_end]);
}

#[test]
fn long_places_are_cut() {
    let deep = format!("{}!", "{\"abcdefghijklmnopqrstuvwxyz\":".repeat(60));
    let long = format!("{{\"{}\":!}}", "k".repeat(5_000));
    let rows = judge(&JsonlSpec::default(), &tolerant(), format!("{deep}\n{long}\n").as_bytes());
    let columns: Vec<_> = rows.report().rejects.iter().map(|reject| reject.column.clone().unwrap()).collect();
    assert!(columns[0].ends_with("/…") && columns[0].len() < 560, "{}", columns[0]);
    assert_eq!(columns[1], format!("/{}…", "k".repeat(64)));
}

#[test]
fn one_broken_record_too_many_ends_it() {
    let spec = JsonlSpec::default();
    let limits = |max_errors| Limits { max_errors, ..Limits::default() };
    let first = "first: record 2 at byte 2: expected a value at byte 2, found \"x\"";
    assert_eq!(
        message(&spec, &limits(0), b"1\nx\n2\n"),
        (Code::Validation, format!("1 record breaks the rules, the route allows 0; {first}"))
    );
    assert_eq!(
        message(&spec, &limits(1), b"1\nx\n2\n[\n"),
        (Code::Validation, format!("2 records break the rules, the route allows 1; {first}"))
    );
    let outcome = judge(&spec, &limits(2), b"1\nx\n2\n[\n");
    assert_eq!((&outcome.verdict, outcome.report().errors), (&Ok(()), 2));
    let many = "x\n".repeat(MAX_REJECTS + 10);
    let outcome = judge(&spec, &tolerant(), many.as_bytes());
    assert_eq!((outcome.report().errors, outcome.report().rejects.len()), (110, MAX_REJECTS));
}

#[test]
fn long_records_are_refused_before_they_are_held() {
    let limits = Limits { max_record_bytes: ByteSize(8), ..tolerant() };
    let spec = JsonlSpec::default();
    assert_eq!(judge(&spec, &limits, b"123456\r\n1234567\n12345678").verdict, Ok(()));
    let long = |at: u64, record: u64| {
        let message =
            format!("observed 9 bytes and more in record {record} at byte {at}, the route allows 8");
        (Code::LimitRecordBytes, message)
    };
    assert_eq!(message(&spec, &limits, b"12345678\n"), long(0, 1));
    assert_eq!(message(&spec, &limits, b"1\n123456789"), long(2, 2));
    // Not because it is no JSON: that is tolerated.
    assert_eq!(message(&spec, &limits, b"1\n!!!!!!!!!!!!!!"), long(2, 2));
    // Without an end it is refused all the same, at the byte that is too much.
    let mut stage = JsonlValidate::new(spec.clone(), &limits);
    let mut input = Input::default();
    input.push(Bytes::from_static(b"[[[[[[[["));
    assert_eq!(stage.step(&mut input, &mut Output::with_room(0)), Ok(Flow::Hungry));
    input.push(Bytes::from_static(b"["));
    assert_eq!(stage.step(&mut input, &mut Output::with_room(0)).unwrap_err().code, Code::LimitRecordBytes);
}

#[test]
fn deep_records_are_refused() {
    let nest = |depth: usize| format!("1\n{}{}\n", "[".repeat(depth), "]".repeat(depth));
    let spec = JsonlSpec::default();
    assert_eq!(judge(&spec, &Limits::default(), nest(64).as_bytes()).verdict, Ok(()));
    let (code, text) = message(&spec, &tolerant(), nest(65).as_bytes());
    assert_eq!(code, Code::LimitDepth);
    assert_eq!(text, "observed 65 levels and more in record 2 at byte 2, the route allows 64");
    let limits = Limits { max_depth: 1, ..tolerant() };
    assert_eq!(judge(&spec, &limits, b"{\"a\":1}\n[1]\n").verdict, Ok(()));
    assert_eq!(message(&spec, &limits, b"{\"a\":{}}").0, Code::LimitDepth);
    // No stack is used up, however deep.
    let limits = Limits { max_record_bytes: ByteSize::mib(8), ..tolerant() };
    let deep = Bytes::from("[".repeat(4 << 20));
    let outcome = drive(vec![stage(&spec, &limits)], &Arrival::whole(&deep));
    assert_eq!(outcome.verdict.unwrap_err().code, Code::LimitDepth);
}

#[test]
fn keys_may_have_to_be_unique() {
    let unique = JsonlSpec { unique_keys: true, ..JsonlSpec::default() };
    assert!(plain(b"{\"a\":1,\"a\":2}").is_empty());
    assert_eq!(rejects(&unique, b"{\"a\":1,\"a\":2}"), ["1@0 /a: the key stands twice, again at byte 7"]);
    assert!(
        rejects(&unique, b"{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]},\"b\":\"a\",\"c\":[\"a\",\"a\"]}").is_empty()
    );
    assert_eq!(
        rejects(&unique, b"[1,{\"x\":[{\"\\u0061\":1,\"b\":2,\"a\":3}]}]"),
        ["1@0 /1/x/0/a: the key stands twice, again at byte 27"]
    );
    assert_eq!(rejects(&unique, b"{\"\":1,\"\":2}"), ["1@0 /: the key stands twice, again at byte 6"]);
}

#[test]
fn records_are_held_against_the_schema() {
    let spec = with_schema(json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": { "type": "integer" },
            "sku": { "$ref": "#/$defs/sku" },
            "day": { "type": "string", "format": "date" },
            "note": { "maxLength": 3 },
        },
        "additionalProperties": false,
        "$defs": { "sku": { "type": "string", "pattern": "^[A-Z]-[0-9]+$" } },
    }));
    assert!(rejects(&spec, b"{\"id\":1,\"sku\":\"A-1\",\"day\":\"2026-02-28\"}\n").is_empty());
    assert_eq!(
        rejects(
            &spec,
            b"{}\n{\"id\":\"x\"}\n{\"id\":1,\"sku\":\"a\"}\n{\"id\":2,\"day\":\"2026-02-30\"}\n[]\n"
        ),
        [
            "1@0 -: \"id\" is a required property",
            "2@3 /id: value is not of type \"integer\", is `x`",
            "3@14 /sku: value does not match \"^[A-Z]-[0-9]+$\", is `a`",
            "4@33 /day: value is not a \"date\", is `2026-02-30`",
            "5@61 -: value is not of type \"object\"",
        ]
    );
    // Several rules of one record are one broken record.
    let outcome = judge(&spec, &tolerant(), b"{\"sku\":1,\"more\":2}");
    assert_eq!((outcome.report().errors, outcome.report().rejects.len()), (1, 3));
    // Nothing of the record that is long or that a terminal would obey.
    let text = format!("{{\"id\":1,\"note\":\"\\u001b{}\"}}", "x".repeat(10_000));
    let rows = rejects(&spec, text.as_bytes());
    assert!(rows[0].len() < 400 && rows[0].contains("\\u{1b}xxx"), "{}", rows[0]);
    assert_eq!(
        rejects(&spec, b"{\"id\":1}\n{\"id\":[1e999]}\n"),
        ["2@9 /id/0: number out of range at byte 16"]
    );
    assert!(rejects(&spec, b"{\"id\":1e2}\n").is_empty());
}

/// Every field of a record as large as a route takes them: the schema is applied, the report stays small.
#[test]
fn a_record_with_many_faults_makes_few_rows() {
    let spec = with_schema(json!({ "additionalProperties": { "type": "string" } }));
    let members: Vec<String> = (0..5_000).map(|at| format!("\"k{at}\":{at}")).collect();
    let file = Bytes::from(format!("{{{}}}\n", members.join(",")));
    let outcome = drive(vec![stage(&spec, &tolerant())], &Arrival::whole(&file));
    assert_eq!((outcome.report().errors, outcome.report().rejects.len()), (1, 10));
}

/// Python's json, made strict, over the categories of JSON test suites and mutated lines; see `data/jsonl/make.py`.
#[test]
fn python_says_the_same() {
    let cases = include_str!("../data/jsonl/cases.txt");
    let mut verdicts = [0, 0];
    for case in cases.lines() {
        let (verdict, hex) = case.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let line: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        // Not the empty line at the end of a file, which is no line.
        let file = Bytes::from([&line[..], b"\n1\n"].concat());
        let outcome = drive(vec![stage(&JsonlSpec::default(), &tolerant())], &Arrival::whole(&file));
        let sound = outcome.report().errors == 0;
        assert_eq!(sound, verdict == "+", "{}: {:?}", line.escape_ascii(), outcome.report().rejects);
        verdicts[usize::from(sound)] += 1;
    }
    assert!(verdicts[0] > 500 && verdicts[1] > 250, "few cases: {verdicts:?}");
}

/// serde_json's own reader; a number that a double cannot hold is no fault of the syntax.
fn serde_takes(line: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(line) {
        Ok(_) => true,
        Err(error) => {
            error.to_string().starts_with("number out of range")
                && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// A line: sound, or with a byte changed, or nothing like JSON.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let sound = (any_value(), any::<bool>()).prop_map(|(value, cr)| {
        let mut line = value.to_string().into_bytes();
        line.extend(cr.then_some(b'\r'));
        line
    });
    let alphabet = prop::sample::select(b"\"\\{}[]:,.-+eE019 \ttrufalsn\x01\xc3\xa9\xffu".to_vec());
    let changed = (any_value(), any::<prop::sample::Index>(), alphabet.clone(), 0..3u8).prop_map(
        |(value, at, byte, how)| {
            let mut line = value.to_string().into_bytes();
            let at = at.index(line.len());
            match how {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                _ => drop(line.remove(at)),
            }
            line
        },
    );
    let other = prop::collection::vec(alphabet, 0..12);
    prop_oneof![4 => sound, 3 => changed, 1 => other]
}

proptest! {
    #[test]
    fn serde_json_says_the_same(lines in prop::collection::vec(any_line(), 1..8)) {
        let file = Bytes::from(lines.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect::<Vec<_>>());
        let outcome = drive(vec![stage(&JsonlSpec::default(), &tolerant())], &Arrival::whole(&file));
        let wrong: Vec<u64> = outcome.report().rejects.iter().map(|reject| reject.record).collect();
        let expected: Vec<u64> =
            (1u64..).zip(&lines).filter(|(_, line)| !serde_takes(line)).map(|(record, _)| record).collect();
        prop_assert_eq!(wrong, expected);
    }

    #[test]
    fn any_arrival_gives_the_same_end(
        lines in prop::collection::vec(any_line(), 0..12), ended: bool, skip: bool, unique: bool, schema: bool,
        places in prop::collection::vec(any::<usize>(), 0..30), waiting in 1usize..4,
        max_errors in 0u64..4, max_record in 1u64..200, max_depth in 1u32..5,
    ) {
        let mut file = lines.join(&b'\n');
        file.extend(ended.then_some(b'\n'));
        let file = Bytes::from(file);
        let schema = schema.then(|| JsonSchema::new(json!({ "maxProperties": 2, "properties": { "a": false } })).unwrap());
        let blank_lines = if skip { BlankLines::Skip } else { BlankLines::Reject };
        let spec = JsonlSpec { schema, unique_keys: unique, blank_lines };
        let limits = Limits { max_errors, max_record_bytes: ByteSize(max_record), max_depth, ..Limits::default() };
        let stages = || vec![stage(&spec, &limits)];
        let whole = drive(stages(), &Arrival::whole(&file));
        whole.assert_same(&drive(stages(), &Arrival::cut(&file, &places, waiting, &[1])));
        whole.assert_same(&drive(stages(), &Arrival::bytewise(&file)));
        if whole.verdict.is_ok() {
            prop_assert!(whole.bytes == file);
        }
    }
}

proptest! {
    /// Gone on with from every place it was saved at, it comes to the same end.
    #[test]
    fn it_goes_on_from_any_record(
        lines in prop::collection::vec(any_line(), 1..20), seed: u64, max_errors in 0u64..9, max_record in 20u64..2_000,
    ) {
        let file = Bytes::from(lines.join(&b'\n'));
        let limits = Limits { max_errors, max_record_bytes: ByteSize(max_record), ..Limits::default() };
        let spec = with_schema(json!({ "maxProperties": 2 }));
        resumed(|| vec![stage(&spec, &limits)], &Arrival::seeded(&file, seed, 1));
    }
}

#[test]
fn there_is_a_place_in_every_record() {
    let file = Bytes::from("{\"a\":1}\n".repeat(50));
    let (outcome, places) =
        resumed(|| vec![stage(&JsonlSpec::default(), &Limits::default())], &Arrival::bytewise(&file));
    assert_eq!(outcome.verdict, Ok(()));
    assert!(places >= 50, "{places}");
}

#[test]
fn states_of_others_are_refused() {
    for state in [json!(null), json!({}), json!({ "records": 1, "errors": 2, "rejects": [] })] {
        let mut stage = JsonlValidate::new(JsonlSpec::default(), &Limits::default());
        assert_eq!(stage.restore(state).unwrap_err().code, Code::CheckpointRefused);
    }
    let mut stage = JsonlValidate::new(JsonlSpec::default(), &Limits::default());
    let mut input = Input::default();
    input.push(Bytes::from_static(b"1\n[1"));
    assert_eq!(stage.step(&mut input, &mut Output::with_room(0)), Ok(Flow::Hungry));
    assert_eq!(stage.save(), None, "in the middle of a record");
}
