//! See `eft_fuzz::decompress_gzip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::decompress_gzip(data));
