//! What a transfer has done so far, for whoever watches: counters that grow, but for a source that has to be
//! read again from its start.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one transfer. Reading them while it runs gives a recent, not a consistent, picture.
#[derive(Debug, Default)]
pub struct Progress {
    read: AtomicU64,
    reread: AtomicU64,
    written: AtomicU64,
    parts: AtomicU64,
    retries: AtomicU64,
    copied: AtomicU64,
    earlier_read: AtomicU64,
    earlier_written: AtomicU64,
}

/// What was moved here, not by an earlier run that this one goes on from. It only grows, but for `written` of a source that
/// has to be read again from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes read, each time counted.
    pub read: u64,
    /// Of those, the ones read again.
    pub reread: u64,
    /// Bytes acknowledged by the slowest sink.
    pub written: u64,
    /// Requests issued again.
    pub retries: u64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes read from the source, each counted once.
    pub read: u64,
    /// Bytes read that had to be read again: they did not have the source's checksum, or what was sent was lost or refused.
    pub reread: u64,
    /// Bytes acknowledged by the slowest sink.
    pub written: u64,
    /// Parts acknowledged by all sinks.
    pub parts: u64,
    /// Requests issued again by the data path (not by the client below it).
    pub retries: u64,
    /// Bytes that our own code wrote to memory: made anew or copied, each time counted. Taps and slices add nothing.
    pub copied: u64,
}

impl Progress {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            read: self.read.load(Relaxed),
            reread: self.reread.load(Relaxed),
            written: self.written.load(Relaxed),
            parts: self.parts.load(Relaxed),
            retries: self.retries.load(Relaxed),
            copied: self.copied.load(Relaxed),
        }
    }

    /// What was moved here.
    pub fn moved(&self) -> Moved {
        let now = self.snapshot();
        Moved {
            read: (now.read + now.reread).saturating_sub(self.earlier_read.load(Relaxed)),
            reread: now.reread,
            written: now.written.saturating_sub(self.earlier_written.load(Relaxed)),
            retries: now.retries,
        }
    }

    pub(crate) fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
    }

    /// Everything read so far has to be read again.
    pub fn read_again(&self) {
        self.reread.fetch_add(self.read.swap(0, Relaxed), Relaxed);
        self.written.store(0, Relaxed);
        self.earlier_written.store(0, Relaxed);
        self.parts.store(0, Relaxed);
    }

    /// These bytes have to be read again.
    pub(crate) fn reads_again(&self, bytes: u64) {
        // The source may have been begun anew meanwhile, and all of them counted so.
        let counted = self.read.fetch_update(Relaxed, Relaxed, |read| Some(read.saturating_sub(bytes)));
        self.reread.fetch_add(bytes.min(counted.unwrap_or_default()), Relaxed);
    }

    /// A part of this many bytes was acknowledged by all sinks.
    pub fn wrote_part(&self, bytes: u64) {
        self.written.fetch_add(bytes, Relaxed);
        self.parts.fetch_add(1, Relaxed);
    }

    /// An earlier run has done this much.
    pub(crate) fn resumed(&self, read: u64, written: u64, parts: u32) {
        self.earlier_read.store(read, Relaxed);
        self.earlier_written.store(written, Relaxed);
        self.read.store(read, Relaxed);
        self.written.store(written, Relaxed);
        self.parts.store(parts.into(), Relaxed);
    }

    /// A request was issued again.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn copied(&self, bytes: u64) {
        self.copied.fetch_add(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_has_moved_is_not_moved_here() {
        let progress = Progress::default();
        progress.resumed(100, 50, 1);
        progress.read(7);
        progress.wrote_part(5);
        assert_eq!(progress.moved(), Moved { read: 7, reread: 0, written: 5, retries: 0 });
        progress.read_again();
        progress.read(9);
        assert_eq!((progress.moved().read, progress.snapshot().reread), (16, 107));
    }

    #[test]
    fn no_byte_is_counted_as_read_again_twice() {
        let progress = Progress::default();
        progress.read(10);
        progress.reads_again(4);
        assert_eq!((progress.snapshot().read, progress.snapshot().reread), (6, 4));
        progress.reads_again(10);
        assert_eq!((progress.snapshot().read, progress.snapshot().reread), (0, 10));
    }
}
