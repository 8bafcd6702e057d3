//! `csv_project`: what Python's `csv` and `hmac` make of the same files, every rule and message, any arrival.

use std::sync::Arc;

use crate::csv_support::{self, field, resumed_anywhere, rows};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Code, Failure,
    route::{
        Change, ColumnSource, Columns, CsvOutput, CsvProjectSpec, CsvSpec, Limits, LineEnd, OnError,
        OutputColumn, QuoteStyle, RecordTerminator, StageSpec, ValidateSpec,
    },
};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::{
    given::Given,
    secrets::{HeldSecrets, NoSecrets},
    stage::{AnyStage, Stage},
};
use proptest::prelude::*;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn column(name: &str) -> OutputColumn {
    changed(name, Change::None)
}

fn changed(name: &str, change: Change) -> OutputColumn {
    OutputColumn { name: name.to_owned(), source: ColumnSource::Column(name.to_owned(), change) }
}

fn constant(text: &str, name: &str) -> OutputColumn {
    OutputColumn { name: name.to_owned(), source: ColumnSource::Constant(text.to_owned()) }
}

fn hash() -> Change {
    Change::Hash { key: "pepper".to_owned() }
}

fn spec(columns: Vec<OutputColumn>) -> CsvProjectSpec {
    CsvProjectSpec {
        input: CsvSpec { columns: Columns::FromFile, ..CsvSpec::default() },
        on_error: OnError::Fail,
        columns,
        output: CsvOutput::default(),
    }
}

fn stage(spec: &CsvProjectSpec, limits: &Limits) -> AnyStage {
    let secrets = HeldSecrets::new([("pepper".to_owned(), KEY.to_vec())]);
    let given = Given { secrets: Arc::new(secrets), ..Given::default() };
    AnyStage::with(&StageSpec::CsvProject(spec.clone()), limits, &given).unwrap().unwrap()
}

/// The same whole, byte by byte, and a little at a time.
fn outcome(spec: &CsvProjectSpec, limits: &Limits, input: &[u8]) -> Outcome {
    csv_support::outcome(|| stage(spec, limits), input)
}

fn made(spec: &CsvProjectSpec, input: &str) -> String {
    let outcome = outcome(spec, &Limits::default(), input.as_bytes());
    assert_eq!(outcome.verdict, Ok(()));
    String::from_utf8(outcome.bytes).unwrap()
}

fn refused(spec: &CsvProjectSpec, limits: &Limits, input: &str) -> Failure {
    outcome(spec, limits, input.as_bytes()).verdict.unwrap_err()
}

#[test]
fn python_makes_the_same_of_flights() {
    let spec = spec(vec![
        column("carrier"),
        OutputColumn { name: "no".to_owned(), ..column("flight") },
        OutputColumn {
            name: "tail".to_owned(),
            ..changed("tailnum", Change::Mask { keep_last: 2, with: b'*' })
        },
        constant("EFT, of \"2013\"", "source"),
        column("dep_delay"),
    ]);
    let outcome = outcome(&spec, &Limits::default(), include_bytes!("../csv_rewrite_fixtures/flights.csv"));
    assert_eq!(outcome.verdict, Ok(()));
    assert!(outcome.bytes == include_bytes!("../csv_rewrite_fixtures/flights.project.csv"));
    assert_eq!((outcome.report().records, outcome.report().errors), (Some(192), 0));
}

#[test]
fn python_makes_the_same_of_people() {
    let note = OutputColumn { name: "again".to_owned(), ..column("note") };
    let mut spec = spec(vec![
        changed("card", Change::Mask { keep_last: 4, with: b'#' }),
        changed("email", hash()),
        column("note"),
        column("name"),
        note,
    ]);
    spec.input.delimiter = b';';
    spec.output =
        CsvOutput { delimiter: b'|', quote: QuoteStyle::Always, terminator: LineEnd::CrLf, header: false };
    let outcome = outcome(&spec, &Limits::default(), include_bytes!("../csv_rewrite_fixtures/people.csv"));
    assert_eq!(outcome.verdict, Ok(()));
    assert!(outcome.bytes == include_bytes!("../csv_rewrite_fixtures/people.project.csv"));
}

#[test]
fn what_is_null_stays_null_and_text_stays_text() {
    let mut spec = spec(vec![
        column("a"),
        changed("b", hash()),
        changed("c", Change::Mask { keep_last: 1, with: b'-' }),
        constant("", "d"),
    ]);
    spec.input.null_values = vec![String::new(), "NA".to_owned(), "--".to_owned()];
    assert_eq!(made(&spec, "a,b,c\n,NA,\n\"\",,\"\"\n"), "a,b,c,d\n,NA,,\"\"\n\"\",,\"\",\"\"\n");
    let text = made(&spec, "a,b,c\n\"NA\",\"\",xy\n");
    assert!(
        text.ends_with(",-y,\"\"\n") && text.starts_with("a,b,c,d\n\"NA\",") && text.len() > 80,
        "{text}"
    );
    assert!(made(&spec, "a,b,c\n1,2,\"é\"\n").ends_with(",-,\"\"\n"));
    spec.columns[2] = changed("c", Change::Mask { keep_last: 0, with: b'-' });
    assert!(made(&spec, "a,b,c\n1,,xy\n").ends_with(",\"--\",\"\"\n"));
}

#[test]
fn a_field_is_quoted_where_it_must_be() {
    let mut spec = spec(vec![column("b"), column("a")]);
    let input = "a,b\n\"x\",\"1,2\"\n\"y\n\",\"say \"\"hi\"\"\"\n z ,'\n";
    assert_eq!(made(&spec, input), "b,a\n\"1,2\",x\n\"say \"\"hi\"\"\",\"y\n\"\n', z \n");
    spec.output.delimiter = b'\t';
    assert_eq!(made(&spec, "a,b\na\tb,\"1,2\"\n"), "b\ta\n1,2\t\"a\tb\"\n");
    // Other quotes and escapes become doubled quotes.
    spec.input.quote = Some(b'\'');
    spec.input.escape = Some(b'\\');
    assert_eq!(made(&spec, "a,b\n'it''s \\' \"x',1\n"), "b\ta\n1\t\"it's ' \"\"x\"\n");
    spec.input = CsvSpec { quote: None, terminator: RecordTerminator::Lf, ..spec.input };
    spec.input.escape = None;
    assert_eq!(made(&spec, "a,b\n\"x\",1\r\n"), "b\ta\n\"1\r\"\t\"\"\"x\"\"\"\n")
}

#[test]
fn a_mark_and_ends_of_lines_are_those_of_the_output() {
    let mut spec = spec(vec![column("b")]);
    assert_eq!(made(&spec, "\u{feff}a,b\r\n1,2\r\n3,4"), "b\n2\n4\n");
    spec.input.columns = Columns::Named(vec!["a".to_owned(), "b".to_owned()]);
    spec.output.terminator = LineEnd::CrLf;
    assert_eq!(made(&spec, "\u{feff}1,2\n3,4"), "b\r\n2\r\n4\r\n");
    assert_eq!(made(&spec, ""), "b\r\n");
    spec.output.header = false;
    assert_eq!(made(&spec, ""), "");
    assert_eq!(made(&spec, "\u{feff}"), "");
}

#[test]
fn a_column_that_is_not_there_is_final() {
    let tolerant = Limits { max_errors: 100, ..Limits::default() };
    let mut spec = spec(vec![column("a"), column("card")]);
    spec.on_error = OnError::Drop;
    let failure = refused(&spec, &tolerant, "a,b\n1,2\n");
    assert_eq!(
        failure.to_string(),
        "validation: header at byte 0: no column \"card\", which the route asks for; the columns are [\"a\", \"b\"]"
    );
    let failure = refused(&spec, &tolerant, "a,card,card\n1,2,3\n");
    assert_eq!(
        failure.to_string(),
        "validation: header at byte 0: 2 columns are named \"card\", one is asked for"
    );
    assert_eq!(
        refused(&spec, &tolerant, "").to_string(),
        "validation: header at byte 0: no header, the file is empty"
    );
}

#[test]
fn a_broken_record_fails_or_is_left_out() {
    let input = "a,b\n1,2\nonly\n3,\"4\"x\n5,\u{7f}6\n\n7,8\n";
    let mut spec = spec(vec![column("b")]);
    let tolerant = Limits { max_errors: 3, ..Limits::default() };
    let failure = refused(&spec, &tolerant, input);
    assert_eq!(failure.to_string(), "validation: record 2 at byte 8: 1 field, expected 2");
    spec.on_error = OnError::Drop;
    let outcome = outcome(&spec, &tolerant, input.as_bytes());
    assert_eq!(outcome.verdict, Ok(()));
    assert_eq!(String::from_utf8(outcome.bytes.clone()).unwrap(), "b\n2\n\u{7f}6\n8\n");
    let report = outcome.report();
    assert_eq!((report.records, report.errors), (Some(6), 3));
    let reasons: Vec<_> =
        report.rejects.iter().map(|reject| (reject.record, reject.reason.as_str())).collect();
    let expected =
        [(2, "1 field, expected 2"), (3, "text after the closing quote at byte 18"), (5, "blank line")];
    assert_eq!(reasons, expected);
    let failure = refused(&spec, &Limits { max_errors: 2, ..Limits::default() }, input);
    assert_eq!(
        failure.message,
        "3 records break the rules, the route allows 2; first: record 2 at byte 8: 1 field, expected 2"
    );
}

#[test]
fn bytes_that_are_not_utf8_are_broken_or_pass() {
    let mut spec = spec(vec![column("b"), column("a")]);
    let input = b"a,b\n1,\xff\xe9\n";
    let failure = outcome(&spec, &Limits::default(), input).verdict.unwrap_err();
    let start = "validation: record 1 at byte 4, column b: not UTF-8 at byte 6: ";
    assert!(failure.to_string().starts_with(start), "{failure}");
    spec.input.utf8 = false;
    assert_eq!(outcome(&spec, &Limits::default(), input).bytes, b"b,a\n\xff\xe9,1\n");
}

#[test]
fn limits_hold_while_records_are_read() {
    let spec = spec(vec![column("a")]);
    let limits = Limits { max_record_bytes: ByteSize(8), max_fields: 3, ..Limits::default() };
    let failure = refused(&spec, &limits, "a,b\n1234,567\n");
    assert_eq!(
        failure.to_string(),
        "limit.max_record_bytes: observed 9 bytes and more in record 1 at byte 4, the route allows 8"
    );
    assert_eq!(outcome(&spec, &limits, b"a,b\n1234,56\n").bytes, b"a\n1234\n");
    let failure = refused(&spec, &limits, "a,b\n1,2,3,4\n");
    assert_eq!(
        failure.to_string(),
        "limit.max_fields: observed 4 fields and more in record 1 at byte 4, the route allows 3"
    );
}

#[test]
fn a_key_is_there_and_long_enough() {
    let asked = StageSpec::CsvProject(spec(vec![changed("a", hash())]));
    let failure = AnyStage::new(&asked, &Limits::default()).err().unwrap();
    assert_eq!(failure.code, Code::KeysUnusable);
    assert_eq!(
        failure.message,
        "the route uses the secret `pepper`, and it is not there: put it into `pepper.key` of the folder given with --keys"
    );
    let short = HeldSecrets::new([("pepper".to_owned(), b"short".to_vec())]);
    assert_eq!(format!("{short:?} {NoSecrets:?}"), "{\"pepper\"} NoSecrets");
    let given = Given { secrets: Arc::new(short), ..Given::default() };
    let failure = AnyStage::with(&asked, &Limits::default(), &given).err().unwrap();
    assert_eq!(
        failure.message,
        "csv_project: the secret `pepper` has 5 bytes, a hash takes at least 16; make it of 32 random bytes"
    );
}

#[test]
fn memory_counts_a_column_as_often_as_it_is_written() {
    let memory = |n| {
        let columns = (0..n).map(|at| OutputColumn { name: at.to_string(), ..column("a") }).collect();
        stage(&spec(columns), &Limits::default()).info().memory
    };
    let record = Limits::default().max_record_bytes.bytes();
    assert!(memory(1) > 4 * record && memory(5) > memory(1) + 16 * record);
}

/// With whatever record the place falls into the state waits for its end.
#[test]
fn it_goes_on_from_wherever_it_was_saved() {
    let spec = spec(vec![column("flight"), changed("tailnum", hash())]);
    let input = Bytes::from_static(include_bytes!("../csv_rewrite_fixtures/flights.csv"));
    let arrival = Arrival {
        chunks: input.chunks(97).map(|chunk| input.slice_ref(chunk)).collect(),
        ..Arrival::whole(&input)
    };
    let (outcome, saved) = resumed(|| vec![stage(&spec, &Limits::default())], &arrival);
    assert_eq!(outcome.verdict, Ok(()));
    assert!(saved > 150, "{saved} places");
}

fn specs() -> impl Strategy<Value = CsvProjectSpec> {
    let change = prop_oneof![
        3 => Just(Change::None),
        1 => (0u32..5, prop::sample::select(b"*-".to_vec()))
            .prop_map(|(keep_last, with)| Change::Mask { keep_last, with }),
        1 => Just(hash()),
    ];
    let columns = prop::collection::vec((0usize..3, change), 1..5).prop_map(|columns| {
        let column = |(at, (from, change)): (usize, (usize, Change))| OutputColumn {
            name: format!("o{at}"),
            source: ColumnSource::Column(["a", "b", "c"][from].to_owned(), change),
        };
        columns.into_iter().enumerate().map(column).chain([constant("x\"y", "z")]).collect()
    });
    let input = (0usize..3, any::<bool>(), any::<bool>(), 0usize..3);
    (columns, input, any::<bool>(), any::<bool>()).prop_map(
        |(columns, (header, escape, utf8, end), always, drop)| {
            let names = ["a", "b", "c"].map(str::to_owned).to_vec();
            let ends = [RecordTerminator::Any, RecordTerminator::Lf, RecordTerminator::CrLf];
            CsvProjectSpec {
                input: CsvSpec {
                    columns: [Columns::FromFile, Columns::Header(names.clone()), Columns::Named(names)]
                        [header]
                        .clone(),
                    escape: escape.then_some(b'\\'),
                    utf8,
                    terminator: ends[end],
                    ..CsvSpec::default()
                },
                on_error: if drop { OnError::Drop } else { OnError::Fail },
                columns,
                output: CsvOutput {
                    quote: if always { QuoteStyle::Always } else { QuoteStyle::Minimal },
                    ..CsvOutput::default()
                },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Also where records are broken, and also when the state is saved and restored on the way.
    #[test]
    fn any_arrival_gives_the_same_end(
        spec in specs(), rows in rows(3), seed: u64,
        limits in prop::sample::select(vec![(1 << 20, 1000), (40, 1000), (1 << 20, 2)]),
    ) {
        let limits = Limits { max_record_bytes: ByteSize(limits.0), max_errors: limits.1, ..Limits::default() };
        let header = !matches!(spec.input.columns, Columns::Named(_));
        let first = match spec.input.terminator {
            _ if !header => "",
            RecordTerminator::Lf => "a,b,c\n",
            RecordTerminator::Any | RecordTerminator::CrLf => "a,b,c\r\n",
        };
        let input = Bytes::from([first.as_bytes(), &rows].concat());
        let whole = outcome(&spec, &limits, &input);
        if spec.on_error == OnError::Drop {
            // It says of a file what `validate.csv` says.
            let check = StageSpec::Validate(ValidateSpec::Csv(spec.input.clone()));
            let check = AnyStage::new(&check, &limits).unwrap().unwrap();
            let checked = drive(vec![check], &Arrival::whole(&input));
            prop_assert_eq!(&checked.verdict, &whole.verdict);
            prop_assert_eq!(checked.report(), whole.report());
        }
        resumed_anywhere(|| stage(&spec, &limits), &input, seed, &whole);
    }

    /// What is written reads back as what was read.
    #[test]
    fn what_is_written_reads_back(values in prop::collection::vec((field(), field()), 0..20), always: bool) {
        let mut spec = spec(vec![column("b"), column("a")]);
        spec.output.quote = if always { QuoteStyle::Always } else { QuoteStyle::Minimal };
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let lines = values.iter().map(|(a, b)| format!("{},{}\n", quoted(a), quoted(b)));
        let there = made(&spec, &(["a,b\n".to_owned()].into_iter().chain(lines).collect::<String>()));
        spec.columns.reverse();
        spec.output.quote = QuoteStyle::Always;
        let back = made(&spec, &there);
        let lines = values.iter().map(|(a, b)| format!("{},{}\n", quoted(a), quoted(b)));
        let expected = ["\"a\",\"b\"\n".to_owned()].into_iter().chain(lines).collect::<String>();
        prop_assert_eq!(back, expected);
    }
}
