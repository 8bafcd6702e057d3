//! `split`: where one object ends and the next begins.
//!
//! # Overview
//! [`Splitter`] looks at the bytes as they pass and says in front of which of them a new object begins; the step around
//! it (`split.rs` of the pipeline) cuts the chunks there without copying. A cut is due when an object has as many
//! records or bytes as the route says, and made in front of the next byte: so no object is empty, and a file that ends
//! where a cut is due ends there.
//!
//! # Limits
//! `limits.max_record_bytes` a record, `max_outputs` objects.

use bytes::Bytes;
use eft_domain::{
    Code, Failure,
    route::{Limits, SplitSpec},
};

use super::{Kind, ResumeClass, StageInfo, StageReport, records::Records};

/// The name in routes and receipts.
pub(crate) const NAME: &str = "split";

/// Finds the places to cut.
#[derive(Debug)]
pub struct Splitter {
    spec: SplitSpec,
    records: Records,
    /// Where it stands in its input.
    offset: u64,
    /// The header as far as it was read.
    header: Vec<u8>,
    /// Records of the object being filled.
    held: u64,
    /// Bytes of the object being filled, its header included.
    bytes: u64,
    outputs: u64,
    /// The next byte begins a new object.
    due: bool,
}

impl Splitter {
    /// For a file from its start.
    pub fn new(spec: SplitSpec, limits: &Limits) -> Self {
        let records = Records::new(spec.records, limits.max_record_bytes.bytes()).with_header(spec.header);
        let (header, offset, held, bytes) = (Vec::new(), 0, 0, 0);
        Self { spec, records, offset, header, held, bytes, outputs: 1, due: false }
    }

    /// What the planner has to know.
    pub(crate) fn info(spec: &SplitSpec, limits: &Limits) -> StageInfo {
        let header = if spec.header { limits.max_record_bytes.bytes() } else { 0 };
        StageInfo {
            name: NAME,
            kind: Kind::Slice,
            ordered: true,
            resume: ResumeClass::R3,
            // Read, and then shared by the objects.
            memory: size_of::<Self>() as u64 + 2 * header,
        }
    }

    /// The next bytes of the file, and in front of which of them new objects begin: places from the first of them, in
    /// order.
    ///
    /// # Errors
    /// `limit.max_record_bytes`, `limit.max_outputs`.
    pub fn cuts(&mut self, segments: &[Bytes]) -> Result<Vec<u64>, Failure> {
        let (start, mut cuts) = (self.offset, Vec::new());
        for segment in segments {
            let mut bytes = segment.as_ref();
            while !bytes.is_empty() {
                if std::mem::take(&mut self.due) {
                    self.begin()?;
                    cuts.push(self.offset - start);
                }
                let in_header = self.spec.header && self.records.read == 0;
                let (n, ended) = self.records.advance(bytes, self.offset)?;
                if in_header {
                    self.header.extend_from_slice(&bytes[..n]);
                }
                self.offset += n as u64;
                self.bytes += n as u64;
                if ended && !in_header {
                    self.held += 1;
                    self.due = self.spec.after_records.is_some_and(|most| self.held >= most)
                        || self.spec.after_bytes.is_some_and(|most| self.bytes >= most.bytes());
                }
                bytes = &bytes[n..];
            }
        }
        Ok(cuts)
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let most = self.spec.max_outputs;
        if self.outputs == most {
            let observed = format!("{} objects and more, the last from byte {}", most + 1, self.offset);
            return Err(Failure::limit(Code::LimitOutputs, observed, most));
        }
        (self.outputs, self.held, self.bytes) = (self.outputs + 1, 0, self.header.len() as u64);
        Ok(())
    }

    /// What every object but the first begins with, in front of its own bytes; empty without a header.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The file ends.
    pub fn finish(&mut self) {
        self.records.finish();
    }

    /// What was counted; frames are the objects.
    pub fn report(&self) -> StageReport {
        let records = self.records.read.saturating_sub(u64::from(self.spec.header));
        StageReport { records: Some(records), frames: Some(self.outputs), ..StageReport::default() }
    }
}
