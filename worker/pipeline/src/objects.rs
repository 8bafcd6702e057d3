//! Streams of several objects: a chunk whose first byte begins another object says so ([`Chunk::begins`]), and every
//! object has at least one chunk, which may be empty. Steps read such a stream object by object ([`Incoming`]).

use crate::{
    chain::StageTotals,
    chunk::Chunk,
    ordered::{Downstream, Flowing, Upstream, downstream_gone},
};
use eft_domain::Failure;

/// A stream, object by object.
pub(crate) struct Incoming {
    upstream: Upstream<Chunk>,
    /// It begins the next object.
    held: Option<Chunk>,
}

impl Incoming {
    pub(crate) fn new(upstream: Upstream<Chunk>) -> Self {
        Self { upstream, held: None }
    }

    /// Another object begins where the last one has ended.
    pub(crate) fn has_more(&self) -> bool {
        self.held.is_some()
    }

    /// Read on to the end and forget it.
    pub(crate) async fn drain(&mut self) {
        self.held = None;
        self.upstream.drain().await;
    }

    /// The next chunk of an object of which `some` chunks have come; `None` at its end.
    pub(crate) async fn next(&mut self, some: bool) -> Option<Chunk> {
        let chunk = match self.held.take() {
            Some(held) => Some(held),
            None => self.upstream.next().await,
        };
        match chunk {
            Some(chunk) if chunk.begins && some => {
                self.held = Some(chunk);
                None
            }
            chunk => chunk,
        }
    }
}

/// What a step did with the objects before, and with one more.
pub(crate) fn add(totals: &mut Vec<StageTotals>, more: Vec<StageTotals>) {
    if totals.is_empty() {
        *totals = more;
        return;
    }
    for (all, one) in totals.iter_mut().zip(more) {
        all.bytes_in += one.bytes_in;
        all.bytes_out += one.bytes_out;
        all.busy += one.busy;
        all.report.add(one.report);
    }
}

/// The stream is several objects, which end where `ends` says; chunks are cut there, and none is copied.
pub(crate) async fn run_bounds(
    ends: &[u64],
    mut upstream: Upstream<Chunk>,
    downstream: Downstream<Chunk>,
) -> Result<(), Failure> {
    let mut ends = ends.iter().copied().peekable();
    let (mut at, mut begins) = (0, false);
    let send =
        |chunk: Chunk| async { downstream.send(Flowing::Item(chunk)).await.map_err(|_| downstream_gone()) };
    // An object of which nothing has been sent yet.
    let mut fresh = true;
    while let Some(mut chunk) = upstream.next().await {
        while chunk.len > 0 {
            while let Some(end) = ends.next_if(|end| *end == at) {
                // An empty one at the very start, or behind another that has ended here.
                if fresh {
                    send(Chunk { offset: end, begins, ..Chunk::default() }).await?;
                }
                (begins, fresh) = (true, true);
            }
            let left = ends.peek().map_or(chunk.len, |end| end - at);
            let mut piece = chunk.split_to(left.min(chunk.len));
            at += piece.len;
            piece.begins = std::mem::take(&mut begins);
            fresh = false;
            send(piece).await?;
        }
    }
    while ends.next().is_some() {
        if fresh {
            send(Chunk { offset: at, begins, ..Chunk::default() }).await?;
        }
        (begins, fresh) = (true, true);
    }
    downstream.send(Flowing::End).await.map_err(|_| downstream_gone())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::ordered::link;

    /// The objects that come of a stream cut into chunks of this size.
    async fn objects(bytes: &Bytes, lens: &[usize], size: usize) -> Vec<Vec<u8>> {
        let ends: Vec<u64> = lens
            .iter()
            .scan(0, |end, len| {
                *end += *len as u64;
                Some(*end)
            })
            .collect();
        let (input, upstream) = link(1);
        let (downstream, output) = link(1);
        let feed = async {
            for piece in bytes.chunks(size) {
                let segments = vec![Bytes::copy_from_slice(piece)];
                let chunk = Chunk { segments, len: piece.len() as u64, ..Chunk::default() };
                input.send(Flowing::Item(chunk)).await.unwrap();
            }
            input.send(Flowing::End).await.unwrap();
        };
        let gather = async {
            let (mut incoming, mut objects) = (Incoming::new(output), Vec::new());
            loop {
                let (mut object, mut some) = (Vec::new(), false);
                while let Some(chunk) = incoming.next(some).await {
                    chunk.segments.iter().for_each(|segment| object.extend_from_slice(segment));
                    some = true;
                }
                objects.push(object);
                if !incoming.has_more() {
                    return objects;
                }
            }
        };
        let (ran, (), objects) = tokio::join!(run_bounds(&ends, upstream, downstream), feed, gather);
        ran.unwrap();
        objects
    }

    proptest! {
        #[test]
        fn every_object_is_there_empty_ones_too(
            lens in proptest::collection::vec(prop_oneof![Just(0_usize), 0_usize..40], 1..12),
            size in 1_usize..50,
        ) {
            let bytes: Bytes = (0..lens.iter().sum::<usize>()).map(|at| at as u8).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let found = runtime.block_on(objects(&bytes, &lens, size));
            let mut left = bytes.clone();
            let wanted: Vec<Vec<u8>> = lens.iter().map(|len| left.split_to(*len).to_vec()).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
