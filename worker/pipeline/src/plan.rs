//! The plan: what a transfer will do and need, decided, and refused, before the first byte moves.
//!
//! # Memory
//! A transfer's memory is divided once. Without stages that make new bytes there is one window: a range that was read
//! becomes part of a part and keeps its lease until it is uploaded, or a part takes little while it passes (`pipe.rs`). With them there is an input window (ranges being
//! read), a window behind each step that makes new bytes, and the stages' own working sets. Each window holds at least
//! what its consumer must have before it can make progress (`budget.rs`); what is left goes where it buys throughput.

mod draft;

use std::sync::Arc;

use eft_domain::{
    ByteSize, Code, Failure,
    route::{Limits, ScanSpec, SplitSpec, StageSpec},
};

use crate::{
    given::Given,
    port::SinkLimits,
    schedule::PartSchedule,
    stage::{AnyStage, BlockCompressor, ResumeClass, StageInfo, UnzipEntry},
    zip::{Frame, Packed, Unpacked},
};

use self::draft::Draft;

const MIB: u64 = 1 << 20;

/// Parts and ranges grow up to this before more of them are put in flight: the upper end of the 8-16 MB that AWS
/// recommends for ranged reads ("Performance design patterns for Amazon S3"). A request costs the client the same
/// whatever its size: in the same memory, parts of 8 MiB took 5 % more CPU than these (medians of 21 transfers of 2 GiB).
pub const DEFAULT_PART: ByteSize = ByteSize::mib(16);

/// The same between files and streams of this machine, where there is no request to pay for: what is in flight stays in the
/// processor's caches, and in memory that the kernel has cleared already. Parts of an unknown size grow all the same: their
/// number is bounded. Of 528 MB from a file to nowhere 48 MiB were resident so and 151 with the others, with a check of CSV
/// 50 and 184, and CPU was 0.85 and 0.99 times (medians of 9 runs in turns).
pub const NEAR_PART: ByteSize = ByteSize::mib(1);

/// Memory where nobody asks for another: eight parts in flight. With 30 ms to the first byte and 90 MB/s a connection,
/// made by the faults of `loadtest/s3`, 2 GiB took 8.4 s so, 9.5 s with eight parts of 8 MiB, and 16.5 s with four of 16 MiB.
pub const DEFAULT_MEMORY: ByteSize = ByteSize::mib(128);

/// Most memory that a plan takes by itself: two of the largest parts of the largest object.
const MOST_MEMORY: u64 = 16 << 30;

/// What a decompressor is expected to make of a byte at most when memory is chosen: text compresses to a tenth.
const EXPECTED_RATIO: u64 = 10;

/// What the planner is asked.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Size of the source in bytes; `None` for a stream.
    pub size: Option<u64>,
    /// The route's stages, in order.
    pub stages: &'a [StageSpec],
    /// What a first stage `decompress: { codec: zip }` unpacks; the source is the bytes of these entries.
    pub archive: Option<&'a Unpacked>,
    /// The route's limits.
    pub limits: &'a Limits,
    /// Make SHA-256 digests of source and output.
    pub sha256: bool,
    /// What all sinks can take.
    pub sink: SinkLimits,
    /// Memory for bytes in flight and stages.
    pub memory: ByteSize,
    /// Most requests in flight in each direction.
    pub concurrency: usize,
    /// Size of the first parts, where somebody insists; the plan makes later parts larger where it must.
    pub part_size: Option<ByteSize>,
    /// All that is read and written is a file or a stream of this machine.
    pub near: bool,
    /// Threads of the CPU pool.
    pub threads: usize,
    /// An empty source is no file.
    pub refuse_empty: bool,
    /// What the stages are given besides their parameters.
    pub given: Given,
}

/// A stage of a serial step.
#[derive(Clone, Debug, PartialEq)]
pub enum Serial {
    /// A stage of the route.
    Spec(StageSpec),
    /// The entries of an archive, each for the object with its number.
    Unzip(Arc<[Packed]>),
    /// The SHA-256 of what passes here.
    Sha256,
}

/// Compression in independent blocks.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The codec.
    pub compressor: BlockCompressor,
    /// What stands around the blocks: an archive.
    pub frame: Option<Frame>,
    /// Most blocks in work.
    pub jobs: usize,
    /// Bytes of the window behind it.
    pub window: u64,
}

/// One step of the data path.
#[derive(Clone, Debug)]
pub enum Step {
    /// Stages that only look; bytes pass as they came.
    Taps(Vec<Serial>),
    /// Stages in order, some of which make new bytes.
    Rewrite {
        /// The stages.
        stages: Vec<Serial>,
        /// Bytes of the window behind them.
        window: u64,
        /// What is several objects before it is one behind it.
        joins: bool,
    },
    /// The stream is several objects, which end at these bytes of it.
    Bounds(Vec<u64>),
    /// Compression, parallel over the CPU pool.
    Blocks(Blocks),
    /// A scanner looks; bytes pass as they came.
    Scan(ScanSpec),
    /// Several objects of one; bytes pass as they came.
    Split(SplitSpec),
}

/// What a transfer will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Size of the source, where it is known.
    pub size: Option<u64>,
    /// Bytes a request asks for.
    pub range_bytes: u64,
    /// The sizes of the parts.
    pub schedule: PartSchedule,
    /// The steps between reading and sending.
    pub steps: Vec<Step>,
    /// All memory, taken from the process's budget at once.
    pub memory: u64,
    /// The share for ranges being read; without rewriting steps it is the only window.
    pub input_window: u64,
    /// Most requests in flight towards the source.
    pub reads: usize,
    /// Most requests in flight towards each sink.
    pub writes: usize,
    /// Largest input the route takes.
    pub max_input: u64,
    /// An empty input is refused.
    pub refuse_empty: bool,
    /// Largest output: the route's limit, what the sink can take, and what these parts reach.
    pub max_output: u64,
    /// The weakest resume class of the stages.
    pub resume: ResumeClass,
    /// The stages, as the receipt names them.
    pub infos: Vec<StageInfo>,
    pub(crate) limits: Limits,
    sink: SinkLimits,
    pub(crate) given: Given,
}

impl Plan {
    /// Plan a transfer.
    ///
    /// # Errors
    /// `plan.refused` with every reason, and what to change.
    pub fn new(request: &Request<'_>) -> Result<Self, Failure> {
        Draft::new(request)?.plan()
    }

    /// Plan with [`DEFAULT_MEMORY`], or with as much more as the parts of an object of this size take. What
    /// `request.memory` says does not count.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn with_memory_to_suit(request: &Request<'_>) -> Result<Self, Failure> {
        let mut memory = DEFAULT_MEMORY.bytes();
        loop {
            let planned = Self::new(&Request { memory: ByteSize(memory), ..request.clone() });
            if memory >= MOST_MEMORY || planned.as_ref().is_ok_and(Self::is_roomy) {
                return planned;
            }
            memory *= 2;
        }
    }

    /// A part can be sent while the next is read, and the parts reach the size that is to be expected.
    fn is_roomy(&self) -> bool {
        let decompresses = self.infos.iter().any(|info| matches!(info.name, "decompress" | "decompress.zip"));
        let ratio = if decompresses { EXPECTED_RATIO } else { 1 };
        let expected = self.size.unwrap_or_default().saturating_mul(ratio);
        let wanted = expected.min(self.limits.max_output_bytes.bytes()).min(self.sink.max_object);
        let two = self.makes_bytes()
            || self.size.is_none_or(|size| {
                size <= self.schedule.first() || 2 * self.schedule.first() <= self.input_window
            });
        two && self.schedule.reach() >= wanted
    }

    /// Whether an object may have grown to `len` bytes, behind `before` bytes of others.
    ///
    /// # Errors
    /// `limit.max_output_bytes` of all objects together; `plan.refused` where the parts of this one reach no further.
    pub fn admit_output(&self, before: u64, len: u64) -> Result<(), Failure> {
        let (bound, allowed, total) = (self.max_output, self.limits.max_output_bytes.bytes(), before + len);
        if total > allowed {
            let observed = format_args!("at least {total} bytes");
            return Err(Failure::limit(Code::LimitOutputBytes, observed, allowed));
        }
        if len <= bound {
            return Ok(());
        }
        let (bound, memory) = (ByteSize(bound), ByteSize(self.memory));
        let message = format!(
            "the output is larger than {bound}, which is as far as {} parts reach in a memory of {memory}: raise --memory",
            self.sink.max_parts
        );
        Err(Failure::new(Code::PlanRefused, message))
    }

    /// Some stage of the first `steps` steps gives out bytes before it can vouch for them: what is found in them behind
    /// these steps is not to be told before it does.
    pub(crate) fn withholds(&self, steps: usize) -> bool {
        let reads = |stage: &Serial| {
            matches!(stage, Serial::Spec(StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_)))
        };
        self.steps[..steps].iter().any(|step| match step {
            Step::Taps(stages) | Step::Rewrite { stages, .. } => stages.iter().any(reads),
            Step::Blocks(_) | Step::Bounds(_) | Step::Scan(_) | Step::Split(_) => false,
        })
    }

    /// It makes several objects.
    pub fn splits(&self) -> bool {
        self.is_several(self.steps.len())
    }

    /// What comes to the step with this number, from 0, is several objects.
    pub(crate) fn is_several(&self, step: usize) -> bool {
        self.steps[..step].iter().fold(false, |several, step| match step {
            Step::Split(_) | Step::Bounds(_) => true,
            Step::Rewrite { joins: true, .. } => false,
            _ => several,
        })
    }

    /// Some step makes bytes that are not the source's.
    pub fn makes_bytes(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step, Step::Taps(_) | Step::Scan(_)))
    }

    /// The size of the output, where it is known before it is made.
    pub fn output_size(&self) -> Option<u64> {
        self.size.filter(|_| !self.makes_bytes())
    }

    /// Whether a source of `size` bytes is taken. Asked once the size is known: before the first byte, or at the end of
    /// a stream.
    ///
    /// # Errors
    /// `limit.max_input_bytes`, `source.empty`.
    pub fn admit(&self, size: u64) -> Result<(), Failure> {
        if size > self.max_input {
            return Err(Failure::limit(Code::LimitInputBytes, format_args!("{size} bytes"), self.max_input));
        }
        if size == 0 && self.refuse_empty {
            return Err(Failure::new(Code::SourceEmpty, "the source has no bytes"));
        }
        Ok(())
    }

    /// What decides how the output is made and cut, in words: a run goes on only under the same plan.
    pub fn fingerprint(&self) -> String {
        let parts = match self.output_size() {
            Some(_) => format!("parts of {}", ByteSize(self.schedule.first())),
            None => format!(
                "parts from {} to {}",
                ByteSize(self.schedule.first()),
                ByteSize(self.schedule.largest())
            ),
        };
        let sidecar = self
            .given
            .expected
            .as_ref()
            .map(|expected| format!(", a sidecar that says {}", expected.to_hex()));
        format!("eft {}, {parts}{}", env!("CARGO_PKG_VERSION"), sidecar.unwrap_or_default())
    }

    /// How many parts the output has, where that is known.
    pub fn parts(&self) -> Option<u64> {
        self.output_size().map(|size| self.schedule.count(size))
    }

    /// The stages of a serial step, fresh, for the object with this number, from 0.
    ///
    /// # Errors
    /// When parameters contradict each other; found when planning already.
    pub fn stages(&self, stages: &[Serial], object: usize) -> Result<Vec<AnyStage>, Failure> {
        build(stages, object, &self.limits, &self.given)
    }
}

fn build(stages: &[Serial], object: usize, limits: &Limits, given: &Given) -> Result<Vec<AnyStage>, Failure> {
    let stages = stages.iter().map(|stage| match stage {
        Serial::Sha256 => Ok(Some(AnyStage::Sha256(Box::default()))),
        Serial::Unzip(entries) => match entries.get(object) {
            Some(entry) => Ok(Some(AnyStage::Unzip(Box::new(UnzipEntry::new(entry.clone(), limits))))),
            None => Err(Failure::new(Code::Internal, "an object for which there is no entry")),
        },
        Serial::Spec(spec) => AnyStage::with(spec, limits, given),
    });
    stages.filter_map(Result::transpose).collect()
}
