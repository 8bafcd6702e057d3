//! See `eft_fuzz::charset`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::charset(data));
