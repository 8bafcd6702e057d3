//! `validate.edi`: the spec, how it is read and how it is written.

use serde_json::{Value, json};

use crate::{
    route::{cursor::At, errors::Report, names::word},
    text::Word,
};

/// The fields of `validate.edi`.
pub(in crate::route) const FIELDS: &[&str] = &["standard"];

/// Parameters of `validate.edi`: envelopes, control numbers and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdiSpec {
    /// Which standard.
    pub standard: EdiStandard,
}

/// A standard of electronic data interchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdiStandard {
    /// ASC X12.
    X12,
    /// UN/EDIFACT, ISO 9735.
    Edifact,
}

impl Word for EdiStandard {
    const WORDS: &'static [(&'static str, Self)] = &[("x12", Self::X12), ("edifact", Self::Edifact)];
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<EdiSpec> {
    let fields = at.fields(report, FIELDS)?;
    let standard = fields.need(report, "standard")?.word(report)?;
    Some(EdiSpec { standard })
}

pub(in crate::route) fn encode(spec: EdiSpec) -> Value {
    json!({ "standard": word(spec.standard) })
}
