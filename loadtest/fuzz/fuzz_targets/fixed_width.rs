//! See `eft_fuzz::fixed_width`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::fixed_width(data));
