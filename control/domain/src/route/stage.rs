//! The stages a route may name, with their parameters.

pub(super) mod pgp;

use std::collections::BTreeMap;

pub use pgp::{
    PgpCipher, PgpCompression, PgpDecryptSpec, PgpEncryptSpec, PgpIntegrity, PgpSignSpec, PgpVerify,
    PgpVerifySpec,
};

/// One stage of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum StageSpec {
    /// Undo a compression.
    Decompress(DecompressSpec),
    /// Compress.
    Compress(CompressSpec),
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
    /// RFC 1952, any number of members (bgzip included).
    Gzip,
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
    /// Effort. Gzip 1..=9, default 6; zstd 1..=19, default 3.
    pub level: i32,
}

/// Which content check.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidateSpec {
    /// Delimiter-separated records.
    Csv(CsvSpec),
    /// Well-formed UTF-8 (RFC 3629), any length.
    Utf8,
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
