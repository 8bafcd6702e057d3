//! See `eft_fuzz::pgp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::pgp(data));
