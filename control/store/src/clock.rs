//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use eft_domain::Millis;
use tokio::time::Instant;

/// A clock. Leases are compared between machines, so it is the wall's; in tests it is the runtime's, which can be paused.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// The runtime's, which started at this time.
    Runtime(Instant, Millis),
}

impl Clock {
    /// The runtime's clock, from a fixed day on.
    pub fn simulated() -> Self {
        Self::Runtime(Instant::now(), Millis(1_795_737_600_000)) // 2026-11-27T00:00:00Z
    }

    /// Now.
    pub fn now(self) -> Millis {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Millis::default().plus(since)
            }
            Self::Runtime(start, at) => at.plus(start.elapsed()),
        }
    }
}

/// RFC 3339 in UTC.
pub fn rfc3339(at: Millis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}
