//! See `eft_fuzz::compress`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::compress(data));
