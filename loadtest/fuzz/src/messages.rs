//! Messages of the queues and of the state machine: what is read is written and read as the same, and what is refused has a code.

use eft_domain::message::{Ingest, MessageError, RunRequest, StageRequest, WorkMessage};
use serde_json::{Value, json};

/// A message of `ingest.fifo`.
pub fn ingest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Ingest::parse(text) {
        Ok(Ingest::Created(created)) => {
            let canonical = created.to_message();
            assert_eq!(Ingest::parse(&canonical), Ok(Ingest::Created(created.clone())), "{canonical}");
            assert_eq!(created.to_message(), canonical, "the queue knows duplicates by this text");
        }
        Ok(Ingest::Uploaded(uploaded)) => assert!(!uploaded.key.as_str().is_empty()),
        Err(error) => sound(&error),
    }
}

/// A message of `work.fifo`.
pub fn work_message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match WorkMessage::parse(text) {
        Ok(message) => {
            assert_eq!(WorkMessage::parse(&message.to_message()), Ok(message.clone()));
            assert!(message.deduplication_id().len() <= 128, "SQS takes no longer one");
        }
        Err(error) => sound(&error),
    }
}

/// What a state of the state machine asks of the function behind it, and the input that it is made of.
pub fn stage_request(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let request = match StageRequest::of(&value) {
        Ok(request) => request,
        Err(error) => return sound(&error),
    };
    let StageRequest { stage, run, execution, fence, error } = &request;
    assert!(!execution.is_empty(), "whoever takes the job needs a name of its own");
    let written = json!({
        "v": 1, "stage": stage, "run": run, "execution": execution, "fence": fence, "error": error, "later": [value],
    });
    assert_eq!(StageRequest::of(&written), Ok(request.clone()), "{written}");
    // The same run, as it was started: what the states add is all that is missing.
    let started = RunRequest { run: *run, send: fence.unwrap_or_default() as u32 };
    let mut input: Value = serde_json::from_str(&started.to_message()).expect("an input is JSON");
    assert_eq!(input, serde_json::from_str::<Value>(&started.to_message()).expect("and always the same"));
    input["stage"] = stage.as_str().into();
    input["execution"] = started.execution_name().into();
    assert_eq!(StageRequest::of(&input).map(|request| request.run), Ok(*run));
    let name = started.execution_name();
    assert!(name.len() <= 80 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
}

fn sound(error: &MessageError) {
    assert!(error.code().starts_with("message."), "{error}");
    let said = error.to_string();
    assert!(said.starts_with(error.code()), "{said}");
    assert!(said.chars().count() < 2_000, "what a sender has written does not fill the log");
    assert!(
        !said.contains(char::is_control),
        "what a sender has written does not control a terminal: {said:?}"
    );
}
