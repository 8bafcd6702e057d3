//! One pass to several destinations, through the real engine and S3 over HTTP: as a run, and as a job of the service.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod job;
mod run;
