//! Where work comes from.

use std::time::Duration;

use eft_store::StoreResult;
use futures::future::BoxFuture;

/// A message that was received and is hidden from others for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub body: String,
    /// What the queue knows this receipt of it by.
    pub receipt: String,
    /// How often it was received, this time included.
    pub receives: u32,
}

/// A queue that hides what it gives out, and gives it again unless it is deleted.
pub trait WorkQueue: Send + Sync {
    /// Wait for a message, at most this long.
    ///
    /// # Errors
    /// The queue was not reached.
    ///
    /// # Cancellation
    /// A dropped future may have received a message, which then comes back when its time is over.
    fn receive(&self, wait: Duration) -> BoxFuture<'_, StoreResult<Option<Received>>>;

    /// Hide a message for this long from now on; nothing: it is given to the next at once.
    ///
    /// # Errors
    /// The queue was not reached, or the message is not this receiver's any more.
    fn hide<'a>(&'a self, receipt: &'a str, time: Duration) -> BoxFuture<'a, StoreResult<()>>;

    /// Delete a message; fine where it is gone.
    ///
    /// # Errors
    /// The queue was not reached.
    fn delete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, StoreResult<()>>;
}
