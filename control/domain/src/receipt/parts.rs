//! The parts of a receipt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Code, DeliveryId, Failure, ObjectUri, VersionId};

words! {
    /// How a run ended.
    pub enum Outcome {
        /// Every delivery is made.
        Succeeded = "SUCCEEDED",
        /// Some deliveries are made.
        PartiallyDelivered = "PARTIALLY_DELIVERED",
        /// The sender's fault; nothing was delivered.
        Rejected = "REJECTED",
        /// Ours or the destination's fault.
        Failed = "FAILED",
        /// Waits for somebody.
        Held = "HELD",
        /// Stopped on request.
        Cancelled = "CANCELLED",
    }

    /// What a stage does to the bytes that pass it.
    pub enum StageKind {
        /// Reads only.
        Tap = "tap",
        /// Drops or cuts ranges.
        Slice = "slice",
        /// Makes new bytes.
        Rewrite = "rewrite",
        /// Reads out of order.
        Seek = "seek",
    }

    /// How far a run can be resumed through a stage.
    pub enum ResumeClass {
        /// Anywhere.
        R0 = "R0",
        /// With a small state.
        R1 = "R1",
        /// At boundaries of the format.
        R2 = "R2",
        /// From the start only.
        R3 = "R3",
    }

    /// How a delivery ended.
    pub enum DeliveryOutcome {
        /// The object is visible and verified.
        Delivered = "DELIVERED",
        /// It was refused or given up; nothing is visible.
        Failed = "FAILED",
        /// Waits for somebody.
        Held = "HELD",
        /// Never begun, because the run ended before.
        NotAttempted = "NOT_ATTEMPTED",
        /// A commit was sent and what became of it could not be established.
        Indeterminate = "INDETERMINATE",
    }

    /// How the bytes got there.
    pub enum Method {
        /// A multipart upload, or a local file written in parts.
        Stream = "stream",
        /// S3 copied them itself.
        ServerCopy = "server_copy",
        /// One PUT.
        Put = "put",
    }

    /// What the endpoint did with the CRC-64/NVME we sent.
    pub enum CrcCapability {
        /// Checked it before it made the object visible.
        Verified = "verified",
        /// Does not know it; we read our own numbers back instead.
        Unsupported = "unsupported",
        /// Nothing was written, so it was not asked.
        Unproven = "unproven",
    }

    /// What the endpoint did with `If-None-Match` or `If-Match`.
    pub enum WriteCapability {
        /// Enforced it: Amazon S3, whose documentation says so.
        Enforced = "enforced",
        /// Took it. Whether it looked cannot be told without a write that would do harm if it did not.
        Unproven = "unproven",
        /// Does not know it: two writers of one name could both succeed.
        Unsupported = "unsupported",
    }
}

/// Why something did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureNote {
    /// The code. Text, because a later version may know more of them; see [`FailureNote::known`].
    pub code: String,
    /// What happened.
    pub message: String,
    /// Who does what about it.
    pub remedy: String,
}

impl FailureNote {
    /// The code, if this version knows it.
    pub fn known(&self) -> Option<Code> {
        self.code.parse().ok()
    }
}

impl From<&Failure> for FailureNote {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.as_str().to_owned(),
            message: failure.message.clone(),
            remedy: failure.code.remedy().to_owned(),
        }
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where from.
    pub uri: ObjectUri,
    /// The version that was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// The ETag that was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Bytes; of a stream, known when it was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// CRC-64/NVME of the bytes read, base64 as S3 writes it; none if they were not read to their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64nvme: Option<String>,
    /// Whether that is the full-object CRC-64/NVME the source states; none where it states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64nvme_matches_source: Option<bool>,
    /// The algorithm of the source's own full-object checksum that the bytes were held against, and agreed with; none
    /// where it has none that is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
    /// SHA-256 of the bytes read, lower-case hexadecimal, if the route asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What was joined, in its order, where the source is a manifest; size and checksums are then of all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<JoinedObject>,
}

/// One of the objects that were joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedObject {
    /// Where it is.
    pub uri: ObjectUri,
    /// The version that was read, where the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// Its ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What a stage did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRun {
    /// Its name, such as `validate.csv`.
    pub name: String,
    /// What it does to the bytes.
    pub kind: StageKind,
    /// How far a run can be resumed through it.
    pub resume_class: ResumeClass,
    /// Bytes it took.
    pub bytes_in: u64,
    /// Bytes it gave.
    pub bytes_out: u64,
    /// Records it saw, header excluded; none where it knows no records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Records that broke a rule.
    #[serde(default)]
    pub errors: u64,
    /// Members, frames or blocks; none where the format has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// What a scanner saw; none where the stage is no scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scanned>,
    /// Time spent in it.
    pub elapsed_ms: u64,
}

/// What a scanner saw of the bytes that passed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// The scanner with its version, as it says.
    pub scanner: String,
    /// Bytes it gave a verdict on.
    pub bytes: u64,
    /// More bytes passed than it gave a verdict on, because the route lets them.
    pub skipped: bool,
}

/// A record that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The stage that found it.
    pub stage: String,
    /// Its number, from 1, header excluded; 0 is the header.
    pub record: u64,
    /// Offset of its first byte in the stage's input.
    pub offset: u64,
    /// The column; none when the whole record is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// What a destination got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id, also in the object's metadata.
    pub delivery_id: DeliveryId,
    /// Where to.
    pub uri: ObjectUri,
    /// How it ended.
    pub outcome: DeliveryOutcome,
    /// Why, unless it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureNote>,
    /// An earlier attempt had delivered it; this one found its object and verified it.
    #[serde(default)]
    pub already_delivered: bool,
    /// How the bytes got there.
    pub method: Method,
    /// The version that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// The ETag that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Bytes written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// CRC-64/NVME of the bytes written, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64nvme: Option<String>,
    /// SHA-256 of the bytes written, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Parts it was sent in.
    #[serde(default)]
    pub parts: u32,
    /// Attempts, this one included.
    pub attempts: u32,
    /// What the endpoint turned out to do.
    pub endpoint: Capabilities,
}

/// What an endpoint turned out to do, so that a reader knows which promises were S3's and which only ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// What it did with our CRC.
    pub crc64nvme: CrcCapability,
    /// What it did with our condition.
    pub conditional_write: WriteCapability,
    /// Whether it keeps versions.
    pub versions: bool,
}

/// What a run cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests by operation, such as `GetObject`.
    #[serde(default)]
    pub requests: BTreeMap<String, u64>,
    /// Requests that were sent again.
    #[serde(default)]
    pub retries: u64,
    /// Answers that asked us to slow down.
    #[serde(default)]
    pub throttles: u64,
    /// Bytes read from the source, those read twice counted twice.
    #[serde(default)]
    pub bytes_read: u64,
    /// Of those, the ones read again.
    #[serde(default)]
    pub bytes_reread: u64,
}

/// Where a run took up the work of an earlier attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumedFrom {
    /// The fencing token of the attempt that wrote the checkpoint.
    pub attempt: u64,
    /// The source offset it was taken up at.
    pub source_offset: u64,
    /// Parts that were already there.
    pub parts: u32,
}
