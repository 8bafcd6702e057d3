//! Worker processes on real queues and tables, killed and stopped while they run jobs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod drained;
mod killed;
mod platform;
mod refused;
mod stopped;
