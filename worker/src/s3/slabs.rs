//! Memory that bodies are received into, and received into again.
//!
//! # Overview
//! An allocator gives large blocks back to the kernel, which zeroes them before it hands them out again: a fifth of the
//! CPU time of a transfer. So a handle to each slab is kept, and takes the whole slab back once it is the only one left
//! (`BytesMut::try_reclaim`).
//!
//! # Memory
//! Slabs in use are paid for by the leases of what lies in them. Those that nobody has used for [`UNUSED`] are given back:
//! a worker whose next jobs need their memory elsewhere would hold it twice.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{runtime::Handle, time::sleep};

/// Bytes received into one allocation. Large enough that reads are few, small enough to stay in the second-level cache
/// until its checksum is taken.
pub(super) const SLAB: usize = 256 << 10;

/// A frame leaves with fewer bytes than a slab when the network has no more, but not with fewer than this: a segment
/// costs what a few KiB of copying do, and 16 KiB is what a TLS record carries.
pub(super) const LEAST: usize = 16 << 10;

/// Between two looks. A transfer that runs at all uses a slab again within milliseconds.
const UNUSED: Duration = Duration::from_secs(1);

/// A slab that was filled.
struct Filled {
    slab: BytesMut,
    /// So it was when it was looked at last.
    unused: bool,
}

/// Those of one body together: its slices go to one part and are gone when that is acknowledged, so the last tells of all.
#[derive(Default)]
struct Kept {
    bodies: VecDeque<Vec<Filled>>,
    is_watched: bool,
}

/// Slabs to use again.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Kept>>);

impl Pool {
    fn with<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Of those used last, which may still be in a cache: so that others are unused where fewer will do.
    fn take(&self) -> Option<BytesMut> {
        self.with(|kept| {
            let is_free = |body: &mut Vec<Filled>| body.last_mut().is_some_and(Filled::is_free);
            let at = kept.bodies.iter_mut().rposition(is_free)?;
            let body = &mut kept.bodies[at];
            let slab = body.pop()?.slab;
            if body.is_empty() {
                kept.bodies.remove(at);
            }
            Some(slab)
        })
    }

    fn keep(&self, slabs: VecDeque<BytesMut>) {
        if slabs.is_empty() {
            return;
        }
        let body = slabs.into_iter().map(|slab| Filled { slab, unused: false }).collect();
        let begins = self.with(|kept| {
            kept.bodies.push_back(body);
            !std::mem::replace(&mut kept.is_watched, true)
        });
        if begins {
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(watch(Arc::downgrade(&self.0)))),
                // The program ends.
                Err(_) => self.with(|kept| kept.is_watched = false),
            }
        }
    }
}

/// Gives unused slabs back until none is left.
async fn watch(pool: Weak<Mutex<Kept>>) {
    loop {
        sleep(UNUSED).await;
        let Some(pool) = pool.upgrade().map(Pool) else { return };
        let is_watched = pool.with(|kept| {
            for body in &mut kept.bodies {
                body.retain_mut(|filled| {
                    let unused = filled.is_free();
                    !(std::mem::replace(&mut filled.unused, unused) && unused)
                });
            }
            kept.bodies.retain(|body| !body.is_empty());
            kept.is_watched = !kept.bodies.is_empty();
            kept.is_watched
        });
        if !is_watched {
            return;
        }
    }
}

impl Filled {
    fn is_free(&mut self) -> bool {
        self.slab.try_reclaim(SLAB)
    }
}

/// The slabs of one body.
pub(super) struct Slabs {
    pool: Pool,
    full: VecDeque<BytesMut>,
    /// What is filled is the small end of the body, and not a slab.
    ending: bool,
}

impl Slabs {
    pub(super) fn new(pool: &Pool) -> Self {
        Self { pool: pool.clone(), full: VecDeque::new(), ending: false }
    }

    /// A slab, or room for `missing` bytes if that is much less: the last bytes of a range must not hold a whole one.
    pub(super) fn take(&mut self, missing: usize) -> BytesMut {
        if missing < SLAB / 2 {
            self.ending = true;
            return BytesMut::with_capacity(missing.max(LEAST));
        }
        // Of a body that is sent while it is received the oldest is free first.
        if self.full.front_mut().is_some_and(|slab| slab.try_reclaim(SLAB))
            && let Some(slab) = self.full.pop_front()
        {
            return slab;
        }
        // One at a time: a body that comes slowly must not keep what others could use.
        self.pool.take().unwrap_or_else(|| BytesMut::with_capacity(SLAB))
    }

    /// Keep a handle to a slab whose slices are on their way. What nobody has taken from it is forgotten.
    pub(super) fn leave(&mut self, mut slab: BytesMut) {
        if !self.ending {
            // It cannot be taken back whole while it holds something itself.
            slab.clear();
            self.full.push_back(slab);
        }
    }
}

impl Drop for Slabs {
    fn drop(&mut self) {
        self.pool.keep(std::mem::take(&mut self.full));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn fill(slabs: &mut Slabs) -> Bytes {
        let mut slab = slabs.take(SLAB);
        slab.resize(SLAB, 7);
        let slice = slab.split().freeze();
        slabs.leave(slab);
        slice
    }

    fn body(pool: &Pool, slabs: usize) -> Vec<Bytes> {
        let mut own = Slabs::new(pool);
        (0..slabs).map(|_| fill(&mut own)).collect()
    }

    fn kept(pool: &Pool) -> usize {
        pool.with(|kept| kept.bodies.iter().map(Vec::len).sum())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slab_is_used_again_when_its_slices_are_gone_and_not_before() {
        let pool = Pool::default();
        let first = body(&pool, 1);
        let second = body(&pool, 1);
        assert_ne!(first[0].as_ptr(), second[0].as_ptr());
        let was = first[0].as_ptr();
        drop(first);
        assert_eq!(body(&pool, 1)[0].as_ptr(), was);
        assert_eq!(kept(&pool), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_slowly_keeps_nothing_but_its_own() {
        let pool = Pool::default();
        drop(body(&pool, 4));
        let mut slow = Slabs::new(&pool);
        let _slice = fill(&mut slow);
        let others = body(&pool, 3);
        drop(others);
        assert_eq!(kept(&pool), 3, "no slab was made beside the four");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slab_of_a_body_that_was_given_up_is_as_good_as_any() {
        let pool = Pool::default();
        let mut own = Slabs::new(&pool);
        let mut slab = own.take(SLAB);
        slab.extend_from_slice(b"received, and taken by nobody");
        let was = slab.as_ptr();
        own.leave(slab);
        drop(own);
        let again = pool.take().unwrap();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (was, 0, SLAB));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_uses_is_given_back() {
        let pool = Pool::default();
        drop(body(&pool, 4));
        for _ in 0..10 {
            sleep(UNUSED / 2).await;
            drop(body(&pool, 1));
        }
        assert_eq!(kept(&pool), 1, "one is in use all the time");
        let held = body(&pool, 2);
        sleep(UNUSED * 4).await;
        assert_eq!(kept(&pool), 2, "those that hold bytes stay");
        drop(held);
        sleep(UNUSED * 4).await;
        assert_eq!((kept(&pool), pool.with(|kept| kept.is_watched)), (0, false));
        // And from there on as before.
        drop(body(&pool, 1));
        assert_eq!(kept(&pool), 1);
        sleep(UNUSED * 4).await;
        assert_eq!(kept(&pool), 0);
    }
}
