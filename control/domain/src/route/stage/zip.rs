//! `decompress: { codec: zip }` and `compress: { codec: zip }`: one entry of a ZIP archive, and an archive of one.

use serde_json::{Value, json};

use crate::route::{
    cursor::{At, Fields},
    errors::Report,
};

/// Longest name of an entry that is read, in bytes: what the format can hold.
const MAX_NAME: usize = 65_535;

/// Longest name of an entry that is made, in bytes: that of a key of S3.
const MAX_MADE: usize = 1_024;

/// Effort where the route does not say: that of `zip`.
const DEFAULT_LEVEL: u64 = 6;

/// The word in `codec`. No [`Codec`](super::Codec): an archive holds files with names, it is no stream.
pub(in crate::route) const WORD: &str = "zip";

/// Parameters of `decompress` with `codec: zip`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnzipSpec {
    /// The entry's whole name in the archive. `None`: the archive holds exactly one file, and that one is meant.
    pub entry: Option<String>,
    /// Every file whose name matches, as the glob of a route's `match` does; not with `entry`.
    pub entries: Option<String>,
}

/// Parameters of `compress` with `codec: zip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZipSpec {
    /// The name of the only entry. `None`: the destination's own name without its `.zip`.
    pub entry: Option<String>,
    /// Effort, 1..=9, default 6.
    pub level: i32,
}

/// From the fields of `decompress`, whose codec is [`WORD`].
pub(in crate::route) fn decode_unzip(fields: &Fields<'_>, report: &mut Report) -> Option<UnzipSpec> {
    let entry = fields.or("entry", None, |at| name(at, report).map(Some));
    let entries = fields.or("entries", None, |at| pattern(at, report).map(Some));
    let (entry, entries) = (entry?, entries?);
    if let (Some(_), Some(at)) = (&entry, fields.get("entries").filter(|_| entries.is_some())) {
        return at.fault(report, "stands beside `entry`, which names one file; leave one of them out");
    }
    Some(UnzipSpec { entry, entries })
}

fn pattern(at: &At<'_>, report: &mut Report) -> Option<String> {
    let pattern = at.text(report)?;
    if pattern.is_empty() || pattern.len() > MAX_MADE {
        return at.fault(
            report,
            "must be a glob of 1 to 1024 bytes, such as `data/*.csv`, or `**` for every file",
        );
    }
    Some(pattern.to_owned())
}

/// From the fields of `compress`, whose codec is [`WORD`].
pub(in crate::route) fn decode_zip(fields: &Fields<'_>, report: &mut Report) -> Option<ZipSpec> {
    let level = fields.or("level", DEFAULT_LEVEL, |at| at.integer(report, 1..=9));
    let entry = fields.or("entry", None, |at| made(at, report).map(Some));
    Some(ZipSpec { entry: entry?, level: i32::try_from(level?).ok()? })
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

fn made(at: &At<'_>, report: &mut Report) -> Option<String> {
    let name = at.text(report)?;
    match made_entry_fault(name) {
        Some(why) => at.fault(report, format!("is no name for a file in an archive: it {why}")),
        None => Some(name.to_owned()),
    }
}

/// Why no archive is made with an entry of this name.
pub fn made_entry_fault(name: &str) -> Option<&'static str> {
    match name {
        _ if name.ends_with('/') => Some("names a folder"),
        _ if name.len() > MAX_MADE => Some("is longer than 1024 bytes"),
        "." => Some("names a folder"),
        _ => entry_fault(name),
    }
}

/// Why an archive with an entry of this name is refused, whoever asks for it.
pub fn entry_fault(name: &str) -> Option<&'static str> {
    let drive = |name: &str| matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    match name {
        "" => Some("is empty"),
        _ if name.contains(char::is_control) => Some("holds a control character"),
        _ if name.contains('\\') => Some("holds a backslash, which some systems take for a separator"),
        _ if name.starts_with('/') => Some("is absolute"),
        _ if drive(name) => Some("begins with a drive"),
        _ if name.split('/').any(|step| step == "..") => Some("leads out of its folder (`..`)"),
        _ => None,
    }
}

pub(in crate::route) fn encode_unzip(spec: &UnzipSpec) -> Value {
    match (&spec.entry, &spec.entries) {
        (None, None) => json!({ "decompress": { "codec": WORD } }),
        (Some(entry), _) => json!({ "decompress": { "codec": WORD, "entry": entry } }),
        (None, Some(entries)) => json!({ "decompress": { "codec": WORD, "entries": entries } }),
    }
}

pub(in crate::route) fn encode_zip(spec: &ZipSpec) -> Value {
    match &spec.entry {
        None => json!({ "compress": { "codec": WORD, "level": spec.level } }),
        Some(entry) => json!({ "compress": { "codec": WORD, "level": spec.level, "entry": entry } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere() {
        for name in
            ["", "../a", "a/../b", "a/..", "/etc/passwd", "\\a", "a\\b", "C:a", "c:/a", "a\0b", "a\nb"]
        {
            assert!(entry_fault(name).is_some(), "{name:?}");
            assert!(made_entry_fault(name).is_some(), "{name:?}");
        }
        for name in ["a", "a/b.csv", "..a/b..", "a..b", "ab:c", "./a", "a//b", "ä/ö"] {
            assert_eq!(entry_fault(name), None, "{name:?}");
            assert_eq!(made_entry_fault(name), None, "{name:?}");
        }
        assert!(made_entry_fault("a/").is_some() && made_entry_fault(".").is_some());
        assert!(
            made_entry_fault(&"a".repeat(1_025)).is_some() && made_entry_fault(&"a".repeat(1_024)).is_none()
        );
    }
}
