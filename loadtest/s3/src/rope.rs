//! Object bytes as a list of refcounted frames, or as ranges of a synthetic object: never copied, sliced by
//! reference.

use std::ops::Range;

use bytes::Bytes;

use crate::{checksum, synthetic::Synthetic};

/// One run of bytes.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    /// Bytes that were received.
    Held(Bytes),
    /// Bytes that are generated when read.
    Made { object: Synthetic, range: Range<u64> },
    /// Bytes whose content was thrown away on arrival (bucket `discard`).
    Dropped(u64),
}

impl Segment {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Made { range, .. } => range.end - range.start,
            Self::Dropped(len) => *len,
        }
    }

    /// The bytes `range` of this segment.
    fn slice(&self, range: Range<u64>) -> Self {
        match self {
            // In-memory lengths fit `usize`.
            Self::Held(bytes) => Self::Held(bytes.slice(range.start as usize..range.end as usize)),
            Self::Made { object, range: own } => {
                Self::Made { object: *object, range: own.start + range.start..own.start + range.end }
            }
            Self::Dropped(_) => Self::Dropped(range.end - range.start),
        }
    }
}

/// The bytes of an object or a part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rope {
    segments: Vec<Segment>,
    /// Where each segment ends: makes a seek a binary search.
    ends: Vec<u64>,
}

impl Rope {
    pub(crate) fn push(&mut self, segment: Segment) {
        if segment.len() > 0 {
            self.ends.push(self.len() + segment.len());
            self.segments.push(segment);
        }
    }

    pub(crate) fn append(&mut self, other: &Rope) {
        other.segments.iter().for_each(|segment| self.push(segment.clone()));
    }

    pub(crate) fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// False when some bytes were dropped and cannot be read.
    pub(crate) fn is_readable(&self) -> bool {
        !self.segments.iter().any(|segment| matches!(segment, Segment::Dropped(_)))
    }

    /// The bytes `range`, which must lie inside.
    pub(crate) fn slice(&self, range: Range<u64>) -> Rope {
        let mut out = Rope::default();
        let first = self.ends.partition_point(|end| *end <= range.start);
        let mut at = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        for segment in &self.segments[first..] {
            if at >= range.end {
                break;
            }
            let from = range.start.saturating_sub(at);
            let to = segment.len().min(range.end - at);
            out.push(segment.slice(from..to));
            at += segment.len();
        }
        out
    }

    /// The frames in order. Dropped segments give nothing.
    pub(crate) fn frames(self) -> Frames {
        Frames { segments: self.segments.into_iter(), current: None }
    }

    /// All bytes in one piece: copies unless there is a single frame. For tests.
    pub(crate) fn concat(&self) -> Bytes {
        if let [Segment::Held(bytes)] = self.segments.as_slice() {
            return bytes.clone();
        }
        self.clone()
            .frames()
            .fold(Vec::new(), |mut all, frame| {
                all.extend_from_slice(&frame);
                all
            })
            .into()
    }

    /// The CRC-64/NVME of all bytes; reads held bytes, combines blocks of synthetic ones.
    pub(crate) fn crc64(&self) -> u64 {
        self.segments.iter().fold(0, |crc, segment| match segment {
            Segment::Held(bytes) => checksum::combine(crc, checksum::crc64(bytes), bytes.len() as u64),
            Segment::Made { object, range } => {
                checksum::combine(crc, object.crc64(range.clone()), segment.len())
            }
            Segment::Dropped(_) => crc,
        })
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        Segment::Held(bytes).into()
    }
}

impl From<Segment> for Rope {
    fn from(segment: Segment) -> Self {
        let mut rope = Rope::default();
        rope.push(segment);
        rope
    }
}

/// Iterates over a rope's bytes without copying them.
#[derive(Debug)]
pub(crate) struct Frames {
    segments: std::vec::IntoIter<Segment>,
    /// A synthetic segment in the middle of being read.
    current: Option<(Synthetic, Range<u64>)>,
}

impl Iterator for Frames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some((object, range)) = &mut self.current {
                if let Some(frame) = object.frame(range.clone()) {
                    range.start += frame.len() as u64;
                    return Some(frame);
                }
                self.current = None;
            }
            match self.segments.next()? {
                Segment::Held(bytes) => return Some(bytes),
                Segment::Made { object, range } => self.current = Some((object, range)),
                Segment::Dropped(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_slice_is_that_slice_of_the_whole(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            cut in (0.0..1.0f64, 0.0..1.0f64),
        ) {
            let whole: Vec<u8> = frames.concat();
            let mut rope = Rope::default();
            frames.into_iter().for_each(|frame| rope.push(Segment::Held(frame.into())));
            let ends = [cut.0, cut.1].map(|share| (share * (whole.len() + 1) as f64) as usize);
            let (from, to) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            let part = rope.slice(from as u64..to as u64);
            prop_assert_eq!(part.len(), (to - from) as u64);
            prop_assert_eq!(&part.concat()[..], &whole[from..to]);
            prop_assert_eq!(part.crc64(), checksum::crc64(&whole[from..to]));
        }
    }
}
