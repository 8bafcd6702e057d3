//! What a run of a scenario measured: what the report is drawn from, and what two runs are compared by.

use serde::{Deserialize, Serialize};

/// A run of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The scenario's name.
    pub scenario: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// The scenario's file as it was run.
    pub file: String,
    /// The commit that was measured; `-dirty` behind it where files differed from it.
    pub commit: String,
    /// When it began, RFC 3339 in UTC.
    pub begun: String,
    /// What it ran on.
    pub machine: Machine,
    /// Where the draws of arrivals and faults came from.
    pub seed: u64,
    /// Sums over the run.
    pub totals: Totals,
    /// By phase and kind of tenant, in the order of the file.
    pub groups: Vec<Group>,
    /// Once a second.
    pub samples: Vec<Sample>,
    /// Latencies of the jobs that ended in each slice of the run.
    pub slices: Vec<Slice>,
    /// How the cost grows, where the scenario is a series.
    pub growth: Option<Growth>,
    /// What the scenario promises, and whether it held.
    pub checks: Vec<Check>,
}

/// What a run ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Processors.
    pub cores: usize,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
}

/// Sums over a run; of a series, over its last. CPU and memory are those of the workers' processes, and of nothing else. The
/// CPU of a start is in it where workers are late or take the place of one that was killed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// From the first arrival to the end of the last job, seconds.
    pub seconds: f64,
    /// Jobs that ended.
    pub jobs: u64,
    /// Bytes of their sources.
    pub bytes: u64,
    /// CPU seconds, user and system.
    pub cpu_seconds: f64,
    /// The largest resident set of one worker, MiB.
    pub peak_rss_mib: f64,
    /// Workers that were killed.
    pub killed: u64,
    /// Requests to S3 by operation: the workers', one HeadObject a file of the router, and what the sweep lists.
    pub requests: std::collections::BTreeMap<String, u64>,
}

/// The jobs of one kind of tenant that arrived in one phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The phase's name.
    pub phase: String,
    /// The name of the tenants.
    pub tenants: String,
    /// Jobs that arrived.
    pub jobs: u64,
    /// Of them, those that have ended: only they have a latency.
    pub ended: u64,
    /// From when a file was to arrive until its job had ended.
    pub latency: Latency,
}

/// Percentiles, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they say what they are")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

/// What there was at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the first arrival.
    pub at: f64,
    /// The phase.
    pub phase: String,
    /// Processors that the workers kept busy since the sample before.
    pub cpu: f64,
    /// Resident set of the largest worker, MiB.
    pub rss_mib: f64,
    /// File descriptors of the worker that has most.
    pub descriptors: u64,
    /// Files that were to have arrived, and do not stand at their destination.
    pub open: u64,
    /// Slots that run a job.
    pub busy: u64,
    /// MiB a second that the workers read of sources.
    pub read_mib: f64,
    /// Requests that S3 was answering: the windows of all jobs together.
    pub in_flight: u64,
}

/// The jobs that ended in a slice of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Middle of the slice, seconds since the first arrival.
    pub at: f64,
    /// How many.
    pub jobs: u64,
    /// Their latency.
    pub latency: Latency,
}

/// A series of runs of one scenario with more and more of something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Of what: `jobs` or `tenants`.
    pub of: String,
    /// How many, and the CPU seconds of the workers.
    pub points: Vec<(f64, f64)>,
    /// The slope of the line through their logarithms: 1 is linear.
    pub exponent: f64,
}

/// A promise of the scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// What is allowed.
    pub allowed: String,
    /// It holds.
    pub holds: bool,
}
