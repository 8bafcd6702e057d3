//! Fuzz targets: one function for every parser and every stage. A target takes any bytes and panics when a property
//! does not hold; a property is a round trip, an oracle, or "any arrival of the bytes gives the same end".
//!
//! The inputs worth keeping are in `corpus/<target>/`; `tests/replay.rs` runs all of them in every build. To look for
//! new ones, with a nightly toolchain and `cargo install cargo-fuzz`, in the root of the workspace:
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir loadtest/fuzz --features fuzzing --target-dir target/fuzz csv -- -max_len=4096
//! ```
//!
//! It writes what it finds into `corpus/csv/`: move that away, or keep the few inputs that reach something new. An input
//! that fails is written to `artifacts/csv/`: minimise it (`cargo fuzz tmin`) and commit it to the corpus with the fix.
//! `-s none` leaves AddressSanitizer out: quicker, and enough for our own code, which has no `unsafe`.

mod pgp;
mod routes;
mod stages;
mod texts;

pub use pgp::pgp;
pub use routes::{receipt, route_json, route_yaml};
pub use stages::{compress, csv, decompress_gzip, decompress_zstd, utf8};
pub use texts::{texts, uri};

/// Panics when a property does not hold for the bytes.
pub type Target = fn(&[u8]);

/// Every target, with the name of its binary and of its folder in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("compress", compress),
    ("csv", csv),
    ("decompress_gzip", decompress_gzip),
    ("decompress_zstd", decompress_zstd),
    ("pgp", pgp),
    ("receipt", receipt),
    ("route_json", route_json),
    ("route_yaml", route_yaml),
    ("texts", texts),
    ("uri", uri),
    ("utf8", utf8),
];
