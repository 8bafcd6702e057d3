//! See `eft_fuzz::unzip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::unzip(data));
