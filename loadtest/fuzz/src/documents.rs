//! Validators of documents, in any arrival and compared with other readers.

use std::sync::LazyLock;

use bytes::Bytes;
use eft_domain::{
    ByteSize,
    route::{
        BlankLines, EdiSpec, EdiStandard, JsonSchema, JsonlSpec, Limits, StageSpec, ValidateSpec, XmlSpec,
    },
};
use eft_fakes::drive::{Arrival, resumed};
use eft_pipeline::stage::AnyStage;
use serde_json::Value;

use crate::stages::{any_arrival, setup};

static SCHEMA: LazyLock<JsonSchema> = LazyLock::new(|| {
    let schema = serde_json::json!({
        "type": ["object", "array"],
        "maxProperties": 3,
        "required": ["a"],
        "properties": { "a": { "type": "integer" }, "b": { "items": { "$ref": "#" } }, "c": { "pattern": "^x+$" } },
    });
    JsonSchema::new(schema).expect("a sound schema")
});

/// `validate.jsonl` in any arrival, compared with serde_json.
pub fn jsonl(data: &[u8]) {
    let ([seed, choice, bounds], file) = setup(data);
    let spec = JsonlSpec {
        schema: (choice & 1 != 0).then(|| SCHEMA.clone()),
        unique_keys: choice & 2 != 0,
        blank_lines: if choice & 4 == 0 { BlankLines::Reject } else { BlankLines::Skip },
    };
    let limits = Limits {
        max_errors: [0, u64::MAX, 1, u64::MAX][usize::from(bounds & 3)],
        max_record_bytes: ByteSize([1 << 20, 64, 9, 1 << 20][usize::from(bounds >> 2 & 3)]),
        max_depth: [64, 1, 2, 127][usize::from(bounds >> 4 & 3)],
        ..Limits::default()
    };
    let stage = StageSpec::Validate(ValidateSpec::Jsonl(spec.clone()));
    let outcome = any_arrival(&stage, &limits, &file, seed);
    from_any_place(&stage, &limits, &file, seed);
    if outcome.verdict.is_ok() {
        assert!(outcome.bytes == file, "a tap changed the bytes");
    }
    let report = outcome.report();
    for reject in &report.rejects {
        assert!(
            !reject.reason.contains(char::is_control) && reject.reason.len() < 700,
            "{:?}",
            reject.reason
        );
    }
    if outcome.verdict.is_ok() && report.errors < 50 && spec.schema.is_none() && !spec.unique_keys {
        let lines = file.split(|byte| *byte == b'\n').filter(|line| !is_blank(line));
        let broken = lines.filter(|line| !takes(line)).count() as u64;
        let blank = report.rejects.iter().filter(|reject| reject.reason == "blank line").count() as u64;
        assert_eq!(report.errors - blank, broken, "serde_json says otherwise");
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| b" \t\r".contains(byte))
}

/// serde_json's own reader; a number that a double cannot hold is no fault of the syntax.
fn takes(line: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(line) {
        Ok(_) => true,
        Err(error) => {
            error.to_string().starts_with("number out of range")
                && std::str::from_utf8(line).is_ok()
                && !has_half_pair(line)
                && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
        }
    }
}

/// Behind a number out of range nothing is read as text: whether it could be has to be looked up.
fn has_half_pair(line: &[u8]) -> bool {
    line.windows(4)
        .any(|four| four.starts_with(b"\\u") && four[2].eq_ignore_ascii_case(&b'd') && four[3] >= b'8')
}

/// `validate.xml` in any arrival and from any place; the verdict is held against expat's elsewhere.
pub fn xml(data: &[u8]) {
    let ([seed, choice, bounds], file) = setup(data);
    let spec = XmlSpec { root: (choice & 1 != 0).then(|| "a".to_owned()) };
    let limits = Limits {
        max_record_bytes: ByteSize([1 << 20, 1 << 20, 40, 9][usize::from(bounds & 3)]),
        max_depth: [64, 64, 3, 1][usize::from(bounds >> 2 & 3)],
        max_fields: if bounds & 16 == 0 { 100 } else { 1 },
        ..Limits::default()
    };
    let stage = StageSpec::Validate(ValidateSpec::Xml(spec));
    let outcome = any_arrival(&stage, &limits, &file, seed);
    from_any_place(&stage, &limits, &file, seed);
    match &outcome.verdict {
        Ok(()) => assert!(outcome.bytes == file, "a tap changed the bytes"),
        Err(failure) => assert!(!failure.message.contains(char::is_control), "{:?}", failure.message),
    }
}

/// `validate.edi` in any arrival and from any place.
pub fn edi(data: &[u8]) {
    let ([seed, choice, bounds], file) = setup(data);
    let standard = if choice & 1 == 0 { EdiStandard::X12 } else { EdiStandard::Edifact };
    let limits = Limits {
        max_errors: [0, u64::MAX, 2, u64::MAX][usize::from(bounds & 3)],
        max_record_bytes: ByteSize([1 << 20, 1 << 20, 110, 20][usize::from(bounds >> 2 & 3)]),
        ..Limits::default()
    };
    let stage = StageSpec::Validate(ValidateSpec::Edi(EdiSpec { standard }));
    let outcome = any_arrival(&stage, &limits, &file, seed);
    from_any_place(&stage, &limits, &file, seed);
    match &outcome.verdict {
        Ok(()) => assert!(outcome.bytes == file, "a tap changed the bytes"),
        Err(failure) => assert!(!failure.message.contains(char::is_control), "{:?}", failure.message),
    }
}

fn from_any_place(spec: &StageSpec, limits: &Limits, file: &Bytes, seed: u8) {
    // Every place is run to the end: quadratic.
    if file.len() <= 2_000 {
        let stages = || vec![AnyStage::new(spec, limits).expect("a sound spec").expect("a stage")];
        resumed(stages, &Arrival::seeded(file, seed.into(), 1));
    }
}
