//! See `eft_fuzz::traceparent`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::traceparent(data));
