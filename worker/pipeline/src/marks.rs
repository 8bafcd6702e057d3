//! Marks at the end of the pipeline: which of them a resumed run could go on from, and the first bytes of a run that did.

use std::collections::{BTreeSet, VecDeque};

use eft_domain::{Code, Failure};

use crate::{
    checkpoint::{Done, Mark},
    checksum::Crc64,
    chunk::Chunk,
};

/// A mark whose part is not acknowledged yet.
struct Waiting {
    mark: Box<Mark>,
    /// The part that holds the last byte before the mark.
    part: u32,
    packed: Crc64,
    /// All output up to the end of that part; `None` while it is being filled.
    output: Option<Crc64>,
}

/// Marks that wait for their parts.
#[derive(Default)]
pub(crate) struct Marks {
    waiting: VecDeque<Waiting>,
    /// Acknowledged parts after the first that is not.
    ahead: BTreeSet<u32>,
    /// All parts up to this one are acknowledged.
    through: u32,
}

impl Marks {
    /// After `parts` acknowledged parts.
    pub(crate) fn after(parts: u32) -> Self {
        Self { through: parts, ..Self::default() }
    }

    /// A mark has come to the packer, whose last byte is in `part`; `output` when that part is complete.
    pub(crate) fn add(&mut self, mark: Box<Mark>, part: u32, packed: Crc64, output: Option<Crc64>) {
        // All marks of a part are done with it, and the last one is the best of them.
        if self.waiting.back().is_some_and(|waiting| waiting.part == part) {
            self.waiting.pop_back();
        }
        self.waiting.push_back(Waiting { mark, part, packed, output });
    }

    /// A part is complete; `output` is all output up to its end.
    pub(crate) fn cut(&mut self, part: u32, output: Crc64) {
        let of_part = self.waiting.iter_mut().filter(|waiting| waiting.part == part);
        of_part.for_each(|waiting| waiting.output = Some(output));
    }

    /// A part is acknowledged.
    pub(crate) fn acknowledge(&mut self, part: u32) {
        self.ahead.insert(part);
        while self.ahead.remove(&(self.through + 1)) {
            self.through += 1;
        }
    }

    /// The byte of the source at the first mark, if that waits for nothing but acknowledgements.
    pub(crate) fn coming(&self) -> Option<u64> {
        self.waiting.front().filter(|it| it.output.is_some()).map(|it| it.mark.source.len())
    }

    /// The last mark that a run could go on from now, if there is a new one.
    pub(crate) fn take_done(&mut self) -> Option<Done> {
        let mut done = None;
        while let Some(output) =
            self.waiting.front().filter(|w| w.part <= self.through).and_then(|w| w.output)
        {
            let Waiting { mark, part, packed, .. } = self.waiting.pop_front()?;
            done = Some(Done { parts: part, output, packed, mark: *mark });
        }
        done
    }
}

/// Drops what an earlier run has already sent, and proves that it is the same.
pub(crate) struct Skip {
    /// Bytes that came before the packer counted: not looked at.
    unseen: u64,
    /// What the bytes after them are compared with.
    rest: u64,
    seen: Crc64,
    expected: Crc64,
}

impl Skip {
    pub(crate) fn of(done: Option<&Done>) -> Self {
        let Some(done) = done else {
            return Self { unseen: 0, rest: 0, seen: Crc64::default(), expected: Crc64::default() };
        };
        Self {
            unseen: done.packed.len().saturating_sub(done.mark.position),
            rest: done.output.len().saturating_sub(done.packed.len()),
            seen: done.packed,
            expected: done.output,
        }
    }

    /// Take the bytes to be dropped from the front of a chunk.
    ///
    /// # Errors
    /// `checkpoint.refused` when this run made other bytes than the one before.
    pub(crate) fn drop_from(&mut self, chunk: &mut Chunk) -> Result<(), Failure> {
        if self.unseen > 0 {
            self.unseen -= chunk.split_to(self.unseen.min(chunk.len)).len;
        }
        if self.rest > 0 && chunk.len > 0 {
            let head = chunk.split_to(self.rest.min(chunk.len));
            self.rest -= head.len;
            self.seen = self.seen.then(head.checksum());
            if self.rest == 0 && self.seen != self.expected {
                let message = "the resumed run makes other bytes than the run that was stopped: \
                               was this file made by another version of the program?";
                return Err(Failure::new(Code::CheckpointRefused, message));
            }
        }
        Ok(())
    }

    /// The stream ends.
    ///
    /// # Errors
    /// `checkpoint.refused` when it ends before the place that the earlier run had come to.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        if self.unseen == 0 && self.rest == 0 {
            return Ok(());
        }
        let message = "the resumed run makes fewer bytes than the run that was stopped had sent";
        Err(Failure::new(Code::CheckpointRefused, message))
    }
}
