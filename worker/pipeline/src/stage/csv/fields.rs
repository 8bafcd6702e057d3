//! The fields of one sound record. What is not sound is the machine's to judge: here it is only [`Split::Odd`].

use eft_domain::route::RecordTerminator;
use memchr::{memchr, memchr2, memchr3};

/// A field: where its text is in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// First byte of the text, behind the quote if there is one.
    pub(super) from: usize,
    /// One behind its last byte.
    pub(super) to: usize,
    /// It stands in quotes.
    pub(super) quoted: bool,
    /// Some of its bytes say that the next one is text: a doubled quote, an escape.
    pub(super) escaped: bool,
}

/// What was found at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// A sound record of so many bytes, terminator included.
    Record(usize),
    /// The bytes end before the record does.
    Short,
    /// Something a sound record does not have, or more fields than asked for.
    Odd,
}

/// Finds the fields of records.
#[derive(Debug)]
pub(super) struct Splitter {
    delimiter: u8,
    pub(super) quote: Option<u8>,
    pub(super) escape: Option<u8>,
    terminator: RecordTerminator,
    /// Bytes that are more than text in an unquoted field.
    special: [bool; 256],
}

impl Splitter {
    pub(super) fn new(
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
        terminator: RecordTerminator,
    ) -> Self {
        let mut special = [false; 256];
        for byte in [delimiter, 0, b'\n'].into_iter().chain(quote) {
            special[usize::from(byte)] = true;
        }
        special[usize::from(b'\r')] = terminator != RecordTerminator::Lf;
        Self { delimiter, quote, escape, terminator, special }
    }

    /// The fields of the record `bytes` start with, at most `most` of them. `last`: nothing follows `bytes`, whose end ends
    /// the record as well.
    pub(super) fn split(&self, bytes: &[u8], last: bool, most: usize, fields: &mut Vec<Field>) -> Split {
        fields.clear();
        let mut at = 0;
        loop {
            let field = match bytes.get(at) {
                Some(byte) if Some(*byte) == self.quote => match self.quoted(bytes, at + 1) {
                    Ok(field) => field,
                    Err(split) => return split,
                },
                _ => {
                    let rest = &bytes[at..];
                    let len = rest.iter().position(|byte| self.special[usize::from(*byte)]);
                    let to = at + len.unwrap_or(rest.len());
                    Field { from: at, to, quoted: false, escaped: false }
                }
            };
            if fields.len() == most {
                return Split::Odd;
            }
            fields.push(field);
            at = field.to + usize::from(field.quoted);
            match self.end(&bytes[at..], last) {
                End::Delimiter => at += 1,
                End::Record(len) => return Split::Record(at + len),
                End::Short => return Split::Short,
                End::Odd => return Split::Odd,
            }
        }
    }

    /// The quoted field whose text starts at `from`, or why there is none.
    fn quoted(&self, bytes: &[u8], from: usize) -> Result<Field, Split> {
        let Some(quote) = self.quote else { return Err(Split::Odd) };
        let mut field = Field { from, to: from, quoted: true, escaped: false };
        loop {
            let rest = &bytes[field.to..];
            let next = match self.escape {
                Some(escape) => memchr3(quote, escape, 0, rest),
                None => memchr2(quote, 0, rest),
            };
            field.to += next.ok_or(Split::Short)?;
            match (bytes[field.to], bytes.get(field.to + 1)) {
                (0, _) => return Err(Split::Odd),
                // The end, or the first of a pair: what follows it is looked at next, or missing.
                (byte, next) if byte == quote && next != Some(&quote) => return Ok(field),
                (_, None) => return Err(Split::Short),
                (_, Some(0)) => return Err(Split::Odd),
                (_, Some(_)) => {
                    field.escaped = true;
                    field.to += 2;
                }
            }
        }
    }

    /// What stands where a field's end should.
    fn end(&self, rest: &[u8], last: bool) -> End {
        let cr_lf = match self.terminator {
            RecordTerminator::Any | RecordTerminator::CrLf => true,
            RecordTerminator::Lf => false,
        };
        match rest {
            [] if last => End::Record(0),
            [] => End::Short,
            [byte, ..] if *byte == self.delimiter => End::Delimiter,
            [b'\n', ..] if self.terminator != RecordTerminator::CrLf => End::Record(1),
            [b'\r', b'\n', ..] if cr_lf => End::Record(2),
            [b'\r'] if cr_lf && !last => End::Short,
            _ => End::Odd,
        }
    }

    /// Append a field's text.
    pub(super) fn append(&self, mut text: &[u8], escaped: bool, to: &mut Vec<u8>) {
        while let Some(at) = self.pair(text).filter(|_| escaped) {
            to.extend_from_slice(&text[..at]);
            to.push(text[at + 1]);
            text = &text[at + 2..];
        }
        to.extend_from_slice(text);
    }

    /// Where the next doubled quote or escape stands.
    fn pair(&self, text: &[u8]) -> Option<usize> {
        let quote = self.quote?;
        let at = match self.escape {
            Some(escape) => memchr2(quote, escape, text),
            None => memchr(quote, text),
        };
        at.filter(|at| at + 1 < text.len())
    }
}

enum End {
    Delimiter,
    Record(usize),
    Short,
    Odd,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(splitter: &Splitter, text: &str, last: bool) -> (Split, Vec<String>) {
        let mut fields = Vec::new();
        let split = splitter.split(text.as_bytes(), last, 4, &mut fields);
        let text = |field: &Field| {
            let mut out = Vec::new();
            splitter.append(&text.as_bytes()[field.from..field.to], field.escaped, &mut out);
            String::from_utf8(out).unwrap() + if field.quoted { "'" } else { "" }
        };
        (split, fields.iter().map(text).collect())
    }

    #[test]
    fn sound_records_have_fields() {
        let any = Splitter::new(b',', Some(b'"'), Some(b'\\'), RecordTerminator::Any);
        for (text, len, fields) in [
            ("a,b\nc", 4, vec!["a", "b"]),
            ("a,b\r\nc", 5, vec!["a", "b"]),
            ("\n", 1, vec![""]),
            (",\n", 2, vec!["", ""]),
            ("\"\",x\n", 5, vec!["'", "x"]),
            ("\"a\"\"b\",\"\n,\"\n", 12, vec!["a\"b'", "\n,'"]),
            ("\"a\\\"b\",\"\\\\\"\n", 12, vec!["a\"b'", "\\'"]),
        ] {
            let expected = fields.iter().map(ToString::to_string).collect();
            assert_eq!(split(&any, text, false), (Split::Record(len), expected), "{text:?}");
        }
        assert_eq!(split(&any, "a,b", true).0, Split::Record(3));
        assert_eq!(split(&any, "", true).0, Split::Record(0));
    }

    #[test]
    fn the_rest_is_not_judged() {
        let any = Splitter::new(b',', Some(b'"'), None, RecordTerminator::Any);
        for text in ["a\r", "a", "\"a", "\"a\"\"", "a,", "\"a\nb"] {
            assert_eq!(split(&any, text, false).0, Split::Short, "{text:?}");
        }
        let odd =
            ["a\rb\n", "a\"\n", "\"a\"b\n", "a\0\n", "\"a\0b\"\n", "\"a\0", "1,2,3,4,5\n", "\"a\"\rb\n"];
        for text in odd {
            assert_eq!(split(&any, text, false).0, Split::Odd, "{text:?}");
        }
        assert_eq!(split(&any, "a\r", true).0, Split::Odd);
        let crlf = Splitter::new(b',', None, None, RecordTerminator::CrLf);
        assert_eq!(split(&crlf, "a\n", false).0, Split::Odd);
        let lf = Splitter::new(b',', None, None, RecordTerminator::Lf);
        assert_eq!(split(&lf, "\"a\r\n", false), (Split::Record(4), vec!["\"a\r".to_owned()]));
    }
}
