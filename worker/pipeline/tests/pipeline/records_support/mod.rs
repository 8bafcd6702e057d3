//! One stage over a file, as other programs and as any arrival and resumption see it.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use eft_domain::{
    Route,
    route::{Limits, Profile, StageSpec},
};
use eft_fakes::drive::{Arrival, Outcome, drive, resumed};
use eft_pipeline::stage::AnyStage;
use serde_json::Value;

pub(crate) fn stage(spec: &StageSpec, limits: &Limits) -> AnyStage {
    AnyStage::new(spec, limits).unwrap().unwrap()
}

/// All at once, cut as the seed says, and byte by byte; all must come to the same end.
pub(crate) fn any_arrival(spec: &StageSpec, limits: &Limits, input: &[u8], seed: u64) -> Outcome {
    let input = Bytes::copy_from_slice(input);
    let run = |arrival: &Arrival| drive(vec![stage(spec, limits)], arrival);
    let whole = run(&Arrival::whole(&input));
    whole.assert_same(&run(&Arrival::seeded(&input, seed, 1)));
    if input.len() < 10_000 {
        whole.assert_same(&run(&Arrival::bytewise(&input)));
    }
    whole
}

/// Saved wherever a chunk ends, and gone on from there, it comes to the same end. Gives how many places there were.
pub(crate) fn resumes_alike(spec: &StageSpec, limits: &Limits, input: &[u8], seed: u64) -> usize {
    let input = Bytes::copy_from_slice(input);
    let arrival =
        if seed.is_multiple_of(2) { Arrival::seeded(&input, seed, 1) } else { Arrival::bytewise(&input) };
    resumed(|| vec![stage(spec, limits)], &arrival).1
}

/// The only stage of a route that is written as JSON.
pub(crate) fn spec(json: &Value) -> StageSpec {
    let route = serde_json::json!({ "stages": [json] }).to_string();
    let mut route = Route::parse_json(&route, Profile::Cli).unwrap_or_else(|errors| panic!("{errors}"));
    route.stages.remove(0)
}

/// A case that `records_fixtures/make.py` wrote.
pub(crate) struct Case {
    pub(crate) spec: StageSpec,
    pub(crate) input: Vec<u8>,
    pub(crate) value: Value,
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn cases(name: &str) -> Vec<Case> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/records_fixtures").join(name);
    let text = fs::read_to_string(path).unwrap();
    let cases = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        Case { spec: spec(&value["stage"]), input: hex(&value["input"]), value }
    });
    cases.collect()
}
