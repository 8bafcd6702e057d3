//! What the stages that make text of records share: rows are written to a buffer, and from there to the output.

use eft_domain::Failure;

use super::csv::records::{Records, Rows, Stop};
use super::{Flow, Input, Output};

/// Bytes made before they are handed on: many rows, few enough to stay in the second-level cache.
const BATCH: usize = 32 << 10;

/// Bytes on their way to the output.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    sent: usize,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH
    }

    /// Write as much as there is room for; true when nothing is left.
    pub(super) fn drain(&mut self, output: &mut Output) -> bool {
        self.sent += output.put(&self.bytes[self.sent..]);
        let empty = self.sent == self.bytes.len();
        if empty {
            self.bytes.clear();
            self.sent = 0;
        }
        empty
    }

    /// Largest memory held when a row makes at most `row` bytes: a vector that grew has twice the room it needs.
    pub(super) fn memory(row: u64) -> u64 {
        2 * (BATCH as u64 + row)
    }
}

/// Rows that become text.
pub(super) trait Text: Rows {
    /// What was written and is not handed on yet.
    fn pending(&mut self) -> &mut Pending;
}

/// Read records and write what `rows` makes of them.
pub(super) fn step(
    records: &mut Records,
    rows: &mut impl Text,
    input: &mut Input,
    output: &mut Output,
) -> Result<Flow, Failure> {
    loop {
        if !rows.pending().drain(output) {
            return Ok(Flow::Full);
        }
        let stop = records.read(input, rows)?;
        if !rows.pending().drain(output) {
            return Ok(Flow::Full);
        }
        match stop {
            Stop::Full => {}
            Stop::Hungry => return Ok(Flow::Hungry),
            Stop::Boundary => return Ok(Flow::Boundary),
            Stop::End => return Ok(Flow::Done),
        }
    }
}
