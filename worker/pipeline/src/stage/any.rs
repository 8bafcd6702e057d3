//! Every stage there is, so that a step costs a match and no more.

use eft_domain::{
    Failure,
    route::{Limits, StageSpec},
};

use super::{Flow, Input, Output, Sha256, Stage, StageInfo, StageReport};

/// A stage of any kind.
#[allow(missing_docs)] // Each variant is named after its stage.
pub enum AnyStage {
    Sha256(Sha256),
}

macro_rules! each {
    ($any:expr, $stage:ident => $body:expr) => {
        match $any {
            AnyStage::Sha256($stage) => $body,
        }
    };
}

impl AnyStage {
    /// The stage a route asks for; `None` for `compress`, which runs block by block (see `blocks.rs`).
    ///
    /// # Errors
    /// When its parameters contradict each other.
    pub fn new(spec: &StageSpec, limits: &Limits) -> Result<Option<Self>, Failure> {
        let _ = (spec, limits);
        Ok(None)
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
}
