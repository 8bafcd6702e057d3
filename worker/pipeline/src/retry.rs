//! When to try again, and how long to wait: a pure classifier and a pure schedule.
//!
//! This is the retry of the data path only: bodies cut midway and parts re-issued. A single request is retried by its
//! client before an error gets here; a whole run is retried by whoever started it.

use std::time::Duration;

use crate::port::{ErrorKind, PortError};

/// How often and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// First pause after a failure. AWS SDKs start at up to 1 s; a body cut midway is worth a quicker try.
    pub base: Duration,
    /// First pause after throttling: the endpoint has asked for time.
    pub throttle_base: Duration,
    /// Longest pause.
    pub cap: Duration,
    /// A body without a byte for this long is broken.
    pub idle: Duration,
}

impl RetryPolicy {
    /// The default: gives an endpoint about a minute to come back, jitter included. S3 itself drops idle sockets after
    /// about 20 s.
    pub const DEFAULT: Self = Self {
        attempts: 8,
        base: Duration::from_millis(100),
        throttle_base: Duration::from_millis(500),
        cap: Duration::from_secs(20),
        idle: Duration::from_secs(30),
    };

    /// The pause before attempt `attempt + 1`, or `None` to give up. `draw` is uniform in `0.0..1.0`: full jitter, so
    /// that workers which failed together do not return together.
    pub fn pause(&self, error: &PortError, attempt: u32, draw: f64) -> Option<Duration> {
        if !error.is_retryable() || attempt >= self.attempts {
            return None;
        }
        let base = if error.kind == ErrorKind::Throttled { self.throttle_base } else { self.base };
        let ceiling = base.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.cap);
        Some(ceiling.mul_f64(draw.clamp(0.0, 1.0)))
    }
}

/// A uniform draw in `0.0..1.0`. Retry jitter needs no more than the standard library's per-process random keys.
pub fn draw() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// Run `attempt` until it succeeds, the policy gives up, or it fails for good. Counts what it retries.
pub async fn retrying<T, F>(
    policy: &RetryPolicy,
    mut on_retry: impl FnMut(&PortError),
    mut attempt: impl FnMut() -> F,
) -> Result<T, PortError>
where
    F: Future<Output = Result<T, PortError>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => match policy.pause(&error, tries, draw()) {
                Some(pause) => {
                    on_retry(&error);
                    tokio::time::sleep(pause).await;
                }
                None => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> PortError {
        PortError::new(kind, "x")
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let policy = RetryPolicy::DEFAULT;
        let transient = error(ErrorKind::Transient);
        let pauses: Vec<_> = (1..8).map(|n| policy.pause(&transient, n, 1.0).unwrap().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400]);
        assert_eq!(policy.pause(&transient, 8, 1.0), None);
        assert_eq!(policy.pause(&error(ErrorKind::Throttled), 7, 1.0), Some(Duration::from_secs(20)));
        assert_eq!(policy.pause(&transient, 1, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_help_is_not_tried_again() {
        for kind in [ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Changed, ErrorKind::Exists] {
            assert_eq!(RetryPolicy::DEFAULT.pause(&error(kind), 1, 0.5), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_until_it_works() {
        let mut calls = 0;
        let mut retries = 0;
        let result = retrying(
            &RetryPolicy::DEFAULT,
            |_| retries += 1,
            || {
                calls += 1;
                let result = if calls < 4 { Err(error(ErrorKind::Transient)) } else { Ok(calls) };
                async move { result }
            },
        )
        .await;
        assert_eq!((result, retries), (Ok(4), 3));
    }

    #[test]
    fn draws_are_in_range_and_differ() {
        let draws: Vec<f64> = (0..100).map(|_| draw()).collect();
        assert!(draws.iter().all(|d| (0.0..1.0).contains(d)));
        assert!(draws.iter().any(|d| *d < 0.5) && draws.iter().any(|d| *d >= 0.5));
    }
}
