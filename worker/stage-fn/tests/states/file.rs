//! What the file has to be, whatever the functions do.

use std::collections::BTreeSet;

use eft_domain::message::{Stage, StageRequest};
use eft_stage::error::NAMES;
use serde_json::json;

use crate::machine::Machine;

const RUN: &str = "60103e97-4777-5c71-a745-3fa7d439fdaa.2";

#[test]
fn every_state_asks_for_a_stage_that_there_is() {
    let machine = Machine::read();
    let input = json!({ "v": 1, "run": RUN, "send": 0 });
    let mut stages = BTreeSet::new();
    for (name, state) in machine.states() {
        if state["Type"] == json!("Task") {
            let request = StageRequest::of(&machine.request(name, "arn", &input)).unwrap();
            stages.insert(request.stage.as_str());
        }
    }
    assert_eq!(stages, Stage::ALL.iter().map(|stage| stage.as_str()).collect());
}

#[test]
fn every_error_has_a_place_and_every_state_an_end() {
    let machine = Machine::read();
    let text = serde_json::to_string(machine.states()).unwrap();
    assert!(!text.contains(".sync") && !text.contains("waitForTaskToken"), "EXPRESS has neither");
    for (name, state) in machine.states().iter().filter(|(_, state)| state["Type"] == json!("Task")) {
        let time = state["TimeoutSeconds"].as_u64().unwrap();
        assert!((1..=900).contains(&time), "{name}: a function lives for 900 s at most");
        let known = |error: &serde_json::Value| {
            let error = error.as_str().unwrap();
            let ours = error.starts_with("EFT.");
            assert!(!ours || NAMES.contains(&error), "{name}: the function has no error {error}");
        };
        for rule in ["Retry", "Catch"].iter().flat_map(|rules| state[rules].as_array().unwrap()) {
            rule["ErrorEquals"].as_array().unwrap().iter().for_each(known);
        }
        let is_last = ["Quarantine", "MarkFailed"].contains(&name.as_str());
        let caught = text_of(&state["Catch"]);
        assert_eq!(caught.contains("States.ALL"), !is_last, "{name}");
        assert_eq!(caught.contains("EFT.Rejected"), !is_last, "{name}");
        assert!(caught.contains("EFT.Superseded"), "{name}");
    }
}

fn text_of(value: &serde_json::Value) -> String {
    value.to_string()
}
