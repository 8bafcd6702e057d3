//! `validate.utf8`: the bytes are well-formed UTF-8 (RFC 3629).
//!
//! # Overview
//! A tap. Whole chunks go through `simdutf8`; what is carried from one to the next is the start of a sequence a chunk
//! edge cut, at most three bytes. `Utf8Scan` is that check without a verdict, shared with `validate.csv`, which goes
//! on after a broken sequence.
//!
//! # Failure handling
//! The first broken sequence is final: its offset, what is wrong with it, its bytes. A byte order mark is an ordinary
//! character here.

use eft_domain::{Code, Failure};
use serde::{Deserialize, Serialize};

use super::{
    Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, bad_state, pack, unpack,
};

/// The stage `validate.utf8`.
#[derive(Debug, Default)]
pub struct Utf8Validate {
    scan: Utf8Scan,
}

impl Utf8Validate {
    /// A check at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Stage for Utf8Validate {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: "validate.utf8",
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        let failure = |bad: BadSequence| {
            Failure::new(Code::Validation, format!("not UTF-8 at byte {}: {bad}", bad.offset))
        };
        loop {
            let base = input.offset();
            let Some(bytes) = input.take_chunk() else { break };
            if let Some((bad, _)) = self.scan.next_bad(&bytes, base) {
                return Err(failure(bad));
            }
            output.pass(bytes);
        }
        if !input.is_finished() {
            return Ok(Flow::Hungry);
        }
        match self.scan.finish(input.offset()) {
            Some(bad) => Err(failure(bad)),
            None => Ok(Flow::Done),
        }
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        pack(&self.scan)
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let scan: Utf8Scan = unpack("validate.utf8", state)?;
        let carried = scan.carry.get(..usize::from(scan.carried));
        if !carried.is_some_and(is_cut_sequence) {
            return Err(bad_state("validate.utf8", "no start of a sequence"));
        }
        self.scan = scan;
        Ok(())
    }
}

/// A broken sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSequence {
    /// Offset of its first byte.
    pub(super) offset: u64,
    /// What is wrong with it.
    fault: Fault,
    bytes: [u8; 4],
    len: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    StrayContinuation,
    Overlong,
    Surrogate,
    TooLarge,
    NeverUsed,
    Truncated,
    CutByEnd,
}

impl BadSequence {
    /// `seen` starts at the sequence and holds its second byte where there is one; the first `len` bytes are at fault.
    fn new(offset: u64, seen: &[u8], len: usize) -> Self {
        let fault = match (seen[0], seen.get(1).copied()) {
            (0x80..=0xbf, _) => Fault::StrayContinuation,
            (0xc0 | 0xc1, _) | (0xe0, Some(0x80..=0x9f)) | (0xf0, Some(0x80..=0x8f)) => Fault::Overlong,
            (0xed, Some(0xa0..=0xbf)) => Fault::Surrogate,
            (0xf5..=0xf7, _) | (0xf4, Some(0x90..=0xbf)) => Fault::TooLarge,
            (0xf8.., _) => Fault::NeverUsed,
            _ => Fault::Truncated,
        };
        // An impossible second byte is part of the explanation, though decoding goes on at it.
        let len = match (seen[0], fault) {
            (0xe0 | 0xed | 0xf0 | 0xf4, Fault::Overlong | Fault::Surrogate | Fault::TooLarge) => 2,
            _ => len,
        };
        let mut bytes = [0; 4];
        bytes[..len].copy_from_slice(&seen[..len]);
        Self { offset, fault, bytes, len: len as u8 }
    }
}

impl std::fmt::Display for BadSequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.fault {
            Fault::StrayContinuation => "stray continuation byte",
            Fault::Overlong => "overlong sequence",
            Fault::Surrogate => "surrogate",
            Fault::TooLarge => "beyond U+10FFFF",
            Fault::NeverUsed => "byte that never occurs in UTF-8",
            Fault::Truncated => "truncated sequence",
            Fault::CutByEnd => "truncated sequence at the end of the file",
        })?;
        for (i, byte) in self.bytes[..usize::from(self.len)].iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { " (" } else { " " })?;
        }
        f.write_str(")")
    }
}

/// Finds broken sequences in bytes that come in pieces.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Utf8Scan {
    carry: [u8; 3],
    carried: u8,
}

impl Utf8Scan {
    /// The first broken sequence of `bytes` (which follow what was scanned before and start at offset `at`), and how
    /// many of them to drop before asking again; `None` when the rest is fine, as far as it can be known.
    pub(super) fn next_bad(&mut self, bytes: &[u8], at: u64) -> Option<(BadSequence, usize)> {
        let mut from = 0;
        if self.carried > 0 && !bytes.is_empty() {
            let carried = usize::from(self.carried);
            let mut joined = [0; 4];
            joined[..carried].copy_from_slice(&self.carry[..carried]);
            let width = width(joined[0]);
            let taken = bytes.len().min(width - carried);
            joined[carried..carried + taken].copy_from_slice(&bytes[..taken]);
            let seen = &joined[..carried + taken];
            match std::str::from_utf8(seen).map_err(|error| error.error_len()) {
                Ok(_) => from = taken,
                Err(None) => {
                    self.hold(seen);
                    return None;
                }
                Err(Some(len)) => {
                    self.carried = 0;
                    return Some((BadSequence::new(at - carried as u64, seen, len), len - carried));
                }
            }
            self.carried = 0;
        }
        let rest = &bytes[from..];
        // `compat` stops at the first error, `basic` reads to the end: a file full of errors must stay linear.
        let error = simdutf8::compat::from_utf8(rest).err()?;
        let start = error.valid_up_to();
        let Some(len) = error.error_len() else {
            self.hold(&rest[start..]);
            return None;
        };
        let seen = &rest[start..rest.len().min(start + 4)];
        Some((BadSequence::new(at + (from + start) as u64, seen, len), from + start + len))
    }

    /// The sequence the end of the stream, at offset `end`, cuts.
    pub(super) fn finish(&mut self, end: u64) -> Option<BadSequence> {
        let carried = usize::from(std::mem::take(&mut self.carried));
        (carried > 0).then(|| {
            let bad = BadSequence::new(end - carried as u64, &self.carry[..carried], carried);
            BadSequence { fault: Fault::CutByEnd, ..bad }
        })
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.carry[..bytes.len()].copy_from_slice(bytes);
        self.carried = bytes.len() as u8;
    }
}

/// Nothing, or the start of a sequence whose end is missing.
fn is_cut_sequence(bytes: &[u8]) -> bool {
    bytes.is_empty()
        || std::str::from_utf8(bytes)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

/// Bytes of the sequence a lead byte starts.
fn width(lead: u8) -> usize {
    match lead {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    }
}
