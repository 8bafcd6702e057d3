//! What the codec tests share: fixtures, and a driver that steps a stage as the pipeline does.

use bytes::Bytes;
use eft_domain::route::{Codec, CompressSpec, DecompressSpec, Limits};
use eft_domain::{Code, Failure};
use eft_pipeline::stage::compress::{BlockCompressor, Scratch};
use eft_pipeline::stage::decompress::Decompress;
use eft_pipeline::stage::{Flow, Input, Output, Stage};

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/codec/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) const CODECS: [Codec; 4] = [Codec::Bzip2, Codec::Gzip, Codec::Xz, Codec::Zstd];

/// What came of a decompression.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: u64,
    pub(crate) failure: Option<Failure>,
}

impl Outcome {
    pub(crate) fn code(&self) -> Option<Code> {
        self.failure.as_ref().map(|failure| failure.code)
    }

    pub(crate) fn message(&self) -> &str {
        self.failure.as_ref().map_or("", |failure| &failure.message)
    }
}

/// Step a stage over `chunks` with the `rooms` in turn, checking what the contract says of each [`Flow`].
pub(crate) fn drive(
    codec: Codec,
    limits: &Limits,
    chunks: impl IntoIterator<Item = Bytes>,
    rooms: &[usize],
) -> Outcome {
    let mut stage = Decompress::new(DecompressSpec { codec }, limits);
    let mut chunks = chunks.into_iter();
    let mut rooms = rooms.iter().copied().cycle();
    let (mut input, mut outcome) = (Input::default(), Outcome::default());
    loop {
        let room = rooms.next().expect("a room");
        let mut output = Output::with_room(room);
        let flow = stage.step(&mut input, &mut output);
        assert!(output.made() <= room);
        let full = output.room() == 0;
        outcome.bytes.extend(output.take().concat());
        outcome.frames = stage.report().frames.expect("frames");
        match flow {
            Ok(Flow::Full) => assert!(full, "full with room left"),
            Ok(Flow::Hungry) => {
                assert!(input.is_empty() && !input.is_ended(), "hungry with input left");
                match chunks.next() {
                    Some(chunk) => input.push(chunk),
                    None => input.end(),
                }
            }
            Ok(Flow::Boundary) => panic!("nobody asked for the state"),
            Ok(Flow::Done) => {
                assert!(input.is_finished());
                return outcome;
            }
            Err(failure) => {
                outcome.failure = Some(failure);
                return outcome;
            }
        }
    }
}

/// All input at once, ample room, default limits.
pub(crate) fn decompress(codec: Codec, bytes: &[u8]) -> Outcome {
    drive(codec, &Limits::default(), [Bytes::copy_from_slice(bytes)], &[1 << 20])
}

pub(crate) fn compress(codec: Codec, level: i32, bytes: &[u8]) -> Vec<u8> {
    let compressor = BlockCompressor::new(CompressSpec { codec, level });
    let segments = [Bytes::copy_from_slice(bytes)];
    compressor.compress(&mut Scratch::default(), &segments).expect("it compresses").concat()
}

/// Bytes that compress about as well as text, the same for a seed.
pub(crate) fn text(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 32);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(format!("{},row {},x\n", state >> 40, state >> 60).as_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Bytes no compressor can shorten.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    std::iter::repeat_with(&mut step).take(len).collect()
}
