//! `validate.utf8`: the first broken sequence, wherever chunks cut it.

use bytes::Bytes;
use eft_domain::{Code, Failure};
use eft_pipeline::stage::utf8::Utf8Validate;
use eft_pipeline::stage::{Flow, Input, Output, Stage};
use proptest::prelude::*;

fn judge(chunks: &[&[u8]]) -> Result<Vec<u8>, Failure> {
    let (mut stage, mut input, mut output) = (Utf8Validate::new(), Input::default(), Output::with_room(0));
    for chunk in chunks {
        input.push(Bytes::copy_from_slice(chunk));
        assert_eq!(stage.step(&mut input, &mut output)?, Flow::Hungry);
    }
    input.end();
    assert_eq!(stage.step(&mut input, &mut output)?, Flow::Done);
    Ok(output.take().concat())
}

#[test]
fn says_where_and_what() {
    let cases: [(&[u8], &str); 13] = [
        (b"ab\x80", "not UTF-8 at byte 2: stray continuation byte (80)"),
        (b"\xc0\x80", "not UTF-8 at byte 0: overlong sequence (c0)"),
        (b"a\xe0\x9f\xbf", "not UTF-8 at byte 1: overlong sequence (e0 9f)"),
        (b"\xf0\x8f\xbf\xbf", "not UTF-8 at byte 0: overlong sequence (f0 8f)"),
        (b"\xed\xa0\x80", "not UTF-8 at byte 0: surrogate (ed a0)"),
        (b"\xf4\x90\x80\x80", "not UTF-8 at byte 0: beyond U+10FFFF (f4 90)"),
        (b"\xf5\x80", "not UTF-8 at byte 0: beyond U+10FFFF (f5)"),
        (b"\xff", "not UTF-8 at byte 0: byte that never occurs in UTF-8 (ff)"),
        (b"\xc3,", "not UTF-8 at byte 0: truncated sequence (c3)"),
        (b"\xf0\x9f\xa6a", "not UTF-8 at byte 0: truncated sequence (f0 9f a6)"),
        (b"abc\xc3", "not UTF-8 at byte 3: truncated sequence at the end of the file (c3)"),
        (b"\xe6\x9d", "not UTF-8 at byte 0: truncated sequence at the end of the file (e6 9d)"),
        (b"\xf0\x9f\xa6", "not UTF-8 at byte 0: truncated sequence at the end of the file (f0 9f a6)"),
    ];
    for (input, expected) in cases {
        let expected = Err(Failure::new(Code::Validation, expected));
        for at in 0..=input.len() {
            assert_eq!(judge(&[&input[..at], &input[at..]]), expected, "cut at {at}");
        }
        assert_eq!(judge(&input.chunks(1).collect::<Vec<_>>()), expected);
    }
}

proptest! {
    #[test]
    fn agrees_with_the_standard_library(
        pieces in prop::collection::vec(prop_oneof![
            8 => "\\PC{0,40}".prop_map(String::into_bytes),
            1 => prop::collection::vec(0x80u8.., 1..4),
        ], 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let input = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.push(input.len());
        cuts.sort_unstable();
        let mut from = 0;
        let chunks: Vec<&[u8]> = cuts.iter().map(|&to| &input[std::mem::replace(&mut from, to)..to]).collect();
        match (judge(&chunks), std::str::from_utf8(&input)) {
            (Ok(passed), Ok(_)) => prop_assert_eq!(passed, input),
            (Err(failure), Err(error)) => {
                let place = format!("not UTF-8 at byte {}:", error.valid_up_to());
                prop_assert!(failure.message.starts_with(&place), "{failure}, {error}");
            }
            (found, expected) => prop_assert!(false, "{found:?}, {expected:?}"),
        }
    }
}
