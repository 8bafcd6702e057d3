//! Every stage there is, so that a step costs a match and no more.

use eft_domain::{
    Failure,
    route::{Limits, StageSpec, ValidateSpec},
};

use super::{
    CsvValidate, Decompress, Flow, Input, Output, Sha256, Stage, StageInfo, StageReport, State, UnzipEntry,
    Utf8Validate,
};

/// A stage of any kind.
#[allow(missing_docs)] // Each variant is named after its stage.
pub enum AnyStage {
    Csv(Box<CsvValidate>),
    Decompress(Box<Decompress>),
    Sha256(Box<Sha256>),
    Unzip(Box<UnzipEntry>),
    Utf8(Utf8Validate),
}

macro_rules! each {
    ($any:expr, $stage:ident => $body:expr) => {
        match $any {
            AnyStage::Csv($stage) => $body,
            AnyStage::Decompress($stage) => $body,
            AnyStage::Sha256($stage) => $body,
            AnyStage::Unzip($stage) => $body,
            AnyStage::Utf8($stage) => $body,
        }
    };
}

impl AnyStage {
    /// The stage a route asks for; `None` for `compress`, which runs block by block (see `blocks.rs`), and for one entry
    /// of an archive, for which the archive has to be looked into first (see `zip`).
    ///
    /// # Errors
    /// When its parameters contradict each other.
    pub fn new(spec: &StageSpec, limits: &Limits) -> Result<Option<Self>, Failure> {
        Ok(match spec {
            StageSpec::Compress(_) | StageSpec::Unzip(_) => None,
            StageSpec::Decompress(spec) => Some(Self::Decompress(Box::new(Decompress::new(*spec, limits)))),
            StageSpec::Validate(ValidateSpec::Csv(spec)) => {
                Some(Self::Csv(Box::new(CsvValidate::new(spec.clone(), limits)?)))
            }
            StageSpec::Validate(ValidateSpec::Utf8) => Some(Self::Utf8(Utf8Validate::new())),
        })
    }
}

impl Stage for AnyStage {
    fn info(&self) -> StageInfo {
        each!(self, stage => stage.info())
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        each!(self, stage => stage.step(input, output))
    }

    fn report(&self) -> StageReport {
        each!(self, stage => stage.report())
    }

    fn save(&self) -> Option<State> {
        each!(self, stage => stage.save())
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        each!(self, stage => stage.restore(state))
    }
}
