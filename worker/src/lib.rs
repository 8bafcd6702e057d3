//! The worker: adapters for the ports of `eft-pipeline`, and what the command line does with them.

pub mod checkpoint;
pub mod clamd;
mod deliver;
mod delivery;
mod input;
pub mod kept;
pub mod keys;
pub mod layout;
pub mod local;
pub mod place;
pub mod receipt;
pub mod run;
pub mod s3;
pub mod secrets;
pub mod serve;
pub mod sidecar;
pub mod sign;
pub mod stdio;
