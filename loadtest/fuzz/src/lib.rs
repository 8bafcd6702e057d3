//! Fuzz targets: one function for every parser and every stage. A target takes any bytes and panics when a property
//! does not hold; a property is a round trip, an oracle, or "any arrival of the bytes gives the same end".
//!
//! The inputs worth keeping are in `corpus/<target>/`; `tests/replay.rs` runs all of them in every build. To look for
//! new ones, those targets first that had least so far, for an hour on all cores:
//!
//! ```text
//! cargo xtask fuzz --minutes 60
//! ```
//!
//! It builds with the stable toolchain and without AddressSanitizer, since our code has no `unsafe`, and adds what each
//! target had to `hours.json`. What it reaches stays in `.eft/fuzz`. An input that fails is in `.eft/fuzz/failures`: it goes
//! into the corpus with the fix, as small as it can be made. `cargo +nightly fuzz run --fuzz-dir loadtest/fuzz
//! --features fuzzing --target-dir target/fuzz csv` has the sanitizer as well.

mod archives;
mod batches;
mod documents;
mod ebcdic;
mod fixed_width;
mod kept;
mod messages;
mod pgp;
mod records;
mod rewrites;
mod routes;
mod sidecars;
mod stages;
mod texts;

pub use archives::unzip;
pub use batches::sqs_batch;
pub use documents::{edi, jsonl, xml};
pub use ebcdic::ebcdic;
pub use fixed_width::fixed_width;
pub use kept::{checkpoint, notes};
pub use messages::{identity_request, ingest, stage_request, traceparent, work_message};
pub use pgp::pgp;
pub use records::{magic, slices, trailer, unique};
pub use rewrites::{csv_project, csv_to_jsonl, csv_to_parquet};
pub use routes::{receipt, route_json, route_yaml};
pub use sidecars::{manifest, sidecar};
pub use stages::{
    charset, compress, csv, decompress_bzip2, decompress_gzip, decompress_xz, decompress_zstd, newline,
    strip_bom, utf8,
};
pub use texts::{texts, uri};

/// Panics when a property does not hold for the bytes.
pub type Target = fn(&[u8]);

/// Every target, with the name of its binary and of its folder in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("charset", charset),
    ("checkpoint", checkpoint),
    ("compress", compress),
    ("csv", csv),
    ("csv_project", csv_project),
    ("csv_to_jsonl", csv_to_jsonl),
    ("csv_to_parquet", csv_to_parquet),
    ("decompress_bzip2", decompress_bzip2),
    ("decompress_gzip", decompress_gzip),
    ("decompress_xz", decompress_xz),
    ("decompress_zstd", decompress_zstd),
    ("ebcdic", ebcdic),
    ("edi", edi),
    ("fixed_width", fixed_width),
    ("identity_request", identity_request),
    ("ingest", ingest),
    ("jsonl", jsonl),
    ("magic", magic),
    ("manifest", manifest),
    ("newline", newline),
    ("notes", notes),
    ("pgp", pgp),
    ("receipt", receipt),
    ("route_json", route_json),
    ("route_yaml", route_yaml),
    ("sidecar", sidecar),
    ("slices", slices),
    ("sqs_batch", sqs_batch),
    ("stage_request", stage_request),
    ("strip_bom", strip_bom),
    ("texts", texts),
    ("traceparent", traceparent),
    ("trailer", trailer),
    ("unique", unique),
    ("unzip", unzip),
    ("uri", uri),
    ("utf8", utf8),
    ("work_message", work_message),
    ("xml", xml),
];
