//! ZIP archives: whatever the bytes, the reader ends, and what comes out is what the directory says.

use std::sync::Arc;

use bytes::Bytes;
use eft_domain::{ByteSize, route::Limits};
use eft_fakes::{
    MemorySource,
    drive::{Arrival, drive},
};
use eft_pipeline::{
    retry::RetryPolicy,
    stage::{AnyStage, UnzipEntry},
    zip::{Archive, Method, Packed},
};
use futures::TryStreamExt;

/// Entries of an archive that are unpacked: an input of a few kilobytes has no more.
const MAX_ENTRIES: u32 = 64;
/// Most bytes an entry may come to.
const MAX_OUTPUT: u64 = 1 << 20;

/// Every entry of an archive, in any arrival, compared with libdeflate.
pub fn unzip(data: &[u8]) {
    let limits = Limits {
        max_output_bytes: ByteSize(MAX_OUTPUT),
        max_ratio: u32::MAX,
        max_entries: MAX_ENTRIES,
        ..Limits::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let found = runtime.expect("a runtime").block_on(entries(Bytes::copy_from_slice(data), &limits));
    let mut held = 0;
    for (bytes, packed) in found {
        held += bytes.len();
        let stage = || vec![AnyStage::Unzip(Box::new(UnzipEntry::new(packed.clone(), &limits)))];
        let whole = drive(stage(), &Arrival::whole(&bytes));
        whole.assert_same(&drive(stage(), &Arrival::bytewise(&bytes)));
        let mut plain = vec![0; packed.size as usize];
        let sound = match packed.method {
            Method::Stored => {
                plain.copy_from_slice(&bytes);
                true
            }
            Method::Deflate => {
                let one = libdeflater::Decompressor::new().deflate_decompress(&bytes, &mut plain);
                one == Ok(plain.len())
            }
        } && libdeflater::crc32(&plain) == packed.crc32;
        if whole.verdict.is_ok() {
            assert!(sound && whole.bytes == plain, "libdeflate reads something else");
        }
    }
    assert!(held <= data.len(), "entries share bytes");
}

async fn entries(bytes: Bytes, limits: &Limits) -> Vec<(Bytes, Packed)> {
    let source = Arc::new(MemorySource::new(bytes));
    let Ok(archive) = Archive::open(source, limits, RetryPolicy::DEFAULT).await else { return Vec::new() };
    let mut found = Vec::new();
    for entry in archive.entries() {
        let named = archive.find(Some(&entry.name));
        assert_eq!(named.is_ok(), !entry.is_folder(), "an entry is not found by its name");
        let Ok((source, packed)) = archive.unpack(entry, limits).await else { continue };
        let size = source.size().expect("a size");
        let frames: Vec<Bytes> = match size {
            0 => Vec::new(),
            _ => source.read(0..size).await.expect("memory").try_collect().await.expect("memory"),
        };
        let bytes = Bytes::from(frames.concat());
        assert_eq!((bytes.len() as u64, size), (packed.compressed, packed.compressed));
        found.push((bytes, packed));
    }
    found
}
