//! The stages a route may name, with their parameters.

pub(super) mod charset;
pub(super) mod concat;
mod csv_input;
pub(super) mod csv_project;
#[cfg(test)]
mod csv_tests;
pub(super) mod csv_to_jsonl;
pub(super) mod csv_to_parquet;
pub(super) mod ebcdic;
pub(super) mod edi;
pub(super) mod fixed_width;
mod json_schema;
pub(super) mod jsonl;
mod layout;
pub(super) mod magic;
pub(super) mod newline;
pub(super) mod pgp;
pub(super) mod records;
pub(super) mod scan;
pub(super) mod sidecar;
pub(super) mod split;
pub(super) mod trailer;
pub(super) mod unique;
pub(super) mod xml;
pub(super) mod zip;

use std::collections::BTreeMap;

pub use charset::{Charset, CharsetSpec, Malformed, UnknownCharset};
pub use concat::{ConcatSpec, ManifestForm};
pub use csv_input::OnError;
pub use csv_project::{Change, ColumnSource, CsvOutput, CsvProjectSpec, OutputColumn, QuoteStyle};
pub use csv_to_jsonl::CsvToJsonlSpec;
pub use csv_to_parquet::{CsvToParquetSpec, DecimalSize, ParquetCompression};
pub use ebcdic::{CodePage, Decimal, EbcdicRecords, EbcdicSpec, EbcdicType};
pub use edi::{EdiSpec, EdiStandard};
pub use fixed_width::{FixedColumn, FixedWidthSpec, LineTerminator};
pub use json_schema::{Invalid, JsonSchema, SchemaFault};
pub use jsonl::{BlankLines, JsonlSpec};
pub use layout::{Placed, width};
pub use magic::{MagicSpec, MediaType};
pub use newline::{LineEnd, LoneCr, NewlineSpec};
pub use pgp::{
    PgpCipher, PgpCompression, PgpDecryptSpec, PgpEncryptSpec, PgpIntegrity, PgpSignSpec, PgpVerify,
    PgpVerifySpec,
};
pub use records::{DialectSpec, DropSpec, HeadSpec, MAX_HELD, MAX_LAST, RecordsSpec};
pub use scan::{Larger, ScanSpec};
pub use sidecar::{SidecarDigest, SidecarSpec};
pub use split::SplitSpec;
pub use trailer::{ColumnRef, CountSpec, Counted, Place, SumSpec, TrailerSpec};
pub use unique::UniqueSpec;
pub use xml::XmlSpec;
pub use zip::{UnzipSpec, ZipSpec, entry_fault, made_entry_fault};

/// One stage of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum StageSpec {
    /// Make UTF-8 of another encoding.
    Charset(CharsetSpec),
    /// Join the objects that a manifest names. The first stage, or none.
    Concat(ConcatSpec),
    /// Select, order, rename, mask, hash and add columns.
    CsvProject(CsvProjectSpec),
    /// Write a JSON object a record.
    CsvToJsonl(CsvToJsonlSpec),
    /// Write an Apache Parquet file.
    CsvToParquet(CsvToParquetSpec),
    /// Undo a compression.
    Decompress(DecompressSpec),
    /// Compress.
    Compress(CompressSpec),
    /// Take one entry out of a ZIP archive. The first stage, or none.
    Unzip(UnzipSpec),
    /// Make a ZIP archive of one entry.
    Zip(ZipSpec),
    /// Leave records out at the start and at the end.
    Drop(DropSpec),
    /// Let only the first records pass.
    Head(HeadSpec),
    /// Show the bytes to a virus scanner; they pass unchanged.
    Scan(ScanSpec),
    /// Make several objects of one, cut between records.
    Split(SplitSpec),
    /// Make text of the records of a mainframe.
    Ebcdic(EbcdicSpec),
    /// Make all line ends alike.
    Newline(NewlineSpec),
    /// Drop a UTF-8 byte-order mark at the start.
    StripBom,
    /// Decrypt an OpenPGP message, and verify who signed it.
    PgpDecrypt(PgpDecryptSpec),
    /// Make an encrypted OpenPGP message, signed or not.
    PgpEncrypt(PgpEncryptSpec),
    /// Make a signed OpenPGP message that is not encrypted.
    PgpSign(PgpSignSpec),
    /// Verify a signed OpenPGP message that is not encrypted, and unwrap it.
    PgpVerify(PgpVerifySpec),
    /// Check the content; bytes pass unchanged.
    Validate(ValidateSpec),
}

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// bzip2, any number of streams.
    Bzip2,
    /// RFC 1952, any number of members (bgzip included).
    Gzip,
    /// The .xz file format, any number of streams with padding between them.
    Xz,
    /// RFC 8878, any number of frames (skippable ones included).
    Zstd,
}

/// Parameters of `decompress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecompressSpec {
    /// The format of the input.
    pub codec: Codec,
}

/// Parameters of `compress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressSpec {
    /// The format of the output.
    pub codec: Codec,
    /// Effort. Bzip2 1..=9, default 9; gzip 1..=9, default 6; xz 0..=6, default 6; zstd 1..=19, default 3.
    pub level: i32,
}

/// Which content check.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidateSpec {
    /// Delimiter-separated records.
    Csv(CsvSpec),
    /// Records of a fixed length.
    FixedWidth(FixedWidthSpec),
    /// A type of file, by its first bytes.
    Magic(MagicSpec),
    /// The digest that a file beside the object holds.
    Sidecar(SidecarSpec),
    /// A last record that says what the others are.
    Trailer(TrailerSpec),
    /// X12 or EDIFACT.
    Edi(EdiSpec),
    /// JSON Lines.
    Jsonl(JsonlSpec),
    /// No two records with the same key.
    Unique(UniqueSpec),
    /// Well-formed UTF-8 (RFC 3629), any length.
    Utf8,
    /// Well-formed XML.
    Xml(XmlSpec),
}

/// Parameters of `validate.csv`: an RFC 4180 dialect and the rules for its records.
#[derive(Clone, Debug, PartialEq)]
pub struct CsvSpec {
    /// Field separator, one ASCII byte. Default `,`.
    pub delimiter: u8,
    /// Quote, one ASCII byte; a quote inside a quoted field is doubled. `None`: quotes have no meaning. Default `"`.
    pub quote: Option<u8>,
    /// Escape byte inside quoted fields (`\` in some dialects), besides the doubled quote. Default none.
    pub escape: Option<u8>,
    /// What ends a record. Default [`RecordTerminator::Any`].
    pub terminator: RecordTerminator,
    /// Where the column names come from.
    pub columns: Columns,
    /// Type of each named column; a column without one is text.
    pub types: BTreeMap<String, ColumnType>,
    /// Columns that may not hold a null.
    pub not_null: Vec<String>,
    /// Unquoted field texts that mean null. Default: the empty field.
    pub null_values: Vec<String>,
    /// Bytes must be well-formed UTF-8. Default true.
    pub utf8: bool,
}

/// Where the column names come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// `header: [a, b]`: the first record must be exactly these names, in this order.
    Header(Vec<String>),
    /// `header: true`: the first record names the columns; whatever it says.
    FromFile,
    /// `columns: [a, b]`: no header record; columns have these names.
    Named(Vec<String>),
    /// `header: false`: no header record and no names; every record has as many fields as the first.
    Unnamed,
}

/// What ends a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordTerminator {
    /// CRLF, LF, each alone or mixed.
    #[default]
    Any,
    /// LF only; a CR is an ordinary byte.
    Lf,
    /// CRLF only; a lone LF or CR outside quotes is an error of its record.
    CrLf,
}

/// What a field must look like. Checked on the field's text after unquoting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Anything.
    Text,
    /// Optional sign and digits, fits in 64 bits.
    Integer,
    /// Optional sign, digits, optional point and digits; no exponent.
    Decimal,
    /// A decimal with an optional exponent.
    Float,
    /// `true`, `false`, `0`, `1` in any case, or `t`, `f`, `yes`, `no`, `y`, `n`.
    Boolean,
    /// `YYYY-MM-DD`, a real day.
    Date,
    /// RFC 3339, or `YYYY-MM-DD HH:MM:SS` with optional fraction and zone.
    Timestamp,
    /// 8-4-4-4-12 hexadecimal digits.
    Uuid,
}
