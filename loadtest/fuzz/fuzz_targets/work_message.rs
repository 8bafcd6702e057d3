//! See `eft_fuzz::work_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::work_message(data));
