//! See `eft_fuzz::route_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::route_json(data));
