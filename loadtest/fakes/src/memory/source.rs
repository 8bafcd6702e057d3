//! A source in memory, with faults on demand.

use std::{collections::VecDeque, ops::Range, sync::Mutex, time::Duration};

use bytes::Bytes;
use eft_pipeline::{
    checksum::Crc64,
    port::{ErrorKind, Frames, ObjectSource, PortResult},
    stored::Stored,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};

use super::{error, locked};

/// Faults of a source: each call to `read` takes the next of each queue.
#[derive(Debug, Default)]
pub struct SourceFaults {
    /// The call itself fails.
    pub read: VecDeque<Option<ErrorKind>>,
    /// The body breaks after this many bytes with this error.
    pub cut: VecDeque<Option<(usize, ErrorKind)>>,
    /// The body ends after this many bytes, without an error.
    pub short: VecDeque<Option<usize>>,
    /// This bit of the body is flipped.
    pub flip: VecDeque<Option<usize>>,
    /// Nothing more comes after this many bytes.
    pub stall: VecDeque<Option<usize>>,
}

/// An object in memory.
#[derive(Debug)]
pub struct MemorySource {
    bytes: Bytes,
    stream: bool,
    crc: Option<u64>,
    frame: usize,
    latency: Duration,
    faults: Mutex<SourceFaults>,
    reads: Mutex<Vec<Range<u64>>>,
}

impl MemorySource {
    /// An object that delivers its bytes in frames of 64 KiB.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            stream: false,
            crc: None,
            frame: 64 << 10,
            latency: Duration::ZERO,
            faults: Mutex::default(),
            reads: Mutex::default(),
        }
    }

    /// Of unknown size, like a pipe.
    #[must_use]
    pub fn stream(mut self) -> Self {
        self.stream = true;
        self
    }

    /// With frames of this many bytes.
    #[must_use]
    pub fn frame(mut self, bytes: usize) -> Self {
        self.frame = bytes;
        self
    }

    /// With this long to the first byte.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// With its true checksum on record.
    #[must_use]
    pub fn with_checksum(mut self) -> Self {
        self.crc = Some(Crc64::of(&self.bytes).value());
        self
    }

    /// With these faults.
    #[must_use]
    pub fn faults(self, faults: SourceFaults) -> Self {
        *locked(&self.faults) = faults;
        self
    }

    /// The ranges that were asked for.
    pub fn reads(&self) -> Vec<Range<u64>> {
        locked(&self.reads).clone()
    }
}

impl ObjectSource for MemorySource {
    fn uri(&self) -> String {
        "memory:source".to_owned()
    }

    fn size(&self) -> Option<u64> {
        (!self.stream).then_some(self.bytes.len() as u64)
    }

    fn checksum(&self) -> Option<Stored> {
        self.crc.map(Stored::Crc64)
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        locked(&self.reads).push(range.clone());
        let mut faults = locked(&self.faults);
        let failure = faults.read.pop_front().flatten();
        let cut = faults.cut.pop_front().flatten();
        let short = faults.short.pop_front().flatten();
        let flip = faults.flip.pop_front().flatten();
        let stall = faults.stall.pop_front().flatten();
        drop(faults);
        async move {
            tokio::time::sleep(self.latency).await;
            if let Some(kind) = failure {
                return Err(error(kind));
            }
            let end = range.end.min(self.bytes.len() as u64) as usize;
            let mut body = self.bytes.slice((range.start as usize).min(end)..end);
            if let Some(bit) = flip.filter(|bit| *bit < body.len() * 8) {
                let mut flipped = body.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                body = flipped.into();
            }
            let keep = [cut.map(|(at, _)| at), short, stall].into_iter().flatten().min();
            let mut body = body.slice(..keep.unwrap_or(body.len()).min(body.len()));
            let mut frames = Vec::new();
            while !body.is_empty() {
                frames.push(Ok(body.split_to(self.frame.min(body.len()))));
            }
            frames.extend(cut.map(|(_, kind)| Err(error(kind))));
            let frames = stream::iter(frames);
            Ok(match stall {
                Some(_) => frames.chain(stream::pending()).boxed(),
                None => frames.boxed(),
            })
        }
        .boxed()
    }
}
