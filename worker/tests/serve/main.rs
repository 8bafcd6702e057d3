//! Router, sweep and worker service in simulated time, on the memory adapters: processes that are killed, stopped and woken
//! anywhere, events that are lost, doubled, late and out of order, ports that fail after they have done what was asked, and
//! an object store that knows no tokens.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod crashes;
mod events;
mod life;
mod order;
mod promises;
mod queue;
mod simulation;
mod single;
mod store;
mod tenancy;
mod transfer;
mod world;
