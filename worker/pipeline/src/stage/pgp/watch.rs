//! What happened inside a tower of readers, told to whoever built it.
//!
//! A reader deep in the tower can say why it fails only through an `io::Error`, which the readers above it replace,
//! and some of rPGP's even take an early end for a clean one. So each reader of ours shares a [`Watch`] with the code
//! that built the tower: it holds the first reason to refuse, and whether the end was seen.

use std::{
    io::{self, BufRead, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use eft_domain::Failure;

/// The first fault of a reader, and whether it has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    fault: Option<Failure>,
    failed: bool,
    ended: bool,
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep a reason, unless there is one, and make the error that carries the news up.
    pub(super) fn fail(&self, failure: Failure) -> io::Error {
        let error = io::Error::new(io::ErrorKind::InvalidData, failure.message.clone());
        let mut seen = self.seen();
        seen.failed = true;
        seen.fault.get_or_insert(failure);
        error
    }

    /// A read failed for a reason somebody else knows.
    pub(super) fn failed(&self) {
        self.seen().failed = true;
    }

    /// The clean end was read.
    pub(super) fn end(&self) {
        self.seen().ended = true;
    }

    pub(super) fn fault(&self) -> Option<Failure> {
        self.seen().fault.clone()
    }

    /// Whether the clean end was read and nothing has failed.
    pub(super) fn is_whole(&self) -> bool {
        let seen = self.seen();
        seen.ended && !seen.failed
    }

    /// Whether a read has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.seen().failed
    }
}

/// A reader that goes back to its owner when the tower above it is dropped.
#[derive(Debug)]
pub(super) struct Lent<R> {
    reader: Option<R>,
    home: Home<R>,
    watch: Watch,
}

/// Where a lent reader comes back to.
#[derive(Debug)]
pub(super) struct Home<R>(Arc<Mutex<Option<R>>>);

impl<R> Home<R> {
    /// The reader, after what borrowed it is gone.
    pub(super) fn take(&self) -> Option<R> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Lend a reader; the watch sees how it ends.
pub(super) fn lend<R: BufRead>(reader: R, watch: &Watch) -> (Lent<R>, Home<R>) {
    let home = Arc::new(Mutex::new(None));
    (Lent { reader: Some(reader), home: Home(Arc::clone(&home)), watch: watch.clone() }, Home(home))
}

impl<R: BufRead> BufRead for Lent<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // rPGP's readers may panic when they are asked again after an error.
        let again = || io::Error::other("a reader that failed was asked again");
        let reader = self.reader.as_mut().filter(|_| !self.watch.has_failed()).ok_or_else(again)?;
        let result = reader.fill_buf();
        match &result {
            Ok([]) => self.watch.end(),
            Ok(_) => {}
            Err(_) => self.watch.failed(),
        }
        result
    }

    fn consume(&mut self, n: usize) {
        if let Some(reader) = self.reader.as_mut().filter(|_| n > 0) {
            reader.consume(n);
        }
    }
}

impl<R: BufRead> Read for Lent<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        super::bridge::read_by_filling(self, into)
    }
}

impl<R> Drop for Lent<R> {
    fn drop(&mut self) {
        *self.home.0.lock().unwrap_or_else(PoisonError::into_inner) = self.reader.take();
    }
}

/// Read to the end and forget it.
pub(super) fn drain(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let n = reader.fill_buf()?.len();
        if n == 0 {
            return Ok(());
        }
        reader.consume(n);
    }
}
