//! Routes of a tenant are saved one at a time: two that are saved at once could not be seen to tie with each other.
//!
//! The turn is a key that is kept for a short time. It is given back when the save is done; where its holder dies, it
//! expires.

use eft_api::{Call, Code, Problem};
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use eft_domain::TenantId;
use tokio::time::Instant;

use crate::Api;

/// How long a turn lasts: a save takes some ten milliseconds, at worst the seconds of a few repeated requests.
const TURN: Duration = Duration::from_secs(20);

/// How much of it may be over when the write begins that depends on it: that write may take [`TURN`] less this.
const LATEST: Duration = Duration::from_secs(10);

/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A turn that was taken.
#[derive(Debug)]
pub(super) struct Turn {
    key: String,
    taken: Instant,
}

impl Api {
    /// Wait for the tenant's turn.
    ///
    /// # Errors
    /// Others save for longer than is waited.
    pub(super) async fn take_turn(&self, call: &Call, tenant: &TenantId) -> Result<Turn, Problem> {
        let key = format!("saving#{tenant}");
        let began = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let taken = Instant::now();
            let now = call.now.plus(taken - began);
            if self.keys.put_new(&key, "", now.plus(TURN), now).await?.is_none() {
                return Ok(Turn { key, taken });
            }
            if began.elapsed() + pause > PATIENCE {
                return Err(Problem::new(Code::RouteBusy, "another route of this tenant is being saved"));
            }
            // Two that wait for the same must not ask in step.
            let draw = (RandomState::new().hash_one(0) % 100) as u32;
            tokio::time::sleep(pause / 2 + pause * draw / 200).await;
            pause = (pause * 2).min(Duration::from_millis(300));
        }
    }

    /// Give it back. Where that fails it expires.
    pub(super) async fn end_turn(&self, call: &Call, turn: Turn) {
        if turn.taken.elapsed() < LATEST {
            drop(self.keys.put(&turn.key, "", call.now).await);
        }
    }
}

impl Turn {
    /// # Errors
    /// It has lasted so long that somebody else may have it before the next write is done.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.taken.elapsed() < LATEST {
            return Ok(());
        }
        Err(Problem::new(Code::Unavailable, "the configuration answers too slowly to save a route"))
    }
}
