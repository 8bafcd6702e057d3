//! See `eft_fuzz::identity_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::identity_request(data));
