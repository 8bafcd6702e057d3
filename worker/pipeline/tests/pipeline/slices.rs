//! `head` and `drop`: the records that other programs would leave, in any arrival and after any resumption.

use crate::records_support::{any_arrival, cases, hex, resumes_alike, stage};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Code,
    route::{DialectSpec, DropSpec, HeadSpec, Limits, RecordsSpec, StageSpec},
};
use eft_fakes::drive::{Arrival, drive};
use eft_pipeline::stage::{Flow, Input, Kind, Output, ResumeClass, Stage};
use proptest::prelude::*;

fn head(first: u64, records: RecordsSpec) -> StageSpec {
    StageSpec::Head(HeadSpec { first, records })
}

fn drop(first: u64, last: u64, records: RecordsSpec) -> StageSpec {
    StageSpec::Drop(DropSpec { first, last, records })
}

fn csv() -> RecordsSpec {
    RecordsSpec::Csv(DialectSpec::default())
}

fn limited(max: u64) -> Limits {
    Limits { max_record_bytes: ByteSize(max), ..Limits::default() }
}

#[test]
fn other_programs_leave_the_same() {
    let cases = cases("slices.jsonl");
    assert!(cases.len() > 150, "only {} cases", cases.len());
    for (at, case) in cases.iter().enumerate() {
        let outcome = any_arrival(&case.spec, &Limits::default(), &case.input, at as u64);
        assert_eq!(outcome.verdict, Ok(()));
        let expected = hex(&case.value["output"]);
        assert!(outcome.bytes == expected, "case {at}: {:?} of {}", case.spec, case.input.escape_ascii());
    }
}

#[test]
fn the_edges() {
    let text = b"a\nbb\nccc\ndddd";
    let left = |spec| any_arrival(&spec, &Limits::default(), text, 3).bytes;
    assert_eq!(left(head(1, RecordsSpec::Lines)), b"a\n");
    assert_eq!(left(head(4, RecordsSpec::Lines)), text);
    assert_eq!(left(head(u64::MAX, RecordsSpec::Lines)), text);
    assert_eq!(left(drop(1, 0, RecordsSpec::Lines)), b"bb\nccc\ndddd");
    assert_eq!(left(drop(0, 1, RecordsSpec::Lines)), b"a\nbb\nccc\n");
    assert_eq!(left(drop(1, 3, RecordsSpec::Lines)), b"");
    assert_eq!(left(drop(9, 9, RecordsSpec::Lines)), b"");
    let marked = any_arrival(&drop(1, 0, csv()), &Limits::default(), b"\xef\xbb\xbfh\n1\n", 3);
    assert_eq!(marked.bytes, b"1\n");
}

#[test]
fn a_long_record_is_refused_where_it_is_looked_at() {
    let limits = limited(5);
    let text = b"a\nbb\ncccccc\nd\n";
    let verdict = |spec: StageSpec| any_arrival(&spec, &limits, text, 5).verdict;
    let refused = verdict(head(3, RecordsSpec::Lines)).unwrap_err();
    assert_eq!(refused.code, Code::LimitRecordBytes);
    assert_eq!(refused.message, "observed 6 bytes and more in record 3 at byte 5, the route allows 5");
    assert_eq!(verdict(drop(0, 1, csv())).unwrap_err(), refused);
    assert_eq!(verdict(drop(3, 0, csv())).unwrap_err(), refused);
    assert_eq!(verdict(head(2, RecordsSpec::Lines)), Ok(()));
    assert_eq!(verdict(drop(2, 0, RecordsSpec::Lines)), Ok(()));
    // With its line end it is as long as it may be.
    assert_eq!(any_arrival(&head(9, csv()), &limited(6), b"ccccc\n", 1).verdict, Ok(()));
    assert!(any_arrival(&head(9, csv()), &limited(5), b"ccccc\n", 1).verdict.is_err());
}

#[test]
fn what_is_reported() {
    let outcome = any_arrival(&head(3, RecordsSpec::Lines), &Limits::default(), b"a\nb\nc\nd\n", 1);
    assert_eq!(outcome.report().records, Some(3));
    let outcome = any_arrival(&head(9, RecordsSpec::Lines), &Limits::default(), b"a\nb", 1);
    assert_eq!(outcome.report().records, Some(2));
}

#[test]
fn what_a_plan_is_told() {
    let info = |spec: StageSpec, max: u64| stage(&spec, &limited(max)).info();
    assert_eq!(info(head(1, csv()), 1 << 20).resume, ResumeClass::R1);
    assert_eq!(info(drop(1, 1, csv()), 1 << 20).resume, ResumeClass::R1);
    assert_eq!(info(drop(1, 2, csv()), 1 << 20).resume, ResumeClass::R3);
    assert_eq!(info(drop(1, 0, csv()), 1 << 20).kind, Kind::Slice);
    assert!(info(drop(1, 0, csv()), 1 << 20).memory < 1024);
    let held = info(drop(0, 8, csv()), 1 << 20).memory;
    assert!((9 << 20..12 << 20).contains(&held), "{held}");
}

/// What passes is the input's own memory, also what was held back.
#[test]
fn nothing_is_copied() {
    let text = Bytes::from([[b'x'; 99].as_slice(), b"\n"].concat().repeat(1000));
    for spec in [head(500, csv()), drop(3, 0, csv()), drop(3, 5, csv())] {
        let mut stage = stage(&spec, &Limits::default());
        let mut input = Input::default();
        for at in 0..10 {
            input.push(text.slice(at * 10_000..(at + 1) * 10_000));
        }
        input.end();
        let own = text.as_ptr_range();
        let mut passed = 0;
        loop {
            let mut output = Output::with_room(7_000);
            let flow = stage.step(&mut input, &mut output).unwrap();
            assert!(output.len() <= 7_000 && output.made() == 0);
            for piece in output.take() {
                assert!(own.contains(&piece.as_ptr()), "{spec:?}: a copy");
                passed += piece.len();
            }
            if flow == Flow::Done {
                break;
            }
            assert_eq!(flow, Flow::Full);
        }
        assert!(passed >= 50_000);
    }
}

#[test]
fn a_state_of_another_stage_is_refused() {
    let refused = |spec: StageSpec, state| stage(&spec, &Limits::default()).restore(state).unwrap_err().code;
    let state =
        |lengths: &[u64], held: &str| serde_json::json!({ "read": 3, "lengths": lengths, "held": held });
    for state in [
        serde_json::json!(null),
        state(&[1], ""),
        state(&[2, 2], "YWJjZA=="),
        state(&[u64::MAX, 5], "YWJjZA=="),
        state(&[4], "YWJjZA"),
    ] {
        assert_eq!(refused(drop(0, 1, csv()), state), Code::CheckpointRefused);
    }
    assert_eq!(refused(head(1, csv()), serde_json::json!("1")), Code::CheckpointRefused);
}

/// The stage in company: what it leaves is checked, and what was decompressed or passed before it is cut.
#[test]
fn in_a_chain() {
    let text = b"H\n1,2\n3,4\nT,2\n".to_vec();
    let stages =
        || vec![stage(&drop(1, 1, csv()), &Limits::default()), stage(&head(1, csv()), &Limits::default())];
    let outcome = drive(stages(), &Arrival::whole(&Bytes::from(text)));
    assert_eq!((outcome.verdict, outcome.bytes), (Ok(()), b"1,2\n".to_vec()));
}

/// Text with quotes and line ends in every place.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"ab,\"\\\r\n\n\xff".to_vec()), 0..300)
}

/// What `head` and `drop` are for: a plain reading of the whole file.
fn records(input: &[u8], quoted: bool) -> Vec<&[u8]> {
    let (mut found, mut from, mut start, mut inside, mut closing) = (Vec::new(), 0, true, false, false);
    for (at, &byte) in input.iter().enumerate() {
        if quoted && inside {
            (inside, closing) = (byte != b'"', byte == b'"');
            continue;
        }
        if quoted && byte == b'"' && (start || closing) {
            (inside, closing, start) = (true, false, false);
            continue;
        }
        closing = false;
        start = byte == b',' || byte == b'\n';
        if byte == b'\n' {
            found.push(&input[from..=at]);
            from = at + 1;
        }
    }
    if from < input.len() {
        found.push(&input[from..]);
    }
    found
}

proptest! {
    #[test]
    fn any_text_in_any_arrival(input in text(), quoted: bool, first in 0u64..6, last in 0u64..6, seed: u64) {
        let spec = if quoted { csv() } else { RecordsSpec::Lines };
        let all = records(&input, quoted);
        let cut = any_arrival(&head(first + 1, spec), &Limits::default(), &input, seed);
        prop_assert_eq!(cut.bytes, all[..all.len().min(first as usize + 1)].concat());
        prop_assume!(first + last > 0);
        let dropped = any_arrival(&drop(first, last, spec), &Limits::default(), &input, seed);
        let rest = &all[all.len().min(first as usize)..];
        prop_assert_eq!(dropped.bytes, rest[..rest.len().saturating_sub(last as usize)].concat());
    }

    #[test]
    fn any_place_to_go_on_from(input in text(), quoted: bool, first in 0u64..6, last in 0u64..6, seed: u64) {
        let spec = if quoted { csv() } else { RecordsSpec::Lines };
        let limits = limited(300);
        let places = resumes_alike(&head(first + 1, spec), &limits, &input, seed);
        prop_assert!(places > 0 || input.len() < 301);
        if first + last > 0 {
            resumes_alike(&drop(first, last, spec), &limits, &input, seed);
        }
    }
}
