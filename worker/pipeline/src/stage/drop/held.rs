//! Bytes that are held back, as the pieces they came in.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces smaller than this are joined with a small neighbour, a copy each time they double: so that a stream that comes
/// in pieces of a few bytes does not cost a handle each. A memory page; none, reasonable default.
const SMALL: usize = 4 << 10;

#[derive(Debug, Default)]
pub(super) struct Held {
    pieces: VecDeque<Bytes>,
}

impl Held {
    /// A piece more at the end.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.pieces.push_back(bytes);
        while let Some(before) = self.pieces.len().checked_sub(2) {
            let (before, last) = (&self.pieces[before], &self.pieces[before + 1]);
            if last.len() >= SMALL || before.len() > last.len() {
                break;
            }
            let mut joined = BytesMut::with_capacity(before.len() + last.len());
            joined.extend_from_slice(before);
            joined.extend_from_slice(last);
            self.pieces.truncate(self.pieces.len() - 2);
            self.pieces.push_back(joined.freeze());
        }
    }

    /// At most `most` bytes from the start, without a copy; `None` when that is nothing.
    pub(super) fn take(&mut self, most: u64) -> Option<Bytes> {
        let front = self.pieces.front_mut().filter(|_| most > 0)?;
        let n = usize::try_from(most).unwrap_or(usize::MAX).min(front.len());
        if n == front.len() { self.pieces.pop_front() } else { Some(front.split_to(n)) }
    }

    /// All of it, copied.
    pub(super) fn concat(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.iter().copied()).collect()
    }
}

impl From<Bytes> for Held {
    fn from(bytes: Bytes) -> Self {
        let mut held = Self::default();
        if !bytes.is_empty() {
            held.push(bytes);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut held = Held::default();
        for byte in 0..=255u8 {
            held.push(Bytes::from(vec![byte; 3]));
        }
        assert!(held.pieces.len() < 10, "{} pieces", held.pieces.len());
        held.push(Bytes::from(vec![1; SMALL]));
        held.push(Bytes::from(vec![2; 9]));
        let all = held.concat();
        let mut taken = Vec::new();
        while let Some(bytes) = held.take(7) {
            assert!(bytes.len() <= 7);
            taken.extend_from_slice(&bytes);
        }
        assert!(taken == all && all.len() == 3 * 256 + SMALL + 9);
    }
}
