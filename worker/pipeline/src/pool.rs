//! The CPU pool: a few threads for work that would hold up the reactor.
//!
//! # Overview
//! Codecs and validators run for milliseconds a chunk; on the reactor they would stall every socket. They run here, as
//! jobs that own their data and send it back. A job never blocks and never waits for another job.
//!
//! # Backpressure
//! The queue is bounded. A caller waits, without blocking a thread, for a place in it.
//!
//! # Cancellation
//! Dropping the future of a job lets a job that runs finish; its result is dropped.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use crossbeam::channel;
use eft_domain::{Code, Failure};
use tokio::sync::{Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// Jobs queued per thread: enough that a thread which ends a job finds the next one, no more.
const QUEUED_PER_THREAD: usize = 4;

/// A handle to the pool; threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Pool {
    jobs: channel::Sender<Job>,
    places: Arc<Semaphore>,
    threads: usize,
}

impl Pool {
    /// A pool of `threads` threads.
    pub fn new(threads: NonZeroUsize) -> Self {
        let threads = threads.get();
        let capacity = threads * QUEUED_PER_THREAD;
        let (jobs, queue) = channel::bounded::<Job>(capacity);
        for number in 0..threads {
            let queue = queue.clone();
            let spawned = thread::Builder::new().name(format!("eft-cpu-{number}")).spawn(move || {
                for job in queue {
                    job();
                }
            });
            // Fewer threads than asked for still do the work; none at all is found by `run`, whose queue is closed.
            if spawned.is_err() {
                break;
            }
        }
        Self { jobs, places: Arc::new(Semaphore::new(capacity)), threads }
    }

    /// A pool as wide as the machine.
    pub fn for_this_machine() -> Self {
        Self::new(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Run a job and wait for its result.
    ///
    /// # Errors
    /// `internal` when the job panics or the pool has no thread.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _place = place;
            // A caller that has gone does not want the answer.
            drop(answer.send(catch_unwind(AssertUnwindSafe(job))));
        });
        // A place in the semaphore is a place in the queue, so this never blocks.
        if self.jobs.send(job).is_err() {
            return Err(Failure::new(Code::Internal, "the CPU pool has no threads"));
        }
        match result.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                Err(Failure::new(Code::Internal, format!("a CPU job panicked: {text}")))
            }
            Err(_) => Err(Failure::new(Code::Internal, "a CPU job was lost")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    fn pool() -> Pool {
        Pool::new(NonZeroUsize::new(2).unwrap())
    }

    #[tokio::test]
    async fn runs_more_jobs_than_it_queues() {
        let pool = pool();
        let results = join_all((0..1000u64).map(|n| pool.run(move || n * n))).await;
        let sum: u64 = results.into_iter().map(Result::unwrap).sum();
        assert_eq!(sum, (0..1000u64).map(|n| n * n).sum::<u64>());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_job_alone() {
        let pool = pool();
        for _ in 0..10 {
            let failure = pool.run(|| -> () { panic!("boom") }).await.unwrap_err();
            assert!(failure.message.contains("boom"), "{failure}");
        }
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_dropped_caller_frees_its_place() {
        let pool = pool();
        for _ in 0..100 {
            let call = pool.run(|| ());
            drop(futures::poll!(Box::pin(call)));
        }
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }
}
