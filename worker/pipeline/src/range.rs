//! One range of a source, frame by frame.
//!
//! # Failure handling
//! A body that is cut, stalls for [`RetryPolicy::idle`] or fails is asked for again from the byte after the last one received, so a
//! bad connection costs the bytes it lost and no more. The attempts of a range start anew whenever it made progress:
//! a source that is slow but alive is not given up.
//!
//! # Cancellation
//! Dropping it drops the connection.

use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt;

use crate::{
    checksum::{Crc64, RunningCrc64},
    concurrency::Concurrency,
    port::{ErrorKind, Frames, ObjectSource, PortError, PortResult},
    progress::Progress,
    retry::{RetryPolicy, draw},
};

/// How ranges are read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) source: &'a dyn ObjectSource,
    pub(crate) concurrency: &'a Concurrency,
    pub(crate) retry: RetryPolicy,
    pub(crate) progress: &'a Progress,
}

/// A range, as far as it was read.
pub(crate) struct RangeFrames {
    range: Range<u64>,
    read: u64,
    crc: RunningCrc64,
    /// The body of the request under way.
    frames: Option<Frames>,
    /// What was read when that was sent.
    asked: u64,
    attempt: u32,
}

impl RangeFrames {
    pub(crate) fn new(range: Range<u64>) -> Self {
        Self { range, read: 0, crc: RunningCrc64::default(), frames: None, asked: 0, attempt: 0 }
    }

    pub(crate) fn start(&self) -> u64 {
        self.range.start
    }

    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Bytes that were read.
    pub(crate) fn received(&self) -> u64 {
        self.read
    }

    /// All of it was read.
    pub(crate) fn is_whole(&self) -> bool {
        self.read == self.len()
    }

    /// Checksum and length of what was read.
    pub(crate) fn crc(&self) -> Crc64 {
        self.crc.finish()
    }

    /// The next bytes; `None` once all of it was read, or at the end of a stream of unknown size. The checksum is taken
    /// here, while they are in the cache.
    ///
    /// # Errors
    /// Retries spent. A stream has one reader and no second chance: no retry.
    pub(crate) async fn next(&mut self, from: Reading<'_>) -> PortResult<Option<Bytes>> {
        loop {
            let error = match self.receive(from).await {
                Ok(frame) => return Ok(frame),
                Err(error) => error,
            };
            self.frames = None;
            if from.source.size().is_none() {
                return Err(error);
            }
            self.attempt = if self.read > self.asked { 1 } else { self.attempt + 1 };
            if error.kind == ErrorKind::Throttled {
                from.concurrency.throttled();
            }
            let Some(pause) = from.retry.pause(&error, self.attempt, draw()) else { return Err(error) };
            from.progress.retried();
            tokio::time::sleep(pause).await;
        }
    }

    async fn receive(&mut self, from: Reading<'_>) -> PortResult<Option<Bytes>> {
        if self.is_whole() {
            return Ok(None);
        }
        let idle = from.retry.idle;
        let frames = match &mut self.frames {
            Some(frames) => frames,
            None => {
                self.asked = self.read;
                let missing = self.range.start + self.read..self.range.end;
                self.frames.insert(from.source.read(missing).await?)
            }
        };
        let frame = match from.source.size() {
            Some(_) => tokio::time::timeout(idle, frames.next())
                .await
                .map_err(|_| self.broken(from, format_args!("no byte for {idle:?}")))?,
            // Who writes to a pipe may take all the time it needs.
            None => frames.next().await,
        };
        let frame = match frame {
            Some(frame) => frame?,
            None if from.source.size().is_none() => return Ok(None),
            None => return Err(self.broken(from, format_args!("the body ended early"))),
        };
        if frame.len() as u64 > self.len() - self.read {
            let message = format!("{}: more bytes than the range {:?} holds", from.source.uri(), self.range);
            return Err(PortError::new(ErrorKind::Permanent, message));
        }
        self.crc.update(&frame);
        self.read += frame.len() as u64;
        from.progress.read(frame.len() as u64);
        if self.is_whole() {
            // The connection, and what the body was received into, are for others.
            self.frames = None;
        }
        Ok(Some(frame))
    }

    fn broken(&self, from: Reading<'_>, what: std::fmt::Arguments<'_>) -> PortError {
        let at = self.range.start + self.read;
        PortError::new(ErrorKind::Transient, format!("{}: {what} at byte {at}", from.source.uri()))
    }
}
