//! `validate.unique`: what a dict of Python finds, every message and limit, in any arrival.

use std::collections::HashMap;

use crate::records_support::{any_arrival, cases, resumes_alike, spec, stage};
use eft_domain::{ByteSize, Code, route::Limits};
use eft_fakes::drive::Outcome;
use eft_pipeline::stage::{ResumeClass, Stage};
use proptest::prelude::*;
use serde_json::{Value, json};

fn tolerant() -> Limits {
    Limits { max_errors: u64::MAX, ..Limits::default() }
}

fn judge(unique: Value, limits: &Limits, input: &[u8]) -> Outcome {
    any_arrival(&spec(&json!({ "validate": { "unique": unique } })), limits, input, 13)
}

fn message(unique: Value, input: &[u8]) -> String {
    let failure = judge(unique, &Limits::default(), input).verdict.unwrap_err();
    assert_eq!(failure.code, Code::Validation);
    failure.message
}

/// The reasons of a tolerated file.
fn reasons(unique: Value, input: &[u8]) -> Vec<String> {
    let outcome = judge(unique, &tolerant(), input);
    assert_eq!(outcome.verdict, Ok(()));
    assert!(outcome.bytes == input);
    let rejects = &outcome.report().rejects;
    rejects.iter().map(|reject| format!("{}@{}: {}", reject.record, reject.offset, reject.reason)).collect()
}

fn by_id() -> Value {
    json!({ "records": "csv", "header": true, "columns": ["id"] })
}

#[test]
fn what_python_finds() {
    let mut found = 0;
    for (at, case) in cases("uniques.jsonl").iter().enumerate() {
        let outcome = any_arrival(&case.spec, &tolerant(), &case.input, at as u64);
        assert_eq!(outcome.verdict, Ok(()), "case {at}");
        let broken = case.value["broken"].as_array().unwrap();
        let rejects = &outcome.report().rejects;
        assert_eq!(rejects.len(), broken.len(), "case {at}: {rejects:?} {broken:?}");
        for (reject, expected) in rejects.iter().zip(broken) {
            assert_eq!(
                (Some(reject.record), Some(reject.offset)),
                (expected[0].as_u64(), expected[1].as_u64())
            );
            let end = expected[2]
                .as_u64()
                .map_or("there is no ".to_owned(), |first| format!("is that of record {first}"));
            assert!(reject.reason.contains(&end), "case {at}: {reject:?} {expected}");
        }
        found += broken.len();
    }
    assert!(found > 50, "only {found} keys stand twice");
}

#[test]
fn messages() {
    assert_eq!(
        message(by_id(), b"id,x\n7,a\n8,b\n\"7\",c\n"),
        "1 record breaks the rules, the route allows 0; first: record 3 at byte 13: the key \"7\" is that of record 1"
    );
    let two = json!({ "records": "csv", "columns": [3, 1] });
    assert_eq!(
        reasons(two.clone(), b"a,b,c\na,c,d\na,x,\"c\"\nb\n"),
        ["3@12: the key \"c\", \"a\" is that of record 1", "4@20: there is no field 3"]
    );
    // The lengths are part of a key: no text runs into the next.
    assert_eq!(reasons(two, b"ab,,c\na,,bc\n,,abc\n"), [""; 0]);
    let many = json!({ "records": "csv", "columns": [1, 2, 3, 4, 5] });
    assert_eq!(
        reasons(many, b"1,2,3,4,5\n1,2,3,4,5\n"),
        ["2@10: the key \"1\", \"2\", \"3\", \"4\", … is that of record 1"]
    );
    assert_eq!(message(by_id(), b"a,b\n"), "header at byte 0: there is no column \"id\"");
    assert_eq!(message(by_id(), b""), "header at byte 0: no header, the file is empty");
    assert_eq!(message(by_id(), b"id,id\n"), "header at byte 0: several columns are named \"id\"");
}

#[test]
fn lines_and_positions() {
    let lines = json!(null);
    assert_eq!(
        reasons(lines.clone(), b"\xef\xbb\xbfa\r\nb\na\n"),
        ["3@8: the key \"a\" is that of record 1"]
    );
    assert_eq!(reasons(lines.clone(), b"a\nb\na"), ["3@4: the key \"a\" is that of record 1"]);
    assert_eq!(
        reasons(lines.clone(), b"a\n\x1b[31m\n\x1b[31m\n")[0],
        "3@8: the key \"\\u{1b}[31m\" is that of record 2"
    );
    assert_eq!(judge(lines, &Limits::default(), b"").verdict, Ok(()));
    let fixed = json!({ "columns": [[2, 3]], "header": true });
    assert_eq!(
        reasons(fixed, b"xAAx\nxAAx\nyAAy\nz\n"),
        ["2@10: the key \"AA\" is that of record 1", "3@15: there is no bytes 2 to 3"]
    );
}

#[test]
fn tolerance() {
    let limits = |max_errors| Limits { max_errors, ..Limits::default() };
    let lines = b"a\na\nb\na\n";
    assert_eq!(judge(json!(null), &limits(2), lines).verdict, Ok(()));
    let outcome = judge(json!(null), &limits(1), lines);
    assert_eq!(
        outcome.verdict.clone().unwrap_err().message,
        "2 records break the rules, the route allows 1; first: record 2 at byte 2: the key \"a\" is that of record 1"
    );
    assert_eq!((outcome.report().records, outcome.report().errors), (Some(4), 2));
}

#[test]
fn more_keys_than_there_is_memory_for() {
    let one = json!({ "memory": "1MiB" });
    // 64 bytes a key.
    let keys = (1 << 20) / 64;
    let lines = |count: usize| (0..count).map(|number| format!("{number}\n")).collect::<String>();
    assert_eq!(judge(one.clone(), &Limits::default(), (lines(keys) + "").as_bytes()).verdict, Ok(()));
    let failure = judge(one.clone(), &Limits::default(), lines(keys + 1).as_bytes()).verdict.unwrap_err();
    assert_eq!(failure.code, Code::LimitUniqueKeys);
    assert_eq!(failure.message, "observed 16385 keys and more, up to record 16385, the route allows 16384");
    // A key that was there takes no more.
    let failure = judge(one, &Limits::default(), (lines(keys) + "0\n").as_bytes()).verdict.unwrap_err();
    assert_eq!(failure.code, Code::Validation);
}

#[test]
fn a_long_record_is_refused() {
    let limits = Limits { max_record_bytes: ByteSize(6), ..Limits::default() };
    let failure = judge(by_id(), &limits, b"id,x\nabcdef\n").verdict.unwrap_err();
    assert_eq!(failure.message, "observed 7 bytes and more in record 1 at byte 5, the route allows 6");
    let failure = judge(by_id(), &limits, b"id,xyzz\n").verdict.unwrap_err();
    assert_eq!(failure.message, "observed 7 bytes and more in record 0 at byte 0, the route allows 6");
}

#[test]
fn what_a_plan_is_told() {
    let info = stage(&spec(&json!({ "validate": "unique" })), &Limits::default()).info();
    assert_eq!(info.resume, ResumeClass::R3);
    assert!((66 << 20..67 << 20).contains(&info.memory), "{}", info.memory);
    let text = b"a\nb\nc\n";
    assert_eq!(resumes_alike(&spec(&json!({ "validate": "unique" })), &Limits::default(), text, 1), 0);
}

proptest! {
    #[test]
    fn any_file_in_any_arrival(
        rows in prop::collection::vec(("[ab]{0,2}", "(\"b\n\"|[ab]?)"), 0..40), seed: u64, max_errors in 0u64..4,
    ) {
        let input: String = rows.iter().map(|(one, two)| format!("{one},x,{two}\n")).collect();
        let spec = spec(&json!({ "validate": { "unique": { "records": "csv", "columns": [1, 3] } } }));
        let limits = Limits { max_errors, ..Limits::default() };
        let outcome = any_arrival(&spec, &limits, input.as_bytes(), seed);
        let mut first = HashMap::new();
        let mut twice = (1u64..).zip(&rows).filter(|(number, row)| first.insert(*row, *number).is_some());
        let numbers: Vec<_> = twice.by_ref().map(|(number, _)| number).take(max_errors as usize + 1).collect();
        let rejects: Vec<_> = outcome.report().rejects.iter().map(|reject| reject.record).collect();
        prop_assert_eq!(outcome.verdict.is_ok(), numbers.len() as u64 <= max_errors);
        prop_assert_eq!(rejects, numbers);
    }
}
