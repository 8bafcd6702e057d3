//! See `eft_fuzz::sqs_batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eft_fuzz::sqs_batch(data));
