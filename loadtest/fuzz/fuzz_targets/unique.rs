//! See `eft_fuzz::unique`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::unique(data));
