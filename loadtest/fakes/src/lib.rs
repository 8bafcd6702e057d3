//! Port-level fakes with seeded faults, the conformance suite that they and the real adapters pass, and what tests of
//! stages share: a driver that steps them over any chunks, and the oracle of `validate.csv`.

pub mod conformance;
pub mod csv_oracle;
pub mod drive;
pub mod faulty;
pub mod keys;
mod memory;
mod pattern;
pub mod scanner;

pub use memory::{Fault, MemorySink, MemorySource, SinkFaults, SourceFaults};
pub use pattern::{Pattern, pattern};
pub use scanner::MemoryScanner;
