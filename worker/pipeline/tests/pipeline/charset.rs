//! `charset`: what Python reads in the same bytes, every message, and any arrival.

use crate::resume_support::resume;
use bytes::Bytes;
use eft_domain::route::{Charset, CharsetSpec, Limits, Malformed, StageSpec};
use eft_domain::{ByteSize, Code, Failure};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, Flow, Input, Output, ResumeClass, Stage};
use proptest::prelude::*;

const SINGLE: &str = include_str!("../charset_fixtures/single.txt");
const MULTI: &str = include_str!("../charset_fixtures/multi.txt");

fn stage(from: &str, malformed: Malformed) -> AnyStage {
    limited(from, malformed, &Limits::default()).unwrap()
}

fn limited(from: &str, malformed: Malformed, limits: &Limits) -> Result<AnyStage, Failure> {
    let spec = CharsetSpec { from: from.parse::<Charset>().unwrap(), malformed };
    AnyStage::new(&StageSpec::Charset(spec), limits).map(Option::unwrap)
}

fn run(from: &str, malformed: Malformed, bytes: &[u8]) -> Outcome {
    let input = Bytes::copy_from_slice(bytes);
    let whole = drive(vec![stage(from, malformed)], &Arrival::whole(&input));
    whole.assert_same(&drive(vec![stage(from, malformed)], &Arrival::bytewise(&input)));
    whole
}

fn text(from: &str, bytes: &[u8]) -> Result<String, Failure> {
    let outcome = run(from, Malformed::Reject, bytes);
    outcome.verdict.map(|()| String::from_utf8(outcome.bytes).unwrap())
}

fn replaced(from: &str, bytes: &[u8]) -> (String, u64) {
    let outcome = run(from, Malformed::Replace, bytes);
    let errors = outcome.report().errors;
    assert_eq!(outcome.verdict, Ok(()));
    (String::from_utf8(outcome.bytes).unwrap(), errors)
}

fn refusal(from: &str, bytes: &[u8]) -> String {
    text(from, bytes).unwrap_err().to_string()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_name_has_its_decoder() {
    for charset in Charset::all() {
        assert!(limited(charset.name(), Malformed::Reject, &Limits::default()).is_ok(), "{}", charset.name());
        for label in charset.labels() {
            let decoder = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes());
            assert_eq!(decoder.map(|decoder| decoder.name()), Some(charset.name()), "{label}");
        }
    }
}

/// Where Python refuses a byte, the standard refuses it too, or makes it the control character of its number; and the
/// few bytes on which they differ are listed here.
#[test]
fn single_bytes_are_what_python_says() {
    let (mut compared, mut other) = (0, Vec::new());
    for line in SINGLE.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        for (byte, word) in (0..=255u8).zip(words) {
            let ours = text(name, &[byte]);
            match (word, &ours) {
                ("-", Err(failure)) => assert_eq!(failure.code, Code::FormatCorrupt),
                ("-", Ok(text)) if text.chars().eq([char::from(byte)]) => {}
                (word, Ok(text))
                    if word != "-" && format!("{:x}", text.chars().next().unwrap() as u32) == word =>
                {
                    assert_eq!(text.chars().count(), 1);
                    compared += 1;
                }
                _ => other.push((name, byte, ours.ok().unwrap_or_default())),
            }
        }
    }
    let known = [("windows-1255", 0xca, "\u{5ba}")];
    assert_eq!(
        other.iter().map(|(name, byte, text)| (*name, *byte, text.as_str())).collect::<Vec<_>>(),
        known
    );
    assert!(compared > 26 * 200, "{compared}");
}

#[test]
fn texts_are_what_python_says() {
    for line in MULTI.lines() {
        let [name, bytes, expected] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let expected = String::from_utf8(unhex(expected)).unwrap();
        assert_eq!(text(name, &unhex(bytes)), Ok(expected), "{name}");
    }
    assert_eq!(MULTI.lines().count(), 12);
}

#[test]
fn says_where_and_what() {
    for (from, bytes, message) in [
        (
            "windows-1253",
            &b"ab\xd2"[..],
            "format.corrupt: not windows-1253 at byte 2: malformed sequence (d2)",
        ),
        ("shift_jis", b"ab\x81\x20", "format.corrupt: not Shift_JIS at byte 2: malformed sequence (81)"),
        ("shift_jis", b"\xa0", "format.corrupt: not Shift_JIS at byte 0: malformed sequence (a0)"),
        ("gb18030", b"abc\x81\x30\x81\x0a", "format.corrupt: not gb18030 at byte 3: malformed sequence (81)"),
        ("gbk", b"abc\xff", "format.corrupt: not GBK at byte 3: malformed sequence (ff)"),
        ("utf-16le", b"a\0\x00\xd8b\0", "format.corrupt: not UTF-16LE at byte 2: malformed sequence (00 d8)"),
        ("utf-16be", b"\0a\xdc\x00", "format.corrupt: not UTF-16BE at byte 2: malformed sequence (dc 00)"),
        ("utf-8", b"a\xe2\x82x", "format.corrupt: not UTF-8 at byte 1: malformed sequence (e2 82)"),
        (
            "utf-16le",
            b"a\0b",
            "format.truncated: not UTF-16LE at byte 2: the file ends within a character (62)",
        ),
        (
            "euc-kr",
            b"ab\xb0",
            "format.truncated: not EUC-KR at byte 2: the file ends within a character (b0)",
        ),
        (
            "utf-8",
            b"\xef\xbb",
            "format.truncated: not UTF-8 at byte 0: the file ends within a character (ef bb)",
        ),
    ] {
        assert_eq!(refusal(from, bytes), message);
    }
}

#[test]
fn what_stands_before_a_fault_is_given() {
    let outcome = run("windows-1253", Malformed::Reject, b"\xe1\xe2\xd2");
    assert_eq!(String::from_utf8(outcome.bytes).unwrap(), "αβ");
}

#[test]
fn malformed_sequences_are_replaced_and_counted() {
    assert_eq!(replaced("windows-1253", b"a\xd2b\xff"), ("a\u{fffd}b\u{fffd}".into(), 2));
    assert_eq!(replaced("utf-16le", b"\x00\xd8b\0c"), ("\u{fffd}b\u{fffd}".into(), 2));
    assert_eq!(replaced("gb18030", b"\x81\x30\x81\n"), ("\u{fffd}0\u{fffd}\n".into(), 2));
    assert_eq!(replaced("utf-8", b"\xf0\x9f\x98z"), ("\u{fffd}z".into(), 1));
    assert_eq!(replaced("windows-1252", b"\x81\x8d\x80"), ("\u{81}\u{8d}€".into(), 0));
    let many = vec![0xff; 200_000];
    assert_eq!(replaced("euc-jp", &many), ("\u{fffd}".repeat(many.len()), many.len() as u64));
}

#[test]
fn a_mark_of_its_own_is_dropped_and_another_refuses() {
    assert_eq!(text("utf-8", b"\xef\xbb\xbfa\xef\xbb\xbf"), Ok("a\u{feff}".into()));
    assert_eq!(text("utf-16le", b"\xff\xfea\0"), Ok("a".into()));
    assert_eq!(text("utf-16be", b"\xfe\xff\0a"), Ok("a".into()));
    assert_eq!(text("utf-16be", b"\xfe\xff"), Ok(String::new()));
    assert_eq!(text("windows-1252", b"\xef\xbb"), Ok("ï»".into()));
    assert_eq!(text("windows-1252", b"\xefa"), Ok("ïa".into()));
    assert_eq!(text("windows-1252", b"a\xef\xbb\xbf"), Ok("aï»¿".into()));
    assert_eq!(text("windows-1252", b""), Ok(String::new()));
    for malformed in [Malformed::Reject, Malformed::Replace] {
        for (from, bytes, message) in [
            (
                "windows-1252",
                &b"\xef\xbb\xbfa"[..],
                "the file starts with the byte-order mark of UTF-8 (ef bb bf), the route reads windows-1252",
            ),
            (
                "utf-16",
                b"\xfe\xff\0a",
                "the file starts with the byte-order mark of UTF-16BE (fe ff), the route reads UTF-16LE",
            ),
            (
                "utf-8",
                b"\xff\xfea\0",
                "the file starts with the byte-order mark of UTF-16LE (ff fe), the route reads UTF-8",
            ),
        ] {
            let failure = run(from, malformed, bytes).verdict.unwrap_err();
            assert_eq!(failure, Failure::new(Code::FormatCorrupt, message));
        }
    }
}

#[test]
fn the_output_is_limited() {
    let limits = Limits { max_output_bytes: ByteSize(5), ..Limits::default() };
    let run = |bytes: &'static [u8]| {
        let stage = limited("windows-1252", Malformed::Reject, &limits).unwrap();
        drive(vec![stage], &Arrival::whole(&Bytes::from_static(bytes)))
    };
    assert_eq!(run(b"a\xe4\xe4").verdict, Ok(()));
    let over = run(b"a\xe4\xe4a");
    assert_eq!(
        over.verdict.unwrap_err().to_string(),
        "limit.max_output_bytes: observed at least 6 bytes, the route allows 5"
    );
    assert_eq!(over.bytes, "aää".as_bytes());
}

#[test]
fn single_byte_encodings_have_a_state_anywhere() {
    let bytes = Bytes::from_static(b"\xe4\xf6\xfc or \x80 euro");
    for cut in 0..=bytes.len() {
        // The first bytes may be a mark.
        let resumed = resume(|| stage("windows-1252", Malformed::Reject), &bytes, cut, 3).unwrap();
        assert_eq!(resumed.offset, cut as u64);
        assert_eq!(String::from_utf8(resumed.bytes).unwrap(), "äöü or € euro");
    }
    assert_eq!(stage("windows-1252", Malformed::Reject).info().resume, ResumeClass::R1);
}

/// Every pair and a choice of longer sequences before each byte that no character trails with: a fresh decoder goes on
/// alike. That is what the states rest on.
#[test]
fn a_byte_that_never_trails_leaves_no_state() {
    let mut checked = 0;
    for charset in Charset::all() {
        let encoding = encoding_rs::Encoding::for_label(charset.name().as_bytes()).unwrap();
        if encoding.is_single_byte() || ["UTF-16LE", "UTF-16BE", "ISO-2022-JP"].contains(&encoding.name()) {
            continue;
        }
        let lead = [0x0a, 0x41, 0x80, 0x81, 0x8e, 0x8f, 0xa1, 0xc2, 0xe2, 0xf0, 0xfc, 0xfe, 0xff];
        let trail = [0x30, 0x39, 0x40, 0x7e, 0x81, 0xa1, 0xfe];
        let mut prefixes: Vec<Vec<u8>> =
            (0..=0xffffu32).map(|pair| vec![(pair >> 8) as u8, pair as u8]).collect();
        prefixes.extend(lead.iter().flat_map(|a| trail.iter().map(|b| vec![*a, *b, 0x81])));
        prefixes.extend(lead.iter().map(|a| vec![*a]));
        for prefix in prefixes {
            for last in [0x00, 0x0a, 0x0d, 0x20, 0x2f] {
                let mut decoder = encoding.new_decoder_without_bom_handling();
                let mut room = [0; 64];
                let bytes = [&prefix[..], &[last]].concat();
                let (_, read, _, _) = decoder.decode_to_utf8(&bytes, &mut room, false);
                assert_eq!(read, bytes.len());
                let state = decoder.latin1_byte_compatible_up_to(&[]);
                assert!(state.is_some(), "{} {bytes:02x?}", encoding.name());
                checked += 1;
            }
        }
    }
    println!("checked {checked} sequences");
    assert!(checked > 7 * 5 * 65_536);
}

#[test]
fn states_are_at_the_places_the_page_names() {
    for (from, bytes, cut, at) in [
        ("shift_jis", &b"ab\x83\x5c\n\x83\x5c\nz"[..], 3, Some(5)),
        ("gb18030", b"\x81\x30\x81\x30 x\n", 1, Some(4)),
        ("utf-16le", b"a\0\x3d\xd8\x00\xde\n\0", 3, Some(6)),
        ("utf-16be", b"\0a\xd8\x3d\xde\x00\0\n", 4, Some(6)),
        ("utf-16le", b"\xff\xfea\0", 1, Some(2)),
        ("iso-2022-jp", b"ab\x1b$B$\"\n\x1b(B\ncd\n", 3, Some(12)),
        ("iso-2022-jp", b"ab\x1b$B$\"\n$\"", 3, None),
        ("utf-8", b"\xe2\x82\xac\n\xe2\x82\xac\n", 1, Some(4)),
        ("euc-kr", b"\xb0\xa1\xb0\xa1", 1, Some(4)),
    ] {
        let found = resume(|| stage(from, Malformed::Replace), &Bytes::from_static(bytes), cut, 100);
        assert_eq!(found.map(|found| found.offset), at, "{from} {bytes:02x?}");
    }
}

#[test]
fn no_state_inside_a_character_or_with_output_pending() {
    let (mut stage, mut input) = (stage("shift_jis", Malformed::Reject), Input::default());
    assert!(stage.save().is_some());
    input.push(Bytes::from_static(b"abcd\x83"));
    assert_eq!(stage.step(&mut input, &mut Output::with_room(2)), Ok(Flow::Full));
    assert_eq!(stage.save(), None);
    assert_eq!(stage.step(&mut input, &mut Output::with_room(100)), Ok(Flow::Hungry));
    assert_eq!(stage.save(), None);
    input.push(Bytes::from_static(b"\x5c"));
    assert_eq!(stage.step(&mut input, &mut Output::with_room(100)), Ok(Flow::Hungry));
    assert!(stage.save().is_some());
    let failure = stage.restore(serde_json::json!({ "started": 1 })).unwrap_err();
    assert_eq!(failure.code, Code::CheckpointRefused);
}

fn any_charset() -> impl Strategy<Value = &'static str> {
    let name = |single: bool| {
        let all = Charset::all().map(Charset::name);
        let decoder = |name: &&str| encoding_rs::Encoding::for_label(name.as_bytes()).unwrap();
        proptest::sample::select(
            all.filter(|name| decoder(name).is_single_byte() == single).collect::<Vec<_>>(),
        )
    };
    prop_oneof![1 => name(true), 3 => name(false)]
}

/// Bytes that meet the rules of multi-byte encodings often.
fn any_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => any::<u8>(),
        2 => proptest::sample::select(vec![0x0a, 0x1b, 0x24, 0x28, 0x42, 0x4a, 0x30, 0x5c]),
        2 => 0xd7u8..=0xe0,
        2 => 0x81u8..=0xfe,
        2 => 0x20u8..0x7f,
    ];
    prop::collection::vec(byte, 0..most)
}

proptest! {
    #[test]
    fn any_arrival_gives_the_same_end(
        from in any_charset(), replace: bool, bytes in any_bytes(600),
        places in prop::collection::vec(any::<usize>(), 0..30), waiting in 1usize..4,
        rooms in prop::collection::vec(1usize..200, 1..5),
    ) {
        let malformed = if replace { Malformed::Replace } else { Malformed::Reject };
        let outcome = run(from, malformed, &bytes);
        let arrival = Arrival::cut(&bytes.clone().into(), &places, waiting, &rooms);
        outcome.assert_same(&drive(vec![stage(from, malformed)], &arrival));
        // The same as the decoder at once, which replaces by itself.
        let encoding = encoding_rs::Encoding::for_label(from.as_bytes()).unwrap();
        if outcome.verdict.is_ok() {
            let (expected, _) = encoding.decode_with_bom_removal(&bytes);
            prop_assert_eq!(String::from_utf8(outcome.bytes).unwrap(), expected);
        }
    }

    #[test]
    fn going_on_from_a_state_gives_the_same_end(
        from in any_charset(), replace: bool, bytes in any_bytes(200), seed: u64,
    ) {
        let malformed = if replace { Malformed::Replace } else { Malformed::Reject };
        resumed(|| vec![stage(from, malformed)], &Arrival::seeded(&bytes.into(), seed, 1));
    }
}
