//! Port-level fakes with seeded faults, and the conformance suite that they and the real adapters pass.

pub mod conformance;
mod memory;
mod pattern;

pub use memory::{Fault, MemorySink, MemorySource, SinkFaults, SourceFaults};
pub use pattern::{Pattern, pattern};
