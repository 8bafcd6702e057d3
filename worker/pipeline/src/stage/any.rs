//! Every stage there is, so that a step costs a match and no more.

use eft_domain::{
    Failure,
    route::{Limits, StageSpec, ValidateSpec},
};

use crate::keys::Keyring;

use super::{
    CsvValidate, Decompress, Flow, Input, Output, PgpRead, PgpWrite, Sha256, Stage, StageInfo, StageReport,
    State, Utf8Validate,
};

/// A stage of any kind.
#[allow(missing_docs)] // Each variant is named after its stage.
pub enum AnyStage {
    Csv(Box<CsvValidate>),
    Decompress(Box<Decompress>),
    PgpRead(Box<PgpRead>),
    PgpWrite(Box<PgpWrite>),
    Sha256(Box<Sha256>),
    Utf8(Utf8Validate),
}

macro_rules! each {
    ($any:expr, $stage:ident => $body:expr) => {
        match $any {
            AnyStage::Csv($stage) => $body,
            AnyStage::Decompress($stage) => $body,
            AnyStage::PgpRead($stage) => $body,
            AnyStage::PgpWrite($stage) => $body,
            AnyStage::Sha256($stage) => $body,
            AnyStage::Utf8($stage) => $body,
        }
    };
}

impl AnyStage {
    /// The stage a route asks for, without keys; otherwise as [`AnyStage::with_keys`].
    ///
    /// # Errors
    /// When its parameters contradict each other, or it needs a key.
    pub fn new(spec: &StageSpec, limits: &Limits) -> Result<Option<Self>, Failure> {
        Self::with_keys(spec, limits, &Keyring::default())
    }

    /// The stage a route asks for; `None` for `compress`, which runs block by block (see `blocks.rs`).
    ///
    /// # Errors
    /// When its parameters contradict each other, or a key it needs is not in the keyring.
    pub fn with_keys(spec: &StageSpec, limits: &Limits, keys: &Keyring) -> Result<Option<Self>, Failure> {
        Ok(match spec {
            StageSpec::Compress(_) => None,
            StageSpec::Decompress(spec) => Some(Self::Decompress(Box::new(Decompress::new(*spec, limits)))),
            StageSpec::PgpDecrypt(spec) => {
                Some(Self::PgpRead(Box::new(PgpRead::decrypt(spec, limits, keys)?)))
            }
            StageSpec::PgpVerify(spec) => Some(Self::PgpRead(Box::new(PgpRead::verify(spec, limits, keys)?))),
            StageSpec::PgpEncrypt(spec) => Some(Self::PgpWrite(Box::new(PgpWrite::encrypt(spec, keys)?))),
            StageSpec::PgpSign(spec) => Some(Self::PgpWrite(Box::new(PgpWrite::sign(spec, keys)?))),
            StageSpec::Validate(ValidateSpec::Csv(spec)) => {
                Some(Self::Csv(Box::new(CsvValidate::new(spec.clone(), limits)?)))
            }
            StageSpec::Validate(ValidateSpec::Utf8) => Some(Self::Utf8(Utf8Validate::new())),
        })
    }
}

impl AnyStage {
    /// It gives out bytes nobody has vouched for yet: no failure behind it may be told before it is done.
    pub(crate) fn is_unverified(&self) -> bool {
        matches!(self, Self::PgpRead(stage) if stage.is_unverified())
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
