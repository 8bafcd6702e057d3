//! The receipt: what was read, what was done, what was written, under which numbers.
//!
//! Every number in it is an integer (times in milliseconds), so that its canonical form is one text in every language;
//! see [`canonical`].

pub mod canonical;

mod parts;
mod signed;

#[cfg(test)]
mod tests;

pub use parts::{
    Capabilities, CrcCapability, Delivery, DeliveryOutcome, FailureNote, JoinedObject, Method, Outcome,
    Rejected, ResumeClass, ResumedFrom, Scanned, Source, StageKind, StageRun, Totals, WriteCapability,
};
pub use signed::{ReceiptError, Signature, SignedReceipt};

use serde::{Deserialize, Serialize};

use crate::{JobId, RouteId, RouteRevision, RunId, TenantId};

/// The schema this version writes and reads. Fields may be added within it; a change of meaning is a new number.
pub const SCHEMA: &str = "eft.receipt/1";

/// Most broken records a receipt lists: enough to see the pattern, small enough to send around.
pub const MAX_REJECTS: usize = 100;

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`SCHEMA`].
    pub schema: String,
    /// This receipt's own id: the run id and, for a run that was reported more than once, a suffix.
    pub receipt_id: String,
    /// What wrote it, such as `eft 0.1.0`.
    pub tool: String,
    /// The job.
    pub job_id: JobId,
    /// The run.
    pub run_id: RunId,
    /// The route.
    pub route_id: RouteId,
    /// The revision the run was pinned to.
    pub route_revision: RouteRevision,
    /// The tenant, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// When the run was claimed, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended, RFC 3339 in UTC.
    pub finished_at: String,
    /// How long it took, by a monotonic clock.
    pub elapsed_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureNote>,
    /// What was read.
    pub source: Source,
    /// The stages, in the order of the route.
    #[serde(default)]
    pub stages: Vec<StageRun>,
    /// The first broken records, at most [`MAX_REJECTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Rejected>,
    /// The deliveries, in the order of the route.
    #[serde(default)]
    pub deliveries: Vec<Delivery>,
    /// What it cost.
    #[serde(default)]
    pub totals: Totals,
    /// Where it took up the work of an earlier attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<ResumedFrom>,
}

impl Receipt {
    /// The bytes that are signed: the canonical JSON of the receipt without its signature.
    ///
    /// # Errors
    /// Never for a value of this type; the result is shared with [`canonical::to_bytes`].
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, ReceiptError> {
        let value = serde_json::to_value(self).map_err(|error| ReceiptError::Malformed(error.to_string()))?;
        Ok(canonical::to_bytes(&value)?)
    }
}
