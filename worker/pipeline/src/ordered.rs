//! A window of futures whose results leave in the order they were started.

use std::collections::VecDeque;

use eft_domain::{Code, Failure};
use futures::{
    StreamExt,
    stream::{FuturesOrdered, Stream},
};
use tokio::sync::mpsc;

/// What flows between the steps of a transfer.
///
/// The end is said, not implied: a channel that closes without [`Flowing::End`] means that the step before it died, and
/// whoever took that for the end of the data would publish half an object.
#[derive(Debug)]
pub(crate) enum Flowing<T> {
    /// More.
    Item(T),
    /// All was sent.
    End,
}

/// The receiving end of a step.
#[derive(Debug)]
pub(crate) struct Upstream<T> {
    receiver: mpsc::Receiver<Flowing<T>>,
    ended: bool,
}

/// The sending end of a step.
pub(crate) type Downstream<T> = mpsc::Sender<Flowing<T>>;

/// A bounded link between two steps.
pub(crate) fn link<T>(capacity: usize) -> (Downstream<T>, Upstream<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (sender, Upstream { receiver, ended: false })
}

/// The step after this one is gone; its own error says why.
pub(crate) fn downstream_gone() -> Failure {
    Failure::new(Code::Internal, "the next step of the pipeline ended early")
}

impl<T> Upstream<T> {
    /// The next item; `None` at the end. When the step before died this never returns: its error ends the transfer.
    pub(crate) async fn next(&mut self) -> Option<T> {
        if self.ended {
            return None;
        }
        match self.receiver.recv().await {
            Some(Flowing::Item(item)) => Some(item),
            Some(Flowing::End) => {
                self.ended = true;
                None
            }
            None => std::future::pending().await,
        }
    }
}

impl<T> Upstream<T> {
    /// Read on to the end and forget it; as [`Upstream::next`], this never returns when the step before died.
    pub(crate) async fn drain(&mut self) {
        while self.next().await.is_some() {}
    }
}

/// Start the futures that `jobs` yields, at most `limit()` at a time (read anew before each), and send their results
/// downstream in order, as `leaving` makes them when their turn has come. The end is the caller's to say.
///
/// All started futures are polled all the time, also while the results wait for room downstream: a response body that
/// is not read would be cut off by its server. `jobs` is polled only while there is a place in the window, and pays for
/// what it starts (see `budget.rs`), which bounds finished results that wait for an older one.
///
/// # Errors
/// The first error in order; results before it were sent, nothing after it is.
pub(crate) async fn ordered_window<J, F, T, U>(
    jobs: J,
    limit: impl Fn() -> usize,
    mut leaving: impl FnMut(T) -> U,
    downstream: &Downstream<U>,
) -> Result<(), Failure>
where
    J: Stream<Item = Result<F, Failure>>,
    F: Future<Output = Result<T, Failure>>,
{
    let mut jobs = std::pin::pin!(jobs.fuse());
    let mut running = FuturesOrdered::new();
    let mut ready = VecDeque::new();
    loop {
        if jobs.is_done() && running.is_empty() && ready.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(result) = running.next(), if !running.is_empty() => ready.push_back(result?),
            room = downstream.reserve(), if !ready.is_empty() => {
                let room = room.map_err(|_| downstream_gone())?;
                if let Some(item) = ready.pop_front() {
                    room.send(Flowing::Item(leaving(item)));
                }
            }
            job = jobs.next(), if !jobs.is_done() && running.len() + ready.len() < limit() => {
                if let Some(job) = job {
                    running.push_back(job?);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::{cell::Cell, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn keeps_order_and_the_limit() {
        let running = Cell::new(0usize);
        let most = Cell::new(0usize);
        let (sender, mut receiver) = link(1);
        let jobs = stream::iter(0..50u64).map(|n| {
            let (running, most) = (&running, &most);
            Ok(async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                tokio::time::sleep(Duration::from_millis((n * 7919) % 100)).await;
                running.set(running.get() - 1);
                Ok(n)
            })
        });
        let receive = async {
            let mut seen = Vec::new();
            while let Some(n) = receiver.next().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
                seen.push(n);
            }
            seen
        };
        let send = async {
            ordered_window(jobs, || 4, |n| n, &sender).await.unwrap();
            sender.send(Flowing::End).await.unwrap();
        };
        let ((), seen) = tokio::join!(send, receive);
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
        assert_eq!(most.get(), 4);
    }

    #[tokio::test]
    async fn the_end_stays_the_end() {
        let (sender, mut receiver) = link::<u8>(1);
        sender.send(Flowing::End).await.unwrap();
        drop(sender);
        assert_eq!(receiver.next().await, None);
        // Whoever fails behind the end may still read on to it.
        receiver.drain().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_never_looks_like_the_end() {
        let (sender, mut receiver) = link(8);
        let jobs = stream::iter(0..3).map(|n| {
            Ok(async move { if n == 1 { Err(Failure::new(Code::Internal, "boom")) } else { Ok(n) } })
        });
        ordered_window(jobs, || 2, |n| n, &sender).await.unwrap_err();
        drop(sender);
        assert_eq!(receiver.next().await, Some(0));
        assert!(futures::poll!(Box::pin(receiver.next())).is_pending());
    }
}
