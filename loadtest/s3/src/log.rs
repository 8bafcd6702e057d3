//! What the server was asked and how it answered: the request log, counts, and gauges.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde::Serialize;

use crate::router::Op;

/// Records kept; the oldest go first. Counts are never cut. (A 1 TiB object in 16 MiB parts is 131,072 requests.)
const KEPT: usize = 300_000;

/// One answered request. Written before the response leaves, so a client that has its answer finds its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// HTTP method.
    pub method: String,
    /// S3 operation, such as `GetObject` or `UploadPart`.
    pub op: String,
    /// Bucket, decoded.
    pub bucket: String,
    /// Key, decoded.
    pub key: String,
    /// HTTP status; 0 when the connection was closed without an answer.
    pub status: u16,
    /// S3 error code of the answer.
    pub error: Option<String>,
    /// `Range` or `x-amz-copy-source-range` as sent.
    pub range: Option<String>,
    /// `versionId` as sent.
    pub version_id: Option<String>,
    /// `partNumber` as sent.
    pub part_number: Option<u32>,
    /// `uploadId` as sent, or as created.
    pub upload_id: Option<String>,
    /// The body came in the encoding `aws-chunked`.
    pub chunked: bool,
    /// Body bytes received, after `aws-chunked` decoding.
    pub bytes_in: u64,
    /// Body bytes the response announces (a cut or stalled body delivers fewer).
    pub bytes_out: u64,
    /// Names of the faults that fired, such as `cut_body`.
    pub faults: Vec<String>,
}

/// Gauges and totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Open connections.
    pub connections: u64,
    /// Most connections open at once.
    pub peak_connections: u64,
    /// Requests being handled (until the response head leaves).
    pub in_flight: u64,
    /// Most requests handled at once.
    pub peak_in_flight: u64,
    /// Requests that a fault holds.
    pub held: u64,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes announced.
    pub bytes_out: u64,
    /// Requests by operation.
    pub counts: BTreeMap<String, u64>,
}

/// A gauge that remembers its peak.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Gauge {
    /// Counts one until the guard is dropped.
    pub(crate) fn enter(&self) -> GaugeGuard<'_> {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(now, Relaxed);
        GaugeGuard(self)
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    fn reset(&self) {
        self.peak.store(self.now.load(Relaxed), Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct GaugeGuard<'a>(&'a Gauge);

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Relaxed);
    }
}

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) connections: Gauge,
    pub(crate) requests: Gauge,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: VecDeque<Record>,
    counts: BTreeMap<Op, u64>,
    bytes_in: u64,
    bytes_out: u64,
}

impl Log {
    pub(crate) fn push(&self, op: Op, record: Record) {
        let mut inner = self.lock();
        *inner.counts.entry(op).or_default() += 1;
        inner.bytes_in += record.bytes_in;
        inner.bytes_out += record.bytes_out;
        if inner.records.len() == KEPT {
            inner.records.pop_front();
        }
        inner.records.push_back(record);
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.lock().records.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<Op, u64> {
        self.lock().counts.clone()
    }

    /// Gauges and totals; `held` is the faults' to say.
    pub(crate) fn stats(&self, held: u64) -> Stats {
        let inner = self.lock();
        Stats {
            connections: self.connections.now(),
            peak_connections: self.connections.peak.load(Relaxed),
            in_flight: self.requests.now(),
            peak_in_flight: self.requests.peak.load(Relaxed),
            held,
            bytes_in: inner.bytes_in,
            bytes_out: inner.bytes_out,
            counts: inner.counts.iter().map(|(op, count)| (op.name().to_owned(), *count)).collect(),
        }
    }

    /// Forgets records, counts and peaks.
    pub(crate) fn reset(&self) {
        *self.lock() = Inner::default();
        self.connections.reset();
        self.requests.reset();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
