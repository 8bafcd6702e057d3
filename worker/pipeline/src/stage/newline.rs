//! `newline`: every line ends alike, in text of which a byte below 0x80 is a character (UTF-8, the ISO-8859 family).
//!
//! # Overview
//! A rewrite. What stands between two line ends is copied at once; what is carried from one chunk to the next is that
//! the last byte was a CR.
//!
//! # Line ends
//! CRLF and LF are line ends. A CR without an LF behind it is one where the route says so, and text otherwise: then
//! CR CR LF is a CR and a line end. Nothing else is changed, in quotes neither, and a last line without an end gets none.

use eft_domain::Failure;
use eft_domain::route::{Limits, LineEnd, LoneCr, NewlineSpec};
use serde::{Deserialize, Serialize};

use super::pending::Capped;
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, pack, unpack};

const NAME: &str = "newline";
const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// The stage `newline`.
#[derive(Debug)]
pub struct Newline {
    to: LineEnd,
    /// What a CR without an LF becomes.
    lone: &'static [u8],
    /// The last byte consumed was a CR, of which nothing was made yet.
    after_cr: bool,
    /// Comes next in the output.
    owed: &'static [u8],
    capped: Capped,
}

#[derive(Serialize, Deserialize)]
struct Between {
    after_cr: bool,
    made: u64,
}

impl Newline {
    /// A stage at the start of a stream.
    pub fn new(spec: NewlineSpec, limits: &Limits) -> Self {
        let lone = match spec.lone_cr {
            LoneCr::Keep => b"\r",
            LoneCr::LineEnd => spec.to.bytes(),
        };
        Self { to: spec.to, lone, after_cr: false, owed: b"", capped: Capped::new(limits) }
    }

    /// Bytes that pass as they are.
    fn plain(&self, bytes: &[u8]) -> usize {
        let end = match self.to {
            LineEnd::Lf => memchr::memchr(CR, bytes),
            LineEnd::CrLf => memchr::memchr2(CR, LF, bytes),
        };
        end.unwrap_or(bytes.len())
    }

    /// Consume one byte of a line end, or find that a CR stood alone.
    fn line_end(&mut self, byte: u8, input: &mut Input) {
        if self.after_cr && byte != LF {
            self.after_cr = false;
            self.owed = self.lone;
            return;
        }
        input.advance(1);
        self.after_cr = byte == CR;
        if byte == LF {
            self.owed = self.to.bytes();
        }
    }
}

impl Stage for Newline {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let put = self.capped.put(self.owed, output)?;
            self.owed = &self.owed[put..];
            if !self.owed.is_empty() {
                return Ok(Flow::Full);
            }
            if input.wants_save() {
                return Ok(Flow::Boundary);
            }
            let chunk = input.chunk();
            match chunk.first() {
                None if !input.is_finished() => return Ok(Flow::Hungry),
                None if !self.after_cr => return Ok(Flow::Done),
                None => (self.after_cr, self.owed) = (false, self.lone),
                Some(&byte) => match self.plain(chunk) {
                    plain if plain == 0 || self.after_cr => self.line_end(byte, input),
                    plain => {
                        let put = self.capped.put(&chunk[..plain], output)?;
                        input.advance(put);
                        if put < plain {
                            return Ok(Flow::Full);
                        }
                    }
                },
            }
        }
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        if !self.owed.is_empty() {
            return None;
        }
        pack(&Between { after_cr: self.after_cr, made: self.capped.made() })
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { after_cr, made } = unpack(NAME, state)?;
        self.after_cr = after_cr;
        self.capped.resume(made);
        Ok(())
    }
}
