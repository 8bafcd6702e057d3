//! How far reading may be ahead of the checkpoint: what is read beyond it, a crash makes the next run read again.
//!
//! Memory bounds what is in flight, and not what is lost with it: behind one part that is slow, or a checkpoint that is
//! slow to be stored, others are sent and forgotten. So a range that ends more than the interval behind the stored
//! mark is not asked for while a better mark is on its way. While none is, only more of the source can bring one.

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
    /// A mark will be stored without any more of the source.
    coming: bool,
}

impl Rework {
    /// For a run that starts at this byte of the source.
    pub(crate) fn new(interval: Interval, from: u64) -> Self {
        Self { interval, state: watch::Sender::new(State { stored: from, coming: false }) }
    }

    /// Wait until the source may be read up to `end`.
    pub(crate) async fn admit(&self, end: u64) {
        let may = |state: &State| !state.coming || end.saturating_sub(state.stored) <= self.interval.bytes;
        let mut state = self.state.subscribe();
        // The sender is here: it cannot be gone.
        drop(state.wait_for(may).await);
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

    /// Whether a mark will be stored without any more of the source.
    pub(crate) fn coming(&mut self, coming: bool) {
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
        self.coming(false);
    }
}
