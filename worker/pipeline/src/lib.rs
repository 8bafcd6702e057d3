//! The data path: plan → fetch → order → stages → pack → upload.

pub mod budget;
pub mod checksum;
pub mod chunk;
pub mod concurrency;
mod ordered;
pub mod pool;
pub mod port;
pub mod retry;
pub mod schedule;
pub mod stage;
