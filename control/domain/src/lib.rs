//! The words of the system: what a route, an object version, a failure and a receipt are.
//!
//! Pure: no IO, no runtime, no AWS crate (CI checks the dependency tree).

pub mod failure;
pub mod route;
pub mod size;

pub use failure::{Class, Code, Failure};
pub use size::ByteSize;
