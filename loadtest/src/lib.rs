//! Load for the platform as it ships: scenarios of a page each, workers that are processes, and a report that says what was
//! promised, what held, and what it cost.
//!
//! A [scenario](scenario) says who sends what and when. Its [arrivals] are drawn beforehand, and a [run](run) lets them happen
//! whatever the platform does meanwhile (an open loop), while it watches the [fleet]. The [verdict] asks after every file. What
//! was measured is a [record], from which a report is drawn and which another is compared with.
//!
//! AWS's emulator stands for queues, tables and topics: it takes CPU of its own, and on a small machine more of it than the
//! workers. So figures of CPU and memory are those of the workers' processes alone, and latencies are of the whole.

pub mod aftermath;
pub mod arrivals;
pub mod cli;
mod compare;
mod figures;
pub mod fleet;
pub mod platform;
mod plot;
pub mod record;
mod report;
pub mod run;
mod scale;
pub mod scenario;
mod text;
mod timeline;
pub mod verdict;
