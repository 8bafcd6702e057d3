//! How far reading may be ahead of the checkpoint: what is read beyond it, a crash makes the next run read again.
//!
//! Memory bounds what is in flight, and not what is lost with it: behind one part that is slow, or a checkpoint that is
//! slow to be stored, others are sent and forgotten. So a range that ends more than the interval behind the stored
//! mark is not asked for while a better mark is on its way. While none is, only more of the source can bring one.
//!
//! Where a stage makes much fewer bytes than it reads, marks of use are as far apart as what fills a part, and that counts
//! as well, so that the next part can be made while one is sent: where it is more than half an interval, no more is read
//! than the interval and what fills a part.

use tokio::sync::watch;

use crate::checkpoint::Interval;

/// Between the source and the checkpoint.
pub(crate) struct Rework {
    pub(crate) interval: Interval,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    /// The source up to here need not be read again.
    stored: u64,
    /// A mark at this byte will be stored without any more of the source.
    coming: Option<u64>,
}

impl State {
    fn admits(self, end: u64, interval: u64) -> bool {
        let Some(coming) = self.coming else { return true };
        // A mark is up to a quarter behind the end of its part: see `Interval::marks`.
        let quarter = interval / 4;
        let is_far = coming.saturating_sub(self.stored) > interval - quarter;
        end.saturating_sub(if is_far { coming - quarter } else { self.stored }) <= interval
    }
}

impl Rework {
    /// For a run that starts at this byte of the source.
    pub(crate) fn new(interval: Interval, from: u64) -> Self {
        Self { interval, state: watch::Sender::new(State { stored: from, coming: None }) }
    }

    /// Wait until the source may be read up to `end`.
    pub(crate) async fn admit(&self, end: u64) {
        let mut state = self.state.subscribe();
        // The sender is here: it cannot be gone.
        drop(state.wait_for(|state| state.admits(end, self.interval.bytes)).await);
    }

    /// Whoever stores the marks.
    pub(crate) fn storing(&self) -> Storing<'_> {
        Storing { rework: self, state: *self.state.borrow() }
    }
}

/// Says how far the checkpoint is. When it is dropped nothing is stored any more, and nobody waits for it.
pub(crate) struct Storing<'a> {
    rework: &'a Rework,
    state: State,
}

impl Storing<'_> {
    /// A mark at this byte of the source is stored.
    pub(crate) fn stored(&mut self, at: u64) {
        self.set(State { stored: at, ..self.state });
    }

    /// Which mark will be stored without any more of the source.
    pub(crate) fn coming(&mut self, coming: Option<u64>) {
        self.set(State { coming, ..self.state });
    }

    fn set(&mut self, state: State) {
        if state != self.state {
            self.state = state;
            self.rework.state.send_replace(state);
        }
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.coming(None);
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn reading_is_an_interval_ahead_at_most_while_a_mark_is_coming() {
        let admits = |coming, end| State { stored: 1000, coming }.admits(end, 100);
        assert!(admits(None, 9999), "nothing else can bring a mark");
        assert!(admits(Some(1075), 1100) && !admits(Some(1075), 1101));
        // What fills a part is more than half an interval: the next is made while it is sent.
        assert!(admits(Some(1076), 1151) && !admits(Some(1076), 1152));
    }
}
