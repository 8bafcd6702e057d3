//! Whole tokens: tags, processing instructions, the XML declaration, references. Errors are an index and words.

use std::collections::HashSet;

use super::chars::{is_char, is_space, name_len};

/// What is wrong, and where in the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Not well-formed.
    Syntax(usize, String),
    /// Well-formed, and not accepted.
    Refused(usize, String),
    /// More attributes than allowed.
    Attributes,
}

/// A start tag, or the tag of an empty element.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start<'a> {
    pub(super) name: &'a str,
    pub(super) empty: bool,
}

fn wrong<T>(at: usize, what: &str) -> Result<T, Wrong> {
    Err(Wrong::Syntax(at, what.to_owned()))
}

fn spaces(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|byte| is_space(**byte)).count()
}

/// `<name attributes>` or `<name attributes/>`, whole; the tokenizer has seen that no `<` is in it.
pub(super) fn start(token: &str, max_attributes: usize) -> Result<Start<'_>, Wrong> {
    let len = name_len(&token[1..]);
    if len == 0 {
        return wrong(0, "expected the name of an element behind `<`");
    }
    let name = &token[1..=len];
    let mut at = 1 + len;
    let mut seen: HashSet<&str> = HashSet::new();
    loop {
        let next = spaces(token, at);
        match &token[next..] {
            ">" => return Ok(Start { name, empty: false }),
            "/>" => return Ok(Start { name, empty: true }),
            _ => {}
        }
        if next == at {
            return wrong(at, "expected white space, `>` or `/>` in a tag");
        }
        let (attribute, end) = attribute(token, next)?;
        if !seen.insert(attribute) {
            return wrong(next, &format!("attribute `{}` stands twice", short(attribute)));
        }
        if seen.len() > max_attributes {
            return Err(Wrong::Attributes);
        }
        at = end;
    }
}

/// An attribute that starts at `at`: its name, and the index behind it.
fn attribute(token: &str, at: usize) -> Result<(&str, usize), Wrong> {
    let len = name_len(&token[at..]);
    if len == 0 {
        return wrong(at, "expected the name of an attribute");
    }
    let name = &token[at..at + len];
    let equals = spaces(token, at + len);
    if !token[equals..].starts_with('=') {
        return wrong(equals, "expected `=` behind the name of an attribute");
    }
    let open = spaces(token, equals + 1);
    let Some(quote) = token[open..].chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return wrong(open, "expected a quote around the value of an attribute");
    };
    let value = open + 1;
    let Some(len) = token[value..].find(quote) else {
        return wrong(open, "the value of an attribute does not end");
    };
    references(&token[value..value + len], value)?;
    Ok((name, value + len + 1))
}

/// Every `&` of an attribute's value starts a reference.
fn references(value: &str, base: usize) -> Result<(), Wrong> {
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'&', &value.as_bytes()[at..]) {
        at += next;
        let end = value[at..].find(';').map_or(value.len(), |len| at + len + 1);
        reference(&value[at..end]).map_err(|wrong| shifted(wrong, base + at))?;
        at = end;
    }
    Ok(())
}

fn shifted(wrong: Wrong, by: usize) -> Wrong {
    match wrong {
        Wrong::Syntax(at, what) => Wrong::Syntax(at + by, what),
        Wrong::Refused(at, what) => Wrong::Refused(at + by, what),
        Wrong::Attributes => Wrong::Attributes,
    }
}

/// A reference from `&` to `;`: a character, or one of the five entities that need no DTD.
pub(super) fn reference(token: &str) -> Result<(), Wrong> {
    let Some(inner) = token.strip_prefix('&').and_then(|rest| rest.strip_suffix(';')) else {
        return wrong(0, "`&` starts no reference; write it as `&amp;`");
    };
    if let Some(number) = inner.strip_prefix('#') {
        let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
        let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        let code = u32::from_str_radix(digits, radix).ok().filter(|_| is_number);
        return match code.and_then(char::from_u32).filter(|c| is_char(*c)) {
            Some(_) => Ok(()),
            None => wrong(0, &format!("`{}` is no character of XML", short(token))),
        };
    }
    match inner {
        "amp" | "lt" | "gt" | "apos" | "quot" => Ok(()),
        _ if !inner.is_empty() && name_len(inner) == inner.len() => Err(Wrong::Refused(
            0,
            format!("entity `{}`; without a DTD there are amp, lt, gt, apos, quot", short(inner)),
        )),
        _ => wrong(0, "`&` starts no reference; write it as `&amp;`"),
    }
}

/// `</name>`: the name.
pub(super) fn end(token: &str) -> Result<&str, Wrong> {
    let len = name_len(&token[2..]);
    if len == 0 {
        return wrong(0, "expected the name of an element behind `</`");
    }
    let rest = spaces(token, 2 + len);
    if &token[rest..] == ">" { Ok(&token[2..2 + len]) } else { wrong(rest, "expected `>` in an end tag") }
}

/// `<?target …?>`; `first` where the XML declaration may stand.
pub(super) fn instruction(token: &str, first: bool) -> Result<(), Wrong> {
    let inner = &token[2..token.len() - 2];
    let len = name_len(inner);
    let (target, rest) = inner.split_at(len);
    if len == 0 {
        return wrong(0, "expected a name behind `<?`");
    }
    if !rest.is_empty() && !is_space(rest.as_bytes()[0]) {
        return wrong(2 + len, "expected white space behind the name of a processing instruction");
    }
    if target == "xml" && first {
        return declaration(rest).map_err(|wrong| shifted(wrong, 2 + len));
    }
    if target.eq_ignore_ascii_case("xml") {
        return wrong(0, "an XML declaration anywhere but at the start of the file");
    }
    Ok(())
}

/// What stands behind `<?xml` and before `?>` (production 23).
fn declaration(text: &str) -> Result<(), Wrong> {
    let mut at = 0;
    let mut known = ["version", "encoding", "standalone"].iter();
    let mut first = true;
    loop {
        let next = spaces(text, at);
        if next == text.len() && !first {
            return Ok(());
        }
        if next == at {
            return wrong(at, "expected white space in the XML declaration");
        }
        let (name, end) = attribute(text, next)?;
        let value = text[..end - 1].rsplit(['"', '\'']).next().unwrap_or_default();
        if (first && name != "version") || !known.any(|one| *one == name) {
            return wrong(
                next,
                "expected version, encoding and standalone, in this order, in the XML declaration",
            );
        }
        match name {
            "version" if is_version(value) => {}
            "standalone" if matches!(value, "yes" | "no") => {}
            "encoding" if value.eq_ignore_ascii_case("utf-8") => {}
            "encoding" if is_encoding(value) => {
                let what =
                    format!("encoding `{}`; the file has to be UTF-8, transcode it first", short(value));
                return Err(Wrong::Refused(next, what));
            }
            _ => {
                return wrong(
                    next,
                    &format!("`{}` is no value of {name} in the XML declaration", short(value)),
                );
            }
        }
        first = false;
        at = end;
    }
}

fn is_version(value: &str) -> bool {
    value.strip_prefix("1.").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

fn is_encoding(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Text of the file in a message.
pub(super) fn short(text: &str) -> String {
    let dots = if text.chars().count() > 64 { "…" } else { "" };
    text.chars().take(64).flat_map(char::escape_debug).collect::<String>() + dots
}
