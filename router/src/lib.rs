//! The router: from an event of `ingest.fifo` to a job, or to a record that says why there is none.
//!
//! # Overview
//! A message of the queue is an event ([`handler`]); what is done about it stands in [`route`]: the object version it
//! names is looked up where the event says too little ([`lookup`]), names that are no files are left out ([`names`]), the
//! active routes are asked which of them takes the key, and the route's completeness rule whether the file is whole
//! ([`complete`]). The sweep finds versions whose event was lost and calls the same functions.
//!
//! # Ordering
//! None is needed: the row of a job is made by a conditional write under an id derived from route and object version, so
//! the same event any number of times, in any order, makes one job (G2).
//!
//! # Crash consistency
//! A job is a row before anything is told or sent. Whoever dies after that leaves it to the sweep, or to the next delivery
//! of the same message.

pub mod complete;
pub mod config;
pub mod handler;
pub mod lookup;
pub mod names;
pub mod observe;
pub mod route;
pub mod settle;
pub mod trace;

pub use complete::Completeness;
pub use config::Config;
pub use eft_store::Buckets;
pub use handler::{Batch, BatchResponse};
pub use lookup::{Found, Objects};
pub use observe::Observer;
pub use route::{Outcome, RouteError, Router, What};
