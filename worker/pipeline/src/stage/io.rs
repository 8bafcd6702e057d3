//! The two ends of a step: bytes in, bytes out.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// Smallest buffer an [`Output`] allocates for new bytes: large enough that the cost of an allocation is nothing.
const MIN_BUFFER: usize = 64 << 10;
/// Largest buffer an [`Output`] allocates at once; one HTTP write is no larger.
const MAX_BUFFER: usize = 1 << 20;

/// Bytes waiting to be consumed by a stage, in order.
#[derive(Debug, Default)]
pub struct Input {
    queue: VecDeque<Bytes>,
    consumed: u64,
    ended: bool,
}

impl Input {
    /// Append bytes. Empty ones are dropped, so that [`Input::chunk`] is empty only when nothing waits.
    pub fn push(&mut self, bytes: Bytes) {
        debug_assert!(!self.ended, "bytes after the end");
        if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
    }

    /// Say that no more bytes will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The first run of contiguous bytes; empty when nothing waits.
    pub fn chunk(&self) -> &[u8] {
        self.queue.front().map_or(&[], |bytes| bytes.as_ref())
    }

    /// Drop the first `n` bytes of [`Input::chunk`].
    ///
    /// # Panics
    /// When `n` is more than the chunk holds.
    pub fn advance(&mut self, n: usize) {
        self.consumed += n as u64;
        if n == 0 {
            return;
        }
        let front = self.queue.front_mut().expect("advance past the input");
        front.advance(n);
        if front.is_empty() {
            self.queue.pop_front();
        }
    }

    /// Take the first run of contiguous bytes, without copying.
    pub fn take_chunk(&mut self) -> Option<Bytes> {
        let bytes = self.queue.pop_front()?;
        self.consumed += bytes.len() as u64;
        Some(bytes)
    }

    /// Bytes consumed since the start of the stream: the offset of the first waiting byte.
    pub fn offset(&self) -> u64 {
        self.consumed
    }

    /// Nothing waits (more may come).
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Nothing waits and nothing will come.
    pub fn is_finished(&self) -> bool {
        self.ended && self.queue.is_empty()
    }

    /// No more bytes will be pushed (some may still wait).
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}

/// Bytes made by a step: segments passed on from the input, and new bytes in bounded buffers.
#[derive(Debug, Default)]
pub struct Output {
    segments: Vec<Bytes>,
    buffer: Vec<u8>,
    room: usize,
    made: usize,
    passed: usize,
    /// Of the new bytes, those that were copied from elsewhere.
    copied: usize,
}

impl Output {
    /// An output with room for `room` new bytes.
    pub fn with_room(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// New bytes that may still be made.
    pub fn room(&self) -> usize {
        self.room - self.made()
    }

    /// Bytes that may still be added when bytes passed on count too: what a chain holds its last but one stage to.
    pub(crate) fn room_for_all(&self) -> usize {
        self.room.saturating_sub(self.len())
    }

    /// How often a byte was written to memory so far: once for each new one, once more for each that was copied.
    pub(crate) fn writes(&self) -> u64 {
        (self.made() + self.copied) as u64
    }

    /// New bytes made so far.
    pub fn made(&self) -> usize {
        self.made + self.buffer.len()
    }

    /// All bytes so far: made and passed on.
    pub fn len(&self) -> usize {
        self.made() + self.passed
    }

    /// Nothing was made or passed on.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pass bytes of the input on, without a copy and without using room.
    pub fn pass(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.flush();
        self.passed += bytes.len();
        self.segments.push(bytes);
    }

    /// Append new bytes through `write`, which is given a vector to append to and must append at most `max` bytes to
    /// it, where `max` (its second argument) is within both the room and the vector's spare capacity. Returns what
    /// `write` returns. `max` is 0 only when there is no room.
    ///
    /// # Panics
    /// When `write` appended more than `max` or removed bytes.
    pub fn fill<T>(&mut self, write: impl FnOnce(&mut Vec<u8>, usize) -> T) -> T {
        let room = self.room();
        if self.buffer.len() == self.buffer.capacity() && room > 0 {
            self.flush();
            self.buffer = Vec::with_capacity(room.clamp(MIN_BUFFER, MAX_BUFFER));
        }
        let before = self.buffer.len();
        let max = room.min(self.buffer.capacity() - before);
        let result = write(&mut self.buffer, max);
        assert!(self.buffer.len() >= before && self.buffer.len() - before <= max, "output over its room");
        result
    }

    /// Append as much of `bytes` as there is room for; returns how much that was.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && self.room() > 0 {
            let n = self.fill(|buffer, max| {
                let n = rest.len().min(max);
                buffer.extend_from_slice(&rest[..n]);
                n
            });
            rest = &rest[n..];
        }
        self.copied += bytes.len() - rest.len();
        bytes.len() - rest.len()
    }

    /// The segments, in order; the output is empty afterwards and keeps no room.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.flush();
        self.room = 0;
        self.made = 0;
        self.passed = 0;
        self.copied = 0;
        std::mem::take(&mut self.segments)
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.made += self.buffer.len();
            self.segments.push(Bytes::from(std::mem::take(&mut self.buffer)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_counts_what_is_consumed() {
        let mut input = Input::default();
        input.push(Bytes::from_static(b"abc"));
        input.push(Bytes::new());
        input.push(Bytes::from_static(b"de"));
        input.advance(3);
        assert_eq!((input.chunk(), input.offset()), (&b"de"[..], 3));
        assert_eq!(input.take_chunk().unwrap(), "de");
        assert!(input.is_empty() && !input.is_finished());
        input.end();
        assert!(input.is_finished());
        assert_eq!(input.offset(), 5);
    }

    #[test]
    fn output_keeps_order_and_room() {
        let mut output = Output::with_room(5);
        assert_eq!(output.put(b"abc"), 3);
        output.pass(Bytes::from_static(b"PASSED"));
        assert_eq!(output.put(b"defg"), 2);
        assert_eq!((output.room(), output.len()), (0, 11));
        assert_eq!(output.take().concat(), b"abcPASSEDde");
    }
}
