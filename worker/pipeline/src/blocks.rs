//! Compression in independent blocks, parallel over the CPU pool.
//!
//! # Overview
//! The stream is cut into blocks of equal size; each becomes a whole member or frame on a thread of its own, and they
//! leave in order. A file of several members (RFC 1952 §2.2) or frames (RFC 8878 §3.1) is a standard file.
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
            if chunk.begins && block.len > 0 {
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
        (block.len > 0 || self.blocks == 1).then_some(block)
    }
}

/// A block that was compressed.
struct Made {
    chunk: Chunk,
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
                let crc = Crc64::of_segments(segments.iter().map(|segment| segment.as_ref()));
                locked(&scratches).push(scratch);
                Ok::<_, Failure>((segments, crc, started.elapsed()))
            };
            let (segments, crc, busy) = crew.pool.run(work).await??;
            lease.shrink(crc.len());
            crew.progress.copied(joined + 2 * crc.len());
            let chunk = Chunk { crc: Some(crc), mark, begins, ..Chunk::new(0, segments, lease) };
            Ok(Made { chunk, bytes_in, busy })
        };
        Some((Ok(job), gather))
    });
    let leaving = |made: Made| {
        let Made { mut chunk, bytes_in, busy } = made;
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
    let SavedBlocks { bytes_in, bytes_out, blocks, busy, .. } = counts;
    let report = StageReport { frames: Some(blocks), ..StageReport::default() };
    (crew.totals)(vec![StageTotals { info: compressor.info(), bytes_in, bytes_out, busy, report }]);
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
