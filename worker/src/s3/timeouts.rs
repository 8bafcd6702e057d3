//! How long requests may take. Only a dead peer meets these: a slow one is not given up.

use std::time::Duration;

use eft_pipeline::port::{ErrorKind, PortError, PortResult};

/// The waits of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Longest wait for the answer to a request without a body, and for that to a ranged read's head.
    pub answer: Duration,
    /// A part's time is this, and its size at [`Timeouts::slowest`].
    pub part_base: Duration,
    /// Bytes a second: far below any link worth using.
    pub slowest: u64,
    /// Longest wait for a request in which the store itself moves bytes: completing an upload, and copies.
    pub complete: Duration,
    /// Pause before an abort is repeated because parts that were on their way still arrive.
    pub abort_pause: Duration,
    /// The SDK's first pause before it sends a request again.
    pub backoff: Duration,
}

impl Timeouts {
    /// The default.
    pub const DEFAULT: Self = Self {
        answer: Duration::from_secs(60),
        part_base: Duration::from_secs(60),
        slowest: 256 << 10,
        // "Processing of a CompleteMultipartUpload request could take several minutes to finalize" (S3 API reference).
        complete: Duration::from_secs(600),
        abort_pause: Duration::from_millis(200),
        // The SDK's own default.
        backoff: Duration::from_secs(1),
    };

    /// For the answer to a part of so many bytes.
    pub(super) fn part(&self, len: u64) -> Duration {
        self.part_base + Duration::from_secs(len / self.slowest)
    }
}

/// Wait for an answer, but not for ever.
pub(super) async fn within<T>(time: Duration, what: &str, answer: impl Future<Output = T>) -> PortResult<T> {
    let late = |_| PortError::new(ErrorKind::Transient, format!("{what}: no answer in {time:?}"));
    tokio::time::timeout(time, answer).await.map_err(late)
}

#[cfg(test)]
mod tests;
