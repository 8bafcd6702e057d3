//! Where records end: shared by the stages that count, cut or compare them.
//!
//! # The dialect
//! A line ends behind its line feed; so does a record of CSV, unless the line feed stands in quotes. Quotes open at the
//! start of a field only, and what follows a closing quote is read as unquoted, as `validate.csv` reads it: for a file
//! that stage takes with the same dialect, records are the same. A last record needs no line feed. A byte-order mark
//! belongs to the first record.

mod fields;

use eft_domain::{
    Code, Failure,
    route::{DialectSpec, RecordsSpec},
};

pub(super) use fields::{at, column_name, content, find, shown};

/// Where in a record the framer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the start of a field.
    Start,
    /// In an unquoted field, or behind a quoted one.
    Unquoted,
    Quoted,
    /// Behind an escape in quotes.
    Escaped,
    /// Behind a quote in quotes: the end of them, or the first of a pair.
    Closing,
}

/// Finds the ends of records in a stream that comes in pieces.
#[derive(Debug)]
struct Framer {
    /// `None`: lines, which have no quotes.
    dialect: Option<DialectSpec>,
    at: At,
}

impl Framer {
    /// How many of `bytes` belong to the record being read, when it ends in them.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let Some(DialectSpec { delimiter, quote: Some(quote), escape }) = self.dialect else {
            return memchr::memchr(b'\n', bytes).map(|at| at + 1);
        };
        let mut from = 0;
        while from < bytes.len() {
            let rest = &bytes[from..];
            match self.at {
                At::Start if rest[0] == quote => (self.at, from) = (At::Quoted, from + 1),
                At::Start | At::Unquoted => {
                    let Some(found) = memchr::memchr2(b'\n', quote, rest) else {
                        let last = rest[rest.len() - 1];
                        self.at = if last == delimiter { At::Start } else { At::Unquoted };
                        return None;
                    };
                    if rest[found] == b'\n' {
                        self.at = At::Start;
                        return Some(from + found + 1);
                    }
                    let opens = found > 0 && rest[found - 1] == delimiter;
                    self.at = if opens { At::Quoted } else { At::Unquoted };
                    from += found + 1;
                }
                At::Quoted => {
                    let found = memchr::memchr2(quote, escape.unwrap_or(quote), rest)?;
                    self.at = if rest[found] == quote { At::Closing } else { At::Escaped };
                    from += found + 1;
                }
                At::Escaped => (self.at, from) = (At::Quoted, from + 1),
                At::Closing => match rest[0] {
                    byte if byte == quote => (self.at, from) = (At::Quoted, from + 1),
                    byte if byte == delimiter => (self.at, from) = (At::Start, from + 1),
                    // Looked at again: it may be a line feed.
                    _ => self.at = At::Unquoted,
                },
            }
        }
        None
    }
}

/// Counts records and holds each of them to its limit.
#[derive(Debug)]
pub(super) struct Records {
    framer: Framer,
    /// Longest record, line end included, in bytes.
    max: u64,
    /// The first record is a header, which has the number 0.
    header: bool,
    /// Records read to their end, the header among them.
    pub(super) read: u64,
    /// Bytes of the record being read.
    pub(super) open: u64,
}

impl Records {
    pub(super) fn new(spec: RecordsSpec, max: u64) -> Self {
        let dialect = match spec {
            RecordsSpec::Lines => None,
            RecordsSpec::Csv(dialect) => Some(dialect),
        };
        Self { framer: Framer { dialect, at: At::Start }, max, header: false, read: 0, open: 0 }
    }

    /// The same, with a header or without.
    pub(super) fn with_header(self, header: bool) -> Self {
        Self { header, ..self }
    }

    /// Read on to the end of the record, or of `bytes`, which start at `offset`; not empty. Returns how many bytes that
    /// is, and whether the record has ended.
    ///
    /// # Errors
    /// `limit.max_record_bytes`.
    #[inline]
    pub(super) fn advance(&mut self, bytes: &[u8], offset: u64) -> Result<(usize, bool), Failure> {
        let end = self.framer.end(bytes);
        let n = end.unwrap_or(bytes.len());
        let start = offset - self.open;
        self.open += n as u64;
        if self.open > self.max {
            let number = self.read + u64::from(!self.header);
            let observed = format!("{} bytes and more in record {number} at byte {start}", self.max + 1);
            return Err(Failure::limit(Code::LimitRecordBytes, observed, self.max));
        }
        if end.is_some() {
            (self.read, self.open) = (self.read + 1, 0);
        }
        Ok((n, end.is_some()))
    }

    /// The stream ends: true when that ends a record.
    pub(super) fn finish(&mut self) -> bool {
        let ended = self.open > 0;
        if ended {
            (self.read, self.open) = (self.read + 1, 0);
        }
        ended
    }

    /// Nothing of the next record is read.
    pub(super) fn is_between(&self) -> bool {
        self.open == 0
    }

    /// Go on between two records, after `read` of them.
    pub(super) fn resume(&mut self, read: u64) {
        (self.framer.at, self.read, self.open) = (At::Start, read, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(quote: Option<u8>, escape: Option<u8>) -> RecordsSpec {
        RecordsSpec::Csv(DialectSpec { delimiter: b',', quote, escape })
    }

    /// The records of `input`, whole and cut between any two bytes.
    fn split(spec: RecordsSpec, input: &[u8]) -> Vec<String> {
        let read = |pieces: &[&[u8]]| {
            let mut records = Records::new(spec, u64::MAX);
            let (mut found, mut offset) = (vec![String::new()], 0);
            for mut bytes in pieces.iter().copied() {
                while !bytes.is_empty() {
                    let (n, ended) = records.advance(bytes, offset).unwrap();
                    *found.last_mut().unwrap() += str::from_utf8(&bytes[..n]).unwrap();
                    if ended {
                        found.push(String::new());
                    }
                    (bytes, offset) = (&bytes[n..], offset + n as u64);
                }
            }
            if !records.finish() {
                found.pop();
            }
            assert_eq!(records.read, found.len() as u64);
            found
        };
        let whole = read(&[input]);
        for at in 0..=input.len() {
            assert_eq!(read(&[&input[..at], &input[at..]]), whole, "cut at {at}");
        }
        assert_eq!(read(&input.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
        whole
    }

    #[test]
    fn lines() {
        assert_eq!(split(RecordsSpec::Lines, b""), [""; 0]);
        assert_eq!(split(RecordsSpec::Lines, b"a\n\nb\r\n\"c\nd"), ["a\n", "\n", "b\r\n", "\"c\n", "d"]);
    }

    #[test]
    fn line_feeds_in_quotes() {
        let quoted = csv(Some(b'"'), None);
        assert_eq!(split(quoted, b"\"a\nb\"\nc\n"), ["\"a\nb\"\n", "c\n"]);
        assert_eq!(split(quoted, b"x,\"a\n\"\"\nb\"\r\nc"), ["x,\"a\n\"\"\nb\"\r\n", "c"]);
        // In the middle of a field, and behind a closing one, a quote is text.
        assert_eq!(split(quoted, b"a\"\nb\"c,\n"), ["a\"\n", "b\"c,\n"]);
        assert_eq!(split(quoted, b"\"a\"b\"\nc\n"), ["\"a\"b\"\n", "c\n"]);
        assert_eq!(split(quoted, b"\"a\",\"\n\"\n"), ["\"a\",\"\n\"\n"]);
        assert_eq!(split(quoted, b"\"a\nb"), ["\"a\nb"]);
        assert_eq!(split(csv(None, None), b"\"a\nb\"\n"), ["\"a\n", "b\"\n"]);
        assert_eq!(split(csv(Some(b'"'), Some(b'\\')), b"\"a\\\"\n\"\nb"), ["\"a\\\"\n\"\n", "b"]);
    }

    #[test]
    fn a_long_record_is_refused_at_its_limit() {
        let mut records = Records::new(RecordsSpec::Lines, 4);
        assert_eq!(records.advance(b"abc\nabcd\n", 0), Ok((4, true)));
        let failure = records.advance(b"abcd\n", 4).unwrap_err();
        assert_eq!(failure.message, "observed 5 bytes and more in record 2 at byte 4, the route allows 4");
    }
}
