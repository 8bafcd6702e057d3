//! `validate.xml`: the spec, how it is read and how it is written.

use serde_json::{Value, json};

use crate::route::{
    cursor::At,
    errors::{Report, quoted},
};

/// The fields of `validate.xml`.
pub(in crate::route) const FIELDS: &[&str] = &["root"];

/// Parameters of `validate.xml`: well-formed XML 1.0 in UTF-8, without a DTD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XmlSpec {
    /// The name of the root element: as it is written, or without a prefix whatever prefix the file has. Default any.
    pub root: Option<String>,
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<XmlSpec> {
    let fields = at.fields(report, FIELDS)?;
    let root = fields.or("root", None, |at| name(at, report).map(Some));
    Some(XmlSpec { root: root? })
}

fn name(at: &At<'_>, report: &mut Report) -> Option<String> {
    let text = at.text(report)?;
    let starts = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let goes_on = text.chars().all(|c| c.is_alphanumeric() || "_:.-".contains(c));
    if starts && goes_on && text.len() <= 256 {
        return Some(text.to_owned());
    }
    at.fault(report, format!("{} is not the name of an element", quoted(text)))
}

pub(in crate::route) fn encode(spec: &XmlSpec) -> Value {
    match &spec.root {
        Some(root) => json!({ "root": root }),
        None => json!({}),
    }
}
