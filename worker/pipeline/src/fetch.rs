//! Ranged reads: several in flight, delivered in order, each resumed from its last good byte.
//!
//! # Overview
//! A range's memory is leased before its request is sent, so a response body never waits for memory and is read as fast
//! as it comes. The checksum is taken frame by frame, while the frame is in the cache.
//!
//! # Cancellation
//! Dropping the future drops the connections and gives the leases back.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use eft_domain::Failure;
use futures::stream;
use tokio::time::Instant;

use crate::{
    budget::{Budget, Lease},
    checkpoint::Interval,
    checksum::Crc64,
    chunk::Chunk,
    concurrency::Concurrency,
    error::of_source,
    ordered::{Downstream, Flowing, downstream_gone, link, ordered_window},
    plan::Plan,
    port::{ObjectSource, PortResult},
    progress::Progress,
    range::{RangeFrames, Reading},
    retry::RetryPolicy,
    rework::Rework,
    stored::Account,
};

/// Frames below this are joined into one segment of about this size: the cost of carrying a segment is paid per segment,
/// and a source that delivers tiny frames must not make it matter (nor keep a large buffer alive for a few bytes).
const SMALL_FRAME: usize = 16 << 10;

/// Range of a source that is read without a plan: in the 8-16 MB that AWS recommends for ranged reads.
const WHOLE_RANGE: u64 = 8 << 20;

/// How a source is read.
pub(crate) struct Fetch<'a> {
    pub(crate) source: &'a dyn ObjectSource,
    pub(crate) range_bytes: u64,
    /// Decides about the size of a stream; without one any size will do.
    pub(crate) plan: Option<&'a Plan>,
    pub(crate) window: Budget,
    pub(crate) concurrency: Concurrency,
    pub(crate) retry: RetryPolicy,
    pub(crate) progress: &'a Progress,
    /// What was read and left.
    pub(crate) account: Mutex<Account>,
    /// Places to resume from are marked, and read is no more than the checkpoint allows; `None`: there is none.
    pub(crate) rework: Option<&'a Rework>,
}

impl<'a> Fetch<'a> {
    /// From the first byte to the last, without a plan.
    fn all_of(
        source: &'a dyn ObjectSource,
        window: Budget,
        concurrency: Concurrency,
        progress: &'a Progress,
    ) -> Self {
        let account = Mutex::new(Account::new(source.checksum()));
        let (range_bytes, retry) = (WHOLE_RANGE, RetryPolicy::DEFAULT);
        Self { source, range_bytes, plan: None, window, concurrency, retry, progress, account, rework: None }
    }

    /// Read the source from where it was left to its end, into chunks of one range each. Returns the checksum of all of it.
    ///
    /// # Errors
    /// Among others `integrity.source` when the store's own checksum of the whole object is another.
    pub(crate) async fn run(&self, downstream: Downstream<Chunk>) -> Result<Crc64, Failure> {
        match self.source.size() {
            Some(size) => self.run_ranges(size, &downstream).await?,
            None => self.run_stream(&downstream).await?,
        }
        let crc = self.account().check(&self.source.uri())?;
        // Only now: whoever is told that this is the end may publish.
        downstream.send(Flowing::End).await.map_err(|_| downstream_gone())?;
        Ok(crc)
    }

    /// Read on to the end what nobody takes any more, for the checksum alone.
    ///
    /// # Errors
    /// As [`Fetch::run`].
    pub(crate) async fn rest(&self) -> Result<Crc64, Failure> {
        let (downstream, mut upstream) = link(1);
        let drain = async {
            while upstream.next().await.is_some() {}
            Ok(())
        };
        let (crc, ()) = tokio::try_join!(self.run(downstream), drain)?;
        Ok(crc)
    }

    fn reading(&self) -> Reading<'_> {
        let Self { source, concurrency, retry, progress, .. } = self;
        Reading { source: *source, concurrency, retry: *retry, progress }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_ranges(&self, size: u64, downstream: &Downstream<Chunk>) -> Result<(), Failure> {
        let fetch = self;
        let jobs = stream::unfold(self.account().len(), |start| async move {
            if start >= size {
                return None;
            }
            let end = size.min(start + fetch.range_bytes);
            if let Some(rework) = fetch.rework {
                rework.admit(end).await;
            }
            let lease = fetch.window.reserve(end - start).await;
            let job = async move {
                let mut range = RangeRead::new(start..end);
                range.read(fetch.reading()).await.map_err(|error| of_source(&error))?;
                fetch.concurrency.succeeded();
                Ok(range.into_chunk(lease))
            };
            Some((Ok(job), end))
        });
        let mut marker = Marker::new(self.rework.map(|rework| rework.interval), self.account().len());
        let leaving = |mut chunk: Chunk| {
            let mut account = self.account();
            account.add(&chunk);
            if account.len() < size && marker.is_due(account.len()) {
                chunk.mark = Some(Box::new(account.mark()));
            }
            chunk
        };
        ordered_window(jobs, || fetch.concurrency.window(), leaving, downstream).await
    }

    /// A stream has one reader: one range after the other.
    async fn run_stream(&self, downstream: &Downstream<Chunk>) -> Result<(), Failure> {
        let mut start = 0;
        loop {
            let end = start + self.range_bytes;
            let lease = self.window.reserve(self.range_bytes).await;
            let mut range = RangeRead::new(start..end);
            range.read(self.reading()).await.map_err(|error| of_source(&error))?;
            let chunk = range.into_chunk(lease);
            let ended = chunk.len < self.range_bytes;
            start += chunk.len;
            self.account().add(&chunk);
            if let Some(plan) = self.plan.filter(|plan| ended || start > plan.max_input) {
                plan.admit(start)?;
            }
            if chunk.len > 0 {
                downstream.send(Flowing::Item(chunk)).await.map_err(|_| downstream_gone())?;
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// Says when a place is to be marked.
struct Marker {
    interval: Option<Interval>,
    last: u64,
    at: Instant,
}

impl Marker {
    fn new(interval: Option<Interval>, from: u64) -> Self {
        Self { interval, last: from, at: Instant::now() }
    }

    fn is_due(&mut self, read: u64) -> bool {
        let Some(interval) = self.interval else { return false };
        let due = read - self.last >= interval.marks() || self.at.elapsed() >= interval.time;
        if due {
            (self.last, self.at) = (read, Instant::now());
        }
        due
    }
}

/// One range, held as far as it was read.
pub(crate) struct RangeRead {
    frames: RangeFrames,
    segments: Vec<Bytes>,
    small: Vec<u8>,
}

impl RangeRead {
    pub(crate) fn new(range: Range<u64>) -> Self {
        Self { frames: RangeFrames::new(range), segments: Vec::new(), small: Vec::new() }
    }

    /// Read to its end.
    pub(crate) async fn read(&mut self, from: Reading<'_>) -> PortResult<()> {
        while let Some(frame) = self.frames.next(from).await? {
            if frame.len() < SMALL_FRAME {
                self.small.extend_from_slice(&frame);
                from.progress.copied(frame.len() as u64);
                if self.small.len() >= SMALL_FRAME {
                    self.flush_small();
                }
            } else {
                self.flush_small();
                self.segments.push(frame);
            }
        }
        self.flush_small();
        Ok(())
    }

    fn flush_small(&mut self) {
        if !self.small.is_empty() {
            self.segments.push(Bytes::from(std::mem::take(&mut self.small)));
        }
    }

    fn into_chunk(self, lease: Lease) -> Chunk {
        let crc = Some(self.frames.crc());
        Chunk { crc, ..Chunk::new(self.frames.start(), self.segments, lease) }
    }

    /// What was read, and its checksum.
    pub(crate) fn into_segments(self) -> (Vec<Bytes>, Crc64) {
        let crc = self.frames.crc();
        (self.segments, crc)
    }
}

/// The checksum of a whole source, read in ranges and kept nowhere.
///
/// # Errors
/// As reading it fails.
pub async fn checksum_of(
    source: &dyn ObjectSource,
    window: Budget,
    concurrency: Concurrency,
) -> Result<Crc64, Failure> {
    Fetch::all_of(source, window, concurrency, &Progress::default()).rest().await
}

/// The bytes of a whole source, held in memory: of one whose size was found to be small.
///
/// # Errors
/// As reading it fails.
pub async fn bytes_of(source: &dyn ObjectSource) -> Result<Vec<u8>, Failure> {
    let progress = Progress::default();
    let fetch = Fetch::all_of(source, Budget::new(WHOLE_RANGE), Concurrency::new(1), &progress);
    let (downstream, mut upstream) = link::<Chunk>(1);
    let gather = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = upstream.next().await {
            chunk.segments.iter().for_each(|segment| bytes.extend_from_slice(segment));
        }
        Ok(bytes)
    };
    let (_, bytes) = tokio::try_join!(fetch.run(downstream), gather)?;
    Ok(bytes)
}
