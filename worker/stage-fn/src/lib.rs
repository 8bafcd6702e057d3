//! The stage function: what stands behind the states of the state machine (`deploy/state-machine/run.asl.json`).
//!
//! # Overview
//! The states call it one after the other with the name of a run ([`handler`]): `validate` takes the job and looks at its
//! source, `stage` looks whether it can be delivered, `transform` reads, checks and writes it to a place of the run alone in
//! the staging bucket, `deliver` has S3 copy it from there to each destination, `archive` copies the original and ends the
//! run. `quarantine` and `mark_failed` end a run that went wrong ([`end`]). A route that looks at no byte has nothing to
//! transform: its destinations are copied from the source.
//!
//! # Ordering
//! A job has one owner at a time: the execution whose token stands in the row. All states of an execution, and all retries
//! of a state, go on with the same token; another execution of the same run is refused ([`Error::Superseded`]).
//!
//! # Failure handling
//! What went wrong is noted in the row before the state fails with one of the few names of [`Error`], by which the state
//! machine retries or goes to a state that ends the run. A failure that has no such name (a function that was killed, a
//! service that does not answer) is nobody's verdict about the file: the lease lapses, the sweep sends the run again, and
//! the state machine of the job counts the owners that died on it.
//!
//! # Cancellation
//! A pass is stopped shortly before the function's time is over, and as soon as the job has another owner.
//!
//! # Crash consistency
//! What a state has done stands in the row's checkpoint ([`notes`]); between states only the run and its token are passed.
//! The same state again finds what was noted, and of what was done and not noted: a staged object that nobody names is
//! passed over (and removed when the run ends), a delivery is known by its id.
//!
//! # Not covered
//! Two invocations of one state that run at once, after the answer of the first was lost: they have one token. Each effect
//! of theirs is the same or conditional, and the later note stands.

mod archive;
mod claim;
mod deliver;
mod transform;

pub mod config;
pub mod end;
pub mod error;
pub mod handler;
pub mod notes;
pub mod owned;
pub mod staging;

pub use config::Config;
pub use error::Error;
pub use handler::{Stages, Until};
