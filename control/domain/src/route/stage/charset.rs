//! `charset`: text of another encoding becomes UTF-8.

mod labels;

use std::str::FromStr;

use serde_json::{Value, json};

use self::labels::LABELS;
use super::ebcdic::CodePage;
use crate::{
    route::{
        cursor::At,
        errors::{Report, did_you_mean, quoted},
        names::word,
    },
    text::Word,
};

pub(in crate::route) const CHARSET: &[&str] = &["from", "to", "malformed"];

/// Parameters of `charset`. The output is UTF-8 without a byte-order mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CharsetSpec {
    /// The encoding of the input.
    pub from: Charset,
    /// What to do about bytes that are no text in it. Default [`Malformed::Reject`].
    pub malformed: Malformed,
}

/// An encoding of the WHATWG Encoding Standard. Read from any of its labels, in any case; equal where the encoding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(&'static str);

/// What to do about bytes that are no text in the declared encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Malformed {
    /// The file is refused, with the place of the first.
    #[default]
    Reject,
    /// Each malformed sequence becomes U+FFFD and is counted.
    Replace,
}

impl Word for Malformed {
    const WORDS: &'static [(&'static str, Self)] = &[("reject", Self::Reject), ("replace", Self::Replace)];
}

impl Charset {
    /// UTF-8.
    pub const UTF_8: Self = Self("UTF-8");

    /// Every encoding, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        LABELS.iter().map(|(name, _)| Self(name))
    }

    /// The name in the standard, such as `windows-1252` or `Shift_JIS`.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Its code units are larger than a byte: no byte of it is a character.
    pub fn is_wide(self) -> bool {
        self.0.starts_with("UTF-16")
    }

    /// What else it is called, in lower case; the name itself, in lower case, is one of them.
    pub fn labels(self) -> &'static [&'static str] {
        LABELS.iter().find(|(name, _)| *name == self.0).map_or(&[], |(_, labels)| labels)
    }
}

/// A text that is no label of an encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.says())]
pub struct UnknownCharset(String);

impl UnknownCharset {
    fn says(&self) -> String {
        let known = LABELS.iter().flat_map(|(_, labels)| labels.iter().copied());
        let lower = self.0.to_lowercase();
        let ebcdic =
            lower.contains("ebcdic") || CodePage::ALL.iter().any(|page| lower.ends_with(&page.as_str()[2..]));
        let hint = match did_you_mean(&self.0, known) {
            _ if ebcdic => "; EBCDIC is read by the stage `ebcdic`".to_owned(),
            hint => hint,
        };
        format!(
            "{} is not an encoding of the WHATWG standard, such as windows-1252, iso-8859-15, shift_jis or utf-16le{hint}",
            quoted(&self.0)
        )
    }
}

impl FromStr for Charset {
    type Err = UnknownCharset;

    fn from_str(text: &str) -> Result<Self, UnknownCharset> {
        let named = |label: &str| label.eq_ignore_ascii_case(text);
        let found = LABELS.iter().find(|(_, labels)| labels.iter().any(|label| named(label)));
        found.map(|(name, _)| Self(name)).ok_or_else(|| UnknownCharset(text.chars().take(65).collect()))
    }
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<CharsetSpec> {
    let fields = at.fields(report, CHARSET)?;
    let from = fields.need(report, "from").and_then(|at| at.parse(report));
    let to = fields.or("to", Charset::UTF_8, |at| match at.parse(report)? {
        Charset::UTF_8 => Some(Charset::UTF_8),
        other => {
            at.fault(report, format!("the output is utf-8, not {}; leave `to` out", quoted(other.name())))
        }
    });
    let malformed = fields.or("malformed", Malformed::default(), |at| at.word(report));
    to?;
    Some(CharsetSpec { from: from?, malformed: malformed? })
}

pub(in crate::route) fn encode(spec: &CharsetSpec) -> Value {
    json!({ "from": spec.from.name(), "to": "utf-8", "malformed": word(spec.malformed) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_label_names_one_encoding() {
        let mut seen = HashSet::new();
        for charset in Charset::all() {
            assert!(charset.labels().contains(&charset.name().to_lowercase().as_str()), "{}", charset.name());
            for label in charset.labels() {
                assert!(seen.insert(*label), "{label} stands twice");
                assert_eq!(label.parse(), Ok(charset));
                assert_eq!(label.to_uppercase().parse(), Ok(charset));
            }
        }
        // 228 in the standard, six of them of `replacement`.
        assert_eq!((Charset::all().count(), seen.len()), (39, 222));
    }

    #[test]
    fn a_misspelt_label_is_told_the_nearest() {
        let refusal = |text: &str| text.parse::<Charset>().unwrap_err().to_string();
        assert!(refusal("windows1252").ends_with("; did you mean `windows-1252`?"));
        assert!(refusal("shift-jiss").ends_with("; did you mean `shift-jis`?"));
        assert!(refusal("IBM037").ends_with("; EBCDIC is read by the stage `ebcdic`"));
        assert!(!refusal("hz-gb-2312-and-what-not").contains("did you mean"));
        assert!(!refusal(&"\u{1b}x".repeat(10_000)).contains(char::is_control));
    }
}
