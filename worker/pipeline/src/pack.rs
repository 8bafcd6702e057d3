//! Cuts the output stream into parts, without copying.

use std::sync::Arc;

use bytes::Bytes;

use crate::{budget::Lease, checksum::Crc64, chunk::Chunk, port::Part, schedule::PartSchedule};

/// A chunk below this is small: its lease is joined with others.
const SMALL: u64 = 64 << 10;

/// Collects chunks into the part being filled.
#[derive(Debug)]
pub struct Packer {
    schedule: PartSchedule,
    written: u64,
    number: u32,
    filling: Filling,
}

#[derive(Debug, Default)]
struct Filling {
    segments: Vec<Bytes>,
    leases: Vec<Arc<Lease>>,
    /// One lease for many small chunks, and the bytes it pays for: each alone is counted in whole KiB, and blocks of
    /// zeros compress to less.
    small: Option<(Lease, u64)>,
    crc: Crc64,
}

impl Filling {
    fn add(&mut self, mut piece: Chunk) {
        self.crc = self.crc.then(piece.checksum());
        self.segments.append(&mut piece.segments);
        if piece.len >= SMALL || piece.leases.len() != 1 {
            self.leases.append(&mut piece.leases);
            return;
        }
        for lease in piece.leases {
            match (Arc::try_unwrap(lease), &mut self.small) {
                (Ok(lease), Some((small, bytes))) => {
                    small.join(lease);
                    *bytes += piece.len;
                    small.shrink(*bytes);
                }
                (Ok(lease), small) => *small = Some((lease, piece.len)),
                // Shared with the rest of a chunk that was cut.
                (Err(lease), _) => self.leases.push(lease),
            }
        }
    }
}

impl Packer {
    /// A packer whose parts have the sizes of `schedule`.
    pub fn new(schedule: PartSchedule) -> Self {
        Self { schedule, written: 0, number: 0, filling: Filling::default() }
    }

    /// A packer that goes on behind `parts` parts of `written` bytes in all.
    pub fn resumed(schedule: PartSchedule, parts: u32, written: u64) -> Self {
        Self { written, number: parts, ..Self::new(schedule) }
    }

    /// The part that the last byte so far is in, and the checksum of the bytes in it.
    pub(crate) fn reached(&self) -> (u32, Crc64) {
        let filling = self.filling.crc;
        (self.number + u32::from(!filling.is_empty()), filling)
    }

    /// Bytes in parts so far and in the one being filled.
    pub fn total(&self) -> u64 {
        self.written + self.filling.crc.len()
    }

    /// Add a chunk; complete parts go to `parts`. A part is complete once it is full: whether it is the last is only
    /// known at [`Packer::finish`].
    pub fn push(&mut self, mut chunk: Chunk, parts: &mut impl Extend<Part>) {
        while chunk.len > 0 {
            let room = self.schedule.next(self.written) - self.filling.crc.len();
            let piece = chunk.split_to(room.min(chunk.len));
            self.filling.add(piece);
            if self.filling.crc.len() == self.schedule.next(self.written) {
                parts.extend([self.cut()]);
            }
        }
    }

    /// The last part, if bytes are left or there was no part at all: an empty object is one empty part.
    pub fn finish(mut self) -> Option<Part> {
        (self.number == 0 || !self.filling.crc.is_empty()).then(|| self.cut())
    }

    fn cut(&mut self) -> Part {
        let Filling { segments, mut leases, small, crc } = std::mem::take(&mut self.filling);
        leases.extend(small.map(|(lease, _)| Arc::new(lease)));
        self.number += 1;
        let offset = self.written;
        self.written += crc.len();
        Part { number: self.number, offset, segments: segments.into(), crc, leases: leases.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::SinkLimits;
    use proptest::prelude::*;

    fn chunk(bytes: Vec<u8>) -> Chunk {
        Chunk { len: bytes.len() as u64, segments: vec![bytes.into()], ..Chunk::default() }
    }

    #[test]
    fn an_empty_object_is_one_empty_part() {
        let packer = Packer::new(PartSchedule::known(0, 8 << 20, &SinkLimits::S3));
        let part = packer.finish().unwrap();
        assert_eq!((part.number, part.len(), part.crc), (1, 0, Crc64::default()));
    }

    proptest! {
        #[test]
        fn parts_are_the_stream_cut_by_the_schedule(sizes in proptest::collection::vec(1usize..60, 0..40), first in 1u64..40) {
            let limits = SinkLimits { min_part: 1, max_part: first, ..SinkLimits::S3 };
            let schedule = PartSchedule::unknown(first, first, &limits);
            let mut packer = Packer::new(schedule);
            let mut parts: Vec<Part> = Vec::new();
            let mut whole = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                let bytes: Vec<u8> = (0..*size).map(|i| (i * 31 + n) as u8).collect();
                whole.extend_from_slice(&bytes);
                packer.push(chunk(bytes), &mut parts);
            }
            prop_assert_eq!(packer.total(), whole.len() as u64);
            parts.extend(packer.finish());
            let mut offset = 0;
            for (n, part) in parts.iter().enumerate() {
                prop_assert_eq!((part.number, part.offset), (n as u32 + 1, offset));
                prop_assert!(part.len() == first || n + 1 == parts.len());
                prop_assert_eq!(part.crc, Crc64::of(&part.segments.concat()));
                offset += part.len();
            }
            prop_assert_eq!(parts.iter().flat_map(|p| p.segments.concat()).collect::<Vec<_>>(), whole);
        }
    }
}
