//! A route: which files, what is done to them, where they go. Data, versioned, pinned by a run.

mod stage;

pub use stage::{
    Codec, ColumnType, Columns, CompressSpec, CsvSpec, DecompressSpec, RecordTerminator, StageSpec,
    ValidateSpec,
};

use crate::ByteSize;

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
