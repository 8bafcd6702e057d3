//! The step that makes several objects of one stream: chunks are cut where the [`Splitter`] says, none is copied.
//!
//! A chunk whose first byte begins another object says so ([`Chunk::begins`]); `blocks.rs` ends a block there, and
//! `upload.rs` an object.

use std::time::Duration;

use bytes::Bytes;
use eft_domain::{
    Failure,
    route::{Limits, SplitSpec},
};
use tokio::time::Instant;

use crate::{
    chain::StageTotals,
    chunk::Chunk,
    ordered::{Downstream, Flowing, Upstream, downstream_gone},
    serial::{Crew, INLINE},
    stage::Splitter,
};

pub(crate) async fn run_split(
    spec: SplitSpec,
    limits: &Limits,
    mut upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    let mut splitter = Splitter::new(spec, limits);
    let (mut bytes_in, mut bytes_out, mut busy) = (0, 0, Duration::ZERO);
    // One for all objects: as large as a record may be, times as many objects as there may be, it fits no memory.
    let mut header = Bytes::new();
    let totals = |splitter: &Splitter, bytes_in, bytes_out, busy| {
        let info = Splitter::info(&spec, limits);
        (crew.totals)(vec![StageTotals { info, bytes_in, bytes_out, busy, report: splitter.report() }]);
    };
    while let Some(chunk) = upstream.next().await {
        bytes_in += chunk.len;
        // The segments are cloned, not their bytes.
        let segments = chunk.segments.clone();
        let work = move || {
            let started = Instant::now();
            let cuts = splitter.cuts(&segments);
            (splitter, cuts, started.elapsed())
        };
        let (back, cuts, worked) = if chunk.len <= INLINE { work() } else { crew.pool.run(work).await? };
        splitter = back;
        busy += worked;
        let cuts = match cuts {
            Ok(cuts) => cuts,
            Err(failure) => {
                drop(chunk);
                crew.prove(&mut upstream).await;
                totals(&splitter, bytes_in, bytes_out, busy);
                return Err(failure);
            }
        };
        if header.is_empty() && !cuts.is_empty() {
            header = Bytes::copy_from_slice(splitter.header());
        }
        for piece in pieces(chunk, &cuts, &header) {
            bytes_out += piece.len;
            downstream.send(Flowing::Item(piece)).await.map_err(|_| downstream_gone())?;
        }
    }
    splitter.finish();
    totals(&splitter, bytes_in, bytes_out, busy);
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

/// The chunk cut at these places, with a header in front of every object that begins in it.
fn pieces(mut chunk: Chunk, cuts: &[u64], header: &Bytes) -> Vec<Chunk> {
    let mut pieces = Vec::with_capacity(1 + 2 * cuts.len());
    let mut from = 0;
    for cut in cuts {
        let piece = chunk.split_to(cut - from);
        from = *cut;
        pieces.extend(Some(piece).filter(|piece| piece.len > 0));
        chunk.begins = header.is_empty();
        if !header.is_empty() {
            let (segments, len) = (vec![header.clone()], header.len() as u64);
            pieces.push(Chunk { segments, len, begins: true, ..Chunk::default() });
        }
    }
    pieces.push(chunk);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_objects_share_one_header() {
        let header = Bytes::from_static(b"id,name\n");
        let chunk = Chunk { segments: vec![Bytes::from_static(b"1\n2\n3\n")], len: 6, ..Chunk::default() };
        let pieces = pieces(chunk, &[0, 2, 4], &header);
        let begin: Vec<_> = pieces.iter().filter(|piece| piece.begins).collect();
        assert_eq!((pieces.len(), begin.len()), (6, 3));
        assert!(begin.iter().all(|piece| piece.segments[0].as_ptr() == header.as_ptr()));
    }
}
