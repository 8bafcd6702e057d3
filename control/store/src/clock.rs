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

/// The time of a text in RFC 3339, if it is one. What was before 1970 is its beginning.
pub fn of_rfc3339(text: &str) -> Option<Millis> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Millis(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let at = Millis(1_795_770_000_123);
        assert_eq!(of_rfc3339(&rfc3339(at)), Some(at));
        assert_eq!(of_rfc3339("2026-11-27T10:00:00.123+01:00"), Some(at));
        assert_eq!(of_rfc3339("1969-12-31T23:59:59Z"), Some(Millis(0)));
        for text in ["", "2026-11-27", "2026-11-27T09:00:00", "2026-13-01T00:00:00Z", "now"] {
            assert_eq!(of_rfc3339(text), None, "{text}");
        }
    }
}
