//! The worker service in simulated time: workers that are killed, stopped and woken, a queue that gives messages twice,
//! a ledger that fails after it has done what was asked, and a store without tokens.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod ledger;
mod queue;
mod simulation;
mod single;
mod store;
mod world;
