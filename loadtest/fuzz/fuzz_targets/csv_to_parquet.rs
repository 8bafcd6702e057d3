//! See `eft_fuzz::csv_to_parquet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::csv_to_parquet(data));
