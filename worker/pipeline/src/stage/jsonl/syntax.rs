//! Whether a line is one JSON text (RFC 8259): says yes or where it is not, and builds nothing.
//!
//! A line ends at its line feed, which stands nowhere inside JSON but between values of a text over several lines; so
//! the checker needs no length and stops by itself. Strings are skipped sixteen bytes at a time, and keys that the lines
//! before had as well are compared (`shape.rs`).

use std::fmt;

use super::shape::{Shape, Skipped};
use crate::stage::csv::lanes::{V, digit, eq, load, splat};
use crate::stage::csv::rules::show;

/// Bytes of a line that are shown where something else was expected.
const SHOWN: usize = 16;

/// What is wrong with a line, and at which index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) what: What,
}

/// What was expected, or is never allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Blank,
    Bom,
    Value,
    Key,
    KeyOrClose,
    Colon,
    CommaOrBrace,
    CommaOrBracket,
    Trailing,
    Digit,
    LeadingZero,
    Control,
    OpenString,
    Escape,
    Surrogate,
    TooDeep,
}

impl Broken {
    /// The reason for the report: `line` is the line without its end, `base` the offset of its first byte.
    pub(super) fn reason(&self, line: &[u8], base: u64) -> String {
        let at = base + self.at as u64;
        let rest = line.get(self.at..).unwrap_or_default();
        let found = match rest {
            [] => "the line ends".to_owned(),
            _ => format!("found {}", show(&rest[..rest.len().min(SHOWN)], rest.len() > SHOWN)),
        };
        match self.what {
            What::Blank => "blank line".to_owned(),
            What::Bom => "byte order mark, which JSON has none of".to_owned(),
            What::Control => {
                format!(
                    "control character {:#04x} in a string at byte {at}; write it as \\u{:04x}",
                    rest[0], rest[0]
                )
            }
            What::OpenString => format!("the line ends at byte {at} in a string"),
            What::Surrogate => format!("half a surrogate pair at byte {at}, {found}"),
            What::Trailing => format!("text behind the value at byte {at}, {found}"),
            what => format!("expected {what} at byte {at}, {found}"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "a value",
            Self::Key => "a key in double quotes",
            Self::KeyOrClose => "a key in double quotes or \"}\"",
            Self::Colon => "\":\"",
            Self::CommaOrBrace => "\",\" or \"}\"",
            Self::CommaOrBracket => "\",\" or \"]\"",
            Self::Digit => "a digit",
            Self::LeadingZero => "no digit behind a leading zero",
            Self::Escape => "one of \"\\/bfnrt or uXXXX behind a backslash",
            Self::Blank
            | Self::Bom
            | Self::Trailing
            | Self::Control
            | Self::OpenString
            | Self::Surrogate
            | Self::TooDeep => "JSON",
        })
    }
}

/// The checker; holds one byte a level, and some keys that it has read.
#[derive(Debug)]
pub(super) struct Checker {
    /// For each open level, whether it is an object.
    open: Vec<bool>,
    max_depth: usize,
    shape: Shape,
}

type Step = Result<usize, Broken>;

/// The byte at an index; behind the end it is the line feed that may be missing at the end of a file.
#[inline(always)]
fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(b'\n')
}

/// The index of the first byte from `at` that is no white space. Most JSON in lines has none.
#[inline(always)]
fn skip(bytes: &[u8], at: usize) -> usize {
    if byte(bytes, at) > b' ' { at } else { skip_more(bytes, at) }
}

fn skip_more(bytes: &[u8], mut at: usize) -> usize {
    while let b' ' | b'\t' | b'\r' = byte(bytes, at) {
        at += 1;
    }
    at
}

fn broken<T>(at: usize, what: What) -> Result<T, Broken> {
    Err(Broken { at, what })
}

impl Checker {
    pub(super) fn new(max_depth: u32) -> Self {
        Self { open: Vec::new(), max_depth: max_depth as usize, shape: Shape::default() }
    }

    #[cfg(test)]
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    #[cfg(test)]
    pub(super) fn shape_mut(&mut self) -> &mut Shape {
        &mut self.shape
    }

    /// Most memory it holds, in bytes.
    pub(super) fn memory(&self) -> u64 {
        2 * self.max_depth as u64 + Shape::MEMORY
    }

    /// Check the line that starts at `from`; returns the index of its line feed, or the length of `bytes`.
    ///
    /// # Errors
    /// The first fault of the line.
    #[inline]
    pub(super) fn check(&mut self, bytes: &[u8], from: usize) -> Step {
        self.open.clear();
        self.shape.begin();
        let mut at = skip(bytes, from);
        match byte(bytes, at) {
            b'\n' => return broken(at, What::Blank),
            0xef if bytes[at..].starts_with(b"\xef\xbb\xbf") => return broken(at, What::Bom),
            _ => {}
        }
        let mut object = false;
        'value: loop {
            at = skip(bytes, at);
            match byte(bytes, at) {
                b'"' => at = string(bytes, at + 1)?,
                b'{' => {
                    self.push(object, at)?;
                    object = true;
                    at = skip(bytes, at + 1);
                    match byte(bytes, at) {
                        b'"' => {
                            at = colon(bytes, string(bytes, at + 1)?)?;
                            continue 'value;
                        }
                        b'}' => {
                            object = self.pop();
                            at += 1;
                        }
                        _ => return broken(at, What::KeyOrClose),
                    }
                }
                b'[' => {
                    self.push(object, at)?;
                    object = false;
                    at = skip(bytes, at + 1);
                    if byte(bytes, at) != b']' {
                        continue 'value;
                    }
                    object = self.pop();
                    at += 1;
                }
                b'-' | b'0'..=b'9' => at = number(bytes, at)?,
                b't' => at = literal(bytes, at, b"true")?,
                b'f' => at = literal(bytes, at, b"false")?,
                b'n' => at = literal(bytes, at, b"null")?,
                _ => return broken(at, What::Value),
            }
            loop {
                at = skip(bytes, at);
                let next = byte(bytes, at);
                if self.open.is_empty() {
                    return if next == b'\n' { Ok(at) } else { broken(at, What::Trailing) };
                }
                match (next, object) {
                    (b',', true) => {
                        let comma = at;
                        match self.shape.skip(bytes, comma) {
                            Skipped::Nothing => {}
                            Skipped::ToValue(value) => {
                                at = value;
                                continue 'value;
                            }
                            Skipped::ToEnd(end) => {
                                at = end;
                                continue;
                            }
                        }
                        at = skip(bytes, comma + 1);
                        if byte(bytes, at) != b'"' {
                            return broken(at, What::Key);
                        }
                        at = skip(bytes, colon(bytes, string(bytes, at + 1)?)?);
                        self.shape.learn(&bytes[comma..at]);
                        continue 'value;
                    }
                    (b',', false) => {
                        at += 1;
                        continue 'value;
                    }
                    (b'}', true) | (b']', false) => {
                        object = self.pop();
                        at += 1;
                    }
                    (_, true) => return broken(at, What::CommaOrBrace),
                    (_, false) => return broken(at, What::CommaOrBracket),
                }
            }
        }
    }

    /// Open a level inside one that is an object or not.
    #[inline]
    fn push(&mut self, object: bool, at: usize) -> Result<(), Broken> {
        if self.open.len() == self.max_depth {
            return broken(at, What::TooDeep);
        }
        self.open.push(object);
        Ok(())
    }

    /// Close a level; returns whether the one around it is an object.
    #[inline]
    fn pop(&mut self) -> bool {
        self.open.pop().unwrap_or(false)
    }
}

/// The index behind the colon that follows a key.
#[inline(always)]
fn colon(bytes: &[u8], at: usize) -> Step {
    let at = skip(bytes, at);
    if byte(bytes, at) == b':' { Ok(at + 1) } else { broken(at, What::Colon) }
}

/// The index behind the closing quote of the string whose text starts at `at`. Most are short and plain.
#[inline(always)]
fn string(bytes: &[u8], at: usize) -> Step {
    if let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let special = ends_run(load(block)).to_bitmask();
        let end = at + special.trailing_zeros() as usize;
        if special != 0 && bytes[end] == b'"' {
            return Ok(end + 1);
        }
    }
    string_on(bytes, at)
}

#[inline(never)]
fn string_on(bytes: &[u8], mut at: usize) -> Step {
    loop {
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let special = ends_run(load(block)).to_bitmask();
            if special != 0 {
                at += special.trailing_zeros() as usize;
                break;
            }
            at += 16;
        }
        while !matches!(byte(bytes, at), b'"' | b'\\' | 0..0x20) {
            at += 1;
        }
        match byte(bytes, at) {
            b'"' => return Ok(at + 1),
            b'\\' => at = escape(bytes, at)?,
            b'\n' => return broken(at, What::OpenString),
            _ => return broken(at, What::Control),
        }
    }
}

/// All ones where a run of plain text in a string ends.
#[inline(always)]
pub(super) fn ends_run(text: V) -> V {
    let control = eq(text.min(splat(0x1f)), text);
    eq(text, splat(b'"')) | eq(text, splat(b'\\')) | control
}

/// The index behind an escape. Text is Unicode: half a surrogate pair is none (RFC 7493, and every UTF-8 reader).
fn escape(bytes: &[u8], at: usize) -> Step {
    match byte(bytes, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match hex(bytes, at + 2)? {
            0xd800..0xdc00 => {
                if byte(bytes, at + 6) != b'\\' || byte(bytes, at + 7) != b'u' {
                    return broken(at, What::Surrogate);
                }
                match hex(bytes, at + 8)? {
                    0xdc00..0xe000 => Ok(at + 12),
                    _ => broken(at, What::Surrogate),
                }
            }
            0xdc00..0xe000 => broken(at, What::Surrogate),
            _ => Ok(at + 6),
        },
        _ => broken(at + 1, What::Escape),
    }
}

fn hex(bytes: &[u8], at: usize) -> Result<u32, Broken> {
    let mut code = 0;
    for at in at..at + 4 {
        match char::from(byte(bytes, at)).to_digit(16) {
            Some(digit) => code = code << 4 | digit,
            None => return broken(at, What::Escape),
        }
    }
    Ok(code)
}

#[inline(always)]
fn number(bytes: &[u8], mut at: usize) -> Step {
    at += usize::from(byte(bytes, at) == b'-');
    at = match byte(bytes, at) {
        b'0' if byte(bytes, at + 1).is_ascii_digit() => return broken(at + 1, What::LeadingZero),
        b'0' => at + 1,
        _ => digits(bytes, at)?,
    };
    let next = byte(bytes, at);
    if next == b'.' {
        at = digits(bytes, at + 1)?;
    }
    if let b'e' | b'E' = byte(bytes, at) {
        let sign = usize::from(matches!(byte(bytes, at + 1), b'+' | b'-'));
        at = digits(bytes, at + 1 + sign)?;
    }
    Ok(at)
}

/// The index behind one digit or more. A block at a time: how many there are is hard to predict for a loop.
#[inline(always)]
fn digits(bytes: &[u8], at: usize) -> Step {
    let mut end = at;
    loop {
        match bytes.get(end..).and_then(|rest| rest.first_chunk()) {
            Some(block) => {
                let run = (!digit(load(block)).to_bitmask()).trailing_zeros() as usize;
                end += run.min(16);
                if run < 16 {
                    break;
                }
            }
            None => {
                while byte(bytes, end).is_ascii_digit() {
                    end += 1;
                }
                break;
            }
        }
    }
    if end > at { Ok(end) } else { broken(at, What::Digit) }
}

#[inline(always)]
fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Step {
    if bytes[at..].starts_with(word) { Ok(at + word.len()) } else { broken(at, What::Value) }
}
