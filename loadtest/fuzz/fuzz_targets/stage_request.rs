//! See `eft_fuzz::stage_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::stage_request(data));
