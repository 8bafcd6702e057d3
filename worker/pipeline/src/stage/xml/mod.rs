//! `validate.xml`: one well-formed XML 1.0 document in UTF-8, without a DTD.
//!
//! # Overview
//! A tap. A push tokenizer of our own (`tokens.rs`): text, comments and CDATA are looked at where they lie, and only a
//! tag, a processing instruction or a reference is held until it is whole, which `limits.max_record_bytes` bounds.
//! (quick-xml, the usual reader, pulls from a buffer that grows with the token, and takes much that is not well-formed:
//! names, attributes and characters are left to its user.)
//!
//! # The dialect
//! - **Encoding** is UTF-8, with or without a byte order mark; a declaration that says otherwise is refused.
//! - **DTDs** are refused, and with them every entity but the five that need none.
//! - **Names** are those of the fifth edition. Prefixes are part of the name: whether one is declared is not checked.
//! - **Attributes** of an element are at most `limits.max_fields`, elements at most `limits.max_depth` deep.
//!
//! # Failure handling
//! The first fault is final, with its offset and the elements it is in: there are no records to tolerate.
//!
//! # Memory
//! One held token, and the names of the open elements, each at most `limits.max_record_bytes`.

mod chars;
mod tag;
mod tokens;

use eft_domain::route::{Limits, XmlSpec};
use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize};

use self::tokens::Tokens;
use super::utf8::Utf8Scan;
use super::{
    Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, bad_state, pack, unpack,
};

const NAME: &str = "validate.xml";

/// Most bytes of names that a checkpoint takes; where more are open nothing is saved.
const MAX_SAVED: usize = 64 << 10;

/// The stage `validate.xml`.
#[derive(Debug)]
pub struct XmlValidate {
    tokens: Tokens,
    /// The start of a character that a chunk's end has cut.
    carry: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Between {
    open: Vec<String>,
    place: tokens::Place,
}

impl XmlValidate {
    /// A validator at the start of a file.
    pub fn new(spec: XmlSpec, limits: &Limits) -> Self {
        Self { tokens: Tokens::new(spec.root, limits), carry: Vec::new() }
    }

    /// Read `bytes`, which start at offset `base`.
    fn read(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let mut from = 0;
        while !self.carry.is_empty() && from < bytes.len() {
            let mut joined = std::mem::take(&mut self.carry);
            joined.push(bytes[from]);
            from += 1;
            self.read_text(&joined, base + from as u64 - joined.len() as u64)?;
        }
        self.read_text(&bytes[from..], base + from as u64)
    }

    /// Read bytes that start with a character.
    fn read_text(&mut self, bytes: &[u8], base: u64) -> Result<(), Failure> {
        let error = match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => return self.tokens.read(text, base),
            Err(error) => error,
        };
        let (sound, rest) = bytes.split_at(error.valid_up_to());
        // It has just been found sound; lossy, because nothing else can be said without a second check.
        self.tokens.read(&String::from_utf8_lossy(sound), base)?;
        if error.error_len().is_some() {
            return Err(not_utf8(rest, base + sound.len() as u64));
        }
        self.carry = rest.to_vec();
        Ok(())
    }

    fn is_between(&self) -> bool {
        self.carry.is_empty() && self.tokens.is_between() && self.tokens.open.bytes() <= MAX_SAVED
    }
}

fn not_utf8(bytes: &[u8], at: u64) -> Failure {
    let mut scan = Utf8Scan::default();
    let bad = scan.next_bad(bytes, at).map(|(bad, _)| bad);
    let what =
        bad.or_else(|| scan.finish(at + bytes.len() as u64)).map_or(String::new(), |bad| bad.to_string());
    Failure::new(Code::FormatCorrupt, format!("not UTF-8 at byte {at}: {what}"))
}

impl Stage for XmlValidate {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64 + self.tokens.memory(),
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            let base = input.offset();
            let bytes = if input.wants_save() {
                if self.is_between() {
                    return Ok(Flow::Boundary);
                }
                // To where a tag or a reference may end.
                let end = memchr::memchr2(b'>', b';', input.chunk()).map_or(input.chunk().len(), |at| at + 1);
                input.take(end)
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
        if !self.carry.is_empty() {
            return Err(not_utf8(&self.carry, input.offset() - self.carry.len() as u64));
        }
        self.tokens.finish(input.offset())?;
        Ok(Flow::Done)
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        if !self.is_between() {
            return None;
        }
        pack(&Between {
            open: self.tokens.open.names().map(str::to_owned).collect(),
            place: self.tokens.place,
        })
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { open, place } = unpack(NAME, state)?;
        self.tokens.restore(open, place).map_err(|why| bad_state(NAME, why))
    }
}
