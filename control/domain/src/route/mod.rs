//! A route: which files, what is done to them, where they go. Data, versioned, pinned by a run.

mod destination;
mod options;
mod stage;
mod template;

pub use destination::{Destination, Encryption, OnExisting, S3Destination, StorageClass, StorageOptions};
pub use options::{
    Archive, CompleteWhen, Digest, Executor, HeadOfLine, Match, OnEmpty, Ordering, Rpo, SMALL_MAX,
};
pub use stage::{
    Codec, ColumnType, Columns, CompressSpec, CsvSpec, DecompressSpec, RecordTerminator, StageSpec,
    ValidateSpec,
};
pub use template::{KeyTemplate, ParseTemplateError, Placeholder, RenderError, TemplateValues};

use crate::{ByteSize, RouteId, TenantId};

/// A route. On the command line `stages` alone is enough; the platform asks for the rest ([`Profile`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name, stable over revisions. Needed on the platform.
    pub id: Option<RouteId>,
    /// Whose it is. Needed on the platform.
    pub tenant: Option<TenantId>,
    /// Which keys it takes. Needed on the platform.
    pub matches: Option<Match>,
    /// When a file counts as whole.
    pub complete_when: CompleteWhen,
    /// What happens to an empty object.
    pub on_empty: OnEmpty,
    /// What a file may cost at most.
    pub limits: Limits,
    /// What is done to the bytes, in order. Empty: they are delivered as they are.
    pub stages: Vec<StageSpec>,
    /// Digests besides CRC-64/NVME, which is always computed. In the order of [`Digest::ALL`], each once.
    pub digests: Vec<Digest>,
    /// Where it goes. Needed on the platform; the command line names its own.
    pub destinations: Vec<Destination>,
    /// Whether and how the original is archived.
    pub archive: Option<Archive>,
    /// Which executor runs it.
    pub executor: Executor,
    /// The largest object that still counts as small. At most, and by default, [`SMALL_MAX`].
    pub small: ByteSize,
    /// Order across files.
    pub ordering: Ordering,
    /// When a file is acknowledged.
    pub rpo: Rpo,
}

impl Default for Route {
    fn default() -> Self {
        Self::identity()
    }
}

impl Route {
    /// The route that delivers bytes as they are, with every default: no id, no destination.
    pub fn identity() -> Self {
        Self {
            id: None,
            tenant: None,
            matches: None,
            complete_when: CompleteWhen::default(),
            on_empty: OnEmpty::default(),
            limits: Limits::default(),
            stages: Vec::new(),
            digests: Vec::new(),
            destinations: Vec::new(),
            archive: None,
            executor: Executor::default(),
            small: SMALL_MAX,
            ordering: Ordering::default(),
            rpo: Rpo::default(),
        }
    }

    /// Whether no stage reads the bytes, so that S3 can copy them itself.
    pub fn is_identity(&self) -> bool {
        self.stages.is_empty() && self.digests.is_empty()
    }
}

/// How much a route has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// A route file on the command line: everything is optional.
    Cli,
    /// A route that is saved: `id`, `tenant`, `match` and `destinations` are needed.
    #[default]
    Platform,
}

/// What a file may cost at most. Every limit is enforced while bytes stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Largest object accepted, in bytes. Default 50 TB: S3's own object limit.
    pub max_input_bytes: ByteSize,
    /// Largest output, and largest intermediate stream, in bytes. Default 50 TB.
    pub max_output_bytes: ByteSize,
    /// Most bytes a decompressor may make per byte it reads, counted over the whole stream once it has made
    /// 1 MiB (below that a ratio says nothing). Default 200.
    pub max_ratio: u32,
    /// Longest record (terminator included), in bytes. Default 1 MiB.
    pub max_record_bytes: ByteSize,
    /// Most fields of a record. Default 4,096.
    pub max_fields: u32,
    /// Most records that may break a rule before the file is rejected. Default 0.
    pub max_errors: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_input_bytes: ByteSize(50_000_000_000_000),
            max_output_bytes: ByteSize(50_000_000_000_000),
            max_ratio: 200,
            max_record_bytes: ByteSize::mib(1),
            max_fields: 4_096,
            max_errors: 0,
        }
    }
}
