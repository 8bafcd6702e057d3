//! The rules for a field: one implementation, whichever way the field was found.

use eft_domain::route::ColumnType;

use super::block::Class;
use super::types::{self, MAX_TYPED};

/// Bytes of a field that are shown in a reason.
const SHOWN: usize = 64;

/// The rule of one column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) ty: ColumnType,
    pub(super) not_null: bool,
}

impl Rule {
    /// Any text is right.
    #[inline]
    pub(super) fn is_none(self) -> bool {
        self.ty == ColumnType::Text && !self.not_null
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Null,
    Type(ColumnType),
}

/// What all columns share: the quoting and the texts that mean null.
#[derive(Debug)]
pub(super) struct Rules {
    quote: Option<u8>,
    escape: Option<u8>,
    /// The texts that mean null.
    pub(super) nulls: Vec<Box<[u8]>>,
    /// Bytes of a field that have to be kept to decide and to report.
    pub(super) keep: usize,
}

impl Rules {
    pub(super) fn new(quote: Option<u8>, escape: Option<u8>, nulls: &[String]) -> Self {
        let nulls: Vec<Box<[u8]>> = nulls.iter().map(|text| text.as_bytes().into()).collect();
        // Quotes around and an escape before each byte of the longest typed text, or the longest null; and one more byte
        // each, to see that a field is longer.
        let longest = nulls.iter().map(|text| text.len()).max().unwrap_or(0);
        Self { quote, escape, nulls, keep: (2 * (MAX_TYPED.max(SHOWN) + 2)).max(longest + 1) }
    }

    fn is_null(&self, raw: &[u8]) -> bool {
        self.nulls.iter().any(|null| **null == *raw)
    }

    /// The class of masks that proves most fields of the column right without looking at them one by one.
    pub(super) fn class(&self, rule: Rule) -> Class {
        let empty_is_null = self.is_null(b"");
        if rule.not_null {
            // A null that looks like a value has to be looked up.
            let looks_valid = |null: &[u8]| !null.is_empty() && types::accepts(rule.ty, null);
            if self.nulls.iter().any(|null| looks_valid(null)) {
                return Class::Look;
            }
        }
        let empty_is_wrong = rule.not_null || !empty_is_null;
        match rule.ty {
            ColumnType::Text if rule.not_null && empty_is_null => Class::TextNotEmpty,
            ColumnType::Text => Class::Text,
            ColumnType::Integer if empty_is_wrong => Class::IntegerNotEmpty,
            ColumnType::Integer => Class::Integer,
            ColumnType::Decimal | ColumnType::Float if empty_is_wrong => Class::DecimalNotEmpty,
            ColumnType::Decimal | ColumnType::Float => Class::Decimal,
            ColumnType::Boolean | ColumnType::Date | ColumnType::Timestamp | ColumnType::Uuid => Class::Look,
        }
    }

    /// Check a well-formed field as it stands in the file, or its first [`Rules::keep`] bytes.
    #[inline]
    pub(super) fn check(&self, rule: Rule, raw: &[u8]) -> Result<(), Wrong> {
        if self.is_quoted(raw) {
            return self.check_quoted(rule, raw);
        }
        if rule.not_null && self.is_null(raw) {
            return Err(Wrong::Null);
        }
        if types::accepts(rule.ty, raw) || !rule.not_null && self.is_null(raw) {
            return Ok(());
        }
        Err(Wrong::Type(rule.ty))
    }

    fn is_quoted(&self, raw: &[u8]) -> bool {
        !raw.is_empty() && raw.first().copied() == self.quote
    }

    /// A quoted field is never null.
    fn check_quoted(&self, rule: Rule, raw: &[u8]) -> Result<(), Wrong> {
        let mut text = [0; MAX_TYPED + 1];
        let n = self.unquoted(raw).zip(&mut text).map(|(byte, to)| *to = byte).count();
        if types::accepts(rule.ty, &text[..n]) { Ok(()) } else { Err(Wrong::Type(rule.ty)) }
    }

    /// The text of a field.
    pub(super) fn text(&self, raw: &[u8]) -> Vec<u8> {
        if self.is_quoted(raw) { self.unquoted(raw).collect() } else { raw.to_vec() }
    }

    fn unquoted<'a>(&'a self, raw: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
        let mut rest = raw[1..].iter().copied();
        std::iter::from_fn(move || {
            let byte = rest.next()?;
            // A quote is doubled, or the last.
            if Some(byte) == self.escape || Some(byte) == self.quote { rest.next() } else { Some(byte) }
        })
    }

    /// The reason for the report.
    pub(super) fn reason(&self, wrong: Wrong, raw: &[u8]) -> String {
        match wrong {
            Wrong::Null => format!("null ({}), the column may not be", self.shown(raw)),
            Wrong::Type(ty) => format!("not {}: {}", types::name(ty), self.shown(raw)),
        }
    }

    fn shown(&self, raw: &[u8]) -> String {
        let mut text = self.text(raw);
        let cut = text.len() > SHOWN;
        text.truncate(SHOWN);
        show(&text, cut)
    }
}

/// Text for a message: in quotes, control characters and bytes that are not UTF-8 escaped, a cut marked.
pub(in crate::stage) fn show(text: &[u8], cut: bool) -> String {
    let mut shown = String::from('"');
    let mut chunks = text.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        for char in chunk.valid().chars() {
            match char {
                '\'' => shown.push(char),
                _ => shown.extend(char.escape_debug()),
            }
        }
        // The cut may go through a character.
        if cut && chunks.peek().is_none() && chunk.invalid().first().is_some_and(|byte| *byte >= 0xc2) {
            break;
        }
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown.push('"');
    if cut {
        shown.push('…');
    }
    shown
}
