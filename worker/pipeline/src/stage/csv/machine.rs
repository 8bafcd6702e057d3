//! The record machine: a byte at a time, every rule, every error. It is what decides.
//!
//! The block scanner ([`super::scan`]) only skips bytes it has proved the machine would find nothing in.

use eft_domain::route::RecordTerminator;
use eft_domain::{Code, Failure};

use super::dialect::{Dialect, Table};
use super::tally::Tally;
use crate::stage::Reject;

/// A piece of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    /// Offset of its first byte.
    pub(super) base: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing of the field is read.
    Start,
    /// In an unquoted field.
    Unquoted,
    /// In a quoted field.
    Quoted,
    /// After an escape in a quoted field.
    Escaped,
    /// After a quote in a quoted field: its end, or the first of a pair.
    Closing,
    /// After a carriage return at the start of or in an unquoted field.
    Return,
    /// After a carriage return behind a closing quote.
    ClosingReturn,
}

/// Where the machine stands.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) dialect: Dialect,
    pub(super) tally: Tally,
    pub(super) state: State,
    /// The header is being read.
    pub(super) header: Option<Header>,
    /// `None` until the header, or the first record of a file without names, is read.
    pub(super) table: Option<Table>,
    pub(super) record_start: u64,
    pub(super) field_start: u64,
    /// Fields of the record before this one.
    pub(super) field: usize,
    /// The field has been reported: nothing more is said of it.
    pub(super) field_broken: bool,
    /// The start of a field that began in an earlier piece.
    kept: Vec<u8>,
    /// What the record's limit is told along with it.
    hint: Option<String>,
}

/// The header, while it is read.
#[derive(Debug, Default)]
pub(super) struct Header {
    names: Vec<String>,
    /// The first thing wrong with it: the column and the reason.
    wrong: Option<(Option<String>, String)>,
}

/// What an error is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Field,
    Record,
}

impl Machine {
    pub(super) fn new(dialect: Dialect, tally: Tally) -> Self {
        Self {
            table: dialect.table(),
            header: dialect.has_header().then(Header::default),
            dialect,
            tally,
            state: State::Start,
            record_start: 0,
            field_start: 0,
            field: 0,
            field_broken: false,
            kept: Vec::new(),
            hint: None,
        }
    }

    /// Read the byte at `offset`.
    #[inline]
    pub(super) fn byte(&mut self, piece: Piece<'_>, offset: u64, byte: u8) -> Result<(), Failure> {
        let max = if self.header.is_some() { self.dialect.max_header } else { self.dialect.max_record };
        if offset - self.record_start >= max {
            return Err(self.too_long(max));
        }
        match self.state {
            State::Return | State::ClosingReturn if byte == b'\n' => {
                return self.end_record(piece, offset - 1, offset);
            }
            State::Return => {
                self.break_field(|| format!("carriage return without a line feed at byte {}", offset - 1));
                self.state = State::Unquoted;
            }
            State::ClosingReturn => {
                self.break_field(|| format!("text after the closing quote at byte {}", offset - 1));
                self.state = State::Unquoted;
            }
            _ => {}
        }
        let quote = Some(byte) == self.dialect.quote;
        match self.state {
            State::Quoted => {
                if quote {
                    self.state = State::Closing;
                } else if Some(byte) == self.dialect.escape {
                    self.state = State::Escaped;
                }
            }
            State::Escaped => self.state = State::Quoted,
            State::Closing if quote => self.state = State::Quoted,
            State::Start if quote => self.state = State::Quoted,
            _ if byte == self.dialect.delimiter => return self.end_field_at_delimiter(piece, offset),
            _ if byte == b'\n' && self.dialect.terminator != RecordTerminator::CrLf => {
                return self.end_record(piece, offset, offset);
            }
            _ if byte == b'\r' && self.dialect.terminator != RecordTerminator::Lf => {
                self.state = if self.state == State::Closing { State::ClosingReturn } else { State::Return };
            }
            State::Closing => {
                self.state = State::Unquoted;
                self.break_field(|| format!("text after the closing quote at byte {offset}"));
            }
            _ => {
                self.state = State::Unquoted;
                if quote {
                    self.break_field(|| format!("quote inside an unquoted field at byte {offset}"));
                } else if byte == b'\n' {
                    self.break_field(|| format!("line feed without a carriage return at byte {offset}"));
                }
            }
        }
        if byte == 0 {
            self.break_field(|| format!("NUL at byte {offset}"));
        }
        Ok(())
    }

    /// Something is wrong with the field being read; only the first thing is reported.
    fn break_field(&mut self, reason: impl Fn() -> String) {
        if self.hint.is_none() {
            self.hint = Some(reason());
        }
        self.break_utf8(reason);
    }

    /// As [`Machine::break_field`], for a broken UTF-8 sequence: when it is seen depends on where the stream was cut,
    /// so that a limit must not mention it.
    pub(super) fn break_utf8(&mut self, reason: impl FnOnce() -> String) {
        if !self.field_broken {
            self.field_broken = true;
            self.note(About::Field, reason);
        }
    }

    fn note(&mut self, about: About, reason: impl FnOnce() -> String) {
        let (offset, field) = (self.record_start, self.field);
        if let Some(header) = &mut self.header {
            let column = (about == About::Field).then(|| format!("#{}", field + 1));
            header.wrong.get_or_insert_with(|| (column, reason()));
            return;
        }
        let names = self.table.as_ref().map_or(&[][..], |table| &table.names);
        self.tally.note(|record| {
            let column = (about == About::Field).then(|| match names.get(field) {
                Some(name) if !name.is_empty() => name.clone(),
                _ => format!("#{}", field + 1),
            });
            Reject { record, offset, column, reason: reason() }
        });
    }

    /// How much of a field is kept: all of a header's, bounded by the header's own limit.
    fn keep(&self) -> usize {
        if self.header.is_some() { self.dialect.max_header as usize } else { self.dialect.rules.keep }
    }

    /// Keep what the next piece needs of this one, the field being read.
    pub(super) fn keep_rest(&mut self, piece: Piece<'_>) {
        let end = piece.base + piece.bytes.len() as u64;
        if self.field_start >= piece.base {
            self.kept.clear();
        }
        let from = self.field_start.max(piece.base).min(end) - piece.base;
        let room = self.keep() - self.kept.len();
        self.kept.extend(piece.bytes[from as usize..].iter().take(room));
    }

    fn end_field_at_delimiter(&mut self, piece: Piece<'_>, offset: u64) -> Result<(), Failure> {
        self.end_field(piece, offset);
        self.field += 1;
        if self.field as u64 >= self.dialect.max_fields {
            let observed = format!(
                "{} fields and more in record {} at byte {}",
                self.field + 1,
                self.number(),
                self.record_start
            );
            return Err(Failure::limit(Code::LimitFields, observed, self.dialect.max_fields));
        }
        self.field_start = offset + 1;
        self.state = State::Start;
        Ok(())
    }

    fn end_field(&mut self, piece: Piece<'_>, end: u64) {
        let keep = self.keep();
        let broken = std::mem::take(&mut self.field_broken);
        let raw = raw(&mut self.kept, keep, self.field_start, piece, end);
        if let Some(header) = &mut self.header {
            header.names.push(String::from_utf8_lossy(&self.dialect.rules.text(raw)).into_owned());
            return;
        }
        let rule = self.table.as_ref().and_then(|table| table.rules.get(self.field).copied());
        let Some(rule) = rule.filter(|_| !broken) else { return };
        if let Err(wrong) = self.dialect.rules.check(rule, raw) {
            let reason = self.dialect.rules.reason(wrong, raw);
            self.note(About::Field, || reason);
        }
    }

    /// The record's last field ends before `end`, its terminator with the byte at `last`.
    fn end_record(&mut self, piece: Piece<'_>, end: u64, last: u64) -> Result<(), Failure> {
        let blank = end == self.record_start;
        if blank && self.header.is_some() {
            self.note(About::Record, || "blank line where the header should be".to_owned());
        }
        let width = self.table.as_ref().map(|table| table.rules.len());
        if blank && width.is_some_and(|width| width > 1) {
            self.note(About::Record, || "blank line".to_owned());
        } else {
            self.end_field(piece, end);
            let fields = self.field + 1;
            if let Some(width) = width.filter(|width| *width != fields) {
                let s = if fields == 1 { "" } else { "s" };
                self.note(About::Record, || format!("{fields} field{s}, expected {width}"));
            }
        }
        self.close(last + 1)
    }

    /// The record is complete; the next one starts at `next`.
    fn close(&mut self, next: u64) -> Result<(), Failure> {
        if let Some(Header { names, wrong }) = self.header.take() {
            let read = match wrong {
                None => self.dialect.read_header(&names).map_err(|why| (None, why)),
                Some(wrong) => Err(wrong),
            };
            match read {
                Ok(table) => self.table = Some(table),
                Err((column, why)) => return Err(self.tally.fatal(self.record_start, column, why)),
            }
            self.kept = Vec::new();
        } else {
            self.table.get_or_insert_with(|| self.dialect.unnamed(self.field + 1));
            self.tally.end_record()?;
        }
        self.start_record(next);
        Ok(())
    }

    pub(super) fn start_record(&mut self, offset: u64) {
        self.record_start = offset;
        self.field_start = offset;
        self.field = 0;
        self.field_broken = false;
        self.hint = None;
        self.state = State::Start;
    }

    /// The stream ends at `end`, after the byte-order mark if there is one.
    pub(super) fn finish(&mut self, end: u64) -> Result<(), Failure> {
        if end == self.record_start {
            if self.header.is_some() {
                return Err(self.tally.fatal(end, None, self.dialect.no_header()));
            }
            return Ok(());
        }
        let piece = Piece { bytes: &[], base: end };
        match self.state {
            State::Return => {
                self.break_field(|| format!("carriage return without a line feed at byte {}", end - 1));
            }
            State::ClosingReturn => {
                self.break_field(|| format!("text after the closing quote at byte {}", end - 1));
            }
            State::Quoted | State::Escaped => {
                let start = self.field_start;
                self.break_field(|| format!("quote opened at byte {start} is not closed"));
                // What is missing after it is not known: no count of fields.
                return self.close(end);
            }
            State::Start | State::Unquoted | State::Closing => {}
        }
        self.end_record(piece, end, end)?;
        // No byte ended it: whoever goes on from here stands at the end, not one behind it.
        self.start_record(end);
        Ok(())
    }

    /// The number of the record being read; 0 is the header.
    fn number(&self) -> u64 {
        if self.header.is_some() { 0 } else { self.tally.records + 1 }
    }

    fn too_long(&self, max: u64) -> Failure {
        let mut observed =
            format!("{} bytes and more in record {} at byte {}", max + 1, self.number(), self.record_start);
        if let State::Quoted | State::Escaped = self.state {
            observed += &format!(" (inside the quote opened at byte {})", self.field_start);
        }
        if let Some(hint) = &self.hint {
            observed += &format!(" ({hint})");
        }
        Failure::limit(Code::LimitRecordBytes, observed, max)
    }
}

/// The field that starts at `start` and ends before `end` as it stands in the file, or its first `keep` bytes; `kept`
/// holds what earlier pieces had of it.
fn raw<'a>(kept: &'a mut Vec<u8>, keep: usize, start: u64, piece: Piece<'a>, end: u64) -> &'a [u8] {
    if let Some(from) = start.checked_sub(piece.base) {
        let raw = &piece.bytes[from as usize..(end - piece.base) as usize];
        return &raw[..raw.len().min(keep)];
    }
    // A field may even end before the piece: at a carriage return that was the last byte of the piece before.
    let rest = &piece.bytes[..end.saturating_sub(piece.base) as usize];
    kept.extend(rest.iter().take(keep - kept.len()));
    &kept[..kept.len().min((end - start) as usize)]
}
