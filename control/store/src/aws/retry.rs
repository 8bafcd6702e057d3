//! Asking again, where it is certain that nothing was done.
//!
//! For conditional writes, which the SDK must not repeat (see [`error`](super::error)). What may have been done goes to
//! the caller at once: [`Desk`](crate::Desk) looks it up.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use crate::port::{StoreErrorKind, StoreResult};

/// Times it is asked. As the SDK's standard mode and one more, because a conflict between regions takes a moment.
const TRIES: u32 = 4;

/// First pause after a conflict: about a round trip between regions.
const CONFLICT: Duration = Duration::from_millis(50);

/// First pause after too many requests: partitions of DynamoDB fill up again within a second.
const THROTTLED: Duration = Duration::from_millis(200);

/// No pause is longer: all of them together stay far below a lease and a Lambda's time.
const LONGEST: Duration = Duration::from_secs(2);

/// How long to pause before asking again, if at all; `draw` is from 0 to 1.
fn pause(kind: StoreErrorKind, tries: u32, draw: f64) -> Option<Duration> {
    let base = match kind {
        StoreErrorKind::Throttled => THROTTLED,
        StoreErrorKind::Unavailable => CONFLICT,
        StoreErrorKind::Indeterminate | StoreErrorKind::Denied | StoreErrorKind::Permanent => return None,
    };
    (tries < TRIES).then(|| (base * 2_u32.saturating_pow(tries - 1)).min(LONGEST).mul_f64(0.5 + draw / 2.0))
}

/// From 0 to 1. The standard library seeds its hashers at random, which is as random as jitter has to be.
fn draw() -> f64 {
    f64::from((RandomState::new().build_hasher().finish() >> 32) as u32) / f64::from(u32::MAX)
}

/// Asks until it is answered, or until an error that asking again does not mend.
pub(crate) async fn again<T, F>(mut ask: impl FnMut() -> F) -> StoreResult<T>
where
    F: Future<Output = StoreResult<T>>,
{
    let mut tries = 1;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(pause) = pause(error.kind, tries, draw()) else { return Err(error) };
        tokio::time::sleep(pause).await;
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::port::StoreError;

    #[test]
    fn pauses_grow_and_end() {
        let millis = |kind, tries, draw| pause(kind, tries, draw).map(|time| time.as_millis());
        assert_eq!(millis(StoreErrorKind::Unavailable, 1, 1.0), Some(50));
        assert_eq!(millis(StoreErrorKind::Unavailable, 3, 0.0), Some(100));
        assert_eq!(millis(StoreErrorKind::Throttled, 3, 1.0), Some(800));
        assert_eq!(millis(StoreErrorKind::Throttled, 4, 1.0), None);
        assert_eq!(millis(StoreErrorKind::Indeterminate, 1, 1.0), None);
        assert!((0.0..=1.0).contains(&draw()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_not_done_is_asked_again() {
        for (kind, asked) in [
            (StoreErrorKind::Throttled, 4),
            (StoreErrorKind::Unavailable, 4),
            (StoreErrorKind::Indeterminate, 1),
            (StoreErrorKind::Denied, 1),
            (StoreErrorKind::Permanent, 1),
        ] {
            let count = Cell::new(0);
            let answer: StoreResult<()> = again(|| async {
                count.set(count.get() + 1);
                Err(StoreError::new(kind, "no"))
            })
            .await;
            assert_eq!((answer.unwrap_err().kind, count.get()), (kind, asked));
        }
        let count = Cell::new(0);
        let answer = again(|| async {
            count.set(count.get() + 1);
            if count.get() < 3 { Err(StoreError::new(StoreErrorKind::Throttled, "slow")) } else { Ok(7) }
        });
        assert_eq!(answer.await, Ok(7));
    }
}
