//! See `eft_fuzz::route_yaml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::route_yaml(data));
