//! What flows through the pipeline: bytes with their place, their checksum and the memory they are paid with.

use std::sync::Arc;

use bytes::Bytes;

use crate::{budget::Lease, checkpoint::Mark, checksum::Crc64};

/// A run of bytes of a stream, as the segments it arrived in.
///
/// Segments are never joined: a part is sent as the frames the source delivered.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Offset of the first byte in its stream.
    pub offset: u64,
    /// The bytes, in order; no segment is empty.
    pub segments: Vec<Bytes>,
    /// How many bytes.
    pub len: u64,
    /// Checksum of all segments, where it was computed while they were hot.
    pub crc: Option<Crc64>,
    /// What pays for the bytes; shared by all chunks that hold a slice of them.
    pub leases: Vec<Arc<Lease>>,
    /// A place to go on from, at or before the end of these bytes.
    pub mark: Option<Box<Mark>>,
    /// The first byte begins another object than the bytes before it.
    pub begins: bool,
}

impl Chunk {
    /// A chunk of these segments.
    pub fn new(offset: u64, segments: Vec<Bytes>, lease: Lease) -> Self {
        let len = segments.iter().map(|segment| segment.len() as u64).sum();
        Self { offset, segments, len, crc: None, leases: vec![Arc::new(lease)], mark: None, begins: false }
    }

    /// The checksum, computed now if nobody has.
    pub fn checksum(&self) -> Crc64 {
        self.crc.unwrap_or_else(|| Crc64::of_segments(self.segments.iter().map(|segment| segment.as_ref())))
    }

    /// Cut after `n` bytes: returns the head, keeps the tail. No byte is copied; both halves share the leases. The mark
    /// stays with the last byte, and what begins with the first one.
    ///
    /// # Panics
    /// When `n` is more than the chunk holds.
    pub fn split_to(&mut self, n: u64) -> Chunk {
        assert!(n <= self.len, "split past the end of a chunk");
        if n == self.len {
            let offset = self.offset + n;
            return std::mem::replace(self, Chunk { offset, ..Chunk::default() });
        }
        let (offset, leases, begins) = (self.offset, self.leases.clone(), std::mem::take(&mut self.begins));
        let mut head = Chunk { offset, len: n, leases, begins, ..Chunk::default() };
        let mut rest = n;
        let mut whole = 0;
        for segment in &self.segments {
            if (segment.len() as u64) > rest {
                break;
            }
            rest -= segment.len() as u64;
            whole += 1;
        }
        head.segments.extend(self.segments.drain(..whole));
        if rest > 0 {
            // `rest` is less than the length of one segment, which fits a usize.
            head.segments.push(self.segments[0].split_to(rest as usize));
        }
        self.offset += n;
        self.len -= n;
        self.crc = None;
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn splitting_loses_nothing(segments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8), cuts in proptest::collection::vec(0u64..100, 0..8)) {
            let whole: Vec<u8> = segments.concat();
            let mut chunk = Chunk {
                segments: segments.into_iter().map(Bytes::from).collect(),
                len: whole.len() as u64,
                crc: Some(Crc64::of(&whole)),
                ..Chunk::default()
            };
            let mut heads = Vec::new();
            for cut in cuts {
                let cut = cut.min(chunk.len);
                heads.push(chunk.split_to(cut));
            }
            heads.push(chunk);
            let mut offset = 0;
            for head in &heads {
                prop_assert_eq!(head.offset, offset);
                prop_assert_eq!(head.len, head.segments.iter().map(|s| s.len() as u64).sum::<u64>());
                prop_assert_eq!(head.checksum(), Crc64::of(&head.segments.concat()));
                offset += head.len;
            }
            let joined: Vec<u8> = heads.iter().flat_map(|head| head.segments.concat()).collect();
            prop_assert_eq!(joined, whole);
        }
    }
}
