//! Every stage there is, so that a step costs a match and no more.

use eft_domain::{
    Failure,
    route::{Limits, StageSpec, ValidateSpec},
};

use super::{
    Charset, CsvProject, CsvToJsonl, CsvToParquet, CsvValidate, Decompress, DropRecords, Ebcdic, EdiValidate,
    FixedWidth, Flow, HeadRecords, Input, JsonlValidate, MagicValidate, Newline, Output, PgpRead, PgpWrite,
    Sha256, SidecarValidate, Stage, StageInfo, StageReport, State, StripBom, TrailerValidate, UniqueValidate,
    UnzipEntry, Utf8Validate, XmlValidate,
};
use crate::given::Given;

/// A stage of any kind.
#[allow(missing_docs)] // Each variant is named after its stage.
pub enum AnyStage {
    Charset(Box<Charset>),
    Csv(Box<CsvValidate>),
    CsvProject(Box<CsvProject>),
    CsvToJsonl(Box<CsvToJsonl>),
    CsvToParquet(Box<CsvToParquet>),
    Decompress(Box<Decompress>),
    Drop(Box<DropRecords>),
    Head(Box<HeadRecords>),
    Magic(MagicValidate),
    Edi(Box<EdiValidate>),
    Jsonl(Box<JsonlValidate>),
    PgpRead(Box<PgpRead>),
    PgpWrite(Box<PgpWrite>),
    Sha256(Box<Sha256>),
    Sidecar(Box<SidecarValidate>),
    Unzip(Box<UnzipEntry>),
    Trailer(Box<TrailerValidate>),
    Unique(Box<UniqueValidate>),
    Ebcdic(Box<Ebcdic>),
    FixedWidth(Box<FixedWidth>),
    Newline(Newline),
    StripBom(StripBom),
    Utf8(Utf8Validate),
    Xml(Box<XmlValidate>),
}

macro_rules! each {
    ($any:expr, $stage:ident => $body:expr) => {
        match $any {
            AnyStage::Charset($stage) => $body,
            AnyStage::Csv($stage) => $body,
            AnyStage::CsvProject($stage) => $body,
            AnyStage::CsvToJsonl($stage) => $body,
            AnyStage::CsvToParquet($stage) => $body,
            AnyStage::Decompress($stage) => $body,
            AnyStage::Drop($stage) => $body,
            AnyStage::Head($stage) => $body,
            AnyStage::Magic($stage) => $body,
            AnyStage::Edi($stage) => $body,
            AnyStage::Jsonl($stage) => $body,
            AnyStage::PgpRead($stage) => $body,
            AnyStage::PgpWrite($stage) => $body,
            AnyStage::Sha256($stage) => $body,
            AnyStage::Sidecar($stage) => $body,
            AnyStage::Unzip($stage) => $body,
            AnyStage::Trailer($stage) => $body,
            AnyStage::Unique($stage) => $body,
            AnyStage::Ebcdic($stage) => $body,
            AnyStage::FixedWidth($stage) => $body,
            AnyStage::Newline($stage) => $body,
            AnyStage::StripBom($stage) => $body,
            AnyStage::Utf8($stage) => $body,
            AnyStage::Xml($stage) => $body,
        }
    };
}

impl AnyStage {
    /// As [`AnyStage::with`], of a stage that uses nothing but its parameters.
    ///
    /// # Errors
    /// When its parameters contradict each other, or it uses a secret, a key or a sidecar.
    pub fn new(spec: &StageSpec, limits: &Limits) -> Result<Option<Self>, Failure> {
        Self::with(spec, limits, &Given::default())
    }

    /// The stage a route asks for; `None` for what is no state machine over bytes: `compress` runs block by block
    /// (`blocks.rs`), `scan` waits for somebody else (`scan.rs`), `split` makes several streams of one (`split.rs`),
    /// `concat` is a matter of the source (`concat.rs`), and for one entry of an archive the archive has to be looked
    /// into first (see `zip`).
    ///
    /// # Errors
    /// When its parameters contradict each other, or a secret or a key is missing.
    pub fn with(spec: &StageSpec, limits: &Limits, given: &Given) -> Result<Option<Self>, Failure> {
        Ok(match spec {
            StageSpec::Charset(spec) => Some(Self::Charset(Box::new(Charset::new(*spec, limits)?))),
            StageSpec::Compress(_) | StageSpec::Zip(_) | StageSpec::Scan(_) | StageSpec::Split(_) => None,
            StageSpec::Concat(_) | StageSpec::Unzip(_) => None,
            StageSpec::CsvProject(spec) => {
                Some(Self::CsvProject(Box::new(CsvProject::new(spec.clone(), limits, &*given.secrets)?)))
            }
            StageSpec::CsvToJsonl(spec) => {
                Some(Self::CsvToJsonl(Box::new(CsvToJsonl::new(spec.clone(), limits)?)))
            }
            StageSpec::CsvToParquet(spec) => {
                Some(Self::CsvToParquet(Box::new(CsvToParquet::new(spec.clone(), limits)?)))
            }
            StageSpec::Decompress(spec) => Some(Self::Decompress(Box::new(Decompress::new(*spec, limits)))),
            StageSpec::Drop(spec) => Some(Self::Drop(Box::new(DropRecords::new(*spec, limits)))),
            StageSpec::Head(spec) => Some(Self::Head(Box::new(HeadRecords::new(*spec, limits)))),
            StageSpec::Ebcdic(spec) => Some(Self::Ebcdic(Box::new(Ebcdic::new(spec.clone(), limits)?))),
            StageSpec::Newline(spec) => Some(Self::Newline(Newline::new(*spec, limits))),
            StageSpec::StripBom => Some(Self::StripBom(StripBom::new())),
            StageSpec::PgpDecrypt(spec) => {
                Some(Self::PgpRead(Box::new(PgpRead::decrypt(spec, limits, &given.keys)?)))
            }
            StageSpec::PgpVerify(spec) => {
                Some(Self::PgpRead(Box::new(PgpRead::verify(spec, limits, &given.keys)?)))
            }
            StageSpec::PgpEncrypt(spec) => {
                Some(Self::PgpWrite(Box::new(PgpWrite::encrypt(spec, &given.keys)?)))
            }
            StageSpec::PgpSign(spec) => Some(Self::PgpWrite(Box::new(PgpWrite::sign(spec, &given.keys)?))),
            StageSpec::Validate(ValidateSpec::Csv(spec)) => {
                Some(Self::Csv(Box::new(CsvValidate::new(spec.clone(), limits)?)))
            }
            StageSpec::Validate(ValidateSpec::Magic(spec)) => {
                Some(Self::Magic(MagicValidate::new(spec.clone())))
            }
            StageSpec::Validate(ValidateSpec::Sidecar(spec)) => {
                Some(Self::Sidecar(Box::new(SidecarValidate::new(spec, given.expected.as_ref())?)))
            }
            StageSpec::Validate(ValidateSpec::Trailer(spec)) => {
                Some(Self::Trailer(Box::new(TrailerValidate::new(spec.clone(), limits))))
            }
            StageSpec::Validate(ValidateSpec::Edi(spec)) => {
                Some(Self::Edi(Box::new(EdiValidate::new(*spec, limits))))
            }
            StageSpec::Validate(ValidateSpec::Jsonl(spec)) => {
                Some(Self::Jsonl(Box::new(JsonlValidate::new(spec.clone(), limits))))
            }
            StageSpec::Validate(ValidateSpec::Unique(spec)) => {
                Some(Self::Unique(Box::new(UniqueValidate::new(spec.clone(), limits))))
            }
            StageSpec::Validate(ValidateSpec::FixedWidth(spec)) => {
                Some(Self::FixedWidth(Box::new(FixedWidth::new(spec.clone(), limits)?)))
            }
            StageSpec::Validate(ValidateSpec::Utf8) => Some(Self::Utf8(Utf8Validate::new())),
            StageSpec::Validate(ValidateSpec::Xml(spec)) => {
                Some(Self::Xml(Box::new(XmlValidate::new(spec.clone(), limits))))
            }
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
