//! What a stage is: a synchronous state machine over bytes.
//!
//! # Overview
//! A stage is stepped, never called back: [`Stage::step`] reads from an [`Input`], writes to an [`Output`] and says
//! with [`Flow`] why it stopped. It does no IO, never blocks and knows nothing of time, so the same code runs on a
//! pool thread, under a property test and in a fuzzer.
//!
//! # Backpressure
//! `Output` has room for a bounded number of *new* bytes, reserved from the byte budget before the step. A stage that
//! rewrites stops with [`Flow::Full`] when the room is used up and is stepped again with the same input. A stage that
//! only looks at bytes or cuts them passes the input's own `Bytes` on ([`Output::pass`]), which makes no new bytes and
//! therefore needs no room.
//!
//! # Resuming
//! Between two steps a stage may be asked for its state ([`Stage::save`]). A stage that has one only at certain places
//! stops there with [`Flow::Boundary`] while [`Input::wants_save`] says so.
//!
//! # Failure handling
//! An error is final: the transfer is aborted, nothing is published, and the stage is not stepped again.

mod any;
mod buffers;
pub mod catalogue;
pub mod charset;
pub mod compress;
pub mod csv;
mod csv_project;
mod csv_rewrite;
mod csv_to_jsonl;
mod csv_to_parquet;
pub mod decompress;
pub mod drop;
pub mod ebcdic;
pub mod edi;
pub mod fixed_width;
pub mod head;
mod io;
pub mod jsonl;
pub mod magic;
pub mod newline;
mod pending;
pub mod pgp;
pub(crate) mod records;
mod sha256;
mod sidecar;
mod split;
pub mod strip_bom;
pub mod trailer;
pub mod unique;
pub mod utf8;
pub mod xml;

pub use any::AnyStage;
pub use charset::Charset;
pub use compress::{BlockCompressor, Scratch};
pub use csv::CsvValidate;
pub use csv_project::CsvProject;
pub use csv_to_jsonl::CsvToJsonl;
pub use csv_to_parquet::CsvToParquet;
pub use decompress::{Decompress, UnzipEntry};
pub use drop::DropRecords;
pub use ebcdic::Ebcdic;
pub use edi::EdiValidate;
pub use fixed_width::FixedWidth;
pub use head::HeadRecords;
pub use io::{Input, Output};
pub use jsonl::JsonlValidate;
pub use magic::MagicValidate;
pub use newline::Newline;
pub use pgp::{PgpRead, PgpWrite};
pub use sha256::Sha256;
pub use sidecar::SidecarValidate;
pub use split::Splitter;
pub use strip_bom::StripBom;
pub use trailer::TrailerValidate;
pub use unique::UniqueValidate;
pub use utf8::Utf8Validate;
pub use xml::XmlValidate;

use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What a stage does to the bytes that pass it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads only; passes the same bytes on.
    Tap,
    /// Drops or cuts ranges; passes parts of the same bytes on.
    Slice,
    /// Makes new bytes.
    Rewrite,
    /// Needs ranges of the source out of order.
    Seek,
}

impl Kind {
    /// The kind as it is written in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Slice => "slice",
            Self::Rewrite => "rewrite",
            Self::Seek => "seek",
        }
    }
}

/// How far a run can be resumed through a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResumeClass {
    /// Stateless: resumes anywhere.
    R0,
    /// Small state, saved in the checkpoint.
    R1,
    /// Resumes at boundaries of the format only (zstd frame, gzip member).
    R2,
    /// Not resumable: restarts from the source.
    R3,
}

impl ResumeClass {
    /// The class as it is written in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R0 => "R0",
            Self::R1 => "R1",
            Self::R2 => "R2",
            Self::R3 => "R3",
        }
    }
}

/// What the planner has to know of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageInfo {
    /// The name in routes and receipts, such as `validate.csv`.
    pub name: &'static str,
    /// What it does to the bytes.
    pub kind: Kind,
    /// Whether it has to see the bytes in order.
    pub ordered: bool,
    /// How far a run can be resumed through it.
    pub resume: ResumeClass,
    /// Largest memory it holds besides its input and output, in bytes.
    pub memory: u64,
}

/// What a stage needs to go on from where it is: small, plain data that goes into a checkpoint.
pub type State = serde_json::Value;

/// Why a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// All input is consumed and more may come.
    Hungry,
    /// [`Input::wants_save`] was set and here the state can be saved: step again with the same input and output.
    Boundary,
    /// The output has no room left; step again with the same input and new room.
    Full,
    /// The input has ended, all of it is consumed and all output is written.
    Done,
}

/// What a stage counted, for the receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageReport {
    /// Records seen, header excluded; `None` where the stage knows no records.
    pub records: Option<u64>,
    /// Records that broke a rule.
    pub errors: u64,
    /// The first broken records, at most [`MAX_REJECTS`].
    pub rejects: Vec<Reject>,
    /// Members, frames or blocks read or written; `None` where the format has none.
    pub frames: Option<u64>,
    /// The digest, of a stage that makes one.
    pub sha256: Option<[u8; 32]>,
    /// What the scanner saw, of a scan.
    pub scan: Option<Scanned>,
}

/// What a scanner saw of the bytes that passed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The scanner and its version, as it says.
    pub scanner: String,
    /// Bytes it gave a verdict on.
    pub bytes: u64,
    /// More bytes passed than it gave a verdict on, because the route lets them.
    pub skipped: bool,
}

impl StageReport {
    /// What another object had, which came behind this one. There is no digest of both.
    pub(crate) fn add(&mut self, next: Self) {
        let sum = |first: Option<u64>, next: Option<u64>| match (first, next) {
            (Some(first), Some(next)) => Some(first + next),
            (first, next) => first.or(next),
        };
        self.records = sum(self.records, next.records);
        self.errors += next.errors;
        self.frames = sum(self.frames, next.frames);
        let room = MAX_REJECTS.saturating_sub(self.rejects.len());
        self.rejects.extend(next.rejects.into_iter().take(room));
        self.sha256 = None;
        match (&mut self.scan, next.scan) {
            (Some(scan), Some(next)) => {
                scan.bytes += next.bytes;
                scan.skipped |= next.skipped;
            }
            (scan, next) => *scan = scan.take().or(next),
        }
    }
}

/// Most rows of a reject report: enough to see the pattern, small enough for a receipt.
pub const MAX_REJECTS: usize = 100;

/// One broken record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Record number, from 1, header excluded; 0 is the header.
    pub record: u64,
    /// Offset of the record's first byte in the stage's input.
    pub offset: u64,
    /// The column, by name, or `#n` counted from 1 where it has none; `None` when the whole record is meant.
    pub column: Option<String>,
    /// What is wrong, with the observed text where it is short (cut to 64 bytes, control characters escaped).
    pub reason: String,
}

/// A state machine over bytes.
pub trait Stage: Send {
    /// What the planner has to know.
    fn info(&self) -> StageInfo;

    /// Consume input, make output. See [`Flow`] for when to stop. Errors are final.
    ///
    /// # Errors
    /// The reason the file is rejected or the run fails.
    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure>;

    /// What was counted so far; complete after [`Flow::Done`] or an error.
    fn report(&self) -> StageReport;

    /// The state between two steps, counts included; `None` where the stage could not go on from here: inside a unit
    /// of a format (R2), or anywhere (R3). All output so far belongs to what was consumed so far.
    fn save(&self) -> Option<State>;

    /// Go on from a saved state. Called once, on a fresh stage of the same spec; the input then starts at the offset
    /// at which the state was saved.
    ///
    /// # Errors
    /// When this is no state of this stage; the checkpoint is then not used.
    fn restore(&mut self, state: State) -> Result<(), Failure>;
}

/// Most bytes of a file that a state holds: what one request writes at once. None, reasonable default.
pub(crate) const MAX_STATE: u64 = 1 << 20;

/// A stage's own type as a [`State`].
pub(crate) fn pack(state: &impl Serialize) -> Option<State> {
    serde_json::to_value(state).ok()
}

/// A stage's own type from a [`State`].
pub(crate) fn unpack<T: DeserializeOwned>(stage: &str, state: State) -> Result<T, Failure> {
    serde_json::from_value(state).map_err(|error| bad_state(stage, error))
}

/// A checkpoint holds what is no state of this stage.
pub(crate) fn bad_state(stage: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::CheckpointRefused,
        format!("the state of {stage} in the checkpoint cannot be used: {why}"),
    )
}
