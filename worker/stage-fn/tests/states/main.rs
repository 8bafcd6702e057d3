//! The state machine as it is deployed, over the functions: every end, and every function killed at every effect.
#![allow(clippy::unwrap_used, reason = "tests")]

mod ends;
mod file;
mod kills;
mod machine;
mod world;
