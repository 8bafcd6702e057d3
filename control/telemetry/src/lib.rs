//! What can be seen of the system from outside: metrics, logs and traces of worker, router and sweep.
//!
//! # Overview
//! [`table`] is every metric there is: a field each, with name, unit, labels and meaning. [`prometheus`] and [`emf`] write
//! them down, [`page`] writes the documentation. [`log`] makes lines of JSON. [`trace`] reads and makes W3C trace context,
//! [`span`] measures, [`otlp`] sends what was measured to a collector.
//!
//! # Failure handling
//! Nothing here may hurt a job: counting is an addition to an atomic, lines that cannot be written are lost, spans that
//! no collector takes are dropped and counted.
//!
//! # Why not the OpenTelemetry crates
//! `opentelemetry-otlp` 0.33 takes an asynchronous client only outside its own batch processor ("do not use them with the
//! default batch processors"), so that it needs a second HTTP client, a thread and ten more crates, protobuf among them. What
//! we send is one JSON document a batch, through the client that is here already.

pub mod emf;
pub mod log;
pub mod metric;
pub mod otlp;
pub mod page;
pub mod prometheus;
pub mod span;
pub mod table;
pub mod trace;

pub use log::{Level, log};
pub use span::{Kind, Span, Tracer};
pub use trace::Context;
