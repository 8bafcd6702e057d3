//! See `eft_fuzz::trailer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::trailer(data));
