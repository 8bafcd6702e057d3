//! See `eft_fuzz::checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::checkpoint(data));
