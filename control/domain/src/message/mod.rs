//! What stands in the queues: events that come in, and work that is given out.
//!
//! Every message of ours has a version `v`. Fields that a reader does not know are passed over; a version it does not
//! know is refused, because its meaning may have changed.

mod ingest;
mod work;

pub use ingest::{Created, Ingest, Uploaded};
pub use work::{RunRequest, Stage, StageRequest, WorkMessage};

use serde_json::Value;

use crate::text::shown;

/// The longest message read: SQS takes 1 MiB, ours have less than 4 KiB.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Why a text is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No JSON, or too long.
    #[error("message.malformed: {0}")]
    Malformed(String),
    /// Of a version that this program does not know.
    #[error("message.version: version {0} is not known here, 1 is: update this part of the platform")]
    Version(String),
    /// Of another kind than what belongs into this queue.
    #[error("message.kind: {0} does not belong into this queue")]
    Kind(String),
    /// A field is missing or wrong.
    #[error("message.field: `{field}` {problem}")]
    Field {
        /// Its path.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl MessageError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "message.malformed",
            Self::Version(_) => "message.version",
            Self::Kind(_) => "message.kind",
            Self::Field { .. } => "message.field",
        }
    }
}

fn parse(text: &str) -> Result<Value, MessageError> {
    if text.len() > MAX_MESSAGE_BYTES {
        return Err(MessageError::Malformed(format!("{} bytes, at most 1 MiB is read", text.len())));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| MessageError::Malformed(shown(&error.to_string(), 200)))?;
    if value.is_object() { Ok(value) } else { Err(MessageError::Malformed("no JSON object".to_owned())) }
}

fn version(value: &Value) -> Result<(), MessageError> {
    match value.get("v") {
        Some(v) if v.as_u64() == Some(1) => Ok(()),
        Some(other) => Err(MessageError::Version(shown(&other.to_string(), 40))),
        None => Err(MessageError::Version("(none)".to_owned())),
    }
}

/// A text that is there and not empty: what an EventBridge transformer writes for a field that is missing is empty.
fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    path.split('.').try_fold(value, |value, name| value.get(name))?.as_str().filter(|text| !text.is_empty())
}

fn needed<'a>(value: &'a Value, path: &'static str) -> Result<&'a str, MessageError> {
    text(value, path).ok_or_else(|| MessageError::Field {
        field: path,
        problem: "is missing, empty or no text".to_owned(),
    })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
    field: &'static str,
) -> Result<T, MessageError> {
    text.parse().map_err(|error: T::Err| MessageError::Field { field, problem: error.to_string() })
}

/// A number of bytes, as a number or as a text of digits: what an EventBridge transformer quotes is a text.
fn bytes(value: &Value, path: &'static str) -> Result<Option<u64>, MessageError> {
    let found = path.split('.').try_fold(value, |value, name| value.get(name));
    let wrong = |what: &Value| MessageError::Field {
        field: path,
        problem: format!("{} is no number of bytes", shown(&what.to_string(), 40)),
    };
    match found {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong(&Value::from(text.as_str()))),
        Some(other) => other.as_u64().map(Some).ok_or_else(|| wrong(other)),
    }
}
