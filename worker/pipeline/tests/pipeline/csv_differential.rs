//! `validate.csv` against its oracle: any spec, any bytes, any chunks.

use std::collections::BTreeMap;

use bytes::Bytes;
use eft_domain::route::{ColumnType, Columns, CsvSpec, Limits, RecordTerminator};
use eft_domain::{ByteSize, Failure};
use eft_fakes::csv_oracle;
use eft_pipeline::stage::csv::CsvValidate;
use eft_pipeline::stage::{Flow, Input, Output, Stage, StageReport};
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn run(
    spec: &CsvSpec,
    limits: &Limits,
    input: &[u8],
    cuts: &[usize],
) -> (Result<(), Failure>, StageReport, Vec<u8>) {
    let mut stage = CsvValidate::new(spec.clone(), limits).unwrap();
    let (mut source, mut output, mut passed) = (Input::default(), Output::with_room(0), Vec::new());
    let mut from = 0;
    for (i, &cut) in cuts.iter().chain([&input.len()]).enumerate() {
        source.push(Bytes::copy_from_slice(&input[from..cut]));
        from = cut;
        // Sometimes several chunks wait.
        if i % 3 == 2 {
            continue;
        }
        match stage.step(&mut source, &mut output) {
            Ok(flow) => assert_eq!(flow, Flow::Hungry),
            Err(failure) => return (Err(failure), stage.report(), passed),
        }
        passed.extend(output.take().concat());
    }
    source.end();
    let verdict = stage.step(&mut source, &mut output).map(|flow| assert_eq!(flow, Flow::Done));
    passed.extend(output.take().concat());
    (verdict, stage.report(), passed)
}

const TYPES: [ColumnType; 8] = [
    ColumnType::Text,
    ColumnType::Integer,
    ColumnType::Decimal,
    ColumnType::Float,
    ColumnType::Boolean,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Uuid,
];

/// A text that is often of the type.
fn value(ty: ColumnType) -> BoxedStrategy<String> {
    let valid = match ty {
        ColumnType::Text => prop_oneof![
            "[a-z ]{0,12}".boxed(),
            "[a-zé東\u{1f980}.+-]{0,120}".boxed(),
            select(vec!["a,b", "x\ny", "say \"hi\"", "it's", "\\", "a\\\"b", "\r\n", "-", "1.2"])
                .prop_map(str::to_owned),
        ]
        .boxed(),
        ColumnType::Integer => prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            "[+-]?[0-9]{1,5}",
            select(vec![
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775808",
                "-9223372036854775809"
            ])
            .prop_map(str::to_owned),
            "[+-]?0{0,70}[0-9]{1,20}",
        ]
        .boxed(),
        ColumnType::Decimal => "[+-]?[0-9]{1,25}([.][0-9]{1,4})?".boxed(),
        ColumnType::Float => "[+-]?[0-9]{1,4}([.][0-9]{1,4})?([eE][+-]?[0-9]{1,2})?".boxed(),
        ColumnType::Boolean => {
            select(vec!["true", "False", "0", "1", "Y", "no"]).prop_map(str::to_owned).boxed()
        }
        ColumnType::Date => "(2024|1900|2000)-(0[1-9]|1[0-2])-(0[1-9]|2[0-9]|30)".boxed(),
        ColumnType::Timestamp => {
            "2024-02-2[0-9][T ](0[0-9]|23):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]{1,9})?(Z|[+-]0[0-9]:[03]0)?"
                .boxed()
        }
        ColumnType::Uuid => "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".boxed(),
    };
    let wild = select(vec!["", "NA", "0", "-", "+", ".", "1.", ".5", "1.2.3", "1-2", "--1", "x", " 1"]);
    prop_oneof![12 => valid, 1 => wild.prop_map(str::to_owned)].boxed()
}

#[derive(Clone, Debug)]
struct Case {
    spec: CsvSpec,
    limits: Limits,
    input: Vec<u8>,
    cuts: Vec<usize>,
}

fn spec() -> impl Strategy<Value = (CsvSpec, Vec<ColumnType>)> {
    let column = (select(TYPES.to_vec()), prop::bool::weighted(0.2));
    let nulls = prop_oneof![
        3 => Just(vec![""]), 1 => Just(vec![]), 1 => Just(vec!["NA"]), 1 => Just(vec!["", "NA", "0", "x"]),
    ];
    let terminator = select(vec![RecordTerminator::Any, RecordTerminator::Lf, RecordTerminator::CrLf]);
    let quoting = select(vec![
        (Some(b'"'), None),
        (Some(b'"'), None),
        (Some(b'"'), Some(b'"')),
        (Some(b'"'), Some(b'\\')),
        (Some(b'\''), None),
        (None, None),
    ]);
    let delimiter = select(vec![b',', b',', b';', b'\t', b'|']);
    (
        prop::collection::vec(column, 1..7),
        nulls,
        terminator,
        quoting,
        delimiter,
        0..4,
        prop::bool::weighted(0.8),
    )
        .prop_map(|(columns, nulls, terminator, (quote, escape), delimiter, names, utf8)| {
            let name = |i: usize| format!("c{i}");
            let all: Vec<String> = (0..columns.len()).map(name).collect();
            let typed = names != 3;
            let types: Vec<ColumnType> = columns.iter().map(|(ty, _)| *ty).collect();
            let rules = all.iter().cloned().zip(types.iter().copied()).filter(|_| typed);
            let not_null = all.iter().zip(&columns).filter(|(_, (_, not_null))| typed && *not_null);
            let spec = CsvSpec {
                delimiter,
                quote,
                escape,
                terminator,
                types: rules.collect::<BTreeMap<_, _>>(),
                not_null: not_null.map(|(name, _)| name.clone()).collect(),
                columns: match names {
                    0 => Columns::Header(all),
                    1 => Columns::FromFile,
                    2 => Columns::Named(all),
                    _ => Columns::Unnamed,
                },
                null_values: nulls.into_iter().map(str::to_owned).collect(),
                utf8,
            };
            (spec, types)
        })
}

fn limits() -> impl Strategy<Value = Limits> {
    let max_record = prop_oneof![6 => Just(1u64 << 20), 1 => 1u64..70, 1 => 64u64..400];
    let max_fields = prop_oneof![8 => Just(4096u32), 1 => 7u32..9];
    let max_errors = prop_oneof![2 => 0u64..3, 2 => Just(1000)];
    (max_record, max_fields, max_errors).prop_map(|(max_record, max_fields, max_errors)| Limits {
        max_record_bytes: ByteSize(max_record),
        max_fields,
        max_errors,
        ..Limits::default()
    })
}

fn field(text: &str, quoted: bool, spec: &CsvSpec) -> Vec<u8> {
    let special = |byte: &u8| *byte == spec.delimiter || Some(*byte) == spec.quote || b"\r\n".contains(byte);
    let bytes = text.as_bytes();
    let Some(quote) = spec.quote.filter(|_| quoted || bytes.iter().any(special)) else {
        return bytes.iter().copied().filter(|byte| !special(byte)).collect();
    };
    let mut field = vec![quote];
    for &byte in bytes {
        if byte == quote || Some(byte) == spec.escape {
            field.push(spec.escape.unwrap_or(quote));
        }
        field.push(byte);
    }
    field.push(quote);
    field
}

fn case() -> impl Strategy<Value = Case> {
    (spec(), limits()).prop_flat_map(|((spec, types), limits)| {
        let row: Vec<_> = types.iter().map(|ty| (value(*ty), prop::bool::weighted(0.15))).collect();
        let special = vec![
            &b"\""[..],
            b"\"\"",
            b"'",
            b",",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"\0",
            b"\\",
            b"",
            b"\xc3",
            b"\xa9",
            b"\xe0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90",
            b"\xff",
            b"\xe6\x9d",
            b"x",
            b"1",
            b"-",
            b".",
            b"\xef\xbb\xbf",
            b"\xf0\x9f\xa6",
        ];
        let mutation = (any::<Index>(), select(special), prop::bool::ANY);
        (
            prop::collection::vec(row, 0..40),
            prop::collection::vec(mutation, 0..5),
            prop::collection::vec(any::<Index>(), 0..8),
            select(vec![&b""[..], b"", b"", b"\xef\xbb\xbf", b"\xef\xbb"]),
            (prop::bool::ANY, prop::bool::weighted(0.6), prop::bool::weighted(0.7)),
        )
            .prop_map(move |(rows, mutations, cuts, mark, (crlf, clean, last))| {
                let newline = match spec.terminator {
                    RecordTerminator::Any if crlf => &b"\r\n"[..],
                    RecordTerminator::Any | RecordTerminator::Lf => b"\n",
                    RecordTerminator::CrLf => b"\r\n",
                };
                let mut input = mark.to_vec();
                if matches!(spec.columns, Columns::Header(_) | Columns::FromFile) {
                    let names: Vec<String> = (0..types.len()).map(|i| format!("c{i}")).collect();
                    input.extend(names.join(&char::from(spec.delimiter).to_string()).bytes());
                    input.extend(newline);
                }
                for row in rows {
                    let row: Vec<Vec<u8>> =
                        row.iter().map(|(text, quoted)| field(text, *quoted, &spec)).collect();
                    input.extend(row.join(&spec.delimiter));
                    input.extend(newline);
                }
                if !last {
                    input.truncate(input.len().saturating_sub(newline.len()));
                }
                if !clean {
                    for (at, bytes, replace) in mutations {
                        let at = at.index(input.len() + 1);
                        let to = if replace { (at + 1).min(input.len()) } else { at };
                        input.splice(at..to, bytes.iter().copied());
                    }
                }
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
                cuts.sort_unstable();
                Case { spec: spec.clone(), limits: limits.clone(), input, cuts }
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8 * ProptestConfig::default().cases,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn agrees_with_the_oracle_however_it_is_cut(case in case()) {
        let Case { spec, limits, input, cuts } = case;
        let (verdict, report) = csv_oracle::judge(&spec, &limits, &input);
        let (found, found_report, passed) = run(&spec, &limits, &input, &cuts);
        prop_assert_eq!(&found, &verdict);
        prop_assert_eq!(found_report, report);
        if verdict.is_ok() {
            prop_assert_eq!(&passed, &input);
        } else {
            prop_assert!(input.starts_with(&passed));
        }
    }
}
