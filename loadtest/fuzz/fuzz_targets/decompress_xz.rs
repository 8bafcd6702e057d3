//! See `eft_fuzz::decompress_xz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::decompress_xz(data));
