//! The jobs that a job's end makes room for, let in once for all jobs of the tenant that end meanwhile.
//!
//! # Overview
//! To let jobs in, what waits and what is in flight is read, and the tenant's book is written if nobody has since. Of slots
//! that do so at once, all but one have read for nothing and begin anew. So the slots of a process take turns, by tenant, and
//! who finds when it is his turn that a release has begun after his job had ended has nothing left to do.
//!
//! # Failure handling
//! A release that fails is told to him whose turn it was, and counts for those it would have counted for: what it has not let
//! in waits for the next end, or for the sweep. Were each to try again, all slots would wait for a queue that does not answer, one
//! after the other.
//!
//! # Not covered
//! Other processes, which the book keeps apart.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use eft_domain::TenantId;

/// Who waits for a turn, by tenant.
#[derive(Debug, Default)]
pub struct Releases(Mutex<HashMap<TenantId, Arc<Turns>>>);

#[derive(Debug, Default)]
struct Turns {
    /// Jobs that have ended.
    ended: AtomicU64,
    /// As many of them had ended when the last release began that is over.
    covered: tokio::sync::Mutex<u64>,
}

impl Releases {
    fn turns(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Turns>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job of the tenant has ended: returns when a release that began after this was called is over.
    ///
    /// # Errors
    /// Those of `release`, to whose turn it was.
    pub async fn after_end<F, E>(&self, tenant: &TenantId, release: impl FnOnce() -> F) -> Result<(), E>
    where
        F: Future<Output = Result<(), E>>,
    {
        let turns = Arc::clone(self.turns().entry(tenant.clone()).or_default());
        let number = turns.ended.fetch_add(1, SeqCst) + 1;
        let released = async {
            let mut covered = turns.covered.lock().await;
            if *covered < number {
                let ended = turns.ended.load(SeqCst);
                let released = release().await;
                *covered = ended;
                return released;
            }
            Ok(())
        }
        .await;
        let mut all = self.turns();
        drop(turns);
        // Nobody takes one without this lock; those whose turn was cancelled have left theirs.
        all.retain(|_, kept| Arc::strong_count(kept) > 1);
        released
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    const LONG: Duration = Duration::from_secs(1);

    fn acme() -> TenantId {
        "acme".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_end_has_a_release_that_begins_after_it_and_many_share_one() {
        let (releases, begun) = (Releases::default(), RefCell::new(Vec::new()));
        let start = Instant::now();
        let ends = (0..20_u32).map(|number| {
            let (releases, begun) = (&releases, &begun);
            async move {
                sleep(LONG / 10 * number).await;
                let ended = start.elapsed();
                let release = || async {
                    begun.borrow_mut().push(start.elapsed());
                    sleep(LONG).await;
                    Ok::<_, ()>(())
                };
                releases.after_end(&acme(), release).await.unwrap();
                let over = start.elapsed();
                assert!(begun.borrow().iter().any(|at| *at >= ended && *at + LONG <= over), "{number}");
            }
        });
        join_all(ends).await;
        assert_eq!(*begun.borrow(), [0, 1, 2].map(Duration::from_secs));
        assert!(releases.turns().is_empty(), "nobody is remembered for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_is_not_tried_by_each_who_waits() {
        let (releases, acme, calls) = (Releases::default(), acme(), RefCell::new(0));
        let ends = (0..8).map(|_| {
            releases.after_end(&acme, || async {
                sleep(LONG).await;
                *calls.borrow_mut() += 1;
                Err("unreachable")
            })
        });
        let failed = join_all(ends).await.into_iter().filter(Result::is_err).count();
        assert_eq!((failed, *calls.borrow()), (2, 2), "the first, and one for all who came meanwhile");
        // The next end tries again.
        assert_eq!(releases.after_end(&acme, || async { Ok::<_, ()>(()) }).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_cancelled_is_the_next_ones() {
        let (releases, acme) = (Releases::default(), acme());
        let never = releases.after_end(&acme, std::future::pending::<Result<(), ()>>);
        assert!(tokio::time::timeout(LONG, never).await.is_err());
        let calls = RefCell::new(0);
        let release = || async {
            *calls.borrow_mut() += 1;
            Ok::<_, ()>(())
        };
        assert_eq!(releases.after_end(&acme, release).await, Ok(()));
        assert!(*calls.borrow() == 1 && releases.turns().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_do_not_wait_for_each_other() {
        let (releases, start) = (Releases::default(), Instant::now());
        let ends = ["a", "b", "c"].map(|tenant| {
            let releases = &releases;
            async move {
                let slow = || async {
                    sleep(LONG).await;
                    Ok::<_, ()>(())
                };
                releases.after_end(&tenant.parse().unwrap(), slow).await
            }
        });
        assert_eq!(join_all(ends).await, [Ok(()); 3]);
        assert_eq!(start.elapsed(), LONG);
    }
}
