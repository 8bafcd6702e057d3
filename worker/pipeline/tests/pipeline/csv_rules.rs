//! Every rule of `validate.csv`, with exact records, offsets and words.

use std::collections::BTreeMap;

use bytes::Bytes;
use eft_domain::route::{ColumnType, Columns, CsvSpec, Limits, RecordTerminator};
use eft_domain::{ByteSize, Code, Failure};
use eft_pipeline::stage::csv::CsvValidate;
use eft_pipeline::stage::{Input, MAX_REJECTS, Output, Stage, StageReport};

fn spec(columns: Columns) -> CsvSpec {
    CsvSpec {
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        terminator: RecordTerminator::Any,
        columns,
        types: BTreeMap::new(),
        not_null: Vec::new(),
        null_values: vec![String::new()],
        utf8: true,
    }
}

fn named(names: &[&str]) -> CsvSpec {
    spec(Columns::Named(names.iter().map(|name| name.to_string()).collect()))
}

fn tolerant() -> Limits {
    Limits { max_errors: u64::MAX, ..Limits::default() }
}

fn judge(spec: &CsvSpec, limits: &Limits, chunks: &[&[u8]]) -> (Result<(), Failure>, StageReport) {
    let mut stage = CsvValidate::new(spec.clone(), limits).unwrap();
    let (mut input, mut output) = (Input::default(), Output::with_room(0));
    for chunk in chunks {
        input.push(Bytes::copy_from_slice(chunk));
        if let Err(failure) = stage.step(&mut input, &mut output) {
            return (Err(failure), stage.report());
        }
    }
    input.end();
    let verdict = stage.step(&mut input, &mut output).map(drop);
    if verdict.is_ok() {
        assert_eq!(output.take().concat(), chunks.concat());
    }
    (verdict, stage.report())
}

/// The rejects of a tolerated file, as `record@offset column: reason`; whole and cut between any two bytes.
fn rejects(spec: &CsvSpec, input: &[u8]) -> Vec<String> {
    let show = |chunks: &[&[u8]]| {
        let (verdict, report) = judge(spec, &tolerant(), chunks);
        verdict.unwrap();
        let rows = report.rejects.iter().map(|reject| {
            let column = reject.column.as_deref().unwrap_or("-");
            format!("{}@{} {column}: {}", reject.record, reject.offset, reject.reason)
        });
        rows.collect::<Vec<_>>()
    };
    let whole = show(&[input]);
    for at in 0..=input.len() {
        assert_eq!(show(&[&input[..at], &input[at..]]), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(show(&bytes), whole, "byte by byte");
    whole
}

fn message(spec: &CsvSpec, limits: &Limits, input: &[u8]) -> (Code, String) {
    let failure = judge(spec, limits, &[input]).0.unwrap_err();
    (failure.code, failure.message)
}

#[test]
fn well_formed_files_have_no_rejects() {
    let files: [&[u8]; 9] = [
        b"",
        b"\xef\xbb\xbf",
        b"a,b",
        b"a,b\n",
        b"a,b\r\nc,d\n\"e\",\"f\"",
        b"\"a\"\"b\",\"c\r\n,d\"\r\n",
        b",\n,",
        b"\"\",\"\"\n",
        "é,東\n".as_bytes(),
    ];
    for file in files {
        assert!(rejects(&named(&["x", "y"]), file).is_empty(), "{:?}", file.escape_ascii().to_string());
    }
}

#[test]
fn a_name_of_the_file_is_escaped_in_the_message() {
    let (code, text) = message(&spec(Columns::FromFile), &Limits::default(), b"\"a\n\x1b[31mb\"\n\0\n");
    assert_eq!(code, Code::Validation);
    assert!(text.ends_with(r"record 1 at byte 11, column a\n\u{1b}[31mb: NUL at byte 11"), "{text}");
}

#[test]
fn records_count_without_the_header() {
    let count = |spec: &CsvSpec, input: &[u8]| judge(spec, &tolerant(), &[input]).1.records.unwrap();
    let two = named(&["x", "y"]);
    assert_eq!(count(&two, b""), 0);
    assert_eq!(count(&two, b"1,2\n3,4\n"), 2);
    assert_eq!(count(&two, b"1,2\n3,4"), 2);
    assert_eq!(count(&spec(Columns::FromFile), b"x,y\n3,4"), 1);
    assert_eq!(count(&spec(Columns::FromFile), b"x,y"), 0);
}

#[test]
fn broken_quoting_is_an_error_of_its_record() {
    let two = named(&["x", "y"]);
    assert_eq!(rejects(&two, b"1,2\na\"b,2\n3,4\n"), ["2@4 x: quote inside an unquoted field at byte 5"]);
    assert_eq!(rejects(&two, b"1,2\n\"a\"b\"c,2\n3,4\n"), ["2@4 x: text after the closing quote at byte 7"]);
    assert_eq!(rejects(&two, b"1, \"2\"\n"), ["1@0 y: quote inside an unquoted field at byte 3"]);
    assert_eq!(rejects(&two, b"1,2\n3,\"4\n5,6\n"), ["2@4 y: quote opened at byte 6 is not closed"]);
    assert_eq!(rejects(&two, b"\"1,2"), ["1@0 x: quote opened at byte 0 is not closed"]);
    assert_eq!(rejects(&CsvSpec { quote: None, ..two }, b"a\"b,\"2\n"), [""; 0]);
}

#[test]
fn escapes_work_in_quotes_only() {
    let two = CsvSpec { escape: Some(b'\\'), ..named(&["x", "y"]) };
    assert_eq!(rejects(&two, b"\"a\\\"b\",\"\\\\\"\n\\,\\\n"), [""; 0]);
    assert_eq!(rejects(&two, b"\"a\\\",2"), ["1@0 x: quote opened at byte 0 is not closed"]);
    let integer = CsvSpec { types: [("x".to_owned(), ColumnType::Integer)].into(), ..two };
    assert_eq!(rejects(&integer, b"\"\\1\\2\",\n\"1\\x\",\n"), ["2@8 x: not an integer: \"1x\""]);
}

#[test]
fn terminators() {
    let two = named(&["x", "y"]);
    let lone_cr = "carriage return without a line feed at byte";
    assert_eq!(
        rejects(&two, b"1,2\r3,4\n5,6\n"),
        [format!("1@0 y: {lone_cr} 3"), "1@0 -: 3 fields, expected 2".into()]
    );
    assert_eq!(rejects(&two, b"1,2\r"), [format!("1@0 y: {lone_cr} 3")]);
    assert_eq!(rejects(&two, b"1,2\r\r\n3,4\r\n"), [format!("1@0 y: {lone_cr} 3")]);
    assert_eq!(rejects(&two, b"1,\"2\"\r3\n"), ["1@0 y: text after the closing quote at byte 5"]);
    let lf = CsvSpec { terminator: RecordTerminator::Lf, ..two.clone() };
    assert_eq!(rejects(&lf, b"1,2\r3\r\n\r,\n"), [""; 0]);
    assert_eq!(rejects(&lf, b"1,\"2\"\r\n"), ["1@0 y: text after the closing quote at byte 5"]);
    let crlf = CsvSpec { terminator: RecordTerminator::CrLf, ..two };
    assert_eq!(
        rejects(&crlf, b"1,\"\n\r\"\r\n1,a\nb\r\n3,4"),
        ["2@8 y: line feed without a carriage return at byte 11"]
    );
}

#[test]
fn blank_lines() {
    let two = named(&["x", "y"]);
    assert_eq!(rejects(&two, b"1,2\n\n3,4\n\r\n"), ["2@4 -: blank line", "4@9 -: blank line"]);
    assert_eq!(rejects(&two, b"1,2\n\"\"\n"), ["2@4 -: 1 field, expected 2"]);
    let one = CsvSpec { not_null: vec!["x".to_owned()], ..named(&["x"]) };
    assert_eq!(rejects(&one, b"1\n\n2\n"), ["2@2 x: null (\"\"), the column may not be"]);
    assert_eq!(rejects(&named(&["x"]), b"1\n\n2\n\n"), [""; 0]);
}

#[test]
fn field_counts() {
    let two = named(&["x", "y"]);
    assert_eq!(
        rejects(&two, b"1\n1,2\n1,2,3\n1,2,3,4\"\n"),
        [
            "1@0 -: 1 field, expected 2",
            "3@6 -: 3 fields, expected 2",
            "4@12 #4: quote inside an unquoted field at byte 19",
            "4@12 -: 4 fields, expected 2"
        ]
    );
    assert_eq!(rejects(&spec(Columns::Unnamed), b"1,2,3\n1,2\n"), ["2@6 -: 2 fields, expected 3"]);
}

#[test]
fn nulls_and_types() {
    let types = [("n".to_owned(), ColumnType::Integer), ("d".to_owned(), ColumnType::Date)].into();
    let base =
        CsvSpec { types, not_null: vec!["d".into()], null_values: vec!["NA".into()], ..named(&["n", "d"]) };
    assert_eq!(
        rejects(&base, b"NA,2024-02-29\n,2023-02-29\n\"NA\",NA\n\"\",\"2024-01-01\"\n"),
        [
            "2@14 n: not an integer: \"\"",
            "2@14 d: not a date: \"2023-02-29\"",
            "3@26 n: not an integer: \"NA\"",
            "3@26 d: null (\"NA\"), the column may not be",
            "4@34 n: not an integer: \"\"",
        ]
    );
    // A null that looks like a value is a null.
    let zero = CsvSpec { not_null: vec!["n".into()], null_values: vec!["0".into()], ..base };
    assert_eq!(
        rejects(&zero, b"1,2024-01-01\n0,2024-01-01\n"),
        ["2@13 n: null (\"0\"), the column may not be"]
    );
}

#[test]
fn observed_text_is_cut_and_escaped() {
    let integer = CsvSpec { types: [("x".to_owned(), ColumnType::Integer)].into(), ..named(&["x"]) };
    let long = "é\t\"".repeat(40);
    let shown = format!("1@0 x: not an integer: \"{}\"…", "é\\t\\\"".repeat(16));
    assert_eq!(rejects(&integer, format!("\"{}\"", long.replace('"', "\"\"")).as_bytes()), [shown]);
    let latin = CsvSpec { utf8: false, ..integer };
    assert_eq!(rejects(&latin, b"\xe9t\xe9"), ["1@0 x: not an integer: \"\\xe9t\\xe9\""]);
}

#[test]
fn nul_and_utf8() {
    let two = named(&["x", "y"]);
    assert_eq!(rejects(&two, b"1,2\n\"\0\0\",\0\n"), ["2@4 x: NUL at byte 5", "2@4 y: NUL at byte 9"]);
    assert_eq!(
        rejects(&two, b"1,\xc3\n\xff\xff,\xed\xa0\x80\n\xe2\x82,\xf0\x9f"),
        [
            "1@0 y: not UTF-8 at byte 2: truncated sequence (c3)",
            "2@4 x: not UTF-8 at byte 4: byte that never occurs in UTF-8 (ff)",
            "2@4 y: not UTF-8 at byte 7: surrogate (ed a0)",
            "3@11 x: not UTF-8 at byte 11: truncated sequence (e2 82)",
            "3@11 y: not UTF-8 at byte 14: truncated sequence at the end of the file (f0 9f)",
        ]
    );
    assert_eq!(rejects(&CsvSpec { utf8: false, ..two }, b"1,\xc3\n"), [""; 0]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    let header = spec(Columns::Header(vec!["x".into(), "y".into()]));
    assert_eq!(rejects(&header, b"\xef\xbb\xbfx,y\n1\n"), ["1@7 -: 1 field, expected 2"]);
    assert_eq!(rejects(&header, b"\xef\xbb\xbf\"x\",y\n"), [""; 0]);
    // Two thirds of one are text, and broken.
    let broken = rejects(&named(&["x"]), b"\xef\xbb\n1\n");
    assert_eq!(broken, ["1@0 x: not UTF-8 at byte 0: truncated sequence (ef bb)"]);
    // Anywhere else it is a character.
    let failure = message(&header, &tolerant(), b"\xef\xbb\xbf\xef\xbb\xbfx,y\n").1;
    assert!(failure.contains("expected \"x\", found \"\\u{feff}x\""), "{failure}");
}

#[test]
fn a_wrong_header_is_final() {
    let header = spec(Columns::Header(vec!["id".into(), "qty".into()]));
    let cases: [(&[u8], &str); 7] = [
        (
            b"id,sku\n1,2\n",
            "header at byte 0: expected [\"id\", \"qty\"], found [\"id\", \"sku\"]; first difference in column 2: \
             expected \"qty\", found \"sku\"",
        ),
        (
            b"id\n",
            "header at byte 0: expected [\"id\", \"qty\"], found [\"id\"]; first difference in column 2: expected \
             \"qty\", found nothing",
        ),
        (
            b"id,qty,x\n",
            "header at byte 0: expected [\"id\", \"qty\"], found [\"id\", \"qty\", \"x\"]; first difference in column \
             3: expected nothing, found \"x\"",
        ),
        (b"", "header at byte 0: no header, the file is empty; expected [\"id\", \"qty\"]"),
        (b"\n1,2\n", "header at byte 0: blank line where the header should be"),
        (b"id,q\0ty\n", "header at byte 0, column #2: NUL at byte 4"),
        (b"id,\"qty\n", "header at byte 0, column #2: quote opened at byte 3 is not closed"),
    ];
    for (input, expected) in cases {
        assert_eq!(message(&header, &tolerant(), input), (Code::Validation, expected.to_owned()));
        let report = judge(&header, &tolerant(), &[input]).1;
        assert_eq!((report.records, report.errors, report.rejects[0].record), (Some(0), 1, 0));
    }
    let ruled = CsvSpec { not_null: vec!["qty".into()], ..spec(Columns::FromFile) };
    let missing = "header at byte 0: a rule for column \"qty\", which the header does not have";
    assert_eq!(message(&ruled, &tolerant(), b"id,sku\n").1, missing);
    let twice = "header at byte 0: a rule for column \"qty\", and 2 columns have this name";
    assert_eq!(message(&ruled, &tolerant(), b"qty,qty\n").1, twice);
}

#[test]
fn the_threshold_counts_records() {
    let two = CsvSpec { types: [("x".to_owned(), ColumnType::Integer)].into(), ..named(&["x", "y"]) };
    let limits = |max_errors| Limits { max_errors, ..Limits::default() };
    let input = b"1,2\na\n3,4\nb,\"c\"d\ne\nf\n";
    let first = "first: record 2 at byte 4, column x: not an integer: \"a\"";
    let text = |n: u64| format!("{} records break the rules, the route allows {n}; {first}", n + 1);
    assert_eq!(message(&two, &limits(3), input), (Code::Validation, text(3)));
    assert_eq!(message(&two, &limits(1), input), (Code::Validation, text(1)));
    let one = format!("1 record breaks the rules, the route allows 0; {first}");
    assert_eq!(message(&two, &limits(0), input), (Code::Validation, one));
    let (verdict, report) = judge(&two, &limits(4), &[input]);
    assert_eq!((verdict, report.records, report.errors, report.rejects.len()), (Ok(()), Some(6), 4, 8));
    let many = b"a\n".repeat(MAX_REJECTS * 2);
    let report = judge(&two, &tolerant(), &[&many]).1;
    assert_eq!((report.errors, report.rejects.len()), (200, MAX_REJECTS));
}

#[test]
fn limits_fail_at_once() {
    let two = named(&["x", "y"]);
    let limits = Limits { max_record_bytes: ByteSize(80), max_fields: 3, ..tolerant() };
    let long = |n: usize| [b"1,2\n", &b"x".repeat(n)[..], b",\n1,2\n"].concat();
    assert!(judge(&two, &limits, &[&long(78)]).0.is_ok());
    let failure = (
        Code::LimitRecordBytes,
        "observed 81 bytes and more in record 2 at byte 4, the route allows 80".into(),
    );
    assert_eq!(message(&two, &limits, &long(79)), failure);
    let quoted = [b"1,\"2\n", &b"x\n".repeat(50)[..]].concat();
    let text = "observed 81 bytes and more in record 1 at byte 0 (inside the quote opened at byte 2), the route allows 80";
    assert_eq!(message(&two, &limits, &quoted), (Code::LimitRecordBytes, text.to_owned()));
    let old_mac = b"1,2\r".repeat(30);
    let failure = message(&two, &Limits { max_fields: 100, ..limits.clone() }, &old_mac).1;
    assert!(failure.contains("(carriage return without a line feed at byte 3)"), "{failure}");
    let text = "observed 4 fields and more in record 2 at byte 4, the route allows 3";
    assert_eq!(message(&two, &limits, b"1,2\n1,2,3,4\n"), (Code::LimitFields, text.to_owned()));
    let small = Limits { max_record_bytes: ByteSize(3), ..tolerant() };
    assert_eq!(message(&spec(Columns::Unnamed), &small, b"1\n123\n").0, Code::LimitRecordBytes);
    assert!(judge(&spec(Columns::Unnamed), &small, &[b"1\n12\n123"]).0.is_ok());
}

/// A line of 1 GiB is neither held nor waited for, in quotes and out, typed and not.
#[test]
fn an_endless_line_is_not_held() {
    let chunk = Bytes::from(vec![b'7'; 1 << 20]);
    for (ty, start) in [(ColumnType::Text, &b"\""[..]), (ColumnType::Text, b""), (ColumnType::Integer, b"")] {
        let types = [("x".to_owned(), ty)].into();
        let limits = Limits { max_record_bytes: ByteSize::gib(2), ..Limits::default() };
        let mut stage = CsvValidate::new(CsvSpec { types, ..named(&["x"]) }, &limits).unwrap();
        assert!(stage.info().memory < 1 << 20);
        let (mut input, mut output) = (Input::default(), Output::with_room(0));
        input.push(Bytes::from_static(start));
        // Integers go byte by byte: less of them, for the time of an unoptimised test.
        for _ in 0..if ty == ColumnType::Text { 1024 } else { 64 } {
            input.push(chunk.clone());
            stage.step(&mut input, &mut output).unwrap();
            // The very same bytes pass on, and nothing keeps them.
            let out = output.take();
            assert_eq!(out.last().unwrap().as_ptr(), chunk.as_ptr());
            assert!(!chunk.is_unique());
            drop(out);
            assert!(chunk.is_unique());
        }
    }
    let mut stage = CsvValidate::new(named(&["x"]), &Limits::default()).unwrap();
    let (mut input, mut output) = (Input::default(), Output::with_room(0));
    input.push(chunk.clone());
    stage.step(&mut input, &mut output).unwrap();
    input.push(chunk);
    assert_eq!(stage.step(&mut input, &mut output).unwrap_err().code, Code::LimitRecordBytes);
}

#[test]
fn contradictory_specs_are_refused() {
    let ok = named(&["x", "y"]);
    let typed = |name: &str| [(name.to_owned(), ColumnType::Integer)].into();
    let refused = [
        CsvSpec { delimiter: b'"', ..ok.clone() },
        CsvSpec { delimiter: b'\n', ..ok.clone() },
        CsvSpec { delimiter: 0xa7, ..ok.clone() },
        CsvSpec { quote: Some(0), ..ok.clone() },
        CsvSpec { escape: Some(b','), ..ok.clone() },
        CsvSpec { escape: Some(b'\\'), quote: None, ..ok.clone() },
        CsvSpec { types: typed("z"), ..ok.clone() },
        CsvSpec { not_null: vec!["z".into()], ..ok.clone() },
        CsvSpec { types: typed("x"), ..named(&["x", "x"]) },
        CsvSpec { types: typed("x"), ..spec(Columns::Unnamed) },
        named(&[]),
        named(&vec!["x"; 4097]),
    ];
    for spec in refused {
        let failure = CsvValidate::new(spec, &Limits::default()).map(drop).unwrap_err();
        assert_eq!(failure.code, Code::RouteInvalid, "{failure}");
    }
    assert!(CsvValidate::new(CsvSpec { escape: Some(b'"'), ..ok }, &Limits::default()).is_ok());
}

/// A chain is asked for its state also where an earlier stage is done already.
#[test]
fn a_state_at_the_end_goes_on_at_the_end() {
    for text in ["1,2\n3,4\n", "1,2\n3,4", "1,2\n3,\"4", "1,2\n3"] {
        let (spec, mut input) = (named(&["a", "b"]), Input::default());
        input.push(Bytes::from(text));
        input.end();
        let mut stage = CsvValidate::new(spec.clone(), &tolerant()).unwrap();
        stage.step(&mut input, &mut Output::with_room(0)).unwrap();
        let mut again = CsvValidate::new(spec, &tolerant()).unwrap();
        again.restore(stage.save().unwrap()).unwrap();
        let mut rest = Input::resumed(text.len() as u64, 0);
        rest.end();
        again.step(&mut rest, &mut Output::with_room(0)).unwrap();
        assert_eq!(again.report(), stage.report(), "{text:?}");
    }
}

/// What Python's `csv` module counts in the same files; `csv_fixtures/make.py` wrote the expectations.
#[test]
fn counts_are_pythons() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/csv_fixtures/");
    let expected = include_str!("../csv_fixtures/expected.txt");
    assert_eq!(expected.lines().count(), 6);
    for line in expected.lines() {
        let [name, records, width] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let input = std::fs::read(format!("{folder}{name}")).unwrap();
        let mut spec = spec(Columns::FromFile);
        match name {
            "mixed_ends.csv" => spec.delimiter = b';',
            "escaped.csv" => spec.escape = Some(b'\\'),
            "tabs.tsv" => spec.delimiter = b'\t',
            _ => {}
        }
        let (verdict, report) = judge(&spec, &Limits::default(), &[&input]);
        assert_eq!((verdict, report.records), (Ok(()), records.parse().ok()), "{name}");
        // The width: one field more is an error that says so.
        let more = [&input[..], b"\n", &vec![spec.delimiter; 9][..]].concat();
        let reject = judge(&spec, &tolerant(), &[&more]).1.rejects.pop().unwrap();
        assert_eq!(reject.reason, format!("10 fields, expected {width}"), "{name}");
    }
}
