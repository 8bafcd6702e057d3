//! See `eft_fuzz::csv_project`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::csv_project(data));
