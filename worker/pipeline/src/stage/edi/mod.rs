//! `validate.edi`: the envelopes of X12 and EDIFACT interchanges are whole, with the control numbers and counts they say.
//!
//! # Overview
//! A tap. A tokenizer of segments: one that lies whole in a chunk is looked at there, one a chunk's end cuts is held until
//! it is whole. `syntax.rs` reads the separators at the head of each interchange, `envelope.rs` keeps the books.
//!
//! # The dialect
//! - **X12**: the 106 bytes of ISA say the separators. ISA, GS, ST … SE, GE, IEA; TA1 may stand between ISA and GS.
//! - **EDIFACT**: batch interchanges, UNA or the default separators, UNB, UNG if any, UNH … UNT, UNE, UNZ; the release
//!   character makes the next byte text.
//! - **Line ends** behind a segment's terminator are skipped; between interchanges spaces and tabs are as well.
//! - **Interchanges** may follow each other, in X12 and EDIFACT each with its own separators.
//! - **Control numbers** at both ends of an envelope are the same text, or the same number. None stands twice directly
//!   inside one envelope, as far as it is remembered (`seen.rs`).
//! - What stands in segments inside a message is not looked at.
//!
//! # Failure handling
//! A segment that breaks a rule is a broken record: reported with its number from 1, offset and element (`SE01`), and
//! tolerated within `limits.max_errors`. Final whatever the route tolerates are: a head that gives no separators, bytes
//! between interchanges, an end inside one, and a segment (terminator included) longer than `limits.max_record_bytes`.

mod envelope;
mod seen;
mod syntax;

use eft_domain::route::{EdiSpec, EdiStandard, Limits};
use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize};

use self::envelope::{EDIFACT, Envelopes, Fault, Names, X12};
use self::syntax::Syntax;
use super::csv::tally::Tally;
use super::{
    Flow, Input, Kind, MAX_REJECTS, Output, Reject, ResumeClass, Stage, StageInfo, StageReport, State,
    bad_state, pack, unpack,
};

const NAME: &str = "validate.edi";

/// Memory of two sets of control numbers: a thousand entries of a hundred bytes each.
const SEEN: u64 = 2 * 1_000 * 100;

/// The stage `validate.edi`.
#[derive(Debug)]
pub struct EdiValidate {
    standard: EdiStandard,
    max_record: usize,
    tally: Tally,
    /// The separators of the interchange that is open.
    syntax: Option<Syntax>,
    envelopes: Envelopes,
    /// The head, or the segment that a chunk's end has cut.
    held: Vec<u8>,
    /// The last byte held makes the next one text.
    escaped: bool,
    faults: Vec<Fault>,
}

#[derive(Serialize, Deserialize)]
struct Between {
    syntax: Option<Syntax>,
    envelopes: Envelopes,
    records: u64,
    errors: u64,
    rejects: Vec<Reject>,
}

impl EdiValidate {
    /// A validator at the start of a file.
    pub fn new(spec: EdiSpec, limits: &Limits) -> Self {
        Self {
            standard: spec.standard,
            max_record: usize::try_from(limits.max_record_bytes.bytes()).unwrap_or(usize::MAX),
            tally: Tally::new(limits.max_errors),
            syntax: None,
            envelopes: Envelopes::default(),
            held: Vec::new(),
            escaped: false,
            faults: Vec::new(),
        }
    }

    fn names(&self) -> &'static Names {
        match self.standard {
            EdiStandard::X12 => &X12,
            EdiStandard::Edifact => &EDIFACT,
        }
    }

    /// Read `bytes`, which start at offset `base`.
    fn read(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let mut at = 0;
        while at < bytes.len() {
            let here = base + at as u64;
            at += match self.syntax {
                _ if self.held.is_empty() && self.is_filling(bytes[at]) => 1,
                Some(syntax) => self.read_segment(syntax, &bytes[at..], here)?,
                None => self.read_head(bytes[at], here)?,
            };
        }
        Ok(())
    }

    /// May stand before a segment without meaning.
    fn is_filling(&self, byte: u8) -> bool {
        matches!(byte, b'\r' | b'\n') || (self.syntax.is_none() && matches!(byte, b' ' | b'\t'))
    }

    /// A byte of the head of an interchange.
    fn read_head(&mut self, byte: u8, at: u64) -> Result<usize, Failure> {
        self.held.push(byte);
        if self.held.len() < Syntax::head_len(self.standard, &self.held) {
            return Ok(1);
        }
        let start = at + 1 - self.held.len() as u64;
        let syntax = Syntax::of(self.standard, &self.held).map_err(|why| self.no_head(start, &why))?;
        self.syntax = Some(syntax);
        match self.standard {
            EdiStandard::X12 => {
                let isa = std::mem::take(&mut self.held);
                self.end_segment(syntax, &isa[..isa.len() - 1], start)?;
            }
            // The advice is no segment; UNB goes on.
            EdiStandard::Edifact if self.held.starts_with(b"UNA") => self.held.clear(),
            EdiStandard::Edifact => {}
        }
        Ok(1)
    }

    fn no_head(&self, start: u64, why: &str) -> Failure {
        let code = if self.tally.records == 0 { Code::FormatCorrupt } else { Code::FormatTrailing };
        Failure::new(code, format!("no interchange at byte {start}: {why}"))
    }

    /// Read to the end of a segment; returns how many bytes of `bytes` that takes.
    fn read_segment(&mut self, syntax: Syntax, bytes: &[u8], at: u64) -> Result<usize, Failure> {
        let end = self.find_end(syntax, bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let start = at - self.held.len() as u64;
        if taken > self.max_record.saturating_sub(self.held.len()) {
            let (max, number) = (self.max_record, self.tally.records + 1);
            let observed = format!("{} bytes and more in segment {number} at byte {start}", max + 1);
            return Err(Failure::limit(Code::LimitRecordBytes, observed, max));
        }
        match end {
            None => self.held.extend_from_slice(bytes),
            Some(end) if self.held.is_empty() => self.end_segment(syntax, &bytes[..end], start)?,
            Some(end) => {
                let mut segment = std::mem::take(&mut self.held);
                segment.extend_from_slice(&bytes[..end]);
                self.end_segment(syntax, &segment, start)?;
                segment.clear();
                self.held = segment;
            }
        }
        Ok(taken)
    }

    /// The index of the terminator.
    fn find_end(&mut self, syntax: Syntax, bytes: &[u8]) -> Option<usize> {
        let Some(release) = syntax.release else { return memchr::memchr(syntax.terminator, bytes) };
        let mut at = usize::from(std::mem::take(&mut self.escaped));
        loop {
            at += memchr::memchr2(syntax.terminator, release, bytes.get(at..)?)?;
            if bytes[at] == syntax.terminator {
                return Some(at);
            }
            at += 2;
            self.escaped = at > bytes.len();
        }
    }

    /// A segment, without its terminator, is whole.
    fn end_segment(&mut self, syntax: Syntax, segment: &[u8], start: u64) -> Result<(), Failure> {
        let was_open = self.envelopes.is_open();
        let names = self.names();
        self.envelopes.segment(names, &syntax, segment, &mut self.faults);
        if !was_open && !self.envelopes.is_open() {
            let why = "the separators are followed by no interchange";
            return Err(self.no_head(start, why));
        }
        let id = syntax.elements(segment).next().unwrap_or_default();
        let id = String::from_utf8_lossy(&id[..id.len().min(8)]);
        for (element, reason) in self.faults.drain(..) {
            let column = element.map_or_else(|| id.to_string(), |element| format!("{id}{element:02}"));
            self.tally.note(|record| Reject { record, offset: start, column: Some(column), reason });
        }
        self.tally.end_record()?;
        if !self.envelopes.is_open() {
            self.syntax = None;
        }
        Ok(())
    }

    fn finish(&self, end: u64) -> Result<(), Failure> {
        let truncated = |what: String| Err(Failure::new(Code::FormatTruncated, what));
        match self.syntax {
            None if !self.held.is_empty() => {
                truncated(format!("the file ends at byte {end} in the head of an interchange"))
            }
            None if self.tally.records == 0 => truncated("the file has no interchange".to_owned()),
            None => Ok(()),
            Some(_) if !self.held.is_empty() => {
                let (segment, open) = (self.tally.records + 1, self.envelopes.shown(self.names()));
                let open = if open.is_empty() { open } else { format!(", in {open}") };
                truncated(format!("the file ends at byte {end} in segment {segment}{open}"))
            }
            Some(_) => {
                let open = self.envelopes.shown(self.names());
                let open = if open.is_empty() { "an interchange".to_owned() } else { open };
                truncated(format!("the file ends at byte {end} before the end of {open}"))
            }
        }
    }

    fn is_between(&self) -> bool {
        self.held.is_empty()
    }
}

impl Stage for EdiValidate {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            // The segment held may stand in a vector that has doubled.
            memory: size_of::<Self>() as u64 + SEEN + (self.max_record as u64).saturating_mul(2),
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let base = input.offset();
            let bytes = if input.wants_save() {
                if self.is_between() {
                    return Ok(Flow::Boundary);
                }
                let end = self.syntax.and_then(|syntax| memchr::memchr(syntax.terminator, input.chunk()));
                let part = match self.syntax {
                    Some(_) => end.map_or(input.chunk().len(), |end| end + 1),
                    None => input.chunk().len().min(1),
                };
                input.take(part)
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
        StageReport {
            records: Some(self.tally.records),
            errors: self.tally.errors,
            rejects: self.tally.rejects.clone(),
            ..StageReport::default()
        }
    }

    fn save(&self) -> Option<State> {
        if !self.is_between() {
            return None;
        }
        let Tally { records, errors, rejects, .. } = &self.tally;
        pack(&Between {
            syntax: self.syntax,
            envelopes: self.envelopes.clone(),
            records: *records,
            errors: *errors,
            rejects: rejects.clone(),
        })
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { syntax, envelopes, records, errors, rejects } = unpack(NAME, state)?;
        let counts = errors <= records && rejects.len() <= MAX_REJECTS;
        if !counts || !envelopes.fits() || (envelopes.is_open() && syntax.is_none()) {
            return Err(bad_state(NAME, "no place between two segments"));
        }
        (self.tally.records, self.tally.errors, self.tally.rejects) = (records, errors, rejects);
        (self.syntax, self.envelopes) = (syntax, envelopes);
        Ok(())
    }
}
