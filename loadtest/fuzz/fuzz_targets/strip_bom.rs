//! See `eft_fuzz::strip_bom`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::strip_bom(data));
