//! Stages that tell records or types of file apart.

use bytes::Bytes;
use eft_domain::{
    Code,
    route::{Limits, MagicSpec, MediaType, StageSpec, ValidateSpec},
};

use crate::stages::{any_arrival, setup};

/// `validate.magic` in any arrival. A type alone decides as it does in company.
pub fn magic(data: &[u8]) {
    let ([seed, first, second], file): ([u8; 3], Bytes) = setup(data);
    let kind = |byte: u8| MediaType::ALL[usize::from(byte) % MediaType::ALL.len()];
    let judge = |types: &[MediaType]| {
        let spec = StageSpec::Validate(ValidateSpec::Magic(MagicSpec { types: types.to_vec() }));
        let outcome = any_arrival(&spec, &Limits::default(), &file, seed);
        match &outcome.verdict {
            Ok(()) => assert!(outcome.bytes == file, "a tap changed the bytes"),
            Err(failure) => {
                assert_eq!(failure.code, Code::FormatUnexpected);
                assert!(outcome.bytes.is_empty(), "bytes passed before they were judged");
            }
        }
        outcome.verdict.is_ok()
    };
    let (one, two) = (kind(first), kind(second));
    assert_eq!(judge(&[one, two]), judge(&[one]) || judge(&[two]));
}
