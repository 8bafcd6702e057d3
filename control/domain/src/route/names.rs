//! Every name of the route language, in one place: the decoder, the encoder and the schema test read it.

use super::{Codec, ColumnType, Digest, RecordTerminator, stage::zip};
use crate::text::Word;

pub(super) const ROUTE: &[&str] = &[
    "id",
    "tenant",
    "match",
    "complete_when",
    "on_empty",
    "limits",
    "stages",
    "digests",
    "destinations",
    "archive",
    "executor",
    "small",
    "ordering",
    "rpo",
];
pub(super) const MATCH: &[&str] = &["prefix", "glob"];
pub(super) const LIMITS: &[&str] = &[
    "max_input_bytes",
    "max_output_bytes",
    "max_ratio",
    "max_record_bytes",
    "max_fields",
    "max_entries",
    "max_depth",
    "max_errors",
];
pub(super) const STAGES: &[&str] = &[
    "concat",
    "decompress",
    "charset",
    "csv_project",
    "csv_to_jsonl",
    "csv_to_parquet",
    "drop",
    "ebcdic",
    "head",
    "newline",
    "pgp_decrypt",
    "pgp_verify",
    "scan",
    "split",
    "strip_bom",
    "validate",
    "compress",
    "pgp_encrypt",
    "pgp_sign",
];
pub(super) const DECOMPRESS: &[&str] = &["codec", "entry", "entries"];
pub(super) const COMPRESS: &[&str] = &["codec", "level", "entry"];
pub(super) const VALIDATORS: &[&str] =
    &["csv", "edi", "fixed_width", "jsonl", "magic", "sidecar", "trailer", "unique", "utf8", "xml"];
pub(super) const CSV: &[&str] = &[
    "delimiter",
    "quote",
    "escape",
    "terminator",
    "header",
    "columns",
    "types",
    "not_null",
    "null_values",
    "utf8",
];
pub(super) const UTF8: &[&str] = &[];
pub(super) const STRIP_BOM: &[&str] = &[];
pub(super) const DESTINATIONS: &[&str] = &["s3"];
pub(super) const S3: &[&str] = &[
    "bucket",
    "key",
    "region",
    "on_existing",
    "storage_class",
    "encryption",
    "content_type",
    "metadata",
    "tags",
    "expected_owner",
];
pub(super) const ENCRYPTION: &[&str] = &["kms"];
pub(super) const ARCHIVE: &[&str] = &["storage_class", "original"];
pub(super) const ORDERING: &[&str] = &["strict"];

impl Word for Codec {
    const WORDS: &'static [(&'static str, Self)] =
        &[("bzip2", Self::Bzip2), ("gzip", Self::Gzip), ("xz", Self::Xz), ("zstd", Self::Zstd)];
}

impl Word for ColumnType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("decimal", Self::Decimal),
        ("float", Self::Float),
        ("boolean", Self::Boolean),
        ("date", Self::Date),
        ("timestamp", Self::Timestamp),
        ("uuid", Self::Uuid),
    ];
}

impl Word for RecordTerminator {
    const WORDS: &'static [(&'static str, Self)] =
        &[("any", Self::Any), ("lf", Self::Lf), ("crlf", Self::CrLf)];
}

/// Every stage that a route can ask for, by the name it has in plans and receipts, such as `validate.csv`; in the order
/// of the alphabet.
pub fn stage_names() -> Vec<String> {
    let stages = STAGES.iter().flat_map(|stage| match *stage {
        "compress" | "decompress" => vec![(*stage).to_owned(), format!("{stage}.{}", zip::WORD)],
        "validate" => VALIDATORS.iter().map(|check| format!("validate.{check}")).collect(),
        other => vec![other.to_owned()],
    });
    let digests = Digest::ALL.iter().map(|digest| format!("digest.{digest}"));
    let mut names: Vec<_> = stages.chain(digests).collect();
    names.sort();
    names
}

/// The word for a value.
pub(super) fn word<T: Word + PartialEq>(value: T) -> &'static str {
    // Every value stands in its own table: the test below says so.
    T::WORDS.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

impl Codec {
    /// The codec as it is written in routes and receipts.
    pub fn as_str(self) -> &'static str {
        word(self)
    }
}

impl ColumnType {
    /// The type as it is written in routes and messages.
    pub fn as_str(self) -> &'static str {
        word(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_named_as_in_receipts() {
        let names = stage_names();
        assert!(
            ["compress", "digest.sha256", "validate.csv"].iter().all(|name| names.contains(&(*name).into()))
        );
        assert!(!names.contains(&"validate".into()) && names.is_sorted());
    }

    #[test]
    fn every_value_has_its_word() {
        assert_eq!(word(Codec::Zstd), "zstd");
        assert_eq!(word(RecordTerminator::CrLf), "crlf");
        for (text, value) in ColumnType::WORDS {
            assert_eq!(word(*value), *text);
        }
        assert_eq!(ColumnType::WORDS.len(), ColumnType::Uuid as usize + 1);
    }
}
