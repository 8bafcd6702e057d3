//! The byte budget: memory is reserved before bytes exist.
//!
//! # Overview
//! A [`Budget`] is a number of bytes. A [`Lease`] is a share of it, taken *before* the bytes it pays for are asked for,
//! carried by them through the pipeline and given back when they are gone (their upload was acknowledged, or a stage
//! consumed them). A transfer takes its whole memory once, at admission ([`Budget::carve`]), and divides it into windows.
//!
//! # Progress
//! Nothing waits for ever:
//! 1. A transfer waits for the process budget only before it holds anything; what it holds afterwards is its own. So no
//!    transfer can block another but by being admitted first, and admissions are served in order.
//! 2. Within a transfer each window has one taker, which asks in sequence order (tokio's semaphore is fair). So the
//!    oldest missing bytes always hold a lease, and younger ones never overtake them. Where parts pass (`pipe.rs`) each asks
//!    for itself, and for what it holds alone: whoever has a lease waits for no other.
//! 3. Each window is at least as large as the largest amount its consumer must hold before it can make progress: a
//!    range for the input window, a block plus a step between stages, two parts at the output. The planner proves this
//!    or refuses (see `plan.rs`). The sink is the last consumer and waits for no window; by induction from the sink
//!    upwards, every consumer makes progress, so every lease is given back.
//!
//! # Cancellation
//! Dropping a future that waits for a lease gives its place up; dropping a lease gives its bytes back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Leases are counted in KiB, because a semaphore counts up to 2^29 permits at least on every platform and 32-bit
/// requests at a time: 512 GiB of budget is beyond any Fargate task (120 GB).
const UNIT: u64 = 1 << 10;

/// A bounded number of bytes, shared by those who hold a clone.
#[derive(Clone, Debug)]
pub struct Budget {
    semaphore: Arc<Semaphore>,
    bytes: u64,
    /// The share of the parent budget this one lives on.
    _parent: Option<Arc<Lease>>,
}

/// A share of a [`Budget`]; given back on drop.
#[derive(Debug)]
pub struct Lease {
    permit: OwnedSemaphorePermit,
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl Budget {
    /// A budget of `bytes`, rounded up to 1 KiB.
    pub fn new(bytes: u64) -> Self {
        let permits = units(bytes) as usize;
        Self { semaphore: Arc::new(Semaphore::new(permits)), bytes: permits as u64 * UNIT, _parent: None }
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that are not leased at the moment.
    pub fn available(&self) -> u64 {
        self.semaphore.available_permits() as u64 * UNIT
    }

    /// Wait for `bytes` and take them. More than the whole budget is cut to the whole budget: the planner has proved
    /// that this does not happen, and waiting for ever would be worse.
    pub async fn reserve(&self, bytes: u64) -> Lease {
        let permits = units(bytes).min(units(self.bytes));
        let permit = Arc::clone(&self.semaphore)
            .acquire_many_owned(permits)
            .await
            .expect("a budget's semaphore is never closed");
        Lease { permit }
    }

    /// Take `bytes` out of this budget as a budget of its own.
    pub async fn carve(&self, bytes: u64) -> Budget {
        let lease = self.reserve(bytes).await;
        Budget { _parent: Some(Arc::new(lease)), ..Budget::new(bytes) }
    }
}

impl Lease {
    /// Bytes paid for.
    pub fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT
    }

    /// One lease of two from the same budget.
    ///
    /// # Panics
    /// When they are not.
    pub fn join(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }

    /// Keep `bytes` and give the rest back.
    pub fn shrink(&mut self, bytes: u64) {
        let surplus = self.permit.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.permit.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn leases_are_served_in_order_and_come_back() {
        let budget = Budget::new(4096);
        let mut first = budget.reserve(3000).await;
        assert_eq!(first.bytes(), 3072);
        let large = budget.reserve(4096);
        let mut large = std::pin::pin!(large);
        assert!((&mut large).now_or_never().is_none());
        // A small request that would fit must not overtake the large one.
        assert!(budget.reserve(1).now_or_never().is_none());
        first.shrink(1);
        assert!((&mut large).now_or_never().is_none());
        drop(first);
        assert_eq!(large.await.bytes(), 4096);
        assert_eq!(budget.available(), 4096);
    }

    #[tokio::test]
    async fn a_carved_budget_returns_when_its_last_lease_does() {
        let process = Budget::new(1 << 20);
        let job = process.carve(1 << 19).await;
        assert_eq!(process.available(), 1 << 19);
        drop(job);
        assert_eq!(process.available(), 1 << 20);
    }

    #[tokio::test]
    async fn a_request_over_the_budget_gets_all_of_it() {
        let budget = Budget::new(2048);
        assert_eq!(budget.reserve(1 << 40).await.bytes(), 2048);
    }
}
