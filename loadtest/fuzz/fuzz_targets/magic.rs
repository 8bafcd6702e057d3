//! See `eft_fuzz::magic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::magic(data));
