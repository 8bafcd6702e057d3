//! `validate.trailer`: every rule and message, what Python's decimal says, any arrival and any resumption.

use crate::records_support::{any_arrival, cases, resumes_alike, spec, stage};
use eft_domain::{ByteSize, Code, route::Limits};
use eft_fakes::drive::Outcome;
use eft_pipeline::stage::Stage;
use proptest::prelude::*;
use serde_json::{Value, json};

fn judge(trailer: Value, input: &[u8]) -> Outcome {
    any_arrival(&spec(&json!({ "validate": { "trailer": trailer } })), &Limits::default(), input, 11)
}

fn message(trailer: Value, input: &[u8]) -> String {
    let outcome = judge(trailer, input);
    let failure = outcome.verdict.clone().unwrap_err();
    assert_eq!(failure.code, Code::Validation);
    let (errors, rejects) = (outcome.report().errors, &outcome.report().rejects);
    assert_eq!((errors, rejects.len()), (1, 1));
    assert!(failure.message.ends_with(&rejects[0].reason), "{failure} {rejects:?}");
    failure.message
}

/// A count in field 2 and a sum in field 3, of the column `amount`.
fn both() -> Value {
    json!({ "records": "csv", "header": true, "prefix": "TRL", "count": { "field": 2 }, "sum": { "column": "amount", "field": 3 } })
}

const FILE: &[u8] = b"id,amount\n1,10.25\n2,\"0.25\"\n3,\nTRL,3,10.50\n";

#[test]
fn what_python_says() {
    let cases = cases("trailers.jsonl");
    let (mut right, mut wrong) = (0, 0);
    for (at, case) in cases.iter().enumerate() {
        let outcome = any_arrival(&case.spec, &Limits::default(), &case.input, at as u64);
        assert_eq!(outcome.report().records, case.value["records"].as_u64(), "case {at}");
        let faults: Vec<_> =
            case.value["wrong"].as_array().unwrap().iter().map(|fault| fault.as_str().unwrap()).collect();
        let Err(failure) = outcome.verdict else {
            assert!(faults.is_empty(), "case {at} should be refused for {faults:?}");
            assert!(outcome.bytes == case.input);
            right += 1;
            continue;
        };
        wrong += 1;
        let says = |what: &str| failure.message.contains(what);
        assert_eq!(says("the file has"), faults.contains(&"count"), "case {at}: {failure}");
        let total = case.value["total"].as_str().unwrap();
        assert_eq!(
            failure.message.ends_with(&format!("it adds up to {total}")),
            faults.contains(&"sum"),
            "case {at}: {failure}, {total}"
        );
    }
    assert!(right > 30 && wrong > 30, "{right} right and {wrong} wrong");
}

#[test]
fn a_right_trailer_passes() {
    let outcome = judge(both(), FILE);
    assert_eq!((outcome.verdict.clone(), outcome.report().records), (Ok(()), Some(3)));
    assert!(outcome.bytes == FILE);
    for input in [
        &b"id,amount\nTRL,0,0\n"[..],
        b"\xef\xbb\xbfid,amount\r\n1, -3.00 \r\n2,+3\r\nTRL, 0002 ,0.000",
        b"\"amount\",id\n9999999999999999999999999999.99,x\nTRL,1,9999999999999999999999999999.99\n",
    ] {
        assert_eq!(judge(both(), input).verdict, Ok(()), "{}", input.escape_ascii());
    }
    let bare = json!({ "prefix": "T" });
    assert_eq!(judge(bare.clone(), b"\xef\xbb\xbfT").verdict, Ok(()));
    assert_eq!(judge(bare, b"x\nT\n").verdict, Ok(()));
}

#[test]
fn both_values_are_said() {
    assert_eq!(
        message(both(), b"id,amount\n1,10.25\n2,0.24\nTRL,3,10.50\n"),
        "record 3 at byte 25: trailer: it says 3 records, the file has 2; \
         it says that column amount adds up to 10.5, it adds up to 10.49"
    );
    let all = json!({ "records": "csv", "header": true, "count": { "field": 2, "of": "all" } });
    assert_eq!(judge(all.clone(), b"h\na\nb\nT,4\n").verdict, Ok(()));
    assert_eq!(
        message(all, b"h\na\nb\nT,2\n"),
        "record 3 at byte 6: trailer: it says 2 records, header and trailer included, the file has 4"
    );
}

#[test]
fn what_is_no_trailer() {
    assert_eq!(message(both(), b""), "record 1 at byte 0: trailer: there is none, the file has no record");
    assert_eq!(
        message(both(), b"id,amount\n"),
        "record 1 at byte 0: trailer: there is none, the file has a header only"
    );
    assert_eq!(
        message(both(), b"id,amount\n1,2\n2,\"x\ny\"\n"),
        "record 2 at byte 14: trailer: the last record does not begin with \"TRL\": \"2,\\\"x\\ny\\\"\""
    );
    assert_eq!(
        message(both(), b"id,amount\nTRL,0,0\n1,1\nTRL,1,1\n"),
        "record 1 at byte 10: begins with \"TRL\" as a trailer does, and is not the last record"
    );
    assert_eq!(
        message(both(), b"id,amount\nTRL\n"),
        "record 1 at byte 10: trailer: it has no field 2, the count; it has no field 3, the sum"
    );
    assert_eq!(
        message(both(), b"id,amount\nTRL,-1,1e3\n"),
        "record 1 at byte 10: trailer: field 2, the count, is not a whole number: \"-1\"; \
         field 3, the sum, is not a decimal number: \"1e3\""
    );
    assert_eq!(
        message(json!({ "records": "csv", "count": { "field": 1 } }), b"99999999999999999999\n"),
        "record 1 at byte 0: trailer: field 1, the count, is not a whole number: \"99999999999999999999\""
    );
}

#[test]
fn what_cannot_be_added() {
    assert_eq!(
        message(both(), b"id,amount\n1,2\n2,\"1,5\"\nTRL,2,3\n"),
        "record 2 at byte 14, column amount: not a decimal number: \"1,5\""
    );
    assert_eq!(
        message(both(), b"id,amount\n1\nTRL,1,0\n"),
        "record 1 at byte 10, column amount: the record has none"
    );
    let nines = "9".repeat(39);
    assert_eq!(
        message(both(), format!("id,amount\n1,{nines}\nTRL,1,0\n").as_bytes()),
        format!("record 1 at byte 10, column amount: a number of more than 38 digits: \"{nines}\"")
    );
    let nines = "9".repeat(38);
    let rows = format!("{nines}\n").repeat(2);
    assert_eq!(
        message(
            json!({ "records": "csv", "sum": { "column": 1, "field": 1 } }),
            format!("{rows}0\n").as_bytes()
        ),
        "record 2 at byte 39, field 1: the sum has more than 38 digits"
    );
    assert_eq!(message(both(), b"id,sum\n1,2\nTRL,1,2\n"), "header at byte 0: there is no column \"amount\"");
    assert_eq!(
        message(both(), b"amount,amount\n1,2\nTRL,1,2\n"),
        "header at byte 0: several columns are named \"amount\""
    );
}

#[test]
fn places_in_bytes() {
    let fixed =
        json!({ "prefix": "9", "count": { "field": [2, 5] }, "sum": { "column": [4, 9], "field": [6, 13] } });
    assert_eq!(judge(fixed.clone(), b"1AB001050zz\r\n1CD-00050zz\r\n9000200001000\r\n").verdict, Ok(()));
    assert_eq!(
        message(fixed.clone(), b"1AB001050\n9000200001000\n"),
        "record 2 at byte 10: trailer: it says 2 records, the file has 1; \
         it says that bytes 4 to 9 adds up to 1000, it adds up to 1050"
    );
    assert_eq!(
        message(fixed, b"1AB0010\n9000100001000\n"),
        "record 1 at byte 0, bytes 4 to 9: the record has none"
    );
}

#[test]
fn a_long_record_is_refused() {
    let limits = Limits { max_record_bytes: ByteSize(6), ..Limits::default() };
    let spec = spec(&json!({ "validate": { "trailer": { "prefix": "T" } } }));
    let failure = any_arrival(&spec, &limits, b"abc\nabcdef\nT\n", 1).verdict.unwrap_err();
    assert_eq!(failure.code, Code::LimitRecordBytes);
    assert_eq!(failure.message, "observed 7 bytes and more in record 2 at byte 4, the route allows 6");
}

#[test]
fn a_state_of_another_stage_is_refused() {
    let state = |sum: &str, last: &str, data: u64| json!({ "start": 0, "header": true, "data": data, "column": 2, "sum": sum, "last": last });
    let limits = Limits { max_record_bytes: ByteSize(3), ..Limits::default() };
    for wrong in [
        json!(null),
        state("x", "", 1),
        state("1", "?", 1),
        state("1", "YWJjZA==", 1),
        state("1", "", u64::MAX),
    ] {
        let mut stage = stage(&spec(&json!({ "validate": { "trailer": both() } })), &limits);
        assert_eq!(stage.restore(wrong.clone()).unwrap_err().code, Code::CheckpointRefused, "{wrong}");
    }
}

proptest! {
    /// Files that are nearly right, with a fault of a few bytes.
    #[test]
    fn any_file_in_any_arrival_from_any_place(
        rows in prop::collection::vec("(-?[0-9]{1,3}(\\.[0-9]{1,3})?|\"7\n\"\"\"|)", 0..12), count in 0usize..12, sum in "[0-9]{1,3}(\\.5)?",
        fault in prop::option::weighted(0.3, (any::<prop::sample::Index>(), prop::sample::select(b"\n\",T\xff.".to_vec()))), seed: u64,
    ) {
        let rows: String = rows.iter().map(|amount| format!("x,{amount}\n")).collect();
        let mut input = format!("id,amount\n{rows}TRL,{count},{sum}\n").into_bytes();
        let broken = fault.is_some();
        if let Some((at, byte)) = fault {
            let at = at.index(input.len());
            input[at] = byte;
        }
        let spec = spec(&json!({ "validate": { "trailer": both() } }));
        let outcome = any_arrival(&spec, &Limits::default(), &input, seed);
        if outcome.verdict.is_ok() {
            prop_assert!(outcome.bytes == input);
        }
        let places = resumes_alike(&spec, &Limits::default(), &input, seed);
        // A fault may make one record of all, and few chunks may end where none does.
        prop_assert!(places > 0 || broken || seed.is_multiple_of(2));
    }
}
