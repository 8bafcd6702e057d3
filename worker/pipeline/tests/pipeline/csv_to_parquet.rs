//! `csv_to_parquet`: what Python reads in the same CSV files is what the file holds, every rule and message, any arrival.
//!
//! The files are read back here with the crate that wrote them; `deploy/xtask/interop` reads them with PyArrow.

use std::fmt::Write as _;

use crate::csv_support::{self, TYPES, rows, typed};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Failure,
    route::{
        ColumnType, Columns, CsvSpec, CsvToParquetSpec, DecimalSize, Limits, OnError, ParquetCompression,
        StageSpec,
    },
};
use eft_fakes::drive::Outcome;
use eft_pipeline::stage::{AnyStage, ResumeClass, Stage};
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type},
    data_type::AsBytes,
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use proptest::prelude::*;

fn spec(types: &[(&str, ColumnType)]) -> CsvToParquetSpec {
    CsvToParquetSpec {
        input: CsvSpec {
            columns: Columns::FromFile,
            types: types.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
            ..CsvSpec::default()
        },
        on_error: OnError::Fail,
        decimals: Default::default(),
        compression: ParquetCompression::Zstd,
        row_group_rows: 1_000_000,
        row_group_bytes: ByteSize::mib(8),
    }
}

fn stage(spec: &CsvToParquetSpec, limits: &Limits) -> AnyStage {
    AnyStage::new(&StageSpec::CsvToParquet(spec.clone()), limits).unwrap().unwrap()
}

fn outcome(spec: &CsvToParquetSpec, limits: &Limits, input: &[u8]) -> Outcome {
    csv_support::outcome(|| stage(spec, limits), input)
}

fn read(file: Vec<u8>) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(file)).unwrap()
}

fn file(spec: &CsvToParquetSpec, input: &[u8]) -> SerializedFileReader<Bytes> {
    let outcome = outcome(spec, &Limits::default(), input);
    assert_eq!(outcome.verdict, Ok(()));
    let reader = read(outcome.bytes);
    assert_eq!(outcome.stages[0].report.frames, Some(reader.num_row_groups() as u64));
    reader
}

/// A value as `make.py` writes it.
fn shown(field: &Field) -> String {
    let fixed = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    match field {
        Field::Null => "~".to_owned(),
        Field::Bool(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::Double(value) => format!("{:016x}", value.to_bits()),
        Field::Date(value) => value.to_string(),
        Field::TimestampMicros(value) => value.to_string(),
        Field::Str(text) => fixed(text.as_bytes()),
        Field::Bytes(bytes) => fixed(bytes.as_bytes()),
        Field::Decimal(decimal) => {
            let start = if decimal.data()[0] & 0x80 == 0 { 0 } else { -1 };
            decimal.data().iter().fold(start, |value: i128, byte| value << 8 | i128::from(*byte)).to_string()
        }
        other => panic!("{other:?}"),
    }
}

/// All rows, a line each.
fn text(reader: &SerializedFileReader<Bytes>) -> String {
    let mut text = String::new();
    for row in reader.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        let values: Vec<_> = row.get_column_iter().map(|(_, field)| shown(field)).collect();
        writeln!(text, "{}", values.join(" ")).unwrap();
    }
    text
}

fn refused(spec: &CsvToParquetSpec, limits: &Limits, input: &str) -> Failure {
    outcome(spec, limits, input.as_bytes()).verdict.unwrap_err()
}

fn flights() -> CsvToParquetSpec {
    let numbers = ["year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "air_time", "distance"];
    let mut spec = spec(&numbers.map(|name| (name, ColumnType::Integer)));
    spec.input.types.insert("time_hour".to_owned(), ColumnType::Timestamp);
    spec.input.null_values = vec![String::new(), "NA".to_owned()];
    spec.input.not_null = vec!["year".to_owned(), "carrier".to_owned()];
    spec
}

#[test]
fn flights_are_what_python_reads() {
    let input = include_bytes!("../csv_rewrite_fixtures/flights.csv");
    for compression in [ParquetCompression::Zstd, ParquetCompression::Snappy, ParquetCompression::None] {
        let mut spec = flights();
        spec.compression = compression;
        let one = file(&spec, input);
        assert_eq!(text(&one), include_str!("../csv_rewrite_fixtures/flights.values.txt"));
        let used = one.metadata().row_group(0).column(1).compression();
        match compression {
            ParquetCompression::Zstd => assert!(matches!(used, Compression::ZSTD(_))),
            ParquetCompression::Snappy => assert_eq!(used, Compression::SNAPPY),
            ParquetCompression::None => assert_eq!(used, Compression::UNCOMPRESSED),
        }
        spec.row_group_rows = 50;
        let several = file(&spec, input);
        let sizes: Vec<_> = several.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(sizes, [50, 50, 50, 42]);
        assert_eq!(text(&several), text(&one));
    }
}

fn people() -> CsvToParquetSpec {
    let mut spec = spec(&[
        ("id", ColumnType::Integer),
        ("balance", ColumnType::Decimal),
        ("rate", ColumnType::Float),
        ("active", ColumnType::Boolean),
        ("since", ColumnType::Date),
    ]);
    spec.input.delimiter = b';';
    spec.decimals.insert("balance".to_owned(), DecimalSize { precision: 38, scale: 8 });
    spec
}

#[test]
fn people_are_what_python_reads() {
    let mut input = include_str!("../csv_rewrite_fixtures/people.csv").to_owned();
    let failure = refused(&people(), &Limits::default(), &input);
    assert_eq!(
        failure.to_string(),
        "validation: record 5 at byte 320, column balance: more than 8 digits behind the point: \
         \"123456789012345678901234567890.123456789\""
    );
    input = input.replace(".123456789", ".12345678");
    assert_eq!(
        text(&file(&people(), input.as_bytes())),
        include_str!("../csv_rewrite_fixtures/people.values.txt")
    );
}

#[test]
fn a_column_has_the_type_of_the_route() {
    let mut spec = spec(&[
        ("i", ColumnType::Integer),
        ("d", ColumnType::Decimal),
        ("e", ColumnType::Decimal),
        ("f", ColumnType::Float),
        ("b", ColumnType::Boolean),
        ("a", ColumnType::Date),
        ("t", ColumnType::Timestamp),
        ("u", ColumnType::Uuid),
    ]);
    spec.decimals.insert("d".to_owned(), DecimalSize { precision: 18, scale: 2 });
    spec.decimals.insert("e".to_owned(), DecimalSize { precision: 19, scale: 0 });
    spec.input.not_null = vec!["i".to_owned(), "x".to_owned(), "u".to_owned()];
    let input = "i,d,e,f,b,a,t,u,x\n-1,-0.01,-2,0.5,N,1970-01-02,1970-01-01T00:00:01Z,\
                 00000000-0000-0000-0000-0000000000ff,é\n\
                 2,,,,,,,00000000-0000-0000-0000-000000000000,\"\"\n";
    let reader = file(&spec, input.as_bytes());
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let found: Vec<_> = columns
        .iter()
        .map(|column| {
            let info = column.self_type().get_basic_info();
            (
                column.physical_type(),
                info.logical_type_ref().cloned(),
                info.repetition() == Repetition::OPTIONAL,
            )
        })
        .collect();
    let decimal = |precision, scale| Some(LogicalType::decimal(scale, precision));
    let micros = LogicalType::timestamp(true, parquet::basic::TimeUnit::MICROS);
    let expected = [
        (Type::INT64, None, false),
        (Type::INT64, decimal(18, 2), true),
        (Type::FIXED_LEN_BYTE_ARRAY, decimal(19, 0), true),
        (Type::DOUBLE, None, true),
        (Type::BOOLEAN, None, true),
        (Type::INT32, Some(LogicalType::Date), true),
        (Type::INT64, Some(micros), true),
        (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), false),
        (Type::BYTE_ARRAY, Some(LogicalType::String), false),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        text(&reader),
        "-1 -1 -2 3fe0000000000000 false 1 1000000 000000000000000000000000000000ff c3a9\n\
         2 ~ ~ ~ ~ ~ ~ 00000000000000000000000000000000 \n"
    );
}

#[test]
fn a_value_parquet_cannot_hold_is_broken() {
    let mut spec =
        spec(&[("f", ColumnType::Float), ("t", ColumnType::Timestamp), ("d", ColumnType::Decimal)]);
    spec.decimals.insert("d".to_owned(), DecimalSize { precision: 3, scale: 1 });
    let tolerant = Limits { max_errors: 9, ..Limits::default() };
    for (record, expected) in [
        (
            "1e400,2013-01-01T10:00:00Z,1",
            "record 1 at byte 8, column f: out of the range of a double: \"1e400\"",
        ),
        (
            "1,2016-12-31T23:59:60Z,1",
            "record 1 at byte 8, column t: a leap second, which Parquet has no value for: \"2016-12-31T23:59:60Z\"",
        ),
        (
            "1,2013-01-01T10:00:00.0000001Z,1",
            "record 1 at byte 8, column t: finer than a microsecond: \"2013-01-01T10:00:00.0000001Z\"",
        ),
        ("1,,100", "record 1 at byte 8, column d: more than 3 digits, 1 of them behind the point: \"100\""),
        ("x,,1", "record 1 at byte 8, column f: not a number: \"x\""),
    ] {
        spec.on_error = OnError::Fail;
        let input = format!("\"f\",t,d\n{record}\n1,,99.9");
        assert_eq!(refused(&spec, &tolerant, &input).message, expected);
        spec.on_error = OnError::Drop;
        let outcome = outcome(&spec, &tolerant, input.as_bytes());
        assert_eq!((outcome.report().records, outcome.report().errors), (Some(2), 1));
        assert_eq!(text(&read(outcome.bytes)), "3ff0000000000000 ~ 999\n");
    }
}

#[test]
fn a_file_without_records_has_columns() {
    for input in ["a,b\n", "a,b"] {
        let reader = file(&spec(&[]), input.as_bytes());
        assert_eq!((reader.num_row_groups(), reader.metadata().file_metadata().num_rows()), (0, 0));
        assert_eq!(reader.metadata().file_metadata().schema_descr().num_columns(), 2);
    }
    let mut spec = spec(&[]);
    assert_eq!(
        refused(&spec, &Limits::default(), "").to_string(),
        "validation: header at byte 0: no header, the file is empty"
    );
    spec.input.columns = Columns::Named(vec!["a".to_owned()]);
    assert_eq!(file(&spec, b"").metadata().file_metadata().schema_descr().num_columns(), 1);
    assert_eq!(
        refused(&self::spec(&[]), &Limits::default(), "a,a\n").to_string(),
        "validation: header at byte 0: 2 columns are named \"a\", Parquet takes one of a name"
    );
}

#[test]
fn row_groups_are_bounded_in_bytes_and_number() {
    let mut spec = spec(&[]);
    spec.row_group_bytes = ByteSize(64 << 10);
    let line = "x".repeat(4095) + "\n";
    let input = "a\n".to_owned() + &line.repeat(100);
    let reader = file(&spec, input.as_bytes());
    // 4,095 bytes of text, 8 where it ends, 2 of a level.
    let sizes: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(sizes, [16, 16, 16, 16, 16, 16, 4]);
    // With a row a group, more groups than a footer may hold.
    spec.row_group_rows = 1;
    let input = "a\n".to_owned() + &"1\n".repeat(16_385);
    let limits = Limits::default();
    let failure = eft_fakes::drive::drive(
        vec![stage(&spec, &limits)],
        &eft_fakes::drive::Arrival::whole(&Bytes::from(input)),
    )
    .verdict
    .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "limit.max_row_groups: observed 16385 row groups and more of 1 columns, the route allows 16384"
    );
}

#[test]
fn it_is_not_resumed() {
    let mut stage = stage(&spec(&[]), &Limits::default());
    assert_eq!((stage.info().resume, stage.save()), (ResumeClass::R3, None));
    let failure = stage.restore(serde_json::Value::Null).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "checkpoint.refused: the state of csv_to_parquet in the checkpoint cannot be used: it is never saved"
    );
}

fn specs() -> impl Strategy<Value = CsvToParquetSpec> {
    let types = prop::collection::vec((prop::sample::select(TYPES.to_vec()), any::<bool>(), 1u8..=38), 3);
    (types, any::<bool>(), 1u64..5, 0usize..3).prop_map(|(types, drop, row_group_rows, compression)| {
        let names = ["a", "b", "c"];
        let kinds: Vec<_> = names.into_iter().zip(&types).map(|(name, (kind, ..))| (name, *kind)).collect();
        let mut spec = spec(&kinds);
        for (name, (kind, required, precision)) in names.into_iter().zip(types) {
            if kind == ColumnType::Decimal {
                spec.decimals.insert(name.to_owned(), DecimalSize { precision, scale: precision / 2 });
            }
            if required {
                spec.input.not_null.push(name.to_owned());
            }
        }
        spec.on_error = if drop { OnError::Drop } else { OnError::Fail };
        spec.compression =
            [ParquetCompression::Zstd, ParquetCompression::Snappy, ParquetCompression::None][compression];
        spec.row_group_rows = row_group_rows;
        spec
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Also where records are broken; and the file holds the records that are not.
    #[test]
    fn any_arrival_gives_the_same_end(
        spec in specs(), values in prop_oneof![rows(3), typed(3), typed(3)],
        limits in prop::sample::select(vec![(1 << 20, 1000), (40, 1000), (1 << 20, 2)]),
    ) {
        let limits = Limits { max_record_bytes: ByteSize(limits.0), max_errors: limits.1, ..Limits::default() };
        let input = [&b"a,b,c\n"[..], &values].concat();
        let whole = outcome(&spec, &limits, &input);
        if whole.verdict.is_ok() {
            let report = whole.report().clone();
            let reader = read(whole.bytes);
            let lines = text(&reader).lines().count() as u64;
            prop_assert_eq!(Some(lines + report.errors), report.records);
            prop_assert_eq!(reader.metadata().file_metadata().num_rows() as u64, lines);
            prop_assert!(reader.metadata().row_groups().iter().all(|group| group.num_rows() as u64 <= spec.row_group_rows));
        }
    }
}
