//! Any arrival of the input gives the same output and verdict: several stages in a chain, and the one that has no test
//! of its own for it, `digest.sha256`.

use std::collections::BTreeMap;

use crate::codec_support::{CODECS, compress, text};
use bytes::Bytes;
use eft_domain::{
    Code,
    route::{Codec, ColumnType, Columns, CsvSpec, DecompressSpec, Limits, StageSpec, ValidateSpec},
};
use eft_fakes::drive::{Arrival, Outcome, drive};
use eft_pipeline::stage::AnyStage;
use proptest::prelude::*;

/// How far a decoder has read when the ratio is looked at depends on the arrival, as the stage says of itself.
fn limits() -> Limits {
    Limits { max_ratio: u32::MAX, ..Limits::default() }
}

fn stage(spec: &StageSpec) -> AnyStage {
    AnyStage::new(spec, &limits()).unwrap().unwrap()
}

fn decompress(codec: Codec) -> AnyStage {
    stage(&StageSpec::Decompress(DecompressSpec { codec }))
}

fn utf8() -> AnyStage {
    stage(&StageSpec::Validate(ValidateSpec::Utf8))
}

fn sha256() -> AnyStage {
    AnyStage::Sha256(Box::default())
}

/// Takes what [`text`] makes, and leaves broken UTF-8 to others.
fn csv() -> AnyStage {
    stage(&StageSpec::Validate(ValidateSpec::Csv(CsvSpec {
        columns: Columns::Named(["number", "row", "x"].map(str::to_owned).to_vec()),
        types: BTreeMap::from([("number".to_owned(), ColumnType::Integer)]),
        utf8: false,
        ..CsvSpec::default()
    })))
}

/// Records of three fields.
fn records(seed: u64, len: usize) -> Vec<u8> {
    let mut content = text(seed, len);
    let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    content.truncate(whole);
    content
}

/// Replaces a byte at or behind `at`, the last of its record.
fn break_record(content: &mut [u8], at: usize, with: u8) {
    if let Some(end) = content.iter().skip(at).position(|&byte| byte == b'\n') {
        content[at + end - 1] = with;
    }
}

#[derive(Clone, Debug)]
struct Cuts {
    places: Vec<usize>,
    rooms: Vec<usize>,
    waiting: usize,
}

fn cuts() -> impl Strategy<Value = Cuts> {
    let places = prop::collection::vec(any::<usize>(), 0..40);
    let rooms = prop::collection::vec(prop_oneof![1usize..100, 1usize..400_000], 1..6);
    (places, rooms, 1usize..4).prop_map(|(places, rooms, waiting)| Cuts { places, rooms, waiting })
}

impl Cuts {
    /// The same end for all at once and for these cuts, and byte by byte where there are few. `content` is about how much
    /// comes out: little room for much of it would only be slow.
    fn same(&self, stages: impl Fn() -> Vec<AnyStage>, input: &Bytes, content: usize) -> Outcome {
        self.all(stages, input, content, Outcome::assert_same)
    }

    fn all(
        &self,
        stages: impl Fn() -> Vec<AnyStage>,
        input: &Bytes,
        content: usize,
        same: impl Fn(&Outcome, &Outcome),
    ) -> Outcome {
        let whole = drive(stages(), &Arrival::whole(input));
        let rooms: Vec<_> = self.rooms.iter().map(|&room| room.max(content / 500)).collect();
        same(&whole, &drive(stages(), &Arrival::cut(input, &self.places, self.waiting, &rooms)));
        if input.len() < 3_000 {
            same(&whole, &drive(stages(), &Arrival::bytewise(input)));
        }
        whole
    }
}

fn code(outcome: &Outcome) -> Option<Code> {
    outcome.verdict.as_ref().err().map(|failure| failure.code)
}

proptest! {
    #[test]
    fn a_digest_is_of_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..5_000), cuts in cuts()) {
        let input = Bytes::from(bytes);
        let outcome = cuts.same(|| vec![sha256()], &input, 0);
        let expected = ring::digest::digest(&ring::digest::SHA256, &input);
        prop_assert_eq!(&outcome.verdict, &Ok(()));
        prop_assert_eq!(outcome.report().sha256.unwrap(), expected.as_ref());
        prop_assert!(outcome.bytes == input);
    }

    /// Taps in any order: all see all bytes, or the one with something to say says it.
    #[test]
    fn a_chain_of_taps(
        seed: u64, len in 0usize..20_000, order in Just(vec![0, 1, 2]).prop_shuffle(),
        fault in prop::option::of((any::<prop::sample::Index>(), any::<bool>())), cuts in cuts(),
    ) {
        let mut content = records(seed, len);
        if let (Some((at, row)), false) = (&fault, content.is_empty()) {
            let at = at.index(content.len());
            break_record(&mut content, at, if *row { b',' } else { 0xff });
        }
        let sound = Ok(&content[..]) == std::str::from_utf8(&content).map(str::as_bytes);
        let commas = content.iter().filter(|&&byte| byte == b',').count();
        let lines = content.iter().filter(|&&byte| byte == b'\n').count();
        let input = Bytes::from(content);
        let stages = || order.iter().map(|at| [csv, utf8, sha256][*at]()).collect();
        let outcome = cuts.same(stages, &input, 0);
        prop_assert_eq!(code(&outcome), (!sound || commas != 2 * lines).then_some(Code::Validation));
        if outcome.verdict.is_ok() {
            prop_assert!(outcome.bytes == input);
            prop_assert!(outcome.stages.iter().all(|stage| stage.bytes_in == input.len() as u64));
        }
    }

    /// What comes out is judged by the stages behind, also where what went in proves to be broken further on.
    #[test]
    fn a_chain_that_decompresses(
        codec in prop::sample::select(CODECS.to_vec()), other in prop::sample::select(CODECS.to_vec()), twice: bool, seed: u64, len in prop_oneof![0usize..2_000, 0usize..300_000],
        row in prop::option::weighted(0.3, any::<prop::sample::Index>()),
        damage in prop::option::weighted(0.5, (0u8..3, any::<prop::sample::Index>())), cuts in cuts(),
    ) {
        let mut content = records(seed, len);
        let row = row.filter(|_| !content.is_empty());
        if let Some(at) = &row {
            let at = at.index(content.len());
            break_record(&mut content, at, b',');
        }
        let inner = if twice { compress(other, 3, &content) } else { content.clone() };
        let mut file = compress(codec, 3, &inner);
        match &damage {
            // A checksum or what else is checked at the end. The last byte of bzip2 may be of bits that say nothing.
            Some((0, _)) => { let at = file.len() - 2; file[at] ^= 1 }
            Some((1, at)) => { let to = at.index(file.len()); file.truncate(to) }
            Some(_) => file.extend(b"trailing"),
            None => {}
        }
        let stages = || {
            let inner = twice.then(|| decompress(other));
            [decompress(codec)].into_iter().chain(inner).chain([utf8(), csv(), sha256()]).collect()
        };
        let input = Bytes::from(file);
        // Neither libzstd nor libbz2 gives what it made of the input before a wrong checksum, so there a second fault may
        // be missed.
        let lost = matches!(codec, Codec::Zstd | Codec::Bzip2) && row.is_some() && matches!(damage, Some((0, _)));
        let outcome = cuts.all(stages, &input, content.len(), |one, two| match lost {
            true => assert!(one.verdict.is_err() && two.verdict.is_err()),
            false => one.assert_same(two),
        });
        match (&row, &damage) {
            (None, None) => {
                prop_assert_eq!(&outcome.verdict, &Ok(()));
                prop_assert!(outcome.bytes == content);
            }
            (Some(_), None) => prop_assert_eq!(code(&outcome), Some(Code::Validation)),
            // A file cut within its first bytes holds no record yet.
            (_, Some(_)) => prop_assert!(outcome.verdict.is_err()),
        }
    }
}
