//! A stage that was saved and restored goes on as if nothing had happened, wherever it was saved and however the bytes
//! came.

use std::collections::BTreeMap;

use crate::codec_support::{CODECS, compress, text};
use bytes::Bytes;
use eft_domain::{
    Code,
    route::{Codec, ColumnType, Columns, CsvSpec, DecompressSpec, Limits, StageSpec, ValidateSpec},
};
use eft_fakes::drive::{Arrival, resumed};
use eft_pipeline::stage::{AnyStage, Stage};
use proptest::prelude::*;

fn limits(max_errors: u64) -> Limits {
    Limits { max_ratio: u32::MAX, max_errors, ..Limits::default() }
}

fn decompress(codec: Codec) -> StageSpec {
    StageSpec::Decompress(DecompressSpec { codec })
}

fn csv(columns: Columns) -> StageSpec {
    let types = match &columns {
        Columns::Unnamed => BTreeMap::new(),
        _ => BTreeMap::from([("number".to_owned(), ColumnType::Integer)]),
    };
    StageSpec::Validate(ValidateSpec::Csv(CsvSpec { columns, types, ..CsvSpec::default() }))
}

fn utf8() -> StageSpec {
    StageSpec::Validate(ValidateSpec::Utf8)
}

/// Go on from every place of this arrival; returns how many places there were.
fn check(specs: &[StageSpec], max_errors: u64, content: &[u8], seed: u64) -> usize {
    let stages = || {
        let stages = specs.iter().map(|spec| AnyStage::new(spec, &limits(max_errors)).unwrap().unwrap());
        let mut stages: Vec<_> = stages.collect();
        stages.push(AnyStage::Sha256(Box::default()));
        stages
    };
    let arrival = Arrival::seeded(&Bytes::copy_from_slice(content), seed, 1);
    resumed(stages, &arrival).1
}

/// Members or frames of about `each` bytes of content.
fn packed(codec: Codec, content: &[u8], each: usize) -> Vec<u8> {
    // Encoders of xz are costly: few of them, and the smallest.
    let (level, each) = if codec == Codec::Xz { (0, each.max(300)) } else { (3, each) };
    content.chunks(each).flat_map(|piece| compress(codec, level, piece)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn text_goes_on_inside_a_character(seed: u64, len in 0usize..4000) {
        let content: String = text(seed, len).iter().map(|&byte| char::from(byte)).flat_map(|c| [c, 'é', '€', '𝄞']).collect();
        let places = check(&[utf8()], 0, content.as_bytes(), seed);
        prop_assert!(places > 0 || len < 100);
    }

    #[test]
    fn records_go_on_with_their_counts(seed: u64, len in 0usize..4000, broken in proptest::collection::vec(0usize..4000, 0..6), named: bool) {
        let mut content = text(seed, len);
        for at in broken {
            if let Some(byte) = content.get_mut(at) {
                *byte = b',';
            }
        }
        let columns = if named { Columns::Named(["number", "row", "x"].map(str::to_owned).to_vec()) } else { Columns::Unnamed };
        check(&[csv(columns)], 3, &content, seed);
    }

    #[test]
    fn a_header_is_read_once(seed: u64, len in 0usize..2000) {
        let content = [b"number,row,x\n".to_vec(), text(seed, len)].concat();
        check(&[csv(Columns::FromFile)], 0, &content, seed);
        let header = ["number", "row", "x"].map(str::to_owned).to_vec();
        check(&[csv(Columns::Header(header))], 0, &content, seed);
    }

    #[test]
    fn chains_go_on_at_units_and_records(seed: u64, len in 0usize..6000, each in 1usize..900, codec in proptest::sample::select(CODECS.to_vec())) {
        let content = packed(codec, &text(seed, len), each);
        check(&[decompress(codec), csv(Columns::Unnamed), utf8()], 5, &content, seed);
    }
}

#[test]
fn many_members_give_many_places_and_one_gives_none_inside() {
    let content = text(7, 100_000);
    let specs = [decompress(Codec::Gzip), csv(Columns::Unnamed)];
    assert!(check(&specs, 9, &packed(Codec::Gzip, &content, 500), 1) > 20);
    let one = packed(Codec::Gzip, &content, content.len());
    // Behind its end, or before its start.
    assert!(check(&specs, 9, &one, 1) <= 1);
}

#[test]
fn what_is_no_state_of_the_stage_is_refused() {
    let fresh = |spec| AnyStage::new(&spec, &limits(0)).unwrap().unwrap();
    let nonsense = [
        serde_json::json!(null),
        serde_json::json!({}),
        serde_json::json!({ "carry": [255, 255, 255], "carried": 3 }),
        serde_json::json!({ "carry": [0, 0, 0], "carried": 9 }),
        serde_json::json!({ "record_start": 0, "columns": { "Width": 4_000_000_000_u64 }, "records": 0, "errors": 0, "rejects": [] }),
    ];
    for spec in [utf8(), csv(Columns::Unnamed), csv(Columns::FromFile), decompress(Codec::Zstd)] {
        for state in &nonsense {
            let failure = fresh(spec.clone()).restore(state.clone()).unwrap_err();
            assert_eq!(failure.code, Code::CheckpointRefused, "{spec:?} took {state}");
        }
    }
}

/// A state needs the names of the header, and one that was cut for messages is not known any more.
#[test]
fn a_stage_that_stops_without_a_state_is_not_asked_for_ever() {
    let name = "n".repeat(80);
    let content = format!("number,{name},x\n1,a,b\n2,a,b\n3,a,b\n");
    assert_eq!(check(&[csv(Columns::FromFile)], 0, content.as_bytes(), 3), 0);
}
