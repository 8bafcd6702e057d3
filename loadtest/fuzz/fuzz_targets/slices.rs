//! See `eft_fuzz::slices`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::slices(data));
