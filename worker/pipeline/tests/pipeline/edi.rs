//! Every rule of `validate.edi`, with exact segments, offsets and words; what a checker in Python says; any arrival; any
//! place to go on from.

use bytes::Bytes;
use eft_domain::route::{EdiSpec, EdiStandard, Limits, StageSpec, ValidateSpec};
use eft_domain::{ByteSize, Code};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::{AnyStage, EdiValidate, Stage};
use proptest::prelude::*;
use serde_json::{Value, json};

const ISA: &str = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *261125*0300*^*00501*000000001*0*P*:~";

fn tolerant() -> Limits {
    Limits { max_errors: u64::MAX, ..Limits::default() }
}

fn stage(standard: EdiStandard, limits: &Limits) -> AnyStage {
    AnyStage::new(&StageSpec::Validate(ValidateSpec::Edi(EdiSpec { standard })), limits).unwrap().unwrap()
}

/// What comes of a file, whole; the same byte by byte and cut at any place.
fn judge(standard: EdiStandard, limits: &Limits, file: &[u8]) -> Outcome {
    let file = Bytes::copy_from_slice(file);
    let whole = drive(vec![stage(standard, limits)], &Arrival::whole(&file));
    whole.assert_same(&drive(vec![stage(standard, limits)], &Arrival::bytewise(&file)));
    for at in 0..file.len().min(400) {
        whole.assert_same(&drive(vec![stage(standard, limits)], &Arrival::cut(&file, &[at], 1, &[1])));
    }
    if whole.verdict.is_ok() {
        assert!(whole.bytes == file, "a tap changed the bytes");
    }
    whole
}

/// The rejects of a tolerated file, as `segment@offset element: reason`.
fn rejects(standard: EdiStandard, file: &str) -> Vec<String> {
    let outcome = judge(standard, &tolerant(), file.as_bytes());
    assert_eq!(outcome.verdict, Ok(()), "{file}");
    let rows = outcome.report().rejects.iter().map(|reject| {
        let column = reject.column.as_deref().unwrap_or("-");
        format!("{}@{} {column}: {}", reject.record, reject.offset, reject.reason)
    });
    rows.collect()
}

fn x12(inner: &str, end: &str) -> Vec<String> {
    rejects(EdiStandard::X12, &format!("{ISA}{inner}{end}"))
}

fn edifact(inner: &str) -> Vec<String> {
    rejects(EdiStandard::Edifact, inner)
}

fn refusal(standard: EdiStandard, file: &[u8]) -> (Code, String) {
    let failure = judge(standard, &tolerant(), file).verdict.unwrap_err();
    (failure.code, failure.message)
}

const GS: &str = "GS*PO*S*R*20261125*0300*1*X*005010~";
const SET: &str = "ST*850*0001~BEG*00~SE*3*0001~";
const END: &str = "GE*1*1~IEA*1*000000001~";

#[test]
fn sound_interchanges_pass() {
    let one = format!("{ISA}{GS}{SET}{END}");
    let outcome = judge(EdiStandard::X12, &Limits::default(), one.as_bytes());
    assert_eq!((&outcome.verdict, outcome.report().records), (&Ok(()), Some(7)));
    let lines = one.replace('~', "~\r\n");
    let other = one.replace('*', "|").replace('~', "\n");
    for file in
        [lines.clone(), other, format!("{one}\n{lines} \t{one}"), format!("{ISA}TA1*1*2*3*A*000~IEA*0*1~")]
    {
        assert_eq!(judge(EdiStandard::X12, &Limits::default(), file.as_bytes()).verdict, Ok(()), "{file}");
    }
    let unb = "UNB+UNOA:1+S+R+261125:0300+REF1'";
    let message = "UNH+M1+ORDERS:D:96A:UN'BGM+220+it?'s ???'+9'UNT+3+M1'";
    let group = "UNG+ORDERS+S+R+261125:0300+G1+UN+D:96A'";
    for file in [
        format!("{unb}{message}UNZ+1+REF1'"),
        format!("UNA:+.? '{unb}{message}UNZ+1+REF1'"),
        format!("UNA:+.? '\n{unb}\n{message}\nUNZ+1+REF1'\n"),
        format!("{unb}{group}{message}UNE+1+G1'UNZ+1+REF1'"),
        format!("{unb}UNZ+0+REF1'"),
        "UNA|^,  ;UNB^UNOA|1^S^R^1|1^?;UNH^1^X;UNT^2^1;UNZ^1^?;".to_owned(),
    ] {
        assert_eq!(
            judge(EdiStandard::Edifact, &Limits::default(), file.as_bytes()).verdict,
            Ok(()),
            "{file}"
        );
    }
}

#[test]
fn counts_and_control_numbers_are_checked() {
    let row = x12(&format!("{GS}ST*850*0001~BEG*00~SE*4*0001~"), END);
    assert_eq!(row, ["5@160 SE01: says \"4\" segments, there are 3"]);
    assert_eq!(
        x12(&format!("{GS}ST*850*0001~SE*2*0002~"), "GE*2*1~IEA*7*000000002~"),
        [
            "4@153 SE02: control number \"0002\", the transaction set was opened with \"0001\"",
            "5@163 GE01: says \"2\" transaction sets, there are 1",
            "6@170 IEA01: says \"7\" functional groups, there are 1",
            "6@170 IEA02: control number \"000000002\", the interchange was opened with \"000000001\"",
        ]
    );
    // A number is a number, however it is filled up.
    assert!(x12(&format!("{GS}ST*850*0001~SE*02*1~"), "GE*1*0001~IEA*1*1~").is_empty());
    assert_eq!(
        x12(&format!("{GS}{SET}"), "GE**1~IEA*1*1~"),
        ["6@170 GE01: says \"\" transaction sets, there are 1"]
    );
    let message = |count: &str, end: &str| {
        edifact(&format!("UNB+UNOA:1+S+R+1:1+REF1'UNH+M1+X'BGM+1'UNT+{count}+{end}'UNZ+1+REF2'"))
    };
    assert_eq!(
        message("2", "m1"),
        [
            "4@39 UNT01: says \"2\" segments, there are 3",
            "4@39 UNT02: control number \"m1\", the message was opened with \"M1\"",
            "5@48 UNZ02: control number \"REF2\", the interchange was opened with \"REF1\"",
        ]
    );
}

#[test]
fn nesting_is_checked() {
    assert_eq!(
        x12("BEG*00~ST*850*1~SE*2*1~", "IEA*0*1~"),
        ["2@106 BEG: outside a transaction set", "3@113 ST: outside a functional group",]
    );
    assert_eq!(
        x12("SE*1*1~GE*1*1~", "IEA*0*1~"),
        [
            "2@106 SE: closes a transaction set that no ST opens",
            "3@113 GE: closes a functional group that no GS opens",
        ]
    );
    assert_eq!(
        x12(&format!("{GS}ST*850*1~ST*850*2~"), "IEA*1*1~"),
        [
            "4@150 ST: the transaction set \"1\" is open: no SE closes it",
            "5@159 IEA: the transaction set \"2\" is open: no SE closes it",
            "5@159 IEA: the functional group \"1\" is open: no GE closes it",
        ]
    );
    assert_eq!(
        edifact("UNB+UNOA:1+S+R+1:1+R'UNG+X+S+R+1:1+G'UNE+0+G'UNH+1+X'UNT+2+1'UNZ+1+R'"),
        ["4@45 UNH: outside a group, where others are in one"]
    );
    assert_eq!(x12(&format!("{GS}TA1*1~"), "GE*0*1~IEA*1*1~"), ["3@141 TA1: outside a transaction set"]);
    assert_eq!(
        x12(&format!("{GS}ST*1*1~beg*1~~1AB*2~SE*5*1~"), "GE*1*1~IEA*1*1~"),
        [
            "4@148 beg: \"beg\" is no name of a segment",
            "5@154 : \"\" is no name of a segment",
            "6@155 1AB: \"1AB\" is no name of a segment",
        ]
    );
}

#[test]
fn control_numbers_are_used_once() {
    let twice = x12(&format!("{GS}ST*1*7~SE*2*7~ST*1*7~SE*2*7~GE*2*1~{GS}ST*1*7~SE*2*7~GE*1*1~"), "IEA*2*1~");
    assert_eq!(
        twice,
        [
            "5@155 ST02: control number \"7\" was used before for a transaction set",
            "8@176 GS06: control number \"1\" was used before for a functional group",
        ]
    );
    assert_eq!(
        edifact("UNB+UNOA:1+S+R+1:1+R'UNH+A+X'UNT+2+A'UNH+A+X'UNT+2+A'UNZ+2+R'"),
        ["4@37 UNH01: control number \"A\" was used before for a message"]
    );
    assert_eq!(x12("GS*PO~ST~SE*2~", "GE*1~IEA*1*1~").len(), 2, "both have none");
}

#[test]
fn a_head_that_gives_no_separators_is_final() {
    let refused = |file: &str| refusal(EdiStandard::X12, file.as_bytes());
    assert_eq!(
        refused("PK\u{3}\u{4}"),
        (Code::FormatCorrupt, "no interchange at byte 0: expected ISA, found \"PK\\u{3}\"".into())
    );
    let (code, text) = refused(&format!("{}{GS}", ISA.replace("SENDER  ", "SENDER")));
    assert_eq!(code, Code::FormatCorrupt);
    assert_eq!(
        text,
        "no interchange at byte 0: ISA06 is not of its fixed length: an ISA segment has 106 bytes, its elements separated by \"*\""
    );
    assert!(refused(&ISA.replace('~', ":")).1.contains("\":\" cannot separate, or separates two things"));
    let whole = format!("{ISA}IEA*0*1~");
    assert_eq!(
        refused(&format!("{whole}xyz")),
        (Code::FormatTrailing, "no interchange at byte 114: expected ISA, found \"xyz\"".into())
    );
    let refused = |file: &str| refusal(EdiStandard::Edifact, file.as_bytes());
    assert_eq!(refused("UIB+X").1, "no interchange at byte 0: expected UNA or UNB, found \"UIB\"");
    assert!(refused("UNA++.? 'UNB").1.contains("separates two things"));
    assert!(refused("UNA:+.? 'UNH+1'").1.contains("the separators are followed by no interchange"));
    assert!(refused("UNBX+1'").1.contains("followed by no interchange"));
}

#[test]
fn an_end_inside_is_final() {
    let refused = |file: &str| refusal(EdiStandard::X12, file.as_bytes());
    assert_eq!(refused(""), (Code::FormatTruncated, "the file has no interchange".into()));
    assert_eq!(refused(" \r\n").1, "the file has no interchange");
    assert_eq!(refused(&ISA[..50]).1, "the file ends at byte 50 in the head of an interchange");
    assert_eq!(
        refused(&format!("{ISA}{GS}ST*850*0001~BE")).1,
        "the file ends at byte 155 in segment 4, in transaction set \"0001\" of functional group \"1\" of interchange \"000000001\""
    );
    assert_eq!(refused(ISA).1, "the file ends at byte 106 before the end of interchange \"000000001\"");
    assert_eq!(refusal(EdiStandard::Edifact, b"UNA:+.? '").0, Code::FormatTruncated);
    // A released terminator ends nothing.
    assert_eq!(
        refusal(EdiStandard::Edifact, b"UNB+UNOA:1+S+R+1:1+R'UNZ+0+R?'").1,
        "the file ends at byte 30 in segment 2, in interchange \"R\""
    );
}

#[test]
fn errors_and_lengths_are_limited() {
    let file = format!("{ISA}A~B~C~IEA*0*1~");
    let limits = |max_errors| Limits { max_errors, ..Limits::default() };
    assert_eq!(judge(EdiStandard::X12, &limits(3), file.as_bytes()).verdict, Ok(()));
    let failure = judge(EdiStandard::X12, &limits(2), file.as_bytes()).verdict.unwrap_err();
    assert_eq!(failure.code, Code::Validation);
    assert_eq!(
        failure.message,
        "3 records break the rules, the route allows 2; first: record 2 at byte 106, column A: \"A\" is no name of a segment"
    );
    let limits = Limits { max_record_bytes: ByteSize(10), ..tolerant() };
    let fits = format!("{ISA}AB*456789~IEA*0*1~");
    assert_eq!(judge(EdiStandard::X12, &limits, fits.as_bytes()).verdict, Ok(()));
    let long = format!("{ISA}AB*4567890~IEA*0*1~");
    assert_eq!(
        judge(EdiStandard::X12, &limits, long.as_bytes()).verdict.unwrap_err().to_string(),
        "limit.max_record_bytes: observed 11 bytes and more in segment 2 at byte 106, the route allows 10"
    );
    let endless = format!("{ISA}{}", "x".repeat(100));
    assert_eq!(
        judge(EdiStandard::X12, &limits, endless.as_bytes()).verdict.unwrap_err().code,
        Code::LimitRecordBytes
    );
}

/// Sound and broken interchanges with what a checker in Python says of them; see `data/edi/make.py`.
#[test]
fn python_says_the_same() {
    let cases: Vec<Value> = include_str!("../data/edi/cases.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut wrong = 0;
    for case in &cases {
        let standard = if case["standard"] == "x12" { EdiStandard::X12 } else { EdiStandard::Edifact };
        let file = Bytes::copy_from_slice(case["file"].as_str().unwrap().as_bytes());
        let outcome = drive(vec![stage(standard, &tolerant())], &Arrival::whole(&file));
        assert_eq!(outcome.verdict, Ok(()), "{}", case["file"]);
        let rows = outcome
            .report()
            .rejects
            .iter()
            .map(|reject| json!([reject.record, reject.offset, reject.column]));
        assert_eq!(Value::from(rows.collect::<Vec<_>>()), case["faults"], "{}", case["file"]);
        wrong += usize::from(!outcome.report().rejects.is_empty());
    }
    assert!(cases.len() >= 200 && (50..cases.len() - 50).contains(&wrong), "{wrong} of {}", cases.len());
}

fn any_file() -> impl Strategy<Value = (EdiStandard, Vec<u8>)> {
    let x12 = prop::sample::select(vec![
        "GS*PO*S*R*1*1*1*X*1~",
        "GS*PO*S*R*1*1*2*X*1~\n",
        "ST*850*0001~",
        "ST*850*0002~\r\n",
        "BEG*00~",
        "SE*3*0001~",
        "SE*2*0002~",
        "GE*1*1~",
        "GE*0*2~",
        "IEA*1*1~",
        "IEA*0*000000001~\n",
        "TA1~",
        "~",
        "x*y~",
        ISA,
    ]);
    let edifact = prop::sample::select(vec![
        "UNB+UNOA:1+S+R+1:1+R1'",
        "UNA:+.? '",
        "UNH+1+X'",
        "UNH+2+X'\n",
        "BGM+?'??'",
        "BGM+?",
        "UNT+2+1'",
        "UNT+3+2'",
        "UNZ+1+R1'",
        "UNZ+0+R1'\r\n",
        "UNG+X+S+R+1:1+G1'",
        "UNE+1+G1'",
        "'",
        " ",
    ]);
    let x12 = prop::collection::vec(x12, 0..14)
        .prop_map(|segments| (EdiStandard::X12, format!("{ISA}{}", segments.concat()).into_bytes()));
    let edifact = prop::collection::vec(edifact, 0..14).prop_map(|segments| {
        (EdiStandard::Edifact, format!("UNB+UNOA:1+S+R+1:1+R1'{}", segments.concat()).into_bytes())
    });
    prop_oneof![x12, edifact]
}

proptest! {
    #[test]
    fn any_arrival_gives_the_same_end(
        (standard, file) in any_file(), places in prop::collection::vec(any::<usize>(), 0..30), waiting in 1usize..4,
        max_record in 5u64..40, max_errors in 0u64..4,
    ) {
        let file = Bytes::from(file);
        let tight = Limits { max_record_bytes: ByteSize(max_record), max_errors, ..Limits::default() };
        for limits in [tight, tolerant()] {
            let stages = || vec![stage(standard, &limits)];
            let whole = drive(stages(), &Arrival::whole(&file));
            whole.assert_same(&drive(stages(), &Arrival::cut(&file, &places, waiting, &[1])));
            whole.assert_same(&drive(stages(), &Arrival::bytewise(&file)));
        }
    }

    #[test]
    fn it_goes_on_from_any_segment((standard, file) in any_file(), seed: u64, max_errors in 0u64..9) {
        let file = Bytes::from(file);
        let limits = Limits { max_errors, ..Limits::default() };
        resumed(|| vec![stage(standard, &limits)], &Arrival::seeded(&file, seed, 1));
        resumed(|| vec![stage(standard, &limits)], &Arrival::bytewise(&file));
    }
}

#[test]
fn states_of_others_are_refused() {
    for state in [
        json!(null),
        json!({}),
        json!({ "syntax": null, "envelopes": { "interchange": { "control": [], "count": 0, "seen": { "runs": {}, "texts": [] } }, "group": null, "message": null, "groups": 0 }, "records": 1, "errors": 0, "rejects": [] }),
    ] {
        let mut stage = EdiValidate::new(EdiSpec { standard: EdiStandard::X12 }, &Limits::default());
        assert_eq!(stage.restore(state).unwrap_err().code, Code::CheckpointRefused);
    }
}
