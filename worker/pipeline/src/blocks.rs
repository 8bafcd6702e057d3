//! Compression in independent blocks, parallel over the CPU pool.
//!
//! # Overview
//! The stream is cut into blocks of equal size; each becomes a whole member or frame on a thread of its own, and they
//! leave in order. A file of several members (RFC 1952 §2.2) or frames (RFC 8878 §3.1) is a standard file. The entry of an
//! archive is one deflated stream: each block is a piece of it, and what stands around them is put there as they leave.
//!
//! # Backpressure
//! A block's output is reserved at its upper bound before it is handed to the pool and shrunk to its size afterwards.
//!
//! # Resuming
//! Between two blocks: a mark leaves with the block it fell into, and a resumed run skips what that block had of the
//! stream behind the mark.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use eft_domain::Failure;
use futures::stream;
use tokio::time::Instant;

use crate::{
    budget::Budget,
    chain::StageTotals,
    checkpoint::{SavedBlocks, SavedStep},
    checksum::Crc64,
    chunk::Chunk,
    ordered::{Downstream, Flowing, Upstream, downstream_gone, ordered_window},
    plan::Blocks,
    serial::Crew,
    stage::{Scratch, StageReport},
};

/// Gathers chunks into blocks.
struct Gather {
    upstream: Upstream<Chunk>,
    rest: Option<Chunk>,
    ended: bool,
    /// Blocks so far, those of an earlier run included.
    blocks: u64,
    /// Bytes to drop before the first block: an earlier run has made blocks of them.
    skip: u64,
}

impl Gather {
    async fn chunk(&mut self) -> Option<Chunk> {
        if let Some(chunk) = self.rest.take() {
            return Some(chunk);
        }
        loop {
            let mut chunk = self.upstream.next().await?;
            let dropped = self.skip.min(chunk.len);
            if dropped == 0 {
                return Some(chunk);
            }
            self.skip -= chunk.split_to(dropped).len;
            if chunk.len > 0 {
                return Some(chunk);
            }
        }
    }

    /// The next block: full, or the last of its object. The first block of an empty stream is empty. A mark that falls
    /// into it goes with it.
    async fn next(&mut self, size: u64) -> Option<Chunk> {
        let mut block = Chunk::default();
        while block.len < size && !self.ended {
            let Some(mut chunk) = self.chunk().await else {
                self.ended = true;
                break;
            };
            // An empty object is a block too.
            if chunk.begins && (block.len > 0 || block.begins || self.blocks == 0) {
                self.rest = Some(chunk);
                break;
            }
            block.begins |= chunk.begins;
            let piece = chunk.split_to(chunk.len.min(size - block.len));
            block.len += piece.len;
            block.segments.extend(piece.segments);
            block.leases.extend(piece.leases);
            block.mark = piece.mark.or(block.mark);
            self.rest = Some(chunk).filter(|chunk| chunk.len > 0);
        }
        self.blocks += 1;
        (block.len > 0 || block.begins || self.blocks == 1).then_some(block)
    }
}

/// A block that was compressed.
struct Made {
    chunk: Chunk,
    /// CRC-32 (ISO-HDLC) of what went in, where it is asked for.
    crc32: u32,
    bytes_in: u64,
    busy: Duration,
}

pub(crate) async fn run_blocks(
    plan: &Blocks,
    saved: Option<SavedBlocks>,
    upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    let compressor = Arc::new(plan.compressor);
    let size = compressor.block_bytes() as u64;
    let window = Budget::new(plan.window);
    let scratches = Arc::new(Mutex::new(Vec::<Scratch>::new()));
    let mut counts = saved.unwrap_or_default();
    let framed = plan.frame.is_some();
    let gather = Gather { upstream, rest: None, ended: false, blocks: counts.blocks, skip: counts.skip };
    let (compressor, window, scratches, crew) = (&compressor, &window, &scratches, &crew);
    let jobs = stream::unfold(gather, |mut gather| async move {
        let mut block = gather.next(size).await?;
        let mut lease = window.reserve(compressor.bound(block.len as usize) as u64).await;
        let (compressor, scratches) = (Arc::clone(compressor), Arc::clone(scratches));
        let job = async move {
            let (bytes_in, mark, begins) = (block.len, block.mark.take(), block.begins);
            // Segments are joined for the codec, which writes to a buffer of its own, from where the output is copied.
            let joined = if block.segments.len() > 1 { bytes_in } else { 0 };
            let work = move || {
                let started = Instant::now();
                let spare = locked(&scratches).pop();
                let mut scratch = spare.unwrap_or_default();
                let segments = compressor.compress(&mut scratch, &block.segments)?;
                let crc32 = if framed { crc32_of(&block.segments) } else { 0 };
                let crc = Crc64::of_segments(segments.iter().map(|segment| segment.as_ref()));
                locked(&scratches).push(scratch);
                Ok::<_, Failure>((segments, crc, crc32, started.elapsed()))
            };
            let (segments, crc, crc32, busy) = crew.pool.run(work).await??;
            lease.shrink(crc.len());
            crew.progress.copied(joined + 2 * crc.len());
            let chunk = Chunk { crc: Some(crc), mark, begins, ..Chunk::new(0, segments, lease) };
            Ok(Made { chunk, crc32, bytes_in, busy })
        };
        Some((Ok(job), gather))
    });
    let leaving = |made: Made| {
        let Made { mut chunk, crc32, bytes_in, busy } = made;
        if let Some(frame) = plan.frame.as_ref() {
            counts.crc32 = joined_crc32(counts.crc32, crc32, bytes_in);
            if counts.blocks == 0 {
                prepend(&mut chunk, frame.begin());
            }
        }
        counts.bytes_in += bytes_in;
        counts.bytes_out += chunk.len;
        counts.blocks += 1;
        counts.busy += busy;
        if let Some(mark) = &mut chunk.mark {
            let skip = counts.bytes_in.saturating_sub(mark.position);
            mark.pass(SavedStep::Blocks(SavedBlocks { skip, ..counts.clone() }));
        }
        chunk
    };
    ordered_window(jobs, || plan.jobs, leaving, &downstream).await?;
    let SavedBlocks { bytes_in, mut bytes_out, blocks, busy, crc32, .. } = counts;
    if let Some(frame) = &plan.frame {
        let deflated = bytes_out - frame.begin().len() as u64;
        let mut end = Chunk::default();
        prepend(&mut end, frame.end(bytes_in, deflated, crc32));
        bytes_out += end.len;
        downstream.send(Flowing::Item(end)).await.map_err(|_| downstream_gone())?;
    }
    let report = StageReport { frames: Some(blocks), ..StageReport::default() };
    (crew.totals)(vec![StageTotals { info: compressor.info(), bytes_in, bytes_out, busy, report }]);
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

/// Put a few bytes in front; they have no lease.
fn prepend(chunk: &mut Chunk, bytes: Vec<u8>) {
    let bytes = Bytes::from(bytes);
    chunk.crc = chunk.crc.map(|crc| Crc64::of(&bytes).then(crc));
    chunk.len += bytes.len() as u64;
    chunk.segments.insert(0, bytes);
}

fn crc32_of(segments: &[Bytes]) -> u32 {
    let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc);
    for segment in segments {
        digest.update(segment);
    }
    digest.finalize() as u32
}

/// The CRC-32 of bytes that have the first one, and `len` bytes behind them that have the second.
fn joined_crc32(first: u32, second: u32, len: u64) -> u32 {
    match len {
        0 => first,
        _ => crc_fast::checksum_combine(CrcAlgorithm::Crc32IsoHdlc, first.into(), second.into(), len) as u32,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
