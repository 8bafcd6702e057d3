//! `strip_bom`: a UTF-8 byte-order mark (EF BB BF) at the start of the stream is dropped.
//!
//! # Overview
//! A slice: all other bytes pass on as they came, without a copy, and there is nothing to refuse. Only one mark is dropped,
//! and only at the start; anywhere else it is a character (U+FEFF). Marks of UTF-16 are left to `charset`.

use bytes::Bytes;
use eft_domain::Failure;
use serde::{Deserialize, Serialize};

use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, pack, unpack};

const NAME: &str = "strip_bom";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The stage `strip_bom`.
#[derive(Debug)]
pub struct StripBom {
    /// Bytes of a mark consumed so far; `None` once it is known whether there is one.
    held: Option<usize>,
    /// Was held back and is no mark.
    owed: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Between {
    started: bool,
}

impl Default for StripBom {
    fn default() -> Self {
        Self { held: Some(0), owed: Bytes::new() }
    }
}

impl StripBom {
    /// A stage at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Step over the mark, or give back what looked like one.
    fn start(&mut self, held: usize, input: &mut Input) {
        if input.chunk().first() == Some(&BOM[held]) {
            input.advance(1);
            self.held = Some(held + 1).filter(|held| *held < BOM.len());
        } else {
            self.held = None;
            self.owed = Bytes::from_static(&BOM[..held]);
        }
    }

    fn is_between(&self) -> bool {
        self.owed.is_empty() && matches!(self.held, None | Some(0))
    }
}

impl Stage for StripBom {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Slice,
            ordered: true,
            resume: ResumeClass::R1,
            memory: size_of::<Self>() as u64,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            if input.wants_save() && self.is_between() {
                return Ok(Flow::Boundary);
            }
            if self.owed.is_empty() && input.is_empty() && !input.is_ended() {
                return Ok(Flow::Hungry);
            }
            if let Some(held) = self.held {
                self.start(held, input);
                continue;
            }
            if self.owed.is_empty() && input.is_empty() {
                return Ok(Flow::Done);
            }
            // What is passed on needs no room, but what waits for the next stage is bounded by it.
            let room = output.room_for_all();
            if room == 0 {
                return Ok(Flow::Full);
            }
            if self.owed.is_empty() {
                let n = input.chunk().len().min(room);
                input.take(n).into_iter().for_each(|bytes| output.pass(bytes));
            } else {
                output.pass(self.owed.split_to(self.owed.len().min(room)));
            }
        }
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        if self.is_between() { pack(&Between { started: self.held.is_none() }) } else { None }
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let Between { started } = unpack(NAME, state)?;
        self.held = (!started).then_some(0);
        Ok(())
    }
}
