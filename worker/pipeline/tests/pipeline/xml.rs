//! Every rule of `validate.xml`, with exact places and words; what expat says; any arrival; any place to go on from.

use bytes::Bytes;
use eft_domain::route::{Limits, StageSpec, ValidateSpec, XmlSpec};
use eft_domain::{ByteSize, Code};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, Flow, Input, Output, Stage, XmlValidate};
use proptest::prelude::*;
use serde_json::json;

fn stage(spec: &XmlSpec, limits: &Limits) -> AnyStage {
    AnyStage::new(&StageSpec::Validate(ValidateSpec::Xml(spec.clone())), limits).unwrap().unwrap()
}

/// What comes of a file, whole; the same byte by byte and cut at any place.
fn judge(spec: &XmlSpec, limits: &Limits, file: &[u8]) -> Outcome {
    let file = Bytes::copy_from_slice(file);
    let whole = drive(vec![stage(spec, limits)], &Arrival::whole(&file));
    whole.assert_same(&drive(vec![stage(spec, limits)], &Arrival::bytewise(&file)));
    for at in 0..file.len().min(200) {
        whole.assert_same(&drive(vec![stage(spec, limits)], &Arrival::cut(&file, &[at], 1, &[1])));
    }
    if whole.verdict.is_ok() {
        assert!(whole.bytes == file, "a tap changed the bytes");
    }
    whole
}

fn refusal(file: &[u8]) -> (Code, String) {
    let failure = judge(&XmlSpec::default(), &Limits::default(), file).verdict.unwrap_err();
    (failure.code, failure.message)
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (file, code, message) in [
        ("<a><b></a>", Code::FormatCorrupt, "`</a>` where `</b>` belongs at byte 6, in /a/b"),
        ("<a><b c='1' c='2'/></a>", Code::FormatCorrupt, "attribute `c` stands twice at byte 12, in /a"),
        ("<a b=1/>", Code::FormatCorrupt, "expected a quote around the value of an attribute at byte 5"),
        ("<a b='<'/>", Code::FormatCorrupt, "`<` in a tag; in a value write it as `&lt;` at byte 6"),
        (
            "<a>x & y</a>",
            Code::FormatCorrupt,
            "`&` starts no reference; write it as `&amp;` at byte 5, in /a",
        ),
        ("<a>&#0;</a>", Code::FormatCorrupt, "`&#0;` is no character of XML at byte 3, in /a"),
        ("<a>\u{1}</a>", Code::FormatCorrupt, "character U+0001, which XML does not have, at byte 3, in /a"),
        ("<a>]]></a>", Code::FormatCorrupt, "`]]>` in text at byte 5, in /a"),
        ("<a><!-- -- --></a>", Code::FormatCorrupt, "`--` in a comment at byte 10, in /a"),
        ("x<a/>", Code::FormatCorrupt, "text before the root element at byte 0"),
        ("<a/>x", Code::FormatTrailing, "text behind the root element at byte 4"),
        ("<a/><b/>", Code::FormatTrailing, "a second root element `b` behind the root element at byte 4"),
        ("<a/></a>", Code::FormatTrailing, "`</a>` behind the root element at byte 4"),
        ("", Code::FormatTruncated, "the file ends at byte 0 before its root element starts"),
        ("<a><b>", Code::FormatTruncated, "the file ends at byte 6 before the root element does, in /a/b"),
        ("<a><b c", Code::FormatTruncated, "the file ends at byte 7 in a tag, in /a"),
        ("<a><!-- ", Code::FormatTruncated, "the file ends at byte 8 in a comment, in /a"),
        ("<!DOCTYPE a><a/>", Code::FormatRefused, "a DTD (`<!DOCTYPE`) at byte 0"),
        (
            "<a>&nbsp;</a>",
            Code::FormatRefused,
            "entity `nbsp`; without a DTD there are amp, lt, gt, apos, quot at byte 3, in /a",
        ),
        (
            "<?xml version='1.0' encoding='iso-8859-1'?><a/>",
            Code::FormatRefused,
            "encoding `iso-8859-1`; the file has to be UTF-8, transcode it first at byte 20",
        ),
        (
            " <?xml version='1.0'?><a/>",
            Code::FormatCorrupt,
            "an XML declaration anywhere but at the start of the file at byte 1",
        ),
    ] {
        assert_eq!(refusal(file.as_bytes()), (code, message.to_owned()), "{file}");
    }
    assert_eq!(refusal(b"<a>\xc3</a>").1, "not UTF-8 at byte 3: truncated sequence (c3)");
    assert_eq!(
        refusal(b"<a>\xe2\x82").1,
        "not UTF-8 at byte 3: truncated sequence at the end of the file (e2 82)"
    );
    let deep = format!("{}<!", "<abcdef>".repeat(30));
    assert!(refusal(deep.as_bytes()).1.ends_with(", in /abcdef/…/abcdef/abcdef/abcdef"));
}

/// An entity that would grow to gigabytes, and one that reads a file: neither is even looked at.
#[test]
fn entities_are_never_expanded() {
    let bomb = "<!DOCTYPE a [<!ENTITY a \"0123456789\"><!ENTITY b \"&a;&a;&a;&a;\">]><a>&b;</a>";
    let file = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>";
    for document in [bomb, file] {
        assert_eq!(refusal(document.as_bytes()).0, Code::FormatRefused);
    }
}

#[test]
fn the_root_may_have_a_name() {
    let spec = |root: &str| XmlSpec { root: Some(root.to_owned()) };
    let limits = Limits::default();
    assert_eq!(judge(&spec("Order"), &limits, b"<Order><x/></Order>").verdict, Ok(()));
    assert_eq!(judge(&spec("Order"), &limits, b"<o:Order/>").verdict, Ok(()));
    assert_eq!(judge(&spec("o:Order"), &limits, b"<o:Order/>").verdict, Ok(()));
    let failure = judge(&spec("Order"), &limits, b"<!-- x --><Invoice/>").verdict.unwrap_err();
    assert_eq!(failure.code, Code::Validation);
    assert_eq!(failure.message, "the root element at byte 10 is `Invoice`, the route says `Order`");
    assert!(judge(&spec("p:Order"), &limits, b"<o:Order/>").verdict.is_err());
}

#[test]
fn limits_are_kept_while_it_streams() {
    let spec = XmlSpec::default();
    let limits = Limits { max_depth: 3, max_fields: 2, max_record_bytes: ByteSize(16), ..Limits::default() };
    let code = |file: &str| judge(&spec, &limits, file.as_bytes()).verdict.map_err(|failure| failure.code);
    assert_eq!(code("<a><b><c/></b></a>"), Ok(()));
    assert_eq!(code("<a><b><c><d/></c></b></a>"), Err(Code::LimitDepth));
    assert_eq!(code("<a b='' c=''/>"), Ok(()));
    assert_eq!(code("<a b='' c='' d=''/>"), Err(Code::LimitRecordBytes));
    assert_eq!(code("<a b=''c=''/>"), Err(Code::FormatCorrupt));
    assert_eq!(code("<abcdefghijklmn/>"), Err(Code::LimitRecordBytes));
    assert_eq!(code("<abcdefghijklm/>"), Ok(()));
    // What is not held has no limit.
    let long = "x".repeat(1000);
    assert_eq!(code(&format!("<a>{long}<!--{long}--><![CDATA[{long}]]></a>")), Ok(()));
    let limits = Limits { max_fields: 2, ..Limits::default() };
    let failure = judge(&spec, &limits, b"<r><a b='' c='' d=''/></r>").verdict.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "limit.max_fields: observed 3 attributes and more in the tag at byte 3, the route allows 2"
    );
    let failure = judge(&spec, &Limits::default(), "<a>".repeat(65).as_bytes()).verdict.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "limit.max_depth: observed 65 levels and more at byte 192, the route allows 64"
    );
    // A tag without an end is refused at the byte that is too much.
    let limits = Limits { max_record_bytes: ByteSize(8), ..Limits::default() };
    let mut stage = XmlValidate::new(spec, &limits);
    let mut input = Input::default();
    input.push(Bytes::from_static(b"<a b    "));
    assert_eq!(stage.step(&mut input, &mut Output::with_room(0)), Ok(Flow::Hungry));
    input.push(Bytes::from_static(b" "));
    let failure = stage.step(&mut input, &mut Output::with_room(0)).unwrap_err();
    assert_eq!(failure.message, "observed 9 bytes and more in the tag at byte 0, the route allows 8");
}

/// expat over hand-written and mutated documents; see `data/xml/make.py`.
#[test]
fn expat_says_the_same() {
    let mut verdicts = [0, 0];
    for case in include_str!("../data/xml/cases.txt").lines() {
        let (verdict, hex) = case.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let document: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let outcome = judge(&XmlSpec::default(), &Limits::default(), &document);
        let sound = outcome.verdict.is_ok();
        assert_eq!(sound, verdict == "+", "{}: {:?}", document.escape_ascii(), outcome.verdict);
        verdicts[usize::from(sound)] += 1;
    }
    assert!(verdicts[0] > 500 && verdicts[1] > 150, "few cases: {verdicts:?}");
}

fn any_document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-zé ]{0,9}",
        Just("&amp;&#233;".to_owned()),
        Just("<!-- x - y -->".to_owned()),
        Just("<![CDATA[<]] >]]>".to_owned()),
        Just("<?p x?>".to_owned()),
        Just("<e a='1' b=\"&lt;'\"/>".to_owned()),
    ];
    let inner = leaf.prop_recursive(4, 30, 5, |inner| {
        ("[a-z]{1,4}", prop::collection::vec(inner, 0..5))
            .prop_map(|(name, inner)| format!("<{name} x='é'>{}</{name} >", inner.concat()))
    });
    (any::<bool>(), prop::collection::vec(inner, 0..4)).prop_map(|(declared, inner)| {
        let head = if declared { "<?xml version='1.0' encoding='UTF-8'?>\n" } else { "" };
        format!("{head}<root>{}</root>\n<!-- end -->", inner.concat())
    })
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"<>/='\"&;!?-[]x \x01\xc3\xff".to_vec());
    let changed = (any_document(), any::<prop::sample::Index>(), byte, any::<bool>());
    let changed = changed.prop_map(|(document, at, byte, replace)| {
        let mut file = document.into_bytes();
        let at = at.index(file.len());
        if replace {
            file[at] = byte
        } else {
            file.insert(at, byte)
        }
        file
    });
    prop_oneof![any_document().prop_map(String::into_bytes), changed]
}

proptest! {
    #[test]
    fn sound_documents_pass(document in any_document()) {
        let outcome = drive(vec![stage(&XmlSpec::default(), &Limits::default())], &Arrival::whole(&Bytes::from(document)));
        prop_assert_eq!(outcome.verdict, Ok(()));
    }

    #[test]
    fn any_arrival_gives_the_same_end(
        file in any_file(), places in prop::collection::vec(any::<usize>(), 0..30), waiting in 1usize..4,
        max_record in 4u64..60, max_depth in 1u32..6,
    ) {
        let file = Bytes::from(file);
        let limits = Limits { max_record_bytes: ByteSize(max_record), max_depth, ..Limits::default() };
        for limits in [limits, Limits::default()] {
            let stages = || vec![stage(&XmlSpec::default(), &limits)];
            let whole = drive(stages(), &Arrival::whole(&file));
            whole.assert_same(&drive(stages(), &Arrival::cut(&file, &places, waiting, &[1])));
            whole.assert_same(&drive(stages(), &Arrival::bytewise(&file)));
        }
    }

    #[test]
    fn it_goes_on_from_any_token(file in any_file(), seed: u64) {
        let file = Bytes::from(file);
        resumed(|| vec![stage(&XmlSpec::default(), &Limits::default())], &Arrival::seeded(&file, seed, 1));
        resumed(|| vec![stage(&XmlSpec::default(), &Limits::default())], &Arrival::bytewise(&file));
    }
}

#[test]
fn states_of_others_are_refused() {
    let place = |mode: serde_json::Value, stretch: &str| json!({ "mode": mode, "stretch": stretch });
    for state in [
        json!(null),
        json!({ "open": [], "place": place(json!("Markup"), "Prolog") }),
        json!({ "open": [], "place": place(json!({ "Text": 0 }), "Root") }),
        json!({ "open": ["a"], "place": place(json!({ "Text": 0 }), "Epilog") }),
        json!({ "open": ["a b"], "place": place(json!({ "Text": 0 }), "Root") }),
        json!({ "open": vec!["a"; 65], "place": place(json!({ "Text": 0 }), "Root") }),
    ] {
        let mut stage = XmlValidate::new(XmlSpec::default(), &Limits::default());
        assert_eq!(stage.restore(state).unwrap_err().code, Code::CheckpointRefused);
    }
}
