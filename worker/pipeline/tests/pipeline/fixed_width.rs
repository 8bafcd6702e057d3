//! `validate.fixed_width`: what Python finds in the same files, every message, and any arrival.

use crate::resume_support::resume;
use bytes::Bytes;
use eft_domain::route::{FixedWidthSpec, Limits, LineTerminator, Profile, Route, StageSpec, ValidateSpec};
use eft_domain::{ByteSize, Code, Failure};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, Kind, ResumeClass, Stage};
use proptest::prelude::*;
use serde_json::{Value, json};

const CASES: &str = include_str!("../fixed_width_fixtures/cases.jsonl");

/// The check as a route says it.
fn spec(text: &str) -> FixedWidthSpec {
    let text = format!("stages: [{{ validate: {{ fixed_width: {text} }} }}]");
    let route = Route::parse_yaml(&text, Profile::Cli).unwrap();
    match &route.stages[0] {
        StageSpec::Validate(ValidateSpec::FixedWidth(spec)) => spec.clone(),
        other => panic!("{other:?}"),
    }
}

fn made(spec: &FixedWidthSpec, limits: &Limits) -> Result<AnyStage, Failure> {
    AnyStage::new(&StageSpec::Validate(ValidateSpec::FixedWidth(spec.clone())), limits).map(Option::unwrap)
}

fn run(spec: &FixedWidthSpec, limits: &Limits, bytes: &[u8]) -> Outcome {
    let stage = || made(spec, limits).unwrap();
    let input = Bytes::copy_from_slice(bytes);
    let whole = drive(vec![stage()], &Arrival::whole(&input));
    whole.assert_same(&drive(vec![stage()], &Arrival::bytewise(&input)));
    if whole.verdict.is_ok() {
        assert!(whole.bytes == bytes, "a tap changed the bytes");
    }
    whole
}

fn verdict(route: &str, bytes: &[u8]) -> Result<(), String> {
    run(&spec(route), &Limits::default(), bytes).verdict.map_err(|failure| failure.to_string())
}

fn tolerant(max_errors: u64) -> Limits {
    Limits { max_errors, ..Limits::default() }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn broken_records_are_those_that_python_finds() {
    let mut broken = 0;
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let spec = spec(&case["fixed_width"].to_string());
        let outcome = run(&spec, &tolerant(1000), &unhex(case["input"].as_str().unwrap()));
        let report = outcome.report();
        let found: Vec<Value> = report
            .rejects
            .iter()
            .map(|reject| json!([reject.record, reject.offset, reject.column]))
            .collect();
        assert_eq!(json!(found), case["broken"], "{:?}", spec.terminator);
        assert_eq!(json!(report.records), case["records"]);
        broken += found.len();
    }
    assert!(CASES.lines().count() == 4 && broken > 20, "{broken}");
}

#[test]
fn says_where_and_what() {
    let first =
        |why: &str| format!("validation: 1 record breaks the rules, the route allows 0; first: {why}");
    let typed = "{ columns: [{ name: day, length: 10, type: date }, { name: n, length: 3, type: integer, not_null: true }] }";
    for (route, bytes, why) in [
        ("{ record: 3 }", &b"abc\nab\nabc\n"[..], first("record 2 at byte 4: has 2 bytes, not 3")),
        ("{ record: 3 }", b"abc\r\nabcd\r\n", first("record 2 at byte 5: has 4 bytes, not 3")),
        ("{ record: 3 }", b"abc\n\n", first("record 2 at byte 4: has 0 bytes, not 3")),
        ("{ record: 3, terminator: lf }", b"abc\r\n", first("record 1 at byte 0: has 4 bytes, not 3")),
        (
            "{ record: 3, terminator: crlf }",
            b"abc\r\nabc\n",
            first("record 2 at byte 5: ends with LF, not CRLF"),
        ),
        (
            "{ record: 3 }",
            b"\xef\xbb\xbfabc\n",
            first(
                "record 1 at byte 0: has 6 bytes, not 3 (it starts with a byte-order mark, which `strip_bom` drops)",
            ),
        ),
        (typed, b"2026-02-30  7\n", first("record 1 at byte 0, column day: not a date: \"2026-02-30\"")),
        (typed, b"2026-02-28 7x\n", first("record 1 at byte 0, column n: not an integer: \"7x\"")),
        (
            typed,
            b"             \n",
            first("record 1 at byte 0, column n: null (all blank), the column may not be"),
        ),
        (
            "{ record: 3, terminator: none }",
            b"abcab",
            "format.truncated: the file ends after 2 of the 3 bytes of record 2 at byte 3".to_owned(),
        ),
    ] {
        assert_eq!(verdict(route, bytes), Err(why));
    }
}

#[test]
fn sound_files_pass() {
    for (route, bytes) in [
        ("{ record: 3 }", &b""[..]),
        ("{ record: 3 }", b"abc\r\nabc\nabc"),
        ("{ record: 3, terminator: none }", b"abc\nbcabc"),
        ("{ record: 4, terminator: lf }", b"abc\r\n"),
        ("{ record: 3, terminator: crlf }", b"abc\r\nabc"),
        (
            "{ record: 9, columns: [{ name: n, start: 4, length: 4, type: integer }] }",
            b"abc -7 yz\nxyz    \xff!\n",
        ),
    ] {
        assert_eq!(verdict(route, bytes), Ok(()), "{bytes:?}");
    }
    let stage = made(&spec("{ record: 3 }"), &Limits::default()).unwrap();
    assert_eq!((stage.info().kind, stage.info().resume), (Kind::Tap, ResumeClass::R1));
}

#[test]
fn limits_are_kept() {
    let limits = Limits { max_record_bytes: ByteSize(6), ..tolerant(9) };
    let spec = spec("{ record: 3 }");
    assert_eq!(run(&spec, &limits, b"abc\nabcde\nabcdef").verdict, Ok(()));
    for bytes in [&b"abc\nabcdef\n"[..], b"abc\nabcdefghi", b"abc\nabcde\r\n"] {
        assert_eq!(
            run(&spec, &limits, bytes).verdict.unwrap_err().to_string(),
            "limit.max_record_bytes: observed at least 7 bytes in record 2 at byte 4, the route allows 6"
        );
    }
    let failure = run(&spec, &tolerant(1), b"ab\nabc\na\nabc\n").verdict.unwrap_err();
    assert_eq!(
        failure.message,
        "2 records break the rules, the route allows 1; first: record 1 at byte 0: has 2 bytes, not 3"
    );
}

#[test]
fn a_spec_that_contradicts_itself_is_refused() {
    let sound = spec("{ columns: [{ name: a, length: 8 }] }");
    let limits = Limits { max_record_bytes: ByteSize(9), ..Limits::default() };
    for (spec, fits) in [
        (FixedWidthSpec { terminator: LineTerminator::Lf, ..sound.clone() }, true),
        (sound.clone(), false),
        (FixedWidthSpec { record: 7, terminator: LineTerminator::None, ..sound.clone() }, false),
        (FixedWidthSpec { record: 0, columns: Vec::new(), ..sound }, false),
    ] {
        let code = made(&spec, &limits).err().map(|failure| failure.code);
        assert_eq!(code, (!fits).then_some(Code::RouteInvalid), "{spec:?}");
    }
}

#[test]
fn states_are_between_records() {
    let (lines, packed) = (spec("{ record: 3 }"), spec("{ record: 3, terminator: none }"));
    for (spec, bytes, cut, at) in [
        (&lines, &b"abc\r\nabc\nabc"[..], 2, 5),
        (&lines, b"abc\r\nabc\nabc", 5, 5),
        (&packed, b"abcabcabc", 4, 6),
        (&packed, b"abcabcabc", 9, 9),
    ] {
        let stage = || made(spec, &Limits::default()).unwrap();
        let resumed = resume(stage, &Bytes::from_static(bytes), cut, 100).unwrap();
        assert_eq!((resumed.offset, &resumed.bytes[..]), (at, bytes));
    }
    let mut stage = made(&lines, &Limits::default()).unwrap();
    assert_eq!(stage.restore(json!({ "records": -1 })).unwrap_err().code, Code::CheckpointRefused);
}

fn any_spec() -> impl Strategy<Value = FixedWidthSpec> {
    let terminators = proptest::sample::select(vec!["any", "lf", "crlf", "none"]);
    let columns =
        "columns: [{ name: a, length: 1, not_null: true }, { name: n, start: 3, length: 2, type: integer }]";
    (terminators, 4u32..6, any::<bool>()).prop_map(move |(terminator, record, with)| {
        let columns = if with { columns } else { "" };
        spec(&format!("{{ record: {record}, terminator: {terminator}, {columns} }}"))
    })
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => "[ax ]{2}[ 0-9]{2}".prop_map(String::into_bytes),
        3 => Just(b"\n".to_vec()),
        3 => Just(b"\r\n".to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_arrival_gives_the_same_end(
        spec in any_spec(), file in any_file(), errors in 0u64..3, seed: u64,
    ) {
        let limits = Limits { max_record_bytes: ByteSize(12), ..tolerant(errors * 100) };
        let outcome = run(&spec, &limits, &file);
        let arrival = Arrival::seeded(&file.clone().into(), seed, 1);
        outcome.assert_same(&drive(vec![made(&spec, &limits).unwrap()], &arrival));
    }

    #[test]
    fn going_on_from_a_state_gives_the_same_end(
        spec in any_spec(), file in any_file(), errors in 0u64..3, seed: u64,
    ) {
        let limits = tolerant(errors * 100);
        resumed(|| vec![made(&spec, &limits).unwrap()], &Arrival::seeded(&file.into(), seed, 1));
    }
}
