//! The plan: what a transfer will do and cost, decided and refused before the first byte moves.
//!
//! # Memory
//! A transfer's memory is divided once. Without rewriting stages there is one window: a range read becomes a part and
//! keeps its lease until it is uploaded. With them there are an input window (ranges being read), one window after each
//! step that makes new bytes, and the stages' own working sets. Each window holds at least what its consumer needs to
//! make progress (`budget.rs`); what is left over goes to where it buys throughput: parts in flight, ranges in flight.

use eft_domain::{
    ByteSize, Code, Failure,
    route::{Limits, StageSpec},
};

use crate::{
    chain::ROOM,
    port::SinkLimits,
    schedule::PartSchedule,
    stage::{AnyStage, Kind, ResumeClass, Sha256, Stage, StageInfo},
};

const MIB: u64 = 1 << 20;

/// What the planner is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// Size of the source in bytes; `None` for a stream.
    pub size: Option<u64>,
    /// The route's stages, in order.
    pub stages: Vec<StageSpec>,
    /// The route's limits.
    pub limits: Limits,
    /// Make SHA-256 digests of source and output.
    pub sha256: bool,
    /// What all sinks can take.
    pub sink: SinkLimits,
    /// Memory for bytes in flight and stages.
    pub memory: ByteSize,
    /// Most requests in flight in each direction.
    pub concurrency: usize,
    /// Smallest part; the plan makes parts larger where it must.
    pub part_size: ByteSize,
    /// Threads of the CPU pool.
    pub threads: usize,
}

/// One step of the data path.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Stages that only look.
    Taps(Vec<Serial>),
    /// Stages in order, some of which make new bytes, with the bytes of their output window.
    Rewrite { stages: Vec<Serial>, window: u64 },
}

/// A stage of a serial step.
#[derive(Clone, Debug, PartialEq)]
pub enum Serial {
    /// A stage of the route.
    Spec(StageSpec),
    /// The SHA-256 of what passes here.
    Sha256,
}
