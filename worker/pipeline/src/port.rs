//! The ports of the data path: where bytes come from and where they go.
//!
//! Adapters (S3, local files, standard streams) live in the worker; fakes in `loadtest/fakes`. All pass one conformance
//! suite. A port call may be dropped at any await: an adapter leaves nothing behind but what [`Upload::abort`] removes.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use futures::{
    future::{BoxFuture, ready},
    stream::BoxStream,
};
use serde::{Deserialize, Serialize};

use crate::{budget::Lease, checksum::Crc64, stored::Stored};

/// What the caller may do about a port error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object, version, bucket or folder is not there.
    NotFound,
    /// Not allowed with these credentials, or the key is disabled.
    Denied,
    /// The object is no longer the one that was pinned.
    Changed,
    /// Something already stands under the name.
    Exists,
    /// No room left.
    Full,
    /// The bytes do not have the checksum that was sent with them.
    Checksum,
    /// What stands there now is not what was sent.
    Damaged,
    /// Slow down: the endpoint refuses load for now.
    Throttled,
    /// May work when tried again: 5xx, a cut or stalled body, a lost connection.
    Transient,
    /// As [`ErrorKind::Transient`], but something was sent that may have taken effect, and that may not be looked for:
    /// sent again it does no harm; given up it is [`ErrorKind::Indeterminate`].
    Unproven,
    /// Something was sent that takes effect at once, its answer is lost, and looking did not tell.
    Indeterminate,
    /// The upload is gone or can no longer be completed: all of the object has to be sent again, into a new one.
    Spent,
    /// The endpoint does not offer this.
    Unsupported,
    /// Will not work however often it is tried.
    Permanent,
}

/// What went wrong at a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PortError {
    /// What the caller may do about it.
    pub kind: ErrorKind,
    /// What was tried on what, and what came back.
    pub message: String,
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl PortError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        use ErrorKind::{Checksum, Throttled, Transient, Unproven};
        matches!(self.kind, Throttled | Transient | Unproven | Checksum)
    }
}

/// The result of a port call.
pub type PortResult<T> = Result<T, PortError>;

/// Bytes of a range, in the frames they arrive in.
pub type Frames = BoxStream<'static, PortResult<Bytes>>;

/// One object version, pinned: whatever is read is of this version or an error.
pub trait ObjectSource: Send + Sync {
    /// Its name, for messages.
    fn uri(&self) -> String;

    /// Its size in bytes; `None` for a stream, which is read from start to end, one range at a time.
    fn size(&self) -> Option<u64>;

    /// The checksum the store keeps of the whole object, if it keeps one that is compared.
    fn checksum(&self) -> Option<Stored>;

    /// Read a range. The frames end after the range, or earlier at the end of a stream of unknown size.
    ///
    /// # Errors
    /// `Changed` when the pinned version is no longer to be had; a body that ends early is `Transient`.
    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>>;
}

/// What a sink can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkLimits {
    /// Smallest part but the last, in bytes.
    pub min_part: u64,
    /// Largest part, in bytes.
    pub max_part: u64,
    /// Most parts of an object.
    pub max_parts: u32,
    /// Largest object, in bytes.
    pub max_object: u64,
    /// Parts have to be written one after the other, in order.
    pub sequential: bool,
    /// Parts may be sent while they are read, where the upload says so as well ([`Upload::passes`]).
    pub passes: bool,
}

impl SinkLimits {
    /// Amazon S3: "Amazon S3 multipart upload limits", User Guide, and the 50 TB object limit of 2025.
    pub const S3: Self = Self {
        min_part: 5 << 20,
        max_part: 5 << 30,
        max_parts: 10_000,
        max_object: 50_000_000_000_000,
        sequential: false,
        passes: true,
    };

    /// What both can take.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            min_part: self.min_part.max(other.min_part),
            max_part: self.max_part.min(other.max_part),
            max_parts: self.max_parts.min(other.max_parts),
            max_object: self.max_object.min(other.max_object),
            sequential: self.sequential || other.sequential,
            // What is read once passes to one sink.
            passes: false,
        }
    }
}

/// A part of an object on its way to its sinks. Cheap to clone: a tee hands the same bytes to each sink.
#[derive(Clone, Debug)]
pub struct Part {
    /// From 1, without gaps.
    pub number: u32,
    /// Offset of its first byte in the object.
    pub offset: u64,
    /// The bytes, in order.
    pub segments: Arc<[Bytes]>,
    /// Their checksum and length.
    pub crc: Crc64,
    /// What pays for them, given back when the last clone is dropped.
    pub leases: Arc<[Arc<Lease>]>,
}

impl Part {
    /// How many bytes.
    pub fn len(&self) -> u64 {
        self.crc.len()
    }

    /// It has no bytes.
    pub fn is_empty(&self) -> bool {
        self.crc.is_empty()
    }
}

/// A part that is still being read: it is in no memory, and so it cannot be sent again.
pub struct PassingPart {
    /// From 1, without gaps.
    pub number: u32,
    /// Offset of its first byte in the object.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// The bytes, in order: as many as `len` says, or an error.
    pub frames: Frames,
    /// Their checksum: there when the last of them is.
    pub crc: Arc<OnceLock<Crc64>>,
}

/// A part that a sink has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartAck {
    /// From 1.
    pub number: u32,
    /// What the sink needs to name the part at commit (S3: the ETag).
    pub tag: String,
    /// Checksum and length of its bytes.
    pub crc: Crc64,
}

/// How sure a sink is of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verified {
    /// The store compared the full-object checksum we sent with the bytes it has.
    Checksum,
    /// The store knows no such checksum; size and acknowledgements agree.
    SizeOnly,
}

/// An object that now stands under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The version the store gave it.
    pub version: Option<String>,
    /// Its ETag; never a checksum.
    pub etag: Option<String>,
    /// How it was verified.
    pub verified: Verified,
    /// Checksum and length of what stands there: as we sent it, or as the store says of what was found; `None` when an
    /// object was found and the store keeps no such checksum.
    pub whole: Option<Crc64>,
    /// It stood there already, from an earlier attempt of the same delivery.
    pub already_there: bool,
    /// The answer to the commit was lost or unclear, and looking proved it done.
    pub resolved: bool,
}

/// A place for one object.
pub trait ObjectSink: Send + Sync {
    /// Its name, for messages.
    fn uri(&self) -> String;

    /// What it can take.
    fn limits(&self) -> SinkLimits;

    /// Publish an object of one part in one step.
    ///
    /// # Errors
    /// `Exists` when the name is taken and the policy is to fail.
    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>>;

    /// Start an object of several parts. Nothing is visible before [`Upload::commit`].
    ///
    /// # Errors
    /// As the sink finds them. What was begun although the answer is an error is the adapter's to remove: the caller has
    /// no name for it.
    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>>;

    /// Go on with an upload that an earlier run has begun, by its [`Upload::id`].
    ///
    /// # Errors
    /// `NotFound` when it is no longer there; `Unsupported` when uploads cannot be gone on with.
    fn reopen<'a>(&'a self, id: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>>;

    /// The uploads that stand under this object's name, whoever began them.
    ///
    /// # Errors
    /// As the sink finds them.
    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>>;
}

/// Places for several objects, one beside the other.
pub trait Numbered: Send + Sync {
    /// The place of the object with this number, from 1, beside what the transfer's sink at this index is for the first.
    ///
    /// # Errors
    /// As the sink finds them.
    fn open(&self, number: u64, sink: usize) -> BoxFuture<'_, PortResult<Arc<dyn ObjectSink>>>;
}

/// An object under way.
pub trait Upload: Send + Sync {
    /// The name by which [`ObjectSink::reopen`] finds it again; `None` where that cannot be.
    fn id(&self) -> Option<String>;

    /// The first `count` parts, as the sink has them; `None` when it does not have them all, or when they are not, as
    /// far as the sink can tell, the bytes that `whole` is the checksum and length of.
    ///
    /// # Errors
    /// As the sink finds them. `NotFound` when the upload is no longer there.
    fn parts(&self, count: u32, whole: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>>;

    /// Write a part. Writing the same part again replaces it. Parts may be written at the same time, in any order,
    /// unless [`SinkLimits::sequential`].
    ///
    /// # Errors
    /// As the sink finds them; a retryable one leaves the upload usable. `Spent` when it is not there any more.
    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>>;

    /// It takes parts that are still being read, and proves of each that it has the right bytes. It may turn out that it
    /// does not.
    fn passes(&self) -> bool {
        false
    }

    /// Write a part while it is read. As [`Upload::write`], but once: the caller can only read it again.
    ///
    /// # Errors
    /// As [`Upload::write`]. Whatever the error, the part may be written again.
    fn pass(&self, part: PassingPart) -> BoxFuture<'_, PortResult<PartAck>> {
        let message = format!("part {}: only parts in memory are taken", part.number);
        Box::pin(ready(Err(PortError::new(ErrorKind::Unsupported, message))))
    }

    /// Publish all parts as one object, atomically.
    ///
    /// # Errors
    /// `Exists` when the name is taken and the policy is to fail. `Indeterminate` only if looking did not tell. `Spent`
    /// when nothing is published and this upload never will be.
    fn commit<'a>(&'a self, parts: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>>;

    /// Remove every trace. Idempotent; parts still on their way when it is called are removed too.
    ///
    /// # Errors
    /// As the sink finds them; something may then be left behind.
    fn abort(&self) -> BoxFuture<'_, PortResult<()>>;
}
