//! `csv_to_jsonl`: what Python's `csv` and `json` make of the same files, every rule and message, any arrival.

use crate::csv_support::{self, TYPES, resumed_anywhere, rows, typed};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Failure,
    route::{ColumnType, Columns, CsvSpec, CsvToJsonlSpec, Limits, OnError, StageSpec, ValidateSpec},
};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, Stage};
use proptest::prelude::*;
use serde_json::Value;

fn spec(types: &[(&str, ColumnType)]) -> CsvToJsonlSpec {
    CsvToJsonlSpec {
        input: CsvSpec {
            columns: Columns::FromFile,
            types: types.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
            ..CsvSpec::default()
        },
        on_error: OnError::Fail,
        omit_null: false,
    }
}

fn stage(spec: &CsvToJsonlSpec, limits: &Limits) -> AnyStage {
    AnyStage::new(&StageSpec::CsvToJsonl(spec.clone()), limits).unwrap().unwrap()
}

/// The same whole, byte by byte, and a little at a time.
fn outcome(spec: &CsvToJsonlSpec, limits: &Limits, input: &[u8]) -> Outcome {
    csv_support::outcome(|| stage(spec, limits), input)
}

fn made(spec: &CsvToJsonlSpec, input: &str) -> String {
    let outcome = outcome(spec, &Limits::default(), input.as_bytes());
    assert_eq!(outcome.verdict, Ok(()));
    String::from_utf8(outcome.bytes).unwrap()
}

fn refused(spec: &CsvToJsonlSpec, limits: &Limits, input: &str) -> Failure {
    outcome(spec, limits, input.as_bytes()).verdict.unwrap_err()
}

#[test]
fn python_makes_the_same_of_flights() {
    let numbers = ["year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "air_time", "distance"];
    let mut spec = spec(&numbers.map(|name| (name, ColumnType::Integer)));
    spec.input.types.insert("time_hour".to_owned(), ColumnType::Timestamp);
    spec.input.null_values = vec![String::new(), "NA".to_owned()];
    let outcome = outcome(&spec, &Limits::default(), include_bytes!("../csv_rewrite_fixtures/flights.csv"));
    assert_eq!(outcome.verdict, Ok(()));
    assert!(outcome.bytes == include_bytes!("../csv_rewrite_fixtures/flights.jsonl"));
    assert_eq!(outcome.report().records, Some(192));
}

#[test]
fn python_makes_the_same_of_people() {
    let mut spec = spec(&[
        ("id", ColumnType::Integer),
        ("balance", ColumnType::Decimal),
        ("rate", ColumnType::Float),
        ("active", ColumnType::Boolean),
        ("since", ColumnType::Date),
    ]);
    spec.input.delimiter = b';';
    spec.omit_null = true;
    let outcome = outcome(&spec, &Limits::default(), include_bytes!("../csv_rewrite_fixtures/people.csv"));
    assert_eq!(outcome.verdict, Ok(()));
    let expected = include_str!("../csv_rewrite_fixtures/people.jsonl");
    assert_eq!(String::from_utf8(outcome.bytes).unwrap(), expected);
}

#[test]
fn a_null_is_written_or_left_out() {
    let mut spec = spec(&[("n", ColumnType::Integer)]);
    spec.input.null_values.push("NA".to_owned());
    let input = "n,t\n,\nNA,\"NA\"\n1,\"\"\n";
    assert_eq!(
        made(&spec, input),
        "{\"n\":null,\"t\":null}\n{\"n\":null,\"t\":\"NA\"}\n{\"n\":1,\"t\":\"\"}\n"
    );
    spec.omit_null = true;
    assert_eq!(made(&spec, input), "{}\n{\"t\":\"NA\"}\n{\"n\":1,\"t\":\"\"}\n");
    assert_eq!(made(&spec, "n,t\n"), "");
}

#[test]
fn texts_and_names_are_escaped() {
    let spec = spec(&[]);
    assert_eq!(
        made(&spec, "\"a\"\"\n\",é\n\"\\ \"\" \t\u{1}\u{1f}\u{8}\u{c}\r\",\u{2028}/\u{7f}\n"),
        "{\"a\\\"\\n\":\"\\\\ \\\" \\t\\u0001\\u001f\\b\\f\\r\",\"é\":\"\u{2028}/\u{7f}\"}\n"
    );
}

#[test]
fn a_value_that_is_not_of_its_type_is_broken() {
    let mut spec = spec(&[("n", ColumnType::Decimal)]);
    spec.input.not_null = vec!["n".to_owned()];
    assert_eq!(
        refused(&spec, &Limits::default(), "n,t\n1,x\n1e5,y\n").to_string(),
        "validation: record 2 at byte 8, column n: not a decimal: \"1e5\""
    );
    assert_eq!(
        refused(&spec, &Limits::default(), "n,t\n,x\n").to_string(),
        "validation: record 1 at byte 4, column n: null (\"\"), the column may not be"
    );
    spec.on_error = OnError::Drop;
    let tolerant = Limits { max_errors: 1, ..Limits::default() };
    assert_eq!(outcome(&spec, &tolerant, b"n,t\n1e5,y\n2,z\n").bytes, b"{\"n\":2,\"t\":\"z\"}\n");
}

#[test]
fn an_object_has_a_name_once() {
    let tolerant = Limits { max_errors: 9, ..Limits::default() };
    assert_eq!(
        refused(&spec(&[]), &tolerant, "a,b,a\n1,2,3\n").to_string(),
        "validation: header at byte 0: 2 columns are named \"a\", an object takes one of a name"
    );
}

#[test]
fn what_is_not_utf8_is_broken() {
    let failure = outcome(&spec(&[]), &Limits::default(), b"a\n\xff\n").verdict.unwrap_err();
    assert!(failure.to_string().starts_with("validation: record 1 at byte 2, column a: not UTF-8 at byte 2"));
}

#[test]
fn limits_hold_while_records_are_read() {
    let limits = Limits { max_record_bytes: ByteSize(8), max_fields: 3, ..Limits::default() };
    assert_eq!(
        refused(&spec(&[]), &limits, "a,b\n1234,567\n").to_string(),
        "limit.max_record_bytes: observed 9 bytes and more in record 1 at byte 4, the route allows 8"
    );
    assert_eq!(
        refused(&spec(&[]), &limits, "a,b\n1,2,3,4\n").to_string(),
        "limit.max_fields: observed 4 fields and more in record 1 at byte 4, the route allows 3"
    );
    let (small, large) = (stage(&spec(&[]), &limits).info(), stage(&spec(&[]), &Limits::default()).info());
    assert!(small.memory < 2 << 20 && large.memory > 12 << 20, "{small:?} {large:?}");
}

/// With whatever record the place falls into the state waits for its end.
#[test]
fn it_goes_on_from_wherever_it_was_saved() {
    let spec = spec(&[("flight", ColumnType::Integer)]);
    let input = Bytes::from_static(include_bytes!("../csv_rewrite_fixtures/flights.csv"));
    let arrival = Arrival {
        chunks: input.chunks(97).map(|chunk| input.slice_ref(chunk)).collect(),
        ..Arrival::whole(&input)
    };
    let (outcome, saved) = resumed(|| vec![stage(&spec, &Limits::default())], &arrival);
    assert_eq!(outcome.verdict, Ok(()));
    assert!(saved > 150, "{saved} places");
}

fn specs() -> impl Strategy<Value = CsvToJsonlSpec> {
    let types = prop::collection::vec((prop::sample::select(TYPES.to_vec()), any::<bool>()), 3);
    (types, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(types, header, escape, drop, omit_null)| {
            let names = ["a", "b", "c"];
            let kinds: Vec<_> =
                names.into_iter().zip(&types).map(|(name, (kind, _))| (name, *kind)).collect();
            let mut spec = spec(&kinds);
            let required = names.iter().zip(&types).filter(|(_, (_, required))| *required);
            spec.input.not_null = required.map(|(name, _)| (*name).to_owned()).collect();
            spec.input.null_values.push("NA".to_owned());
            spec.input.escape = escape.then_some(b'\\');
            if !header {
                spec.input.columns = Columns::Named(names.map(str::to_owned).to_vec());
            }
            spec.on_error = if drop { OnError::Drop } else { OnError::Fail };
            spec.omit_null = omit_null;
            spec
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Also where records are broken, and also when the state is saved and restored on the way; every line is JSON.
    #[test]
    fn any_arrival_gives_the_same_end(
        spec in specs(), values in prop_oneof![rows(3), typed(3)], seed: u64,
        limits in prop::sample::select(vec![(1 << 20, 1000), (40, 1000), (1 << 20, 2)]),
    ) {
        let limits = Limits { max_record_bytes: ByteSize(limits.0), max_errors: limits.1, ..Limits::default() };
        let header = spec.input.columns == Columns::FromFile;
        let input = Bytes::from([if header { &b"a,b,c\n"[..] } else { b"" }, &values].concat());
        let whole = outcome(&spec, &limits, &input);
        if spec.on_error == OnError::Drop {
            // It says of a file what `validate.csv` says.
            let check = StageSpec::Validate(ValidateSpec::Csv(spec.input.clone()));
            let checked = drive(vec![AnyStage::new(&check, &limits).unwrap().unwrap()], &Arrival::whole(&input));
            prop_assert_eq!(&checked.verdict, &whole.verdict);
            prop_assert_eq!(checked.report(), whole.report());
        }
        resumed_anywhere(|| stage(&spec, &limits), &input, seed, &whole);
        let report = whole.report();
        if whole.verdict.is_ok() {
            let text = String::from_utf8(whole.bytes.clone()).unwrap();
            let mut objects = 0;
            for line in text.lines() {
                match serde_json::from_str::<Value>(line) {
                    Ok(object) => prop_assert!(object.as_object().unwrap().len() == 3 || spec.omit_null),
                    // A number of JSON has any size, one of `serde_json` that of a double.
                    Err(error) => prop_assert!(error.to_string().starts_with("number out of range"), "{error}"),
                }
                objects += 1;
            }
            prop_assert_eq!(Some(objects + report.errors), report.records);
        }
    }
}
