//! See `eft_fuzz::decompress_zstd`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::decompress_zstd(data));
