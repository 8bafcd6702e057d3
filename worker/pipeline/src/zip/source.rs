//! Entries of an archive as an object of their own: their bytes as they are in it, one behind the other.
//!
//! Between two entries stands a header. What is so close together is read with one request, and the headers are dropped.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};

use crate::{
    concat::{AHEAD, whole},
    port::{Frames, ObjectSource, PortResult},
    stored::Stored,
};

/// Bytes between two entries that are read and dropped rather than asked for anew: a header with a long name and fields.
const GAP: u64 = 1 << 10;

/// The bytes of entries, as they are in the archive.
pub struct EntrySource {
    archive: Arc<dyn ObjectSource>,
    /// Where each ends among all, and where it is in the archive; none is empty.
    entries: Vec<(u64, Range<u64>)>,
    uri: String,
}

/// What one request reads: from the first of these to the end of the last.
struct Run(Vec<Range<u64>>);

impl Run {
    fn range(&self) -> Range<u64> {
        let start = self.0.first().map_or(0, |first| first.start);
        start..self.0.last().map_or(start, |last| last.end)
    }

    /// Of bytes that stand at `at` in the archive, those that are entries'.
    fn keep(&self, at: u64, frame: &Bytes) -> Vec<Bytes> {
        let end = at + frame.len() as u64;
        let first = self.0.partition_point(|part| part.end <= at);
        let parts = self.0[first..].iter().take_while(|part| part.start < end);
        // Within a frame, whose length fits a usize.
        parts
            .map(|part| frame.slice((part.start.max(at) - at) as usize..(part.end.min(end) - at) as usize))
            .collect()
    }
}

impl EntrySource {
    /// The bytes of these ranges of the archive; `what` they are.
    pub(super) fn new(
        archive: Arc<dyn ObjectSource>,
        ranges: impl IntoIterator<Item = Range<u64>>,
        what: &str,
    ) -> Self {
        let uri = format!("{} ({what})", archive.uri());
        let mut end = 0;
        let entries = ranges.into_iter().filter(|range| !range.is_empty()).map(|range| {
            end += range.end - range.start;
            (end, range)
        });
        let entries = entries.collect();
        Self { archive, entries, uri }
    }

    /// The requests that read a range.
    fn runs(&self, range: &Range<u64>) -> Vec<Run> {
        let first = self.entries.partition_point(|(end, _)| *end <= range.start);
        let mut runs = Vec::<Run>::new();
        for (end, entry) in &self.entries[first..] {
            let start = end - (entry.end - entry.start);
            if start >= range.end {
                break;
            }
            let part =
                entry.start + range.start.saturating_sub(start)..entry.end - end.saturating_sub(range.end);
            match runs.last_mut() {
                Some(run) if (run.range().end..=run.range().end + GAP).contains(&part.start) => {
                    run.0.push(part)
                }
                _ => runs.push(Run(vec![part])),
            }
        }
        runs
    }
}

impl ObjectSource for EntrySource {
    fn uri(&self) -> String {
        self.uri.clone()
    }

    fn size(&self) -> Option<u64> {
        Some(self.entries.last().map_or(0, |(end, _)| *end))
    }

    /// None: the store's is of the whole archive. Each entry has a CRC-32 of its own, which the stage compares.
    fn checksum(&self) -> Option<Stored> {
        None
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        let (runs, archive) = (self.runs(&range), Arc::clone(&self.archive));
        async move {
            let opened = stream::iter(runs).map(move |run| {
                let archive = Arc::clone(&archive);
                async move {
                    let frames = archive.read(run.range()).await;
                    (archive, run, frames)
                }
            });
            let frames = opened.buffered(AHEAD).flat_map(|(archive, run, frames)| {
                let Range { start, end } = run.range();
                let frames = match frames {
                    Ok(frames) => whole(archive, end - start, frames),
                    Err(error) => stream::iter([Err(error)]).boxed(),
                };
                let mut at = start;
                let kept = frames.map_ok(move |frame| {
                    let kept = run.keep(at, &frame);
                    at += frame.len() as u64;
                    stream::iter(kept.into_iter().map(Ok))
                });
                kept.try_flatten().boxed()
            });
            Ok(frames.boxed())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ranges: &[Range<u64>]) -> EntrySource {
        struct Nothing;
        impl ObjectSource for Nothing {
            fn uri(&self) -> String {
                "nothing".to_owned()
            }
            fn size(&self) -> Option<u64> {
                Some(0)
            }
            fn checksum(&self) -> Option<Stored> {
                None
            }
            fn read(&self, _: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
                async { Ok(stream::empty().boxed()) }.boxed()
            }
        }
        EntrySource::new(Arc::new(Nothing), ranges.iter().cloned(), "some")
    }

    fn runs(source: &EntrySource, range: Range<u64>) -> Vec<(u64, u64)> {
        source.runs(&range).iter().map(|run| (run.range().start, run.range().end)).collect()
    }

    #[test]
    fn what_is_close_together_is_one_request() {
        let near = source(&[30..130, 160..160, 160..260, 260 + GAP..300 + GAP]);
        assert_eq!(near.size(), Some(240));
        assert_eq!(runs(&near, 0..240), [(30, 300 + GAP)]);
        assert_eq!(runs(&near, 10..150), [(40, 210)]);
        assert_eq!(runs(&near, 100..200), [(160, 260)]);
        assert_eq!(runs(&near, 99..101), [(129, 161)]);
        let far = source(&[30..130, 131 + GAP..200 + GAP]);
        assert_eq!(runs(&far, 0..169), [(30, 130), (131 + GAP, 200 + GAP)]);
        // The directory need not be in the order of the archive.
        let turned = source(&[500..600, 30..130]);
        assert_eq!(runs(&turned, 50..150), [(550, 600), (30, 80)]);
        let frame = Bytes::from_static(b"0123456789");
        assert_eq!(Run(vec![2..4, 6..8, 12..14]).keep(3, &frame), ["0", "34", "9"]);
    }
}
