//! See `eft_fuzz::notes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::notes(data));
