//! The two ends of a step: bytes in, bytes out.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::buffers::Buffers;

/// Bytes waiting to be consumed by a stage, in order.
#[derive(Debug, Default)]
pub struct Input {
    queue: VecDeque<Bytes>,
    consumed: u64,
    ended: bool,
    wants_save: bool,
    /// Bytes to drop before the next that is wanted.
    skip: u64,
}

impl Input {
    /// An input that starts at an offset of the stream, after `skip` bytes that are pushed before it and dropped.
    pub fn resumed(offset: u64, skip: u64) -> Self {
        Self { consumed: offset, skip, ..Self::default() }
    }

    /// Append bytes. Empty ones are dropped, so that [`Input::chunk`] is empty only when nothing waits.
    pub fn push(&mut self, mut bytes: Bytes) {
        debug_assert!(!self.ended, "bytes after the end");
        if self.skip > 0 {
            let dropped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            bytes.advance(dropped);
            self.skip -= dropped as u64;
        }
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

    /// Take the first `n` bytes of [`Input::chunk`], without copying; `None` when that is nothing.
    ///
    /// # Panics
    /// When `n` is more than the chunk holds.
    pub fn take(&mut self, n: usize) -> Option<Bytes> {
        let front = self.queue.front_mut()?;
        if n == front.len() {
            return self.take_chunk();
        }
        self.consumed += n as u64;
        Some(front.split_to(n))
    }

    /// Bytes consumed since the start of the stream: the offset of the first waiting byte.
    pub fn offset(&self) -> u64 {
        self.consumed
    }

    /// Somebody waits for the stage's state: stop with [`Flow::Boundary`](super::Flow::Boundary) as soon as
    /// [`Stage::save`](super::Stage::save) has one.
    pub fn wants_save(&self) -> bool {
        self.wants_save
    }

    /// Ask for the stage's state, or no longer.
    pub fn want_save(&mut self, wants: bool) {
        self.wants_save = wants;
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
    buffers: Buffers,
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

    /// Room for `room` new bytes from now on. What is in it has to be taken before.
    pub(crate) fn renew(&mut self, room: usize) {
        debug_assert!(self.is_empty(), "output that was not taken");
        self.room = room;
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
        self.made + self.buffers.len()
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

    /// Append as much of `bytes` as there is room for; returns how much that was.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min(self.room())];
        let mut put = 0;
        while put < bytes.len() {
            if self.buffers.is_full() {
                self.flush();
            }
            put += self.buffers.put(&bytes[put..]);
        }
        self.copied += put;
        put
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
        if self.buffers.len() > 0 {
            self.made += self.buffers.len();
            self.segments.push(self.buffers.cut());
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
