//! S3, and what speaks its protocol, through `aws-sdk-s3`.

mod attributes;
mod begin;
mod body;
mod client;
mod clock;
mod copy;
mod download;
mod error;
mod http;
mod passing;
mod permit;
mod remove;
mod resolve;
mod resume;
mod sink;
mod slabs;
mod source;
mod timeouts;

pub use attributes::Attributes;
pub use client::{Client, Clients, Requests};
pub use copy::{CopyRange, Method, ServerCopy};
pub use permit::Permit;
pub use sink::{S3Sink, Target};
pub use source::S3Source;
pub use timeouts::Timeouts;

use base64::{Engine, engine::general_purpose::STANDARD};

/// A CRC-64/NVME as S3 writes it: the eight bytes, big-endian, in base64.
pub fn crc_to_text(value: u64) -> String {
    STANDARD.encode(value.to_be_bytes())
}

/// A CRC-64/NVME as S3 writes it; `None` when it is not one.
pub fn crc_from_text(text: &str) -> Option<u64> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes)
}
