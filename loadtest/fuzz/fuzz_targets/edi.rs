//! See `eft_fuzz::edi`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::edi(data));
