//! `newline`: every line ends alike.

use serde_json::{Value, json};

use crate::{
    route::{cursor::At, errors::Report, names::word},
    text::Word,
};

pub(in crate::route) const NEWLINE: &[&str] = &["to", "lone_cr"];

/// Parameters of `newline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewlineSpec {
    /// What ends each line of the output.
    pub to: LineEnd,
    /// What a CR without an LF behind it is. Default [`LoneCr::Keep`].
    pub lone_cr: LoneCr,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// LF, as on Unix.
    Lf,
    /// CRLF, as on Windows and in most network formats.
    CrLf,
}

/// What a CR without an LF behind it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoneCr {
    /// Text, which passes as it is.
    #[default]
    Keep,
    /// The end of a line, as on a Macintosh before 2001.
    LineEnd,
}

impl LineEnd {
    /// Its bytes.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
        }
    }
}

impl Word for LineEnd {
    const WORDS: &'static [(&'static str, Self)] = &[("lf", Self::Lf), ("crlf", Self::CrLf)];
}

impl Word for LoneCr {
    const WORDS: &'static [(&'static str, Self)] = &[("keep", Self::Keep), ("line_end", Self::LineEnd)];
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<NewlineSpec> {
    let fields = at.fields(report, NEWLINE)?;
    let to = fields.need(report, "to").and_then(|at| at.word(report));
    let lone_cr = fields.or("lone_cr", LoneCr::default(), |at| at.word(report));
    Some(NewlineSpec { to: to?, lone_cr: lone_cr? })
}

pub(in crate::route) fn encode(spec: &NewlineSpec) -> Value {
    json!({ "to": word(spec.to), "lone_cr": word(spec.lone_cr) })
}
