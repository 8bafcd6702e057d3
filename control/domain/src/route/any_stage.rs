//! Any stage that makes sense, for properties.

use proptest::prelude::*;

use super::*;
use crate::text::Word;

pub(super) fn any_column() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", ".{0,6}"]
}

pub(super) fn any_csv() -> impl Strategy<Value = CsvSpec> {
    let byte = || (1u8..127).prop_filter("line end", |b| !b"\r\n".contains(b));
    let names = || proptest::collection::vec(any_column(), 1..5);
    let columns = prop_oneof![
        names().prop_map(Columns::Header),
        names().prop_map(Columns::Named),
        Just(Columns::FromFile),
        Just(Columns::Unnamed),
    ];
    let types = proptest::collection::btree_map(
        any_column(),
        proptest::sample::select(vec![ColumnType::Date, ColumnType::Uuid, ColumnType::Text]),
        0..3,
    );
    let terminator =
        proptest::sample::select(vec![RecordTerminator::Any, RecordTerminator::Lf, RecordTerminator::CrLf]);
    let texts = || proptest::collection::vec(any_column(), 0..3);
    (
        byte(),
        proptest::option::of(byte()),
        proptest::option::of(byte()),
        terminator,
        columns,
        types,
        texts(),
        texts(),
        any::<bool>(),
    )
        .prop_map(
            |(delimiter, quote, escape, terminator, columns, types, not_null, null_values, utf8)| CsvSpec {
                delimiter,
                quote,
                escape,
                terminator,
                columns,
                types,
                not_null,
                null_values,
                utf8,
            },
        )
}

pub(super) fn any_dialect() -> impl Strategy<Value = DialectSpec> {
    let byte = || (1u8..127).prop_filter("line end", |b| !b"\r\n".contains(b));
    (byte(), proptest::option::of(byte()), proptest::option::of(byte()))
        .prop_map(|(delimiter, quote, escape)| DialectSpec { delimiter, quote, escape })
}

pub(super) fn any_records() -> impl Strategy<Value = RecordsSpec> {
    prop_oneof![Just(RecordsSpec::Lines), any_dialect().prop_map(RecordsSpec::Csv)]
}

fn any_place() -> impl Strategy<Value = Place> {
    let bytes = (1u32..50, 0u32..50).prop_map(|(from, more)| Place::Bytes(from, from + more));
    prop_oneof![(1u32..99).prop_map(Place::Field), bytes]
}

fn any_column_ref() -> impl Strategy<Value = ColumnRef> {
    prop_oneof![any_column().prop_map(ColumnRef::Name), any_place().prop_map(ColumnRef::At)]
}

pub(super) fn any_unique() -> impl Strategy<Value = UniqueSpec> {
    let columns = proptest::collection::vec(any_column_ref(), 0..3);
    (any_records(), any::<bool>(), columns, 1u64 << 20..1 << 32).prop_map(
        |(records, header, columns, memory)| UniqueSpec {
            records,
            header,
            columns,
            memory: ByteSize(memory),
        },
    )
}

pub(super) fn any_trailer() -> impl Strategy<Value = TrailerSpec> {
    let of = proptest::sample::select(vec![Counted::Data, Counted::All]);
    let count = (any_place(), of).prop_map(|(field, of)| CountSpec { field, of });
    let sum = (any_column_ref(), any_place()).prop_map(|(column, field)| SumSpec { column, field });
    (any_records(), any::<bool>(), "[ -~]{1,9}", proptest::option::of(count), proptest::option::of(sum))
        .prop_map(|(records, header, prefix, count, sum)| TrailerSpec {
            records,
            header,
            prefix: Some(prefix),
            count,
            sum,
        })
}

pub(super) fn any_ebcdic() -> impl Strategy<Value = EbcdicSpec> {
    let decimal = || (0u8..=3, any::<bool>()).prop_map(|(scale, signed)| Decimal { scale, signed });
    let field = prop_oneof![
        (1u32..20).prop_map(|length| (length, EbcdicType::Text)),
        (2u32..=16, decimal()).prop_map(|(length, decimal)| (length, EbcdicType::Packed(decimal))),
        (3u32..=31, decimal()).prop_map(|(length, decimal)| (length, EbcdicType::Zoned(decimal))),
        (proptest::sample::select(vec![2u32, 4, 8]), any::<bool>())
            .prop_map(|(length, signed)| (length, EbcdicType::Binary(Decimal { scale: 1, signed }))),
    ];
    let column = (any_column(), 1u32..60, field).prop_map(|(name, start, (length, kind))| Placed {
        name,
        start,
        length,
        kind,
    });
    let records = prop_oneof![
        (1u32..3_000_000).prop_map(EbcdicRecords::Fixed),
        Just(EbcdicRecords::Rdw),
        Just(EbcdicRecords::Nel)
    ];
    let layout = proptest::option::of(proptest::collection::vec(column, 1..4));
    (proptest::sample::select(CodePage::ALL), records, layout, any::<bool>(), any::<bool>()).prop_map(
        |(from, records, layout, header, trim)| {
            let header = header || layout.is_none();
            EbcdicSpec { from, records, layout, header, trim }
        },
    )
}

pub(super) fn any_jsonl() -> impl Strategy<Value = JsonlSpec> {
    let schema = proptest::sample::select(vec![
        "{}",
        r#"{ "type": "object", "required": ["a", "é"], "properties": { "a": { "multipleOf": 0.25, "minimum": -1e3 } } }"#,
        r##"{ "items": { "$ref": "#/$defs/x" }, "$defs": { "x": { "enum": [null, 1.5, "~", []] } } }"##,
    ]);
    let schema = schema.prop_map(|text| JsonSchema::new(serde_json::from_str(text).unwrap()).unwrap());
    (
        proptest::option::of(schema),
        any::<bool>(),
        proptest::sample::select(vec![BlankLines::Reject, BlankLines::Skip]),
    )
        .prop_map(|(schema, unique_keys, blank_lines)| JsonlSpec { schema, unique_keys, blank_lines })
}

pub(super) fn any_fixed_width() -> impl Strategy<Value = FixedWidthSpec> {
    let ty = proptest::sample::select(vec![ColumnType::Date, ColumnType::Integer, ColumnType::Text]);
    let column = (any_column(), 1u32..60, 1u32..20, ty, any::<bool>()).prop_map(
        |(name, start, length, ty, not_null)| Placed {
            name,
            start,
            length,
            kind: FixedColumn { ty, not_null },
        },
    );
    let terminator = proptest::sample::select(vec![
        LineTerminator::Any,
        LineTerminator::Lf,
        LineTerminator::CrLf,
        LineTerminator::None,
    ]);
    (1u32..100, terminator, proptest::collection::vec(column, 0..4))
        .prop_map(|(record, terminator, columns)| FixedWidthSpec { record, terminator, columns })
}

/// The four OpenPGP stages.
pub(super) fn any_pgp() -> impl Strategy<Value = StageSpec> {
    fn word<W: Word + std::fmt::Debug>() -> impl Strategy<Value = W> {
        proptest::sample::select(W::WORDS.iter().map(|(_, word)| *word).collect::<Vec<_>>())
    }
    let name = || "[A-Za-z0-9@+_-][A-Za-z0-9@+_.-]{0,9}";
    let names =
        || proptest::collection::btree_set(name(), 1..4).prop_map(|names| names.into_iter().collect());
    let decrypt = (names(), word(), names()).prop_map(|(keys, verify, signers)| {
        let signers = if verify == PgpVerify::None { Vec::new() } else { signers };
        StageSpec::PgpDecrypt(PgpDecryptSpec { keys, verify, signers })
    });
    let encrypt = (names(), proptest::option::of(name()), any::<bool>(), word(), word(), word()).prop_map(
        |(recipients, sign_with, armor, cipher, integrity, compression)| {
            let spec = PgpEncryptSpec { recipients, sign_with, armor, cipher, integrity, compression };
            StageSpec::PgpEncrypt(spec)
        },
    );
    let sign = (name(), any::<bool>(), word()).prop_map(|(sign_with, armor, compression)| {
        StageSpec::PgpSign(PgpSignSpec { sign_with, armor, compression })
    });
    let verify = names().prop_map(|signers| StageSpec::PgpVerify(PgpVerifySpec { signers }));
    prop_oneof![decrypt, encrypt, sign, verify]
}

pub(super) fn any_scan() -> impl Strategy<Value = ScanSpec> {
    (1u64..=1 << 30, proptest::sample::select(Larger::ALL))
        .prop_map(|(max_bytes, larger)| ScanSpec { max_bytes: ByteSize(max_bytes), larger })
}

pub(super) fn any_split() -> impl Strategy<Value = SplitSpec> {
    let bounds = prop_oneof![
        (1u64..).prop_map(|records| (Some(records), None)),
        (1u64..).prop_map(|bytes| (None, Some(ByteSize(bytes)))),
        (1u64.., 1u64..).prop_map(|(records, bytes)| (Some(records), Some(ByteSize(bytes)))),
    ];
    (bounds, any::<bool>(), 2u64..=10_000, any_records()).prop_map(
        |((after_records, after_bytes), header, max_outputs, records)| SplitSpec {
            after_records,
            after_bytes,
            header,
            max_outputs,
            records,
        },
    )
}

pub(super) fn any_concat() -> impl Strategy<Value = ConcatSpec> {
    let word =
        proptest::sample::select(ManifestForm::WORDS.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let within = proptest::option::of(prop_oneof!["s3://acme-in/([a-z]{1,5}/){0,2}", "/([a-z]{1,5}/){0,3}"]);
    (word, within, 1_u64..=10_000).prop_map(|(manifest, within, max_objects)| ConcatSpec {
        manifest,
        within,
        max_objects,
    })
}
