//! See `eft_fuzz::newline`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::newline(data));
