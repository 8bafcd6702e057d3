//! `validate.fixed_width`: every record has the same length, and its columns hold what the route says.
//!
//! # Overview
//! A tap. A record that lies within a chunk is looked at where it lies; of one that a chunk's end cuts the bytes are
//! held, as many as a record has.
//!
//! # Records
//! Where records end with a line end, that is what tells them apart: one of another length is an error of that record,
//! and the next begins behind its line end. Where nothing ends them, the file ends with a whole one. The last record
//! needs no line end. A blank line is a record of no bytes. Lengths are in bytes, whatever the encoding.
//!
//! # Columns
//! The blanks (20) around a field are no part of it. A field that is all blank is null, which is no error of its type.
//!
//! # Failure handling
//! As `validate.csv`: broken records within `limits.max_errors` pass and are listed.

use std::ops::Range;

use eft_domain::route::{ColumnType, FixedWidthSpec, Limits, LineTerminator, width};
use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize};

use super::csv::{Tally, accepts, show, type_name};
use super::{
    Flow, Input, Kind, Output, Reject, ResumeClass, Stage, StageInfo, StageReport, State, pack, unpack,
};

const NAME: &str = "validate.fixed_width";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Bytes of a field that are shown in a reason.
const SHOWN: usize = 64;

/// The stage `validate.fixed_width`.
#[derive(Debug)]
pub struct FixedWidth {
    /// Bytes of a record.
    record: usize,
    terminator: LineTerminator,
    columns: Vec<Column>,
    /// Longest record taken, its line end included.
    max: u64,
    tally: Tally,
    /// Offset of the record being read.
    start: u64,
    /// Bytes of it so far.
    seen: u64,
    /// The first of them, as many as a record and its line end have.
    held: Vec<u8>,
    /// The last of them is a CR.
    cr: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    place: Range<usize>,
    ty: ColumnType,
    not_null: bool,
}

#[derive(Serialize, Deserialize)]
struct Between {
    records: u64,
    errors: u64,
    rejects: Vec<Reject>,
}

impl FixedWidth {
    /// A validator at the start of a file.
    ///
    /// # Errors
    /// [`Code::RouteInvalid`] when a column lies outside a record, or a record has no bytes or more than the limit.
    pub fn new(spec: FixedWidthSpec, limits: &Limits) -> Result<Self, Failure> {
        let (record, needed, max) =
            (u64::from(spec.record), width(&spec.columns), limits.max_record_bytes.bytes());
        if record == 0 || needed > record || record + spec.terminator.longest() > max {
            let message = format!("records of {record} bytes with columns of {needed}, limited to {max}");
            return Err(Failure::new(Code::RouteInvalid, message));
        }
        let columns = spec.columns.into_iter().map(|column| {
            let end = usize::try_from(column.end()).unwrap_or(usize::MAX);
            let start = (column.start as usize).saturating_sub(1);
            Column {
                name: column.name,
                place: start..end,
                ty: column.kind.ty,
                not_null: column.kind.not_null,
            }
        });
        Ok(Self {
            record: spec.record as usize,
            terminator: spec.terminator,
            columns: columns.collect(),
            max,
            tally: Tally::new(limits.max_errors),
            start: 0,
            seen: 0,
            held: Vec::new(),
            cr: false,
        })
    }

    /// Read `bytes`, which start at offset `base`.
    fn read(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.seen == 0 {
                self.start = base + (bytes.len() - rest.len()) as u64;
            }
            rest = match self.terminator {
                LineTerminator::None => self.read_length(rest)?,
                _ => self.read_line(rest)?,
            };
        }
        Ok(())
    }

    /// Read up to the end of the record, or all; returns what is left.
    fn read_length<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        let missing = self.record - self.held.len();
        let (piece, rest) = bytes.split_at(missing.min(bytes.len()));
        if piece.len() == self.record {
            self.judge(piece, self.record as u64)?;
            return Ok(rest);
        }
        self.hold(piece);
        if self.held.len() == self.record {
            self.judge_held(self.record as u64)?;
        }
        Ok(rest)
    }

    /// Read up to and with the next line end, or all; returns what is left.
    fn read_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        let end = memchr::memchr(b'\n', bytes);
        let (piece, rest) = match end {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (bytes, &[][..]),
        };
        if self.seen + piece.len() as u64 + u64::from(end.is_some()) > self.max {
            let (number, start) = (self.tally.records + 1, self.start);
            let observed = format!("at least {} bytes in record {number} at byte {start}", self.max + 1);
            return Err(Failure::limit(Code::LimitRecordBytes, observed, self.max));
        }
        let whole = end.is_some() && self.seen == 0;
        if !whole {
            self.hold(piece);
        }
        if end.is_none() {
            return Ok(rest);
        }
        let (seen, cr) =
            if whole { (piece.len() as u64, piece.last() == Some(&b'\r')) } else { (self.seen, self.cr) };
        let length = match self.terminator {
            LineTerminator::Any | LineTerminator::CrLf if cr => seen - 1,
            LineTerminator::CrLf => {
                self.fault(None, || "ends with LF, not CRLF".to_owned());
                seen
            }
            _ => seen,
        };
        if whole {
            self.judge(piece, length)?
        } else {
            self.judge_held(length)?
        }
        Ok(rest)
    }

    /// Keep of a record what is needed once its end is found.
    fn hold(&mut self, piece: &[u8]) {
        self.seen += piece.len() as u64;
        self.cr = piece.last().map_or(self.cr, |byte| *byte == b'\r');
        let room = self.record.saturating_sub(self.held.len());
        self.held.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn judge_held(&mut self, length: u64) -> Result<(), Failure> {
        let mut held = std::mem::take(&mut self.held);
        let judged = self.judge(&held, length);
        held.clear();
        self.held = held;
        judged
    }

    /// A record of `length` bytes ends, of which `bytes` holds at least as many as a sound one has.
    fn judge(&mut self, bytes: &[u8], length: u64) -> Result<(), Failure> {
        (self.seen, self.cr) = (0, false);
        if length != self.record as u64 {
            let record = self.record;
            let marked = self.tally.records == 0 && bytes.starts_with(BOM);
            let hint =
                if marked { " (it starts with a byte-order mark, which `strip_bom` drops)" } else { "" };
            self.fault(None, || format!("has {length} bytes, not {record}{hint}"));
            return self.tally.end_record();
        }
        for column in &self.columns {
            let field = bytes.get(column.place.clone()).unwrap_or_default();
            let text = trimmed(field);
            let why = match (text.is_empty(), column.ty) {
                (true, _) if column.not_null => "null (all blank), the column may not be".to_owned(),
                (true, _) | (_, ColumnType::Text) => continue,
                (false, ty) if accepts(ty, text) => continue,
                (false, ty) => {
                    let cut = &text[..text.len().min(SHOWN)];
                    format!("not {}: {}", type_name(ty), show(cut, cut.len() < text.len()))
                }
            };
            let (offset, column) = (self.start, Some(column.name.clone()));
            self.tally.note(|record| Reject { record, offset, column, reason: why });
        }
        self.tally.end_record()
    }

    fn fault(&mut self, column: Option<String>, why: impl FnOnce() -> String) {
        let offset = self.start;
        self.tally.note(|record| Reject { record, offset, column, reason: why() });
    }

    /// The file ends.
    fn finish(&mut self) -> Result<(), Failure> {
        if self.seen == 0 {
            return Ok(());
        }
        if self.terminator == LineTerminator::None {
            let (seen, record, start) = (self.seen, self.record, self.start);
            let number = self.tally.records + 1;
            let message = format!(
                "the file ends after {seen} of the {record} bytes of record {number} at byte {start}"
            );
            return Err(Failure::new(Code::FormatTruncated, message));
        }
        self.judge_held(self.seen)
    }

    /// How far to read to the end of a record.
    fn reach(&self, chunk: &[u8]) -> usize {
        let reach = match self.terminator {
            LineTerminator::None => self.record - self.held.len(),
            _ => memchr::memchr(b'\n', chunk).map_or(chunk.len(), |at| at + 1),
        };
        reach.min(chunk.len())
    }
}

fn trimmed(field: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ';
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &field[start..end]
}

impl Stage for FixedWidth {
    fn info(&self) -> StageInfo {
        let columns = self.columns.iter().map(|column| size_of::<Column>() + column.name.len());
        StageInfo {
            name: NAME,
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            memory: (size_of::<Self>() + self.record + columns.sum::<usize>()) as u64,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let base = input.offset();
            let bytes = if input.wants_save() {
                if self.seen == 0 {
                    return Ok(Flow::Boundary);
                }
                input.take(self.reach(input.chunk()))
            } else {
                input.take_chunk()
            };
            let Some(bytes) = bytes else { break };
            self.read(&bytes, base)?;
            output.pass(bytes);
        }
        if !input.is_finished() {
            return Ok(Flow::Hungry);
        }
        self.finish()?;
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        let Tally { records, errors, rejects, .. } = &self.tally;
        StageReport {
            records: Some(*records),
            errors: *errors,
            rejects: rejects.clone(),
            ..StageReport::default()
        }
    }

    fn save(&self) -> Option<State> {
        if self.seen > 0 {
            return None;
        }
        let Tally { records, errors, rejects, .. } = &self.tally;
        pack(&Between { records: *records, errors: *errors, rejects: rejects.clone() })
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { records, errors, rejects } = unpack(NAME, state)?;
        (self.tally.records, self.tally.errors, self.tally.rejects) = (records, errors, rejects);
        Ok(())
    }
}
