//! `validate.csv`: delimiter-separated records keep the rules of the route.
//!
//! # Overview
//! A tap. Two readers of the same bytes: the machine reads one byte at a time and knows every rule and every
//! error; the scanner skips, 64 bytes at a time, what it can prove the machine would find nothing in, and hands over
//! wherever it cannot. Verdict, counts and messages are the machine's alone, and do not depend on how the stream was
//! cut into chunks.
//!
//! # The dialect
//! RFC 4180, with these decisions where it is silent:
//!
//! - **Records** end with the terminator of the route; the last one needs none. Under `Any` a CR without an LF, and
//!   under `CrLf` an LF without a CR, is an error of its record and then an ordinary byte of the field: it does not
//!   end the record. In quotes all of them are text.
//! - **Blank lines** are records with one empty field. Where the file has one column that is a value like any other;
//!   where it has more, it is the error `blank line`. None is skipped, at the end of the file neither.
//! - **Quoting** is broken by a quote inside an unquoted field, by anything but a field's end after a closing quote, and by
//!   the end of the file in quotes (everything after the open quote belongs to that record, so its fields are not
//!   counted). In the first two cases the rest of the field is read as unquoted. Spaces are text: `a, "b"` is broken.
//!   An escape byte means something in quotes only, and makes the next byte ordinary, whatever it is.
//! - **Null** is what an unquoted field says; `""` is the empty text, and not an integer. A null is not checked against
//!   the type; a type that accepts the null's text anyway does not make it less null.
//! - **Types** look at the whole text, spaces included, and accept at most 64 bytes.
//! - **NUL** is never text: an error of its record, in quotes as well.
//! - **UTF-8** (RFC 3629): a broken sequence is an error of its record.
//! - **A byte-order mark** (EF BB BF) at the start of the file is passed on like every byte, and is not part of the
//!   first name or value: record offsets start behind it. Anywhere else it is a character.
//! - **A header** that is not the expected one, that is broken, blank or missing (an empty file), or that does not name
//!   a column with a rule exactly once, is final at once, whatever the route tolerates. It is record 0, and is at most 1
//!   MiB long.
//! - **Columns**: every record has as many fields as the header, the route's names, or else the first record. Surplus
//!   fields have no rules, only well-formed quoting.
//!
//! # Failure handling
//! A field is reported once, for the first thing wrong with it; a record is counted once, however many of its fields
//! are wrong (at most ten are listed). Broken records within `limits.max_errors` are a tolerance: their bytes pass
//! unchanged like all others and only the report tells of them. One more, and the stage fails at that record's end.
//! `limits.max_record_bytes` (terminator included) and `limits.max_fields` fail at the byte that breaks them.
//!
//! # Memory
//! Nothing grows with the file or a record. Of a field cut by the end of a chunk the first bytes are kept, as many as
//! a type, a null or a message can need. The header is held for its names.

mod block;
mod dialect;
mod fields;
pub(super) mod lanes;
mod machine;
pub(super) mod records;
mod resume;
pub(super) mod rules;
mod scan;
pub(super) mod tally;
mod types;

use eft_domain::Failure;
use eft_domain::route::{CsvSpec, Limits};

use self::dialect::Dialect;
use self::machine::{Machine, Piece};
pub(super) use self::rules::show;
use self::scan::Scanner;
pub(super) use self::tally::Tally;
pub(super) use self::types::{accepts, name as type_name};
use super::utf8::{BadSequence, Utf8Scan};
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State};

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Bytes whose UTF-8 is checked before their records are: both passes find them in the first-level cache.
const WINDOW: usize = 16 << 10;

/// The stage `validate.csv`.
#[derive(Debug)]
pub struct CsvValidate {
    machine: Machine,
    scanner: Scanner,
    utf8: Option<Utf8Scan>,
    /// Bytes of a byte-order mark read so far; `None` once it is known whether there is one.
    mark: Option<usize>,
}

impl CsvValidate {
    /// A validator at the start of a file.
    ///
    /// # Errors
    /// [`Code::RouteInvalid`](eft_domain::Code::RouteInvalid) when the spec contradicts itself: bytes of the dialect
    /// that are not ASCII, are NUL, CR or LF, or mean two things; no columns, or more than `limits.max_fields`; a rule for
    /// a column that is not named, or not exactly once.
    pub fn new(spec: CsvSpec, limits: &Limits) -> Result<Self, Failure> {
        let utf8 = spec.utf8.then(Utf8Scan::default);
        let machine = Machine::new(Dialect::new(spec, limits)?, Tally::new(limits.max_errors));
        Ok(Self { scanner: Scanner::new(&machine), machine, utf8, mark: Some(0) })
    }

    /// Read `bytes`, which start at offset `base`.
    fn read(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let piece = Piece { bytes, base };
        let mut from = self.read_mark(bytes)?;
        let mut checked = 0;
        while checked < bytes.len() {
            let window = (checked + WINDOW).min(bytes.len());
            let ahead = &bytes[checked..window];
            let bad = match &mut self.utf8 {
                Some(utf8) => utf8.next_bad(ahead, base + checked as u64),
                None => {
                    touch(ahead);
                    None
                }
            };
            match bad {
                Some((bad, dropped)) => {
                    // A sequence cut by a chunk's end is judged after its first byte was read; so is any other.
                    let to = (bad.offset + 1).saturating_sub(base).max(checked as u64) as usize;
                    if to > from {
                        from = self.scanner.read(&mut self.machine, piece, from, to, true)?;
                    }
                    self.machine.break_utf8(|| not_utf8(bad));
                    checked += dropped;
                }
                None => {
                    let last = window == bytes.len();
                    from = self.scanner.read(&mut self.machine, piece, from, window, last)?;
                    checked = window;
                }
            }
        }
        self.machine.keep_rest(piece);
        Ok(())
    }

    /// Step over a byte-order mark at the start of the file; returns how many of `bytes` that takes.
    fn read_mark(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let Some(before) = self.mark else { return Ok(0) };
        let same = bytes.iter().zip(&BOM[before..]).take_while(|(byte, mark)| byte == mark).count();
        if before + same == BOM.len() {
            self.mark = None;
            self.machine.start_record(BOM.len() as u64);
            return Ok(same);
        }
        if same == bytes.len() {
            self.mark = Some(before + same);
            return Ok(same);
        }
        self.give_mark_back()?;
        Ok(0)
    }

    /// It is no byte-order mark: what was held back is text.
    fn give_mark_back(&mut self) -> Result<(), Failure> {
        let Some(held) = self.mark.take() else { return Ok(()) };
        let piece = Piece { bytes: &BOM[..held], base: 0 };
        for (offset, byte) in piece.bytes.iter().enumerate() {
            self.machine.byte(piece, offset as u64, *byte)?;
        }
        self.machine.keep_rest(piece);
        Ok(())
    }

    fn finish(&mut self, end: u64) -> Result<(), Failure> {
        self.give_mark_back()?;
        if let Some(bad) = self.utf8.as_mut().and_then(|utf8| utf8.finish(end)) {
            self.machine.break_utf8(|| not_utf8(bad));
        }
        self.machine.finish(end)
    }
}

/// Read a byte of every cache line. The scanner's steps depend on what it reads, which leaves it waiting for memory; a
/// plain pass before it does not wait.
fn touch(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().step_by(64).fold(0, |all, byte| all | byte));
}

fn not_utf8(bad: BadSequence) -> String {
    format!("not UTF-8 at byte {}: {bad}", bad.offset)
}

impl Stage for CsvValidate {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: "validate.csv",
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64 + self.machine.dialect.memory(),
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let base = input.offset();
            let bytes = if input.wants_save() {
                if self.is_between() {
                    return Ok(Flow::Boundary);
                }
                // To the next line end, which is the end of a record unless it stands in quotes.
                let line = memchr::memchr(b'\n', input.chunk()).map_or(input.chunk().len(), |at| at + 1);
                input.take(line)
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
        self.finish(input.offset())?;
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        let tally = &self.machine.tally;
        StageReport {
            records: Some(tally.records),
            errors: tally.errors,
            rejects: tally.rejects.clone(),
            ..StageReport::default()
        }
    }

    fn save(&self) -> Option<State> {
        self.save_between()
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        self.restore_between(state)
    }
}
