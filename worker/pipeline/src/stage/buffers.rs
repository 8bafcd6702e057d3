//! Buffers for new bytes, used again and again.
//!
//! Buffers are filled on one thread and given up on another, many a second. An allocator keeps what it got back from
//! another thread, or returns it to the kernel and faults it in anew: a worker held some 30 MiB more than it had leased.
//! Here a handle to each filled buffer is kept, which takes it back whole once nobody else holds a slice of it
//! (`BytesMut::try_reclaim`). So there are as many buffers as were in flight at once, and no more.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes of a buffer: large enough that segments are few, small enough to stay in the second-level cache until its
/// checksum is taken.
const BUFFER: usize = 256 << 10;

/// Handles looked at before a new buffer is made. Buffers come back about in the order they left.
const LOOKS: usize = 4;

/// Buffers of one writer.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    current: BytesMut,
    spent: VecDeque<BytesMut>,
    /// The current buffer is one.
    begun: bool,
}

impl Buffers {
    /// Append as much of `bytes` as the current buffer takes, or a new one where it is full; returns how much that was.
    /// A full buffer has to be cut off before.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        if self.is_full() {
            let next = self.take();
            let spent = std::mem::replace(&mut self.current, next);
            if self.begun {
                self.spent.push_back(spent);
            }
            self.begun = true;
        }
        let n = bytes.len().min(self.current.capacity() - self.current.len());
        self.current.extend_from_slice(&bytes[..n]);
        n
    }

    /// No byte fits any more.
    pub(super) fn is_full(&self) -> bool {
        self.current.len() == self.current.capacity()
    }

    /// Bytes that were not cut off yet.
    pub(super) fn len(&self) -> usize {
        self.current.len()
    }

    /// Cut off what was put; the rest of the buffer is used next.
    pub(super) fn cut(&mut self) -> Bytes {
        self.current.split().freeze()
    }

    fn take(&mut self) -> BytesMut {
        for _ in 0..LOOKS.min(self.spent.len()) {
            let Some(mut buffer) = self.spent.pop_front() else { break };
            if buffer.try_reclaim(BUFFER) {
                return buffer;
            }
            self.spent.push_back(buffer);
        }
        BytesMut::with_capacity(BUFFER)
    }
}
