//! See `eft_fuzz::ebcdic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::ebcdic(data));
