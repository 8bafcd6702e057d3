//! What the tests of the stages that read CSV share.

use bytes::Bytes;
use eft_domain::route::ColumnType;
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::AnyStage;
use proptest::prelude::*;

/// All of them.
pub(crate) const TYPES: [ColumnType; 8] = [
    ColumnType::Text,
    ColumnType::Integer,
    ColumnType::Decimal,
    ColumnType::Float,
    ColumnType::Boolean,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Uuid,
];

/// The stage's end of the bytes: the same whole, byte by byte, and a little at a time.
pub(crate) fn outcome(stage: impl Fn() -> AnyStage, input: &[u8]) -> Outcome {
    let input = Bytes::copy_from_slice(input);
    let whole = drive(vec![stage()], &Arrival::whole(&input));
    if input.len() < 5_000 {
        whole.assert_same(&drive(vec![stage()], &Arrival::bytewise(&input)));
    }
    for seed in 0..8 {
        let arrival = Arrival::seeded(&input, seed, 1 + whole.bytes.len() / 500);
        whole.assert_same(&drive(vec![stage()], &arrival));
    }
    whole
}

/// Records of so many values that are of many types.
pub(crate) fn typed(width: usize) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        "[+-]?[0-9]{1,4}",
        "[+-]?[0-9]{1,20}",
        "[+-]?0{0,3}[0-9]{1,20}([.][0-9]{1,8})?",
        "[+-]?[0-9]{1,3}([.][0-9]{1,3})?[eE][+-]?[0-9]{1,3}",
        "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])",
        "[0-9]{3}[1-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,7})?(Z|[+-]0[0-9]:30)",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9A-F]{4}-[0-9a-f]{12}",
        prop::sample::select(vec![
            "",
            "NA",
            "true",
            "F",
            "yes",
            "N",
            "1",
            "x",
            "\"1\"",
            "\"\"",
            "\"a\"\"b\""
        ])
        .prop_map(str::to_owned),
    ];
    // Most records are of one kind of values, so that some of them pass.
    let row = (value, 0usize..4).prop_map(move |(value, others)| {
        let fields: Vec<_> = (0..width).map(|at| if at < others { value.as_str() } else { "1" }).collect();
        fields.join(",") + "\n"
    });
    prop::collection::vec(row, 0..20).prop_map(|rows| rows.concat().into_bytes())
}

/// A text that may stand in quotes.
pub(crate) fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 ]{0,12}",
        "[a-zé東\u{1f980}\",;\\\\\r\n'-]{0,30}",
        prop::sample::select(vec!["", "NA", "1,2", "\"", "\r\n"]).prop_map(str::to_owned),
    ]
}

/// Records of so many fields, some of them broken.
pub(crate) fn rows(width: usize) -> impl Strategy<Value = Vec<u8>> {
    let value = (field(), any::<bool>()).prop_map(|(text, bare)| {
        let plain = !text.contains(['"', ',', '\r', '\n', '\\']);
        if bare && plain { text } else { format!("\"{}\"", text.replace('"', "\"\"").replace('\\', "\\\\")) }
    });
    let sound = prop::collection::vec(value, width).prop_map(|fields| fields.join(",").into_bytes());
    let broken = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        (0usize..3).prop_map(|at| [&b"\"a\0,b,c"[..], b"a,\"b\"\",\0\",c", b"a,b,\"\\\0"][at].to_vec()),
        prop::collection::vec(prop::sample::select(b"a,\"\r\n\xc3\xa9\xff\x00\\".to_vec()), 0..12),
    ];
    let row = prop_oneof![8 => sound, 1 => broken];
    let end = prop_oneof![4 => Just(&b"\n"[..]), 4 => Just(&b"\r\n"[..]), 1 => Just(&b"\r"[..])];
    prop::collection::vec((row, end), 0..20)
        .prop_map(|rows| rows.into_iter().flat_map(|(row, end)| [&row[..], end].concat()).collect())
}

/// Saved wherever a chunk ends, and gone on from there: the end must be that of `whole`.
pub(crate) fn resumed_anywhere(stage: impl Fn() -> AnyStage, bytes: &Bytes, seed: u64, whole: &Outcome) {
    let arrival = Arrival::seeded(bytes, seed, 1 + whole.bytes.len() / 200);
    let (outcome, _) = resumed(|| vec![stage()], &arrival);
    whole.assert_same(&outcome);
}
