//! Several objects, one behind the other, as one source.
//!
//! # Overview
//! A range is read from the objects it falls into; while one is read the next is asked for, so that its round trip costs
//! no time. What is asked ahead is bounded by the range, which the reader has paid for.
//!
//! # Failure handling
//! A body that ends early is an error at that place: bytes of the next object never take the place of what is missing.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use eft_domain::{Code, Failure};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};

use crate::{
    port::{ErrorKind, Frames, ObjectSource, PortError, PortResult},
    stored::Stored,
};

/// Objects asked at a time within one range: the one that is read, and the next. Each has a connection, whose buffers
/// count: with eight, a run over 600 small pieces peaked at 154 MiB with a memory of 32 MiB.
pub(crate) const AHEAD: usize = 2;

/// Objects of known size, joined.
pub struct Concat {
    uri: String,
    /// Each with where it ends, in order; none is empty.
    pieces: Vec<(u64, Arc<dyn ObjectSource>)>,
    stored: Option<Stored>,
}

impl Concat {
    /// Join these, in this order; `uri` is what names them.
    ///
    /// # Errors
    /// `plan.refused` for an object whose size is not known; `limit.max_input_bytes` for more bytes than can be counted.
    pub fn new(uri: String, sources: Vec<Arc<dyn ObjectSource>>) -> Result<Self, Failure> {
        let (mut end, mut pieces) = (0_u64, Vec::with_capacity(sources.len()));
        let mut stored = Some(None);
        for source in sources {
            let Some(size) = source.size() else {
                let message = format!("{} has no size, and is not joined with others", source.uri());
                return Err(Failure::new(Code::PlanRefused, message));
            };
            end = end.checked_add(size).ok_or_else(|| {
                Failure::limit(Code::LimitInputBytes, "more bytes than can be counted", u64::MAX)
            })?;
            if size == 0 {
                continue;
            }
            stored = match (stored, source.checksum()) {
                (Some(None), Some(next)) => Some(Some(next)),
                (Some(Some(before)), Some(next)) => before.then(&next, size).map(Some),
                _ => None,
            };
            pieces.push((end, source));
        }
        Ok(Self { uri, pieces, stored: stored.flatten() })
    }

    /// The objects a range falls into, each with the part of it that is meant.
    fn within(&self, range: &Range<u64>) -> VecDeque<(Arc<dyn ObjectSource>, Range<u64>)> {
        let first = self.pieces.partition_point(|(end, _)| *end <= range.start);
        let mut start = first.checked_sub(1).map_or(0, |before| self.pieces[before].0);
        let mut within = VecDeque::new();
        for (end, source) in &self.pieces[first..] {
            if start >= range.end {
                break;
            }
            let part = range.start.max(start) - start..range.end.min(*end) - start;
            within.push_back((Arc::clone(source), part));
            start = *end;
        }
        within
    }
}

impl ObjectSource for Concat {
    fn uri(&self) -> String {
        self.uri.clone()
    }

    fn size(&self) -> Option<u64> {
        Some(self.pieces.last().map_or(0, |(end, _)| *end))
    }

    /// Of all objects together, where each has one of the same kind that can be joined.
    fn checksum(&self) -> Option<Stored> {
        self.stored
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        let within = self.within(&range);
        async move {
            let opened = stream::iter(within)
                .map(|(source, part)| async move {
                    let left = part.end - part.start;
                    let frames = source.read(part).await;
                    (source, left, frames)
                })
                .buffered(AHEAD);
            let frames = opened.flat_map(|(source, left, frames)| match frames {
                Ok(frames) => whole(source, left, frames),
                Err(error) => stream::iter([Err(error)]).boxed(),
            });
            Ok(frames.boxed())
        }
        .boxed()
    }
}

/// The frames of one object, which must be as many bytes as were asked for.
pub(crate) fn whole(source: Arc<dyn ObjectSource>, left: u64, frames: Frames) -> Frames {
    stream::unfold(Some((frames, left)), move |state| {
        let source = Arc::clone(&source);
        async move {
            let (mut frames, left) = state?;
            let wrong = |why: String| {
                let error = PortError::new(ErrorKind::Transient, format!("{}: {why}", source.uri()));
                Some((Err(error), None))
            };
            match frames.next().await {
                Some(Ok(frame)) => match left.checked_sub(frame.len() as u64) {
                    Some(left) => Some((Ok(frame), Some((frames, left)))),
                    None => wrong("more bytes came than were asked for".to_owned()),
                },
                Some(Err(error)) => Some((Err(error), None)),
                None if left > 0 => wrong(format!("the body ended {left} bytes early")),
                None => None,
            }
        }
    })
    .boxed()
}
