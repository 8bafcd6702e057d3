//! The stages and the engine by what they promise, on any input.
//!
//! One program: each that links the engine has it made anew for its sources and sinks. Where a test needs a process of its
//! own, nextest gives it one; the two that look at the memory of theirs are beside this.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod any_arrival;
mod catalogue;
mod charset;
mod codec_compress;
mod codec_decompress;
mod codec_support;
mod concat;
mod csv_differential;
mod csv_project;
mod csv_rules;
mod csv_support;
mod csv_to_jsonl;
mod csv_to_parquet;
mod ebcdic;
mod edi;
mod faults;
mod fixed_width;
mod jsonl;
mod magic;
mod newline;
mod pgp_decrypt;
mod pgp_encrypt;
mod pgp_support;
mod pipe;
mod records_support;
mod resume;
mod resume_support;
mod save;
mod scan;
mod sidecar;
mod slices;
mod split;
mod tee;
mod trailer;
mod transfer;
mod unique;
mod utf8_validate;
mod waits;
mod xml;
mod zip;
mod zip_out;
