//! `validate.jsonl`: every line is one JSON text (RFC 8259), valid against the schema of the route if it has one.
//!
//! # Overview
//! A tap. Lines are checked where they lie in a chunk; only the line a chunk's end cuts is copied, to be checked when
//! it is whole. So every verdict is one of a whole line, and does not depend on the chunks. A check builds no values
//! (`syntax.rs`); only a schema needs them.
//!
//! # The dialect
//! - **Records** end with LF; white space of JSON around a value (space, tab, CR) is allowed, so CRLF is. The last line
//!   needs no end. No value goes over two lines.
//! - **A line without a value** is a broken record, or with `blank_lines: skip` none at all. The empty file has none.
//! - **Text** is UTF-8 (RFC 3629); `\u` escapes are whole characters: half a surrogate pair is refused, which the
//!   grammar allows and no UTF-8 reader can keep. A byte order mark is refused.
//! - **Numbers** are of any length and size; `NaN` and `Infinity` are none. Where there is a schema a number must fit a
//!   double.
//! - **Keys** may stand twice unless `unique_keys`; a schema then sees the last.
//!
//! # Failure handling
//! A record is counted as broken once, for the first thing wrong with its syntax, or for at most ten rules of the
//! schema. Broken records within `limits.max_errors` are passed on unchanged and reported.
//! `limits.max_record_bytes` (line end included) and `limits.max_depth` are final at the record that breaks them.

mod place;
mod shape;
mod syntax;

use eft_domain::route::{BlankLines, JsonlSpec, Limits};
use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize};

use self::syntax::{Broken, Checker, What};
use super::csv::tally::{MAX_PER_RECORD, Tally};
use super::utf8::Utf8Scan;
use super::{
    Flow, Input, Kind, Output, Reject, ResumeClass, Stage, StageInfo, StageReport, State, bad_state, pack,
    unpack,
};

const NAME: &str = "validate.jsonl";

/// Bytes whose UTF-8 is checked before their lines are: both passes find them in the first-level cache.
const WINDOW: usize = 16 << 10;

/// Bytes of a value in memory per byte of text at most: a list of one-digit numbers, in a vector that has doubled.
const VALUE_RATIO: u64 = 40;

/// Bytes of a set of keys per byte of text at most: a key of one byte takes five of text and, with its place in a
/// table that has doubled, about a hundred of memory.
const KEYS_RATIO: u64 = 20;

/// The stage `validate.jsonl`.
#[derive(Debug)]
pub struct JsonlValidate {
    spec: JsonlSpec,
    syntax: Checker,
    tally: Tally,
    max_record: usize,
    max_depth: u32,
    /// The line that a chunk's end has cut, as far as it is known.
    held: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Between {
    records: u64,
    errors: u64,
    rejects: Vec<Reject>,
}

impl JsonlValidate {
    /// A validator at the start of a file.
    pub fn new(spec: JsonlSpec, limits: &Limits) -> Self {
        Self {
            spec,
            syntax: Checker::new(limits.max_depth),
            tally: Tally::new(limits.max_errors),
            max_record: usize::try_from(limits.max_record_bytes.bytes()).unwrap_or(usize::MAX),
            max_depth: limits.max_depth,
            held: Vec::new(),
        }
    }

    /// Read `bytes`, which start at offset `base`.
    fn read(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let mut from = 0;
        if !self.held.is_empty() {
            let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
            from = end.unwrap_or(bytes.len());
            self.hold(&bytes[..from], base)?;
            if end.is_none() {
                return Ok(());
            }
            self.read_held(base + from as u64)?;
        }
        let rest = &bytes[from..];
        let whole = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        self.read_lines(&rest[..whole], base + from as u64)?;
        self.hold(&rest[whole..], base + (from + whole) as u64)
    }

    /// Keep bytes, which start at offset `base`, of a line that is not whole.
    fn hold(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let start = base - self.held.len() as u64;
        if bytes.len() > self.max_record - self.held.len() {
            return Err(self.too_long(start));
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The line that was held is whole and ends at offset `end`.
    fn read_held(&mut self, end: u64) -> Result<(), Failure> {
        let mut line = std::mem::take(&mut self.held);
        self.read_lines(&line, end - line.len() as u64)?;
        line.clear();
        self.held = line;
        Ok(())
    }

    /// Check whole lines, of which only the last may lack its line feed.
    fn read_lines(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let mut from = 0;
        while from < bytes.len() {
            let ahead = &bytes[from..];
            let window = match memchr::memrchr(b'\n', &ahead[..ahead.len().min(WINDOW)]) {
                Some(at) => at + 1,
                None => memchr::memchr(b'\n', ahead).map_or(ahead.len(), |at| at + 1),
            };
            let window = &ahead[..window];
            self.read_window(window, base + from as u64)?;
            from += window.len();
        }
        Ok(())
    }

    fn read_window(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let is_text = simdutf8::basic::from_utf8(bytes).is_ok();
        let more = self.spec.unique_keys || self.spec.schema.is_some();
        let mut from = 0;
        while from < bytes.len() {
            let start = base + from as u64;
            let checked = self.syntax.check(bytes, from);
            let end = match checked {
                Ok(end) => end,
                Err(broken) => {
                    let rest = &bytes[broken.at..];
                    broken.at + memchr::memchr(b'\n', rest).unwrap_or(rest.len())
                }
            };
            let line = &bytes[from..end];
            let next = (end + 1).min(bytes.len());
            if next - from > self.max_record {
                return Err(self.too_long(start));
            }
            let bad = if is_text { None } else { not_utf8(&bytes[from..next], start) };
            match (bad, checked) {
                (Some(reason), _) => self.note(start, None, || reason),
                (None, Err(Broken { what: What::Blank, .. }))
                    if self.spec.blank_lines == BlankLines::Skip =>
                {
                    from = next;
                    continue;
                }
                (None, Err(Broken { what: What::TooDeep, .. })) => return Err(self.too_deep(start)),
                (None, Err(broken)) => {
                    let broken = Broken { at: broken.at - from, ..broken };
                    self.note(start, place::pointer(line, broken.at), || broken.reason(line, start));
                }
                (None, Ok(_)) if more => self.look_into(line, start),
                (None, Ok(_)) => {}
            }
            self.tally.end_record()?;
            from = next;
        }
        Ok(())
    }

    /// Check what needs more than the syntax of a line that is sound so far.
    fn look_into(&mut self, line: &[u8], start: u64) {
        if self.spec.unique_keys
            && let Some(twice) = place::repeated_key(line)
        {
            let again = start + twice.at as u64;
            return self
                .note(start, Some(twice.pointer), || format!("the key stands twice, again at byte {again}"));
        }
        let Some(schema) = self.spec.schema.clone() else { return };
        match serde_json::from_slice(line) {
            Ok(record) => {
                for fault in schema.faults(&record, MAX_PER_RECORD) {
                    let column = Some(cut(&fault.path)).filter(|path| !path.is_empty());
                    self.note(start, column, || fault.reason);
                }
            }
            // All that the syntax allows and a value cannot hold.
            Err(error) => {
                // It is met at its end.
                let end = error.column().min(line.len());
                let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let at = line[..end].iter().rposition(|byte| !is_number(byte)).map_or(0, |at| at + 1);
                let reason = format!("number out of range at byte {}", start + at as u64);
                self.note(start, place::pointer(line, at), || reason);
            }
        }
    }

    fn note(&mut self, offset: u64, column: Option<String>, reason: impl FnOnce() -> String) {
        self.tally.note(|record| Reject { record, offset, column, reason: reason() });
    }

    fn too_long(&self, start: u64) -> Failure {
        let (max, record) = (self.max_record, self.tally.records + 1);
        let observed = format!("{} bytes and more in record {record} at byte {start}", max + 1);
        Failure::limit(Code::LimitRecordBytes, observed, max)
    }

    fn too_deep(&self, start: u64) -> Failure {
        let (max, record) = (self.max_depth, self.tally.records + 1);
        let observed = format!("{} levels and more in record {record} at byte {start}", max + 1);
        Failure::limit(Code::LimitDepth, observed, max)
    }
}

/// Why a line, with its end where it has one, is not UTF-8.
fn not_utf8(line: &[u8], start: u64) -> Option<String> {
    let mut scan = Utf8Scan::default();
    let bad = scan.next_bad(line, start).map(|(bad, _)| bad);
    let bad = bad.or_else(|| scan.finish(start + line.len() as u64))?;
    Some(format!("not UTF-8 at byte {}: {bad}", bad.offset))
}

/// A pointer that the schema library gave, as long as ours are.
fn cut(pointer: &str) -> String {
    match pointer.char_indices().nth(512) {
        Some((at, _)) => format!("{}…", &pointer[..at]),
        None => pointer.to_owned(),
    }
}

impl Stage for JsonlValidate {
    fn info(&self) -> StageInfo {
        let max = self.max_record as u64;
        let values = if self.spec.schema.is_some() { VALUE_RATIO } else { 0 };
        let keys = if self.spec.unique_keys { KEYS_RATIO } else { 0 };
        StageInfo {
            name: NAME,
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            // The line held may stand in a vector that has doubled.
            memory: size_of::<Self>() as u64
                + self.syntax.memory()
                + max.saturating_mul(2 + values.max(keys)),
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let base = input.offset();
            let bytes = if input.wants_save() {
                if self.held.is_empty() {
                    return Ok(Flow::Boundary);
                }
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
        self.read_held(input.offset())?;
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        StageReport {
            records: Some(self.tally.records),
            errors: self.tally.errors,
            rejects: self.tally.rejects.clone(),
            ..StageReport::default()
        }
    }

    fn save(&self) -> Option<State> {
        if !self.held.is_empty() {
            return None;
        }
        let Tally { records, errors, rejects, .. } = &self.tally;
        pack(&Between { records: *records, errors: *errors, rejects: rejects.clone() })
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { records, errors, rejects } = unpack(NAME, state)?;
        if errors > records || rejects.len() > super::MAX_REJECTS {
            return Err(bad_state(NAME, "counts that do not fit together"));
        }
        (self.tally.records, self.tally.errors, self.tally.rejects) = (records, errors, rejects);
        Ok(())
    }
}
