//! Every fault of the in-memory S3, alone on every request and several together by seed: right bytes, or a right error with
//! its code; nothing partial visible, nothing left behind, no byte unpaid.
//!
//! `EFT_FAULT_RUNS=n` runs n seeds, `EFT_FAULT_SEED=n` one alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod alone;
mod begin;
mod conflict;
mod passing;
mod rig;
mod taken;
mod together;
mod unseen;
