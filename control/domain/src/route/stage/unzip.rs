//! `decompress: { codec: zip }`: one entry of a ZIP archive.

use serde_json::{Value, json};

use crate::route::{
    cursor::{At, Fields},
    errors::Report,
};

/// Longest entry name, in bytes: what the format can hold.
const MAX_NAME: usize = 65_535;

/// The word in `codec`. No [`Codec`](super::Codec): an archive is not a stream, and nothing is compressed to it.
pub(in crate::route) const WORD: &str = "zip";

/// Parameters of `decompress` with `codec: zip`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnzipSpec {
    /// The entry's whole name in the archive. `None`: the archive holds exactly one file, and that one is meant.
    pub entry: Option<String>,
}

/// From the fields of `decompress`, whose codec is [`WORD`].
pub(in crate::route) fn decode(fields: &Fields<'_>, report: &mut Report) -> Option<UnzipSpec> {
    let entry = fields.get("entry").map(|at| name(at, report));
    match entry {
        None => Some(UnzipSpec { entry: None }),
        Some(name) => Some(UnzipSpec { entry: Some(name?) }),
    }
}

fn name(at: &At<'_>, report: &mut Report) -> Option<String> {
    let name = at.text(report)?;
    if name.is_empty() || name.len() > MAX_NAME {
        return at.fault(report, "must be the name of a file in the archive; leave it out for the only one");
    }
    if name.ends_with('/') {
        return at.fault(report, "names a folder; name a file in it");
    }
    Some(name.to_owned())
}

pub(in crate::route) fn encode(spec: &UnzipSpec) -> Value {
    match &spec.entry {
        None => json!({ "decompress": { "codec": WORD } }),
        Some(entry) => json!({ "decompress": { "codec": WORD, "entry": entry } }),
    }
}
