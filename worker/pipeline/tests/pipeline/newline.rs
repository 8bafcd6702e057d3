//! `newline` and `strip_bom`: what Python makes of the same bytes, and any arrival.

use bytes::Bytes;
use eft_domain::route::{CharsetSpec, Limits, LineEnd, LoneCr, Malformed, NewlineSpec, StageSpec};
use eft_domain::{ByteSize, Code};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, Flow, Input, Kind, Output, ResumeClass, Stage};
use proptest::prelude::*;

const EXPECTED: &str = include_str!("../newline_fixtures/expected.txt");

const ALL: [NewlineSpec; 4] = [
    NewlineSpec { to: LineEnd::Lf, lone_cr: LoneCr::Keep },
    NewlineSpec { to: LineEnd::CrLf, lone_cr: LoneCr::Keep },
    NewlineSpec { to: LineEnd::Lf, lone_cr: LoneCr::LineEnd },
    NewlineSpec { to: LineEnd::CrLf, lone_cr: LoneCr::LineEnd },
];

fn stage(spec: &StageSpec) -> AnyStage {
    AnyStage::new(spec, &Limits::default()).unwrap().unwrap()
}

fn run(spec: &StageSpec, bytes: &[u8]) -> Outcome {
    let input = Bytes::copy_from_slice(bytes);
    let whole = drive(vec![stage(spec)], &Arrival::whole(&input));
    whole.assert_same(&drive(vec![stage(spec)], &Arrival::bytewise(&input)));
    assert_eq!(whole.verdict, Ok(()));
    whole
}

fn strip(bytes: &[u8]) -> Vec<u8> {
    run(&StageSpec::StripBom, bytes).bytes
}

fn unhex(text: &str) -> Vec<u8> {
    let text = text.trim_start_matches('-');
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn line_ends_are_what_python_makes_of_them() {
    for line in EXPECTED.lines() {
        let texts: Vec<_> = line.split(' ').map(unhex).collect();
        for (spec, expected) in ALL.into_iter().zip(&texts[1..]) {
            let made = run(&StageSpec::Newline(spec), &texts[0]).bytes;
            assert_eq!(&made, expected, "{spec:?} of {:?}", texts[0]);
        }
    }
    assert_eq!(EXPECTED.lines().count(), 366);
}

#[test]
fn the_output_is_limited() {
    let limits = Limits { max_output_bytes: ByteSize(4), ..Limits::default() };
    let run = |text: &'static str| {
        let stage = AnyStage::new(&StageSpec::Newline(ALL[1]), &limits).unwrap().unwrap();
        drive(vec![stage], &Arrival::whole(&Bytes::from_static(text.as_bytes())))
    };
    assert_eq!(run("a\nb").verdict, Ok(()));
    let over = run("a\nb\n");
    assert_eq!(over.verdict.unwrap_err().code, Code::LimitOutputBytes);
    assert_eq!(over.bytes, b"a\r\nb");
}

#[test]
fn one_mark_at_the_start_is_dropped() {
    for (text, expected) in [
        (&b""[..], &b""[..]),
        (b"\xef\xbb\xbf", b""),
        (b"\xef\xbb\xbfa,b", b"a,b"),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", b"\xef\xbb\xbfa"),
        (b"a\xef\xbb\xbf", b"a\xef\xbb\xbf"),
        (b"\xef\xbb", b"\xef\xbb"),
        (b"\xef\xbba", b"\xef\xbba"),
        (b"\xef\xef\xbb\xbf", b"\xef\xef\xbb\xbf"),
        (b"\xfe\xff\0a", b"\xfe\xff\0a"),
    ] {
        assert_eq!(strip(text), expected, "{text:02x?}");
    }
}

#[test]
fn a_slice_copies_nothing() {
    let bytes = Bytes::from_static(b"\xef\xbb\xbfsome text");
    let (mut stage, mut input) = (stage(&StageSpec::StripBom), Input::default());
    assert_eq!((stage.info().kind, stage.info().resume), (Kind::Slice, ResumeClass::R1));
    input.push(bytes.clone());
    input.end();
    let mut output = Output::with_room(100);
    assert_eq!(stage.step(&mut input, &mut output), Ok(Flow::Done));
    assert_eq!(output.made(), 0);
    let segments = output.take();
    assert_eq!(segments[0].as_ptr(), bytes[3..].as_ptr());
}

#[test]
fn states_of_others_are_refused() {
    for spec in [StageSpec::Newline(ALL[0]), StageSpec::StripBom] {
        let failure = stage(&spec).restore(serde_json::json!({ "after_cr": "yes" })).unwrap_err();
        assert_eq!(failure.code, Code::CheckpointRefused);
    }
}

fn any_spec() -> impl Strategy<Value = StageSpec> {
    prop_oneof![
        proptest::sample::select(ALL.to_vec()).prop_map(StageSpec::Newline),
        Just(StageSpec::StripBom)
    ]
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => Just(b"\r".to_vec()),
        3 => Just(b"\n".to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        1 => Just(b"\xef\xbb".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_arrival_gives_the_same_end(
        spec in any_spec(), text in any_text(), places in prop::collection::vec(any::<usize>(), 0..30),
        waiting in 1usize..4, rooms in prop::collection::vec(1usize..90, 1..5),
    ) {
        let outcome = run(&spec, &text);
        let arrival = Arrival::cut(&text.clone().into(), &places, waiting, &rooms);
        outcome.assert_same(&drive(vec![stage(&spec)], &arrival));
        // What is made has no other line end, and no mark is lost but one.
        match &spec {
            StageSpec::Newline(spec) => {
                let again = run(&StageSpec::Newline(*spec), &outcome.bytes).bytes;
                if spec.lone_cr == LoneCr::LineEnd || !text.windows(3).any(|three| three == b"\r\r\n") {
                    prop_assert_eq!(again, outcome.bytes);
                }
            }
            _ => prop_assert_eq!(&outcome.bytes[..], text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text)),
        }
    }

    /// The usual order: what each makes is what the next one reads, wherever the chunks are cut.
    #[test]
    fn a_chain_of_them(
        text in any_text(), places in prop::collection::vec(any::<usize>(), 0..30),
        waiting in 1usize..4, rooms in prop::collection::vec(1usize..90, 1..5),
    ) {
        let latin: CharsetSpec = CharsetSpec { from: "koi8-r".parse().unwrap(), malformed: Malformed::Reject };
        let specs = [StageSpec::StripBom, StageSpec::Newline(ALL[3]), StageSpec::Charset(latin), StageSpec::StripBom];
        let stages = || specs.iter().map(stage).collect::<Vec<_>>();
        let bytes = Bytes::from([b"\xef\xbb\xbfx", &text[..]].concat());
        let whole = drive(stages(), &Arrival::whole(&bytes));
        let arrival = Arrival::cut(&bytes, &places, waiting, &rooms);
        whole.assert_same(&drive(stages(), &arrival));
        resumed(stages, &arrival);
        let one_by_one = specs.iter().fold(bytes.to_vec(), |text, spec| run(spec, &text).bytes);
        prop_assert_eq!(whole.bytes, one_by_one);
    }

    #[test]
    fn going_on_from_a_state_gives_the_same_end(spec in any_spec(), text in any_text(), seed: u64) {
        let (_, places) = resumed(|| vec![stage(&spec)], &Arrival::seeded(&text.clone().into(), seed, 1));
        prop_assert!(places > 0 || text.len() < 3);
    }
}
