//! Compression in independent blocks, parallel over the CPU pool.
//!
//! # Overview
//! The stream is cut into blocks of equal size; each becomes a whole member or frame on a thread of its own, and they
//! leave in order. A file of several members (RFC 1952 §2.2) or frames (RFC 8878 §3.1) is a standard file.
//!
//! # Backpressure
//! A block's output is reserved at its upper bound before it is handed to the pool and shrunk to its size afterwards.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use eft_domain::Failure;
use futures::stream;
use tokio::time::Instant;

use crate::{
    budget::Budget,
    chain::{Crew, StageTotals},
    checksum::Crc64,
    chunk::Chunk,
    ordered::{Downstream, Flowing, Upstream, downstream_gone, ordered_window},
    plan::Blocks,
    stage::{Scratch, StageReport},
};

/// Gathers chunks into blocks.
struct Gather {
    upstream: Upstream<Chunk>,
    rest: Option<Chunk>,
    ended: bool,
    blocks: u64,
}

impl Gather {
    /// The next block: full, or the last. The first block of an empty stream is empty.
    async fn next(&mut self, size: u64) -> Option<Chunk> {
        let mut block = Chunk::default();
        while block.len < size && !self.ended {
            let mut chunk = match self.rest.take() {
                Some(chunk) => chunk,
                None => match self.upstream.next().await {
                    Some(chunk) => chunk,
                    None => {
                        self.ended = true;
                        break;
                    }
                },
            };
            let piece = chunk.split_to(chunk.len.min(size - block.len));
            block.len += piece.len;
            block.segments.extend(piece.segments);
            block.leases.extend(piece.leases);
            self.rest = Some(chunk).filter(|chunk| chunk.len > 0);
        }
        self.blocks += 1;
        (block.len > 0 || self.blocks == 1).then_some(block)
    }
}

/// Compress the stream.
pub(crate) async fn run_blocks(
    plan: &Blocks,
    upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    let compressor = Arc::new(plan.compressor);
    let size = compressor.block_bytes() as u64;
    let window = Budget::new(plan.window);
    let scratches = Arc::new(Mutex::new(Vec::<Scratch>::new()));
    let counts = Mutex::new(Counts::default());
    let gather = Gather { upstream, rest: None, ended: false, blocks: 0 };
    let (compressor, window, scratches, crew, counts) = (&compressor, &window, &scratches, &crew, &counts);
    let jobs = stream::unfold(gather, |mut gather| async move {
        let block = gather.next(size).await?;
        let mut lease = window.reserve(compressor.bound(block.len as usize) as u64).await;
        let (compressor, scratches) = (Arc::clone(compressor), Arc::clone(scratches));
        let job = async move {
            let bytes_in = block.len;
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
            let (segments, crc, elapsed) = crew.pool.run(work).await??;
            lease.shrink(crc.len());
            crew.progress.copied(joined + 2 * crc.len());
            let mut counts = locked(counts);
            counts.bytes_in += bytes_in;
            counts.bytes_out += crc.len();
            counts.blocks += 1;
            counts.busy += elapsed;
            Ok(Chunk { crc: Some(crc), ..Chunk::new(0, segments, lease) })
        };
        Some((Ok(job), gather))
    });
    ordered_window(jobs, || plan.jobs, |_| (), &downstream).await?;
    let Counts { bytes_in, bytes_out, blocks, busy } = std::mem::take(&mut *locked(counts));
    let report = StageReport { frames: Some(blocks), ..StageReport::default() };
    (crew.totals)(vec![StageTotals { info: compressor.info(), bytes_in, bytes_out, busy, report }]);
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

#[derive(Default)]
struct Counts {
    bytes_in: u64,
    bytes_out: u64,
    blocks: u64,
    busy: Duration,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
