//! How many requests may be in flight: additive increase, multiplicative decrease.
//!
//! An endpoint that throttles tells us its capacity is exceeded; a fixed number of requests in flight would keep it
//! there. Each throttled request halves the window, at most once per [`ROUND`] (the requests of one round fail for one
//! reason); each success adds `1 / window`, about one request per round of successes, up to the configured ceiling.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Throttles this close together count as one. Two round trips of a loaded S3 endpoint.
pub const ROUND: Duration = Duration::from_millis(200);

/// The pure part: a window and when it last shrank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aimd {
    ceiling: f64,
    window: f64,
}

impl Aimd {
    /// A window that starts at its ceiling: S3 takes far more than one client sends, so starting low would only be slow.
    pub fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1) as f64;
        Self { ceiling, window: ceiling }
    }

    /// Requests that may be in flight; at least 1.
    pub fn window(&self) -> usize {
        self.window as usize
    }

    /// A request was answered.
    pub fn succeeded(&mut self) {
        self.window = (self.window + 1.0 / self.window).min(self.ceiling);
    }

    /// A request was throttled.
    pub fn throttled(&mut self) {
        self.window = (self.window / 2.0).max(1.0);
    }
}

/// A window shared by the requests of one transfer and the client that sees their answers.
#[derive(Clone, Debug)]
pub struct Concurrency(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    aimd: Aimd,
    shrunk_at: Option<Instant>,
    throttles: u64,
}

impl Concurrency {
    /// A window of at most `ceiling` requests.
    pub fn new(ceiling: usize) -> Self {
        Self(Arc::new(Mutex::new(State { aimd: Aimd::new(ceiling), shrunk_at: None, throttles: 0 })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests that may be in flight now.
    pub fn window(&self) -> usize {
        self.with(|state| state.aimd.window())
    }

    /// A request was answered.
    pub fn succeeded(&self) {
        self.with(|state| state.aimd.succeeded());
    }

    /// A request was throttled.
    pub fn throttled(&self) {
        let now = Instant::now();
        self.with(|state| {
            state.throttles += 1;
            if state.shrunk_at.is_none_or(|at| now.duration_since(at) >= ROUND) {
                state.aimd.throttled();
                state.shrunk_at = Some(now);
            }
        });
    }

    /// How often a request was throttled.
    pub fn throttles(&self) -> u64 {
        self.with(|state| state.throttles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_down_to_one_and_grows_by_one_a_round() {
        let mut aimd = Aimd::new(8);
        for window in [4, 2, 1, 1] {
            aimd.throttled();
            assert_eq!(aimd.window(), window);
        }
        aimd.succeeded();
        assert_eq!(aimd.window(), 2);
        (0..100).for_each(|_| aimd.succeeded());
        assert_eq!(aimd.window(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn one_round_shrinks_once() {
        let window = Concurrency::new(16);
        (0..16).for_each(|_| window.throttled());
        assert_eq!((window.window(), window.throttles()), (8, 16));
        tokio::time::advance(ROUND).await;
        window.throttled();
        assert_eq!(window.window(), 4);
    }
}
