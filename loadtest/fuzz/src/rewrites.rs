//! The stages that read CSV and write something else: any dialect, any bytes, any arrival.

use bytes::Bytes;
use eft_domain::ByteSize;
use eft_domain::route::{
    Change, ColumnSource, ColumnType, Columns, CsvOutput, CsvProjectSpec, CsvSpec, CsvToJsonlSpec,
    CsvToParquetSpec, DecimalSize, Limits, LineEnd, OnError, OutputColumn, ParquetCompression, QuoteStyle,
    RecordTerminator, StageSpec, ValidateSpec,
};
use eft_fakes::{
    csv_oracle,
    drive::{Arrival, Outcome, drive},
};
use eft_pipeline::stage::AnyStage;

use crate::stages::{any_arrival, csv_limits, csv_spec, setup};

/// The dialect of the first bytes, with names; and its rules, or none.
fn input([dialect, columns]: [u8; 2], rules: &[u8], ruled: bool) -> CsvSpec {
    // Without the kind that has no names.
    let columns = if columns & 3 == 3 { columns & !1 } else { columns };
    let spec = csv_spec(dialect, columns, rules);
    if ruled { spec } else { CsvSpec { types: Default::default(), not_null: Vec::new(), ..spec } }
}

/// It says of the records what the oracle of `validate.csv` says, where broken ones are left out.
fn judged(spec: &CsvSpec, on_error: OnError, limits: &Limits, text: &Bytes, outcome: &Outcome) {
    if let Err(failure) = &outcome.verdict {
        assert!(!failure.message.contains(char::is_control), "control characters: {:?}", failure.message);
    }
    // Whose columns the route does not say, may lack one that is asked for.
    if on_error == OnError::Drop && spec.columns != Columns::FromFile {
        let (verdict, report) = csv_oracle::judge(spec, limits, text);
        assert_eq!(outcome.verdict, verdict);
        assert_eq!(outcome.report(), &report);
    }
}

/// `csv_project` in any arrival: judged as the oracle does, and what it writes reads back, record for record.
pub fn csv_project(data: &[u8]) {
    let ([seed, dialect, columns, bounds, write, take, rules @ ..], text) = setup::<12>(data);
    let input = input([dialect, columns], &rules, false);
    let limits = csv_limits(bounds);
    let on_error = if write & 1 == 0 { OnError::Drop } else { OnError::Fail };
    let names = match &input.columns {
        Columns::Header(names) | Columns::Named(names) => names.clone(),
        Columns::FromFile | Columns::Unnamed => vec!["c0".to_owned(), "a".to_owned()],
    };
    let change = |at: usize| match (usize::from(take) >> at) & 3 {
        0 => Change::Mask { keep_last: u32::from(take >> 6), with: b"*-"[at % 2] },
        1 => Change::Hash { key: "key".to_owned() },
        _ => Change::None,
    };
    let column = |at: usize| OutputColumn {
        name: format!("o{at}"),
        source: match at % 4 {
            3 => ColumnSource::Constant("x\"y\r\n".to_owned()),
            _ => ColumnSource::Column(names[(at + usize::from(take)) % names.len()].clone(), change(at)),
        },
    };
    let output = CsvOutput {
        delimiter: b",;\t|"[usize::from(write >> 1 & 3)],
        quote: if write & 8 == 0 { QuoteStyle::Minimal } else { QuoteStyle::Always },
        terminator: if write & 16 == 0 { LineEnd::Lf } else { LineEnd::CrLf },
        header: write & 32 == 0,
    };
    let columns: Vec<_> = (0..1 + usize::from(write >> 6)).map(column).collect();
    let written: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let spec = CsvProjectSpec { input: input.clone(), on_error, columns, output };
    let outcome = any_arrival(&StageSpec::CsvProject(spec), &limits, &text, seed);
    judged(&input, on_error, &limits, &text, &outcome);
    if outcome.verdict.is_ok() {
        let back = CsvSpec {
            delimiter: output.delimiter,
            terminator: match output.terminator {
                LineEnd::Lf => RecordTerminator::Lf,
                LineEnd::CrLf => RecordTerminator::CrLf,
            },
            columns: if output.header { Columns::Header(written) } else { Columns::Named(written) },
            utf8: input.utf8,
            ..CsvSpec::default()
        };
        let stage = StageSpec::Validate(ValidateSpec::Csv(back));
        let stage = AnyStage::new(&stage, &Limits::default()).expect("a sound spec").expect("a stage");
        let read = drive(vec![stage], &Arrival::whole(&Bytes::from(outcome.bytes.clone())));
        assert_eq!(read.verdict, Ok(()));
        let sound = outcome.report().records.map(|records| records - outcome.report().errors);
        assert_eq!(read.report().records, sound);
    }
}

/// `csv_to_jsonl` in any arrival: judged as the oracle does, and every line is JSON.
pub fn csv_to_jsonl(data: &[u8]) {
    let ([seed, dialect, columns, bounds, write, rules @ ..], text) = setup::<11>(data);
    let input = CsvSpec { utf8: true, ..input([dialect, columns], &rules, true) };
    let limits = csv_limits(bounds);
    let on_error = if write & 1 == 0 { OnError::Drop } else { OnError::Fail };
    let spec = CsvToJsonlSpec { input: input.clone(), on_error, omit_null: write & 2 != 0 };
    let outcome = any_arrival(&StageSpec::CsvToJsonl(spec), &limits, &text, seed);
    judged(&input, on_error, &limits, &text, &outcome);
    if outcome.verdict.is_ok() {
        let lines = std::str::from_utf8(&outcome.bytes).expect("JSON is UTF-8").lines();
        let objects = lines.map(|line| match serde_json::from_str(line) {
            Ok(serde_json::Value::Object(_)) => 1,
            // Numbers are any size in JSON, and not in `serde_json`.
            Err(error) if error.to_string().starts_with("number out of range") => 1,
            other => panic!("{line}: {other:?}"),
        });
        let sound = outcome.report().records.map(|records| records - outcome.report().errors);
        assert_eq!(Some(objects.sum()), sound);
    }
}

/// `csv_to_parquet` in any arrival: what the oracle refuses is refused, and a file starts and ends as Parquet does.
pub fn csv_to_parquet(data: &[u8]) {
    let ([seed, dialect, columns, bounds, write, rules @ ..], text) = setup::<11>(data);
    let input = CsvSpec { utf8: true, ..input([dialect, columns], &rules, true) };
    let limits = csv_limits(bounds);
    let on_error = if write & 1 == 0 { OnError::Drop } else { OnError::Fail };
    let decimal = input.types.iter().filter(|(_, ty)| **ty == ColumnType::Decimal);
    let size = DecimalSize { precision: 1 + (write >> 3), scale: (write >> 3) / 2 };
    let spec = CsvToParquetSpec {
        decimals: decimal.map(|(name, _)| (name.clone(), size)).collect(),
        input: input.clone(),
        on_error,
        compression: [ParquetCompression::None, ParquetCompression::Snappy, ParquetCompression::Zstd]
            [usize::from(write >> 1 & 3) % 3],
        row_group_rows: 1 + u64::from(seed % 5),
        row_group_bytes: ByteSize(64 << 10),
    };
    let outcome = any_arrival(&StageSpec::CsvToParquet(spec), &limits, &text, seed);
    match &outcome.verdict {
        Err(failure) => assert!(!failure.message.contains(char::is_control), "{:?}", failure.message),
        Ok(()) => {
            assert!(outcome.bytes.starts_with(b"PAR1") && outcome.bytes.ends_with(b"PAR1"));
            // It refuses more than the oracle, and never less.
            let (_, report) = csv_oracle::judge(&input, &limits, &text);
            assert_eq!(outcome.report().records, report.records);
            assert!(outcome.report().errors >= report.errors);
        }
    }
}
