//! The queues as operators see them.

use futures::future::BoxFuture;

use crate::port::StoreResult;

/// What is in a queue, about: SQS counts over many machines, and not at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be received.
    pub visible: u64,
    /// Messages that somebody works on.
    pub in_flight: u64,
    /// Messages that cannot be received yet.
    pub delayed: u64,
}

/// A queue, and what is set aside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// What it is called among us.
    pub name: &'static str,
    /// What is in it.
    pub depth: Depth,
    /// What is in its dead-letter queue; none where it has none that is redriven.
    pub dead: Option<Depth>,
}

/// What became of a wish to redrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redrive {
    /// Messages are moved back from now on; what SQS calls the task.
    Started(String),
    /// They are being moved already.
    Running,
    /// There is no such queue, or it has no dead-letter queue.
    Unknown,
}

/// The queues of a region.
pub trait Queues: Send + Sync {
    /// How they stand.
    fn states(&self) -> BoxFuture<'_, StoreResult<Vec<QueueState>>>;

    /// Move what was set aside of a queue back into it.
    fn redrive<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, StoreResult<Redrive>>;
}
