//! Where in a record something stands, and which of its keys stand twice: walks of a line that is known to be JSON, or
//! to be JSON up to a place. Slower than the check of the syntax, and seldom taken.

use std::{borrow::Cow, collections::HashSet};

/// Longest step of a pointer that is shown, in characters; as much as of a column's text.
const MAX_STEP: usize = 64;

/// Longest pointer that is shown, in bytes.
const MAX_POINTER: usize = 512;

#[derive(Debug)]
enum Level<'a> {
    Array { index: u64 },
    Object { key: Option<&'a [u8]> },
}

/// A walk from token to token of JSON.
#[derive(Debug)]
struct Walk<'a> {
    line: &'a [u8],
    at: usize,
    levels: Vec<Level<'a>>,
}

/// What a step came across.
#[derive(Debug)]
enum Token<'a> {
    Open,
    Close,
    /// A key, as it stands between its quotes.
    Key(&'a [u8]),
    Other,
}

impl<'a> Walk<'a> {
    fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0, levels: Vec::new() }
    }

    /// The next token that ends before `end`.
    fn next(&mut self, end: usize) -> Option<Token<'a>> {
        let start = self.at;
        let byte = *self.line[..end].get(start)?;
        self.at += 1;
        Some(match byte {
            b'{' => {
                self.levels.push(Level::Object { key: None });
                Token::Open
            }
            b'[' => {
                self.levels.push(Level::Array { index: 0 });
                Token::Open
            }
            b'}' | b']' => {
                self.levels.pop();
                Token::Close
            }
            b',' => {
                match self.levels.last_mut() {
                    Some(Level::Array { index }) => *index += 1,
                    Some(Level::Object { key }) => *key = None,
                    None => {}
                }
                Token::Other
            }
            b'"' => {
                let text = &self.line[start + 1..end];
                let len = string_len(text)?;
                self.at += len + 1;
                match self.levels.last_mut() {
                    Some(Level::Object { key: key @ None }) => Token::Key(key.insert(&text[..len])),
                    _ => Token::Other,
                }
            }
            _ => Token::Other,
        })
    }

    /// The JSON Pointer (RFC 6901) of where the walk is; keys that are long are cut.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for level in &self.levels {
            match level {
                Level::Object { key: None } => {}
                Level::Object { key: Some(key) } => {
                    let text = String::from_utf8_lossy(&unescaped(key)).into_owned();
                    let cut: String = text.chars().take(MAX_STEP).collect();
                    let dots = if cut.len() < text.len() { "…" } else { "" };
                    pointer += &format!("/{}{dots}", cut.replace('~', "~0").replace('/', "~1"));
                }
                Level::Array { index } => pointer += &format!("/{index}"),
            }
            if pointer.len() > MAX_POINTER {
                return pointer + "/…";
            }
        }
        pointer
    }
}

/// Bytes up to the quote that ends a string.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}

/// A key as it is meant; the syntax check has found every escape sound.
fn unescaped(key: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', key).is_none() {
        return Cow::Borrowed(key);
    }
    let quoted = [b"\"", key, b"\""].concat();
    let text: Result<String, _> = serde_json::from_slice(&quoted);
    text.map_or(Cow::Borrowed(key), |text| Cow::Owned(text.into_bytes()))
}

/// The JSON Pointer of the value that index `at` is in, of a line that is JSON up to there; `None` for the whole record.
pub(super) fn pointer(line: &[u8], at: usize) -> Option<String> {
    let mut walk = Walk::new(line);
    let end = at.min(line.len());
    while walk.next(end).is_some() {}
    Some(walk.pointer()).filter(|pointer| !pointer.is_empty())
}

/// A key that its object has twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Twice {
    /// The pointer of its value.
    pub(super) pointer: String,
    /// Index of the second.
    pub(super) at: usize,
}

/// The first key of a line of JSON that its object has twice. Keys are compared as they are meant, escapes undone.
pub(super) fn repeated_key(line: &[u8]) -> Option<Twice> {
    let mut walk = Walk::new(line);
    let mut seen: Vec<HashSet<Cow<'_, [u8]>>> = Vec::new();
    loop {
        let at = walk.at;
        match walk.next(line.len())? {
            Token::Open => seen.push(HashSet::new()),
            Token::Close => {
                seen.pop();
            }
            Token::Key(key) => {
                if !seen.last_mut()?.insert(unescaped(key)) {
                    return Some(Twice { pointer: walk.pointer(), at });
                }
            }
            Token::Other => {}
        }
    }
}
