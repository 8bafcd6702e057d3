//! See `eft_fuzz::decompress_bzip2`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::decompress_bzip2(data));
