//! Messages of the queues and of the state machine: what is read is written and read as the same, and what is refused has a code.

use eft_domain::{
    message::{Ingest, MessageError, RunRequest, StageRequest, WorkMessage},
    sftp::SftpName,
};
use eft_identity::event::Request;
use eft_telemetry::Context;
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

/// What Transfer Family asks of somebody who wants to log in: all of it is theirs.
pub fn identity_request(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(data) else { return };
    assert!(request.password().is_none_or(|password| !password.is_empty()), "a login with a key");
    let secret = Request { password: Some("hunter2 hunter2".to_owned()), ..request.clone() };
    let shown = |request: &Request| format!("{request:?}");
    let same = Request { password: Some("x".to_owned()), ..request.clone() };
    assert_eq!(shown(&secret), shown(&same), "a password is shown");
    if let Ok(name) = request.username.parse::<SftpName>() {
        assert_eq!(name.as_str(), request.username, "a name is somebody else's");
    }
}

/// The W3C trace context of messages and requests.
pub fn traceparent(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(context) = Context::parse(text) else { return };
    let written = context.to_string();
    assert_eq!(Context::parse(&written), Some(context), "{written}");
    assert_eq!(written.len(), 55, "{written}");
    assert_eq!(text.get(3..35), Some(context.trace_id().as_str()), "the trace goes on as it came");
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
