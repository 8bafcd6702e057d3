//! The store's clock, as its answers tell it: what the store says of a time is compared with nobody else's.

use std::{
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
};

use aws_smithy_types::{DateTime, date_time::Format};
use tokio::time::Instant;

/// An answer's `Date`, between the sending of its request and its arrival.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Whole seconds since 1970, rounded down.
    date: i64,
    sent: Instant,
    received: Instant,
}

/// Of one endpoint.
#[derive(Debug, Default)]
pub(super) struct StoreClock(Mutex<Option<Reading>>);

impl StoreClock {
    /// Read the `Date` of an answer.
    pub(super) fn read(&self, date: &str, sent: Instant, received: Instant) {
        if let Ok(date) = DateTime::from_str(date, Format::HttpDate) {
            let reading = Reading { date: date.secs(), sent, received };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
    }

    /// What the store's clock has shown at some time between these two of ours, in whole seconds; `None` before its first
    /// answer. The bounds are sure: how long an answer was on its way is not known, so each takes all of it.
    pub(super) fn between(&self, from: Instant, to: Instant) -> Option<RangeInclusive<i64>> {
        let reading = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let earliest = reading.date as f64 + since(reading.received, from);
        let latest = (reading.date + 1) as f64 + since(reading.sent, to);
        Some(earliest.floor() as i64..=latest.ceil() as i64)
    }
}

/// Seconds from one time to another, which may be before it.
fn since(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() - from.saturating_duration_since(to).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bounds_hold_whenever_within_its_way_the_answer_was_dated() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let clock = StoreClock::default();
        assert_eq!(clock.between(at(0), at(0)), None);
        clock.read("not a date", at(0), at(0));
        assert_eq!(clock.between(at(0), at(0)), None);
        // 3,000 s after 1970, said between our 10.0 and 12.5 s: the store is 2,987.5 to 2,991 s ahead of us.
        clock.read("Thu, 01 Jan 1970 00:50:00 GMT", at(10_000), at(12_500));
        assert_eq!(clock.between(at(12_500), at(12_500)), Some(3000..=3004));
        assert_eq!(clock.between(at(10_000), at(10_000)), Some(2997..=3001));
        assert_eq!(clock.between(at(20_000), at(21_000)), Some(3007..=3012));
        // The newest answer counts.
        clock.read("Thu, 01 Jan 1970 01:00:00 GMT", at(12_500), at(12_500));
        assert_eq!(clock.between(at(12_500), at(12_500)), Some(3600..=3601));
    }
}
