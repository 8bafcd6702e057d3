//! `ebcdic`: files and texts made by Python, every message, and any arrival.

use crate::resume_support::resume;
use bytes::Bytes;
use eft_domain::route::{CodePage, EbcdicRecords, EbcdicSpec, Limits, Profile, Route, StageSpec};
use eft_domain::{ByteSize, Code, Failure};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, ResumeClass, Stage};
use proptest::prelude::*;
use serde_json::Value;

const PAGES: &str = include_str!("../ebcdic_fixtures/pages.txt");
const CASES: &str = include_str!("../ebcdic_fixtures/cases.jsonl");

/// The stage as a route says it.
fn spec(text: &str) -> EbcdicSpec {
    let route = Route::parse_yaml(&format!("stages: [{{ ebcdic: {text} }}]"), Profile::Cli).unwrap();
    match &route.stages[0] {
        StageSpec::Ebcdic(spec) => spec.clone(),
        other => panic!("{other:?}"),
    }
}

fn made(spec: &EbcdicSpec, limits: &Limits) -> Result<AnyStage, Failure> {
    AnyStage::new(&StageSpec::Ebcdic(spec.clone()), limits).map(Option::unwrap)
}

fn run(spec: &EbcdicSpec, limits: &Limits, bytes: &[u8]) -> Outcome {
    let stage = || made(spec, limits).unwrap();
    let input = Bytes::copy_from_slice(bytes);
    let whole = drive(vec![stage()], &Arrival::whole(&input));
    whole.assert_same(&drive(vec![stage()], &Arrival::bytewise(&input)));
    whole
}

fn text(outcome: Outcome) -> Result<String, String> {
    outcome.verdict.map_err(|failure| failure.to_string())?;
    Ok(String::from_utf8(outcome.bytes).unwrap())
}

/// The lines of a file, or why there are none.
fn lines(route: &str, bytes: &[u8]) -> Result<String, String> {
    text(run(&spec(route), &Limits::default(), bytes))
}

fn tolerant(max_errors: u64) -> Limits {
    Limits { max_errors, ..Limits::default() }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Every byte but the two that would end a line.
fn page_bytes() -> Vec<u8> {
    (0..=255).filter(|byte| ![0x0d, 0x25].contains(byte)).collect()
}

#[test]
fn pages_are_what_python_says() {
    for line in PAGES.lines() {
        let (page, chars) = line.split_once(' ').unwrap();
        let chars: Vec<char> = chars
            .split(' ')
            .map(|char| char::from_u32(u32::from_str_radix(char, 16).unwrap()).unwrap())
            .collect();
        let expected: String = page_bytes().iter().map(|byte| chars[usize::from(*byte)]).collect();
        let read = lines(&format!("{{ from: {page}, records: {{ fixed: 254 }} }}"), &page_bytes());
        assert_eq!(read, Ok(expected + "\n"), "{page}");
        assert_eq!((chars[0x0d], chars[0x25]), ('\r', '\n'));
    }
    assert_eq!(PAGES.lines().count(), CodePage::ALL.len());
}

/// The same by `iconv`, where there is one.
#[test]
fn pages_are_what_iconv_says() {
    let mut compared = 0;
    for page in CodePage::ALL {
        let from = page.as_str().replace("cp", "IBM");
        let file = tempfile();
        std::fs::write(&file, page_bytes()).unwrap();
        let made = std::process::Command::new("iconv").args(["-f", &from, "-t", "UTF-8"]).arg(&file).output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else { continue };
        let read = lines(&format!("{{ from: {page}, records: {{ fixed: 254 }} }}"), &page_bytes()).unwrap();
        assert_eq!(read, String::from_utf8(made.stdout).unwrap() + "\n", "{page}");
        compared += 1;
    }
    std::fs::remove_file(tempfile()).unwrap();
    println!("compared {compared} of {} code pages with iconv", CodePage::ALL.len());
}

fn tempfile() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("eft-ebcdic-{}", std::process::id()))
}

#[test]
fn files_are_read_as_python_wrote_them() {
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let read = lines(&case["ebcdic"].to_string(), &unhex(case["input"].as_str().unwrap()));
        assert_eq!(read.as_deref(), Ok(case["output"].as_str().unwrap()), "{}", case["ebcdic"]);
    }
    assert_eq!(CASES.lines().count(), 30);
}

#[test]
fn numbers_are_written_as_they_are() {
    let field = |kind: &str, length: usize, rest: &str, bytes: &[u8]| {
        let layout = format!("[{{ name: n, type: {kind}, length: {length}{rest} }}]");
        let route =
            format!("{{ from: cp037, records: {{ fixed: {length} }}, layout: {layout}, header: false }}");
        let read = lines(&route, bytes);
        read.map(|line| line.trim_end().to_owned())
            .map_err(|why| why.split("column n: ").last().unwrap().to_owned())
    };
    for (kind, length, rest, bytes, expected) in [
        ("packed", 2, "", &b"\x12\x3c"[..], Ok("123")),
        ("packed", 2, "", b"\x12\x3d", Ok("-123")),
        ("packed", 2, "", b"\x00\x0d", Ok("0")),
        ("packed", 2, ", scale: 3", b"\x00\x1b", Ok("-0.001")),
        ("packed", 3, ", scale: 2", b"\x00\x00\x5f", Ok("0.05")),
        ("packed", 1, ", signed: false", b"\x7f", Ok("7")),
        ("packed", 1, ", signed: false", b"\x7d", Err("negative, and the field is not signed (7d)")),
        ("packed", 1, ", signed: false", b"\x0d", Ok("0")),
        ("packed", 2, "", b"\x12\x34", Err("not a packed number: 4 is no sign (12 34)")),
        ("packed", 2, "", b"\x1a\x3c", Err("not a packed number: a is no digit (1a 3c)")),
        ("packed", 2, "", b"\x40\x40", Err("not a packed number: 0 is no sign (40 40)")),
        ("zoned", 3, "", b"\xf1\xf2\xc3", Ok("123")),
        ("zoned", 3, ", scale: 2", b"\xf0\xf0\xd3", Ok("-0.03")),
        ("zoned", 3, ", scale: 3", b"\xf1\xf2\xf3", Ok("0.123")),
        ("zoned", 3, "", b"\xf1\xc2\xf3", Err("not a zoned number: c2 is no digit (f1 c2 f3)")),
        ("zoned", 3, "", b"\x40\x40\xf3", Err("not a zoned number: 40 is no digit (40 40 f3)")),
        ("zoned", 3, "", b"\xf1\xf2\x40", Err("not a zoned number: 40 is no digit (f1 f2 40)")),
        ("zoned", 3, "", b"\xf1\xfa\xf3", Err("not a zoned number: fa is no digit (f1 fa f3)")),
        ("zoned", 1, ", signed: false", b"\xd1", Err("negative, and the field is not signed (d1)")),
        ("binary", 1, "", b"\xff", Ok("-1")),
        ("binary", 1, ", signed: false", b"\xff", Ok("255")),
        ("binary", 2, ", scale: 1", b"\x80\x00", Ok("-3276.8")),
        ("binary", 4, "", b"\x7f\xff\xff\xff", Ok("2147483647")),
        ("binary", 8, "", b"\x80\0\0\0\0\0\0\0", Ok("-9223372036854775808")),
        ("binary", 8, ", signed: false", &[0xff; 8], Ok("18446744073709551615")),
        ("binary", 4, ", scale: 9", b"\0\0\0\x01", Ok("0.000000001")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(field(kind, length, rest, bytes), expected, "{kind} {rest} {bytes:02x?}");
    }
}

const PLAIN: &str = "{ from: cp037, records: rdw }";
const PAIR: &str = "{ from: cp037, records: { fixed: 3 }, layout: [{ name: t, length: 1 }, { name: n, length: 2, type: packed }] }";

#[test]
fn says_where_and_what() {
    for (route, bytes, message) in [
        (
            PAIR,
            &b"\xc1\x12\x3c\xc2\x12\x34"[..],
            "validation: 1 record breaks the rules, the route allows 0; first: record 2 at byte 3, column n: not a \
             packed number: 4 is no sign (12 34)",
        ),
        (
            PAIR,
            b"\xc1\x12\x3c\xc2",
            "format.truncated: the file ends after 1 of the 3 bytes of record 2 at byte 3",
        ),
        (
            "{ from: cp037, records: { fixed: 3 } }",
            b"\xc1\x25\xc1",
            "validation: 1 record breaks the rules, the route allows 0; first: record 1 at byte 0: holds a line end \
             at its byte 2 (25)",
        ),
        (
            "{ from: cp037, records: rdw, layout: [{ name: a, length: 2 }] }",
            b"\0\x07\0\0\xc1\xc1\xc1",
            "validation: 1 record breaks the rules, the route allows 0; first: record 1 at byte 0: has 3 bytes, the \
             layout 2",
        ),
        (
            PLAIN,
            b"\0\x05\0\0\xc1\0\x05\x01\0\xc2",
            "format.corrupt: no record descriptor at byte 5, before record 2: its last two bytes are not zero, as \
             they are in unspanned records (00 05 01 00)",
        ),
        (
            PLAIN,
            b"\0\x03\0\0",
            "format.corrupt: no record descriptor at byte 0, before record 1: its length is less than its own (00 03 \
             00 00)",
        ),
        (PLAIN, b"\0\x05\0", "format.truncated: the file ends within the descriptor of record 1 at byte 0"),
        (
            PLAIN,
            b"\0\x05\0\0",
            "format.truncated: the file ends after 0 of the 1 bytes of record 1 at byte 0",
        ),
    ] {
        assert_eq!(lines(route, bytes), Err(message.to_owned()));
    }
}

#[test]
fn lines_end_where_they_say() {
    let nel = "{ from: cp037, records: nel, trim: true }";
    assert_eq!(lines(nel, b"\xc1\x15\x15\xc2\x40\x0d\x25\xc3"), Ok("A\n\nB \nC\n".replace("B \n", "B\n")));
    assert_eq!(lines(nel, b""), Ok(String::new()));
    assert_eq!(lines(PLAIN, b"\0\x04\0\0\0\x05\0\0\xc1"), Ok("\nA\n".into()));
    // A CR that ends no line would end one in the output.
    assert!(lines(nel, b"\xc1\x0d\xc2\x15").unwrap_err().contains("line end at its byte 2 (0d)"));
    assert!(lines(nel, b"\xc1\x0d\x0d\x15").unwrap_err().contains("line end at its byte 2 (0d)"));
}

#[test]
fn fields_are_quoted_where_they_must_be() {
    let one = "{ from: cp037, records: { fixed: 2 }, layout: [{ name: 'a\"', length: 2 }], trim: true }";
    assert_eq!(lines(one, b"\x40\x40\x7f\x6b\x25\xc1"), Ok("\"a\"\"\"\n\"\"\n\"\"\",\"\n\"\nA\"\n".into()));
    assert_eq!(lines(one, b""), Ok("\"a\"\"\"\n".into()));
}

#[test]
fn broken_records_within_the_tolerance_are_left_out_and_listed() {
    let outcome = run(&spec(PAIR), &tolerant(2), b"\xc1\x12\x3c\xc2\x12\x34\xc3\x00\x1d\xc4\xff\xff");
    let report = outcome.report().clone();
    assert_eq!(text(outcome), Ok("t,n\nA,123\nC,-1\n".into()));
    assert_eq!((report.records, report.errors), (Some(4), 2));
    let listed: Vec<_> = report
        .rejects
        .iter()
        .map(|reject| (reject.record, reject.offset, reject.column.as_deref()))
        .collect();
    assert_eq!(listed, [(2, 3, Some("n")), (4, 9, Some("n"))]);
    let outcome = run(&spec(PAIR), &tolerant(1), b"\xc2\x12\x34\xc1\x12\x3c\xc4\xff\xff\xc1\x12\x3c");
    assert_eq!(outcome.verdict.unwrap_err().code, Code::Validation);
}

#[test]
fn limits_are_kept() {
    let limits = Limits { max_record_bytes: ByteSize(4), ..Limits::default() };
    let refusal = |route: &str, bytes: &[u8]| text(run(&spec(route), &limits, bytes));
    let nel = "{ from: cp037, records: nel }";
    assert_eq!(refusal(nel, b"\xc1\xc1\xc1\x15\xc1\xc1\xc1\xc1"), Ok("AAA\nAAAA\n".into()));
    for bytes in [&b"\x15\xc1\xc1\xc1\xc1\x15"[..], b"\x15\xc1\xc1\xc1\xc1\xc1"] {
        let message =
            "limit.max_record_bytes: observed at least 5 bytes in record 2 at byte 1, the route allows 4";
        assert_eq!(refusal(nel, bytes), Err(message.into()));
    }
    assert_eq!(
        refusal(PLAIN, b"\0\x05\0\0\xc1"),
        Err("limit.max_record_bytes: observed 5 bytes in record 1 at byte 0, the route allows 4".into())
    );
    let limits = Limits { max_output_bytes: ByteSize(6), ..Limits::default() };
    let over = run(&spec(PAIR), &limits, b"\xc1\x12\x3c");
    assert_eq!(over.verdict.unwrap_err().code, Code::LimitOutputBytes);
}

#[test]
fn a_spec_that_contradicts_itself_is_refused() {
    let pair = spec(PAIR);
    let nel = EbcdicSpec { records: EbcdicRecords::Nel, ..pair.clone() };
    let short = EbcdicSpec { records: EbcdicRecords::Fixed(2), ..pair.clone() };
    let none = EbcdicSpec { records: EbcdicRecords::Fixed(0), layout: None, ..pair };
    let long = spec("{ from: cp037, records: { fixed: 2000 } }");
    let limits = Limits { max_record_bytes: ByteSize(1000), ..Limits::default() };
    for spec in [nel, short, none, long] {
        assert_eq!(made(&spec, &limits).err().map(|failure| failure.code), Some(Code::RouteInvalid));
    }
}

#[test]
fn states_are_between_records() {
    let spec = spec(PAIR);
    let stage = || made(&spec, &Limits::default()).unwrap();
    assert_eq!(stage().info().resume, ResumeClass::R1);
    let bytes = Bytes::from_static(b"\xc1\x12\x3c\xc2\x12\x3c\xc3\x00\x1d");
    for (cut, at) in [(0, 0), (1, 3), (3, 3), (4, 6), (9, 9)] {
        let resumed = resume(stage, &bytes, cut, 2).unwrap();
        assert_eq!(resumed.offset, at);
        assert_eq!(resumed.bytes, b"t,n\nA,123\nB,123\nC,-1\n");
    }
    let failure = stage().restore(serde_json::json!({ "records": 1 })).unwrap_err();
    assert_eq!(failure.code, Code::CheckpointRefused);
}

fn any_spec() -> impl Strategy<Value = EbcdicSpec> {
    let layout = "[{ name: t, length: 3 }, { name: z, length: 2, type: zoned }]";
    let numbers = "[{ name: t, length: 2 }, { name: p, start: 4, length: 2, type: packed, scale: 1 }, { name: b, \
                   length: 2, type: binary }]";
    let mut routes: Vec<String> = Vec::new();
    for records in ["{ fixed: 7 }", "{ fixed: 1 }", "rdw", "nel"] {
        routes.push(format!("{{ from: cp1140, records: {records}, trim: true }}"));
    }
    for records in ["{ fixed: 7 }", "rdw", "nel"] {
        routes.push(format!("{{ from: cp500, records: {records}, layout: {layout}, trim: true }}"));
        if records != "nel" {
            routes.push(format!("{{ from: cp273, records: {records}, layout: {numbers}, header: false }}"));
        }
    }
    proptest::sample::select(routes).prop_map(|route| spec(&route))
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => prop::collection::vec(0xf0u8..=0xf9, 1..7),
        2 => proptest::sample::select(vec![b"\x15".to_vec(), b"\x25".to_vec(), b"\x0d\x25".to_vec(), b"\x40".to_vec()]),
        3 => prop::collection::vec(any::<u8>(), 0..12).prop_map(|data| [&[0, data.len() as u8 + 4, 0, 0], &data[..]].concat()),
        3 => Just(b"\0\x0b\0\0\xc1\x6b\x40\x12\x3c\xff\xfe".to_vec()),
        3 => Just(b"\0\x09\0\0\xc1\x7f\x40\xf1\xd2".to_vec()),
        2 => Just(b"\xc1\x9f\x40\x12\x3d\x00\x09".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..9),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_arrival_gives_the_same_end(
        spec in any_spec(), file in any_file(), errors in 0u64..6, places in prop::collection::vec(any::<usize>(), 0..30),
        waiting in 1usize..4, rooms in prop::collection::vec(1usize..90, 1..5),
    ) {
        let limits = Limits { max_record_bytes: ByteSize(60), ..tolerant(errors * 100) };
        let outcome = run(&spec, &limits, &file);
        let arrival = Arrival::cut(&file.clone().into(), &places, waiting, &rooms);
        outcome.assert_same(&drive(vec![made(&spec, &limits).unwrap()], &arrival));
        prop_assert!(std::str::from_utf8(&outcome.bytes).is_ok());
    }

    #[test]
    fn going_on_from_a_state_gives_the_same_end(
        spec in any_spec(), file in any_file(), errors in 0u64..3, seed: u64,
    ) {
        let limits = tolerant(errors * 100);
        resumed(|| vec![made(&spec, &limits).unwrap()], &Arrival::seeded(&file.into(), seed, 1));
    }
}
