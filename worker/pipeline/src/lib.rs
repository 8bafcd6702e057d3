//! The data path: plan → fetch → order → stages → pack → upload.
//!
//! [`transfer::Transfer`] is the way in; read on from there in the order of the modules below.

pub mod transfer;

pub mod plan;
pub mod schedule;

pub mod fetch;
mod ordered;
mod range;
pub mod stored;

mod blocks;
pub mod chain;
mod objects;
mod scan;
mod serial;
mod split;
pub mod stage;

pub mod pack;
mod upload;

mod pipe;

mod publish;

pub mod budget;
pub mod checkpoint;
pub mod checksum;
pub mod chunk;
pub mod concat;
pub mod concurrency;
pub mod error;
pub mod given;
pub mod keys;
pub mod manifest;
mod marks;
mod midstate;
pub mod pool;
pub mod port;
pub mod progress;
pub mod resume;
pub mod retry;
mod rework;
pub mod scanner;
pub mod secrets;
pub mod sidecar;
pub mod zip;
