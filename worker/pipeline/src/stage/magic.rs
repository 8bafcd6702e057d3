//! `validate.magic`: the file is of a type the route takes, as its first bytes tell.
//!
//! # Overview
//! A tap. The first [`SNIFF`] bytes are held back until the file is judged, so that no stage behind reads a file of
//! another type and says something less useful of it. From there on bytes pass as they came.
//!
//! # What decides
//! The table in `signatures`, each entry with its source. A file is taken when any type of the route fits it: JSON is
//! text as well. Only the beginning is looked at: a file that begins right may be broken further on, and a ZIP is not
//! opened to see whether it is a spreadsheet.

mod signatures;

use bytes::Bytes;
use eft_domain::{Code, Failure, route::MagicSpec};

use self::signatures::{fits, named};
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State, pack, unpack};

/// Bytes that decide: enough for tar's magic at 257 and for a page of text; a memory page. None, reasonable default.
pub const SNIFF: usize = 4 << 10;

/// First bytes shown of a file of no known type.
const SHOWN: usize = 16;

const NAME: &str = "validate.magic";

/// The stage `validate.magic`.
#[derive(Debug)]
pub struct MagicValidate {
    spec: MagicSpec,
    /// What is held back; `None` once the file was judged.
    held: Option<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The first bytes, at most [`SNIFF`].
    head: Vec<u8>,
    bytes: Vec<Bytes>,
}

impl MagicValidate {
    /// A check at the start of a file.
    pub fn new(spec: MagicSpec) -> Self {
        Self { spec, held: Some(Held::default()) }
    }

    /// Hold back what is needed to judge, and judge when it is there. False: more is needed.
    fn look(&mut self, input: &mut Input, output: &mut Output) -> Result<bool, Failure> {
        let Some(held) = &mut self.held else { return Ok(true) };
        while held.head.len() < SNIFF {
            let n = input.chunk().len().min(SNIFF - held.head.len());
            let Some(bytes) = input.take(n) else { break };
            held.head.extend_from_slice(&bytes);
            held.bytes.push(bytes);
        }
        if held.head.len() < SNIFF && !input.is_finished() {
            return Ok(false);
        }
        judge(&self.spec, &held.head)?;
        let held = self.held.take().unwrap_or_default();
        held.bytes.into_iter().for_each(|bytes| output.pass(bytes));
        Ok(true)
    }
}

fn judge(spec: &MagicSpec, head: &[u8]) -> Result<(), Failure> {
    if spec.types.iter().any(|kind| fits(*kind, head)) {
        return Ok(());
    }
    let takes = spec.list();
    let shown: Vec<_> = head.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let shown = shown.join(" ");
    let is = match named(head) {
        _ if head.is_empty() => "the file is empty".to_owned(),
        Some(kind) => format!("the file is {kind} (it begins with {shown})"),
        None => format!("the file is of no known type (it begins with {shown})"),
    };
    Err(Failure::new(Code::FormatUnexpected, format!("{is}, the route takes {takes}")))
}

impl Stage for MagicValidate {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Tap,
            ordered: true,
            resume: ResumeClass::R1,
            // The first bytes, and a handle for each of the pieces they may come in.
            memory: (SNIFF * (1 + size_of::<Bytes>()) + size_of::<Self>()) as u64,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        if input.wants_save() && self.save().is_some() {
            return Ok(Flow::Boundary);
        }
        if !self.look(input, output)? {
            return Ok(Flow::Hungry);
        }
        if input.wants_save() {
            return Ok(Flow::Boundary);
        }
        while let Some(bytes) = input.take_chunk() {
            output.pass(bytes);
        }
        Ok(if input.is_finished() { Flow::Done } else { Flow::Hungry })
    }

    fn report(&self) -> StageReport {
        StageReport::default()
    }

    fn save(&self) -> Option<State> {
        match &self.held {
            None => pack(&true),
            Some(held) if held.head.is_empty() => pack(&false),
            Some(_) => None,
        }
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        if unpack(NAME, state)? {
            self.held = None;
        }
        Ok(())
    }
}
