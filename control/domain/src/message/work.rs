//! Work that is given out: doorbells that name a run. What is to be done stands in the ledger.

use serde_json::{Value, json};

use super::{MessageError, needed, parse, parsed, text, version};
use crate::RunId;

/// A message of `work.fifo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkMessage {
    /// The run.
    pub run: RunId,
    /// How often it was sent: two sends are two messages.
    pub send: u32,
    /// W3C `traceparent`.
    pub trace: Option<String>,
}

impl WorkMessage {
    /// The body.
    pub fn to_message(&self) -> String {
        json!({ "v": 1, "run": self.run, "send": self.send, "traceparent": self.trace }).to_string()
    }

    /// What the queue knows duplicates by.
    pub fn deduplication_id(&self) -> String {
        format!("{}#{}", self.run, self.send)
    }

    /// Read a body.
    ///
    /// # Errors
    /// It is no such message.
    pub fn parse(message: &str) -> Result<Self, MessageError> {
        let value = parse(message)?;
        version(&value)?;
        let send = value.get("send").and_then(Value::as_u64).and_then(|send| u32::try_from(send).ok());
        Ok(Self {
            run: parsed(needed(&value, "run")?, "run")?,
            send: send.ok_or(MessageError::Field { field: "send", problem: "is no count".to_owned() })?,
            trace: text(&value, "traceparent").map(ToOwned::to_owned),
        })
    }
}

/// The input of the state machine. Nothing in it depends on when it is made: the same run started twice has the same
/// input, and Step Functions take the second start for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRequest {
    /// The run.
    pub run: RunId,
    /// How often it was sent.
    pub send: u32,
}

impl RunRequest {
    /// The input.
    pub fn to_message(self) -> String {
        json!({ "v": 1, "run": self.run, "send": self.send }).to_string()
    }

    /// The execution's name: at most 80 characters (StartExecution).
    pub fn execution_name(self) -> String {
        format!("{}-{}-{}", self.run.job(), self.run.generation(), self.send)
    }
}

words! {
    /// A state of the state machine.
    pub enum Stage {
        /// Takes the job and looks at its source.
        Validate = "validate",
        /// Looks whether it can be delivered.
        Stage = "stage",
        /// Reads, checks and writes; nothing is visible.
        Transform = "transform",
        /// Publishes.
        Deliver = "deliver",
        /// Archives the original.
        Archive = "archive",
        /// Ends a run that the sender has to act on.
        Quarantine = "quarantine",
        /// Ends a run that failed.
        MarkFailed = "mark_failed",
    }
}

/// What a state asks of the Lambda function behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRequest {
    /// Which state.
    pub stage: Stage,
    /// Which run.
    pub run: RunId,
    /// The execution: a name no other has, also where an EXPRESS one has the same input.
    pub execution: String,
    /// The owner's token; none before the job was taken.
    pub fence: Option<u64>,
    /// What went wrong, for the states that end a run.
    pub error: Option<String>,
}

impl StageRequest {
    /// Read a request.
    ///
    /// # Errors
    /// It is no such request.
    pub fn of(value: &Value) -> Result<Self, MessageError> {
        version(value)?;
        Ok(Self {
            stage: parsed(needed(value, "stage")?, "stage")?,
            run: parsed(needed(value, "run")?, "run")?,
            execution: needed(value, "execution")?.to_owned(),
            fence: value.get("fence").and_then(Value::as_u64),
            error: text(value, "error").map(ToOwned::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        "60103e97-4777-5c71-a745-3fa7d439fdaa.2".parse().unwrap()
    }

    #[test]
    fn work_is_read_back() {
        let message = WorkMessage { run: run(), send: 3, trace: Some("00-a-b-01".to_owned()) };
        assert_eq!(WorkMessage::parse(&message.to_message()), Ok(message.clone()));
        assert_eq!(message.deduplication_id(), "60103e97-4777-5c71-a745-3fa7d439fdaa.2#3");
        assert!(message.deduplication_id().len() <= 128, "SQS");
    }

    #[test]
    fn what_is_no_work_is_refused_with_a_code() {
        for (message, code) in [
            ("x", "message.malformed"),
            (r#"{"v":9,"run":"60103e97-4777-5c71-a745-3fa7d439fdaa.2","send":1}"#, "message.version"),
            (r#"{"v":1,"run":"60103e97","send":1}"#, "message.field"),
            (r#"{"v":1,"run":"60103e97-4777-5c71-a745-3fa7d439fdaa.2"}"#, "message.field"),
            (r#"{"v":1,"run":"60103e97-4777-5c71-a745-3fa7d439fdaa.2","send":5000000000}"#, "message.field"),
        ] {
            assert_eq!(WorkMessage::parse(message).unwrap_err().code(), code, "{message}");
        }
    }

    #[test]
    fn an_execution_has_one_name_and_one_input() {
        let request = RunRequest { run: run(), send: 1 };
        assert_eq!(request.to_message(), request.to_message());
        assert_eq!(request.execution_name(), "60103e97-4777-5c71-a745-3fa7d439fdaa-2-1");
        let longest = RunRequest { run: RunId::nth(run().job(), u32::MAX), send: u32::MAX };
        assert!(longest.execution_name().len() <= 80, "StartExecution");
    }

    #[test]
    fn a_state_says_what_it_wants() {
        let value =
            json!({ "v": 1, "stage": "deliver", "run": run(), "execution": "arn", "fence": 4, "more": [] });
        let read = StageRequest::of(&value).unwrap();
        assert_eq!((read.stage, read.fence), (Stage::Deliver, Some(4)));
        for (stage, execution) in [("dance", "arn"), ("deliver", "")] {
            let value = json!({ "v": 1, "stage": stage, "run": run(), "execution": execution });
            assert!(StageRequest::of(&value).is_err(), "{value}");
        }
    }
}
