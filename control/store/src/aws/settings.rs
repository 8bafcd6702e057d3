//! What the environment says of the platform: read once, all errors at once, before anything is asked of AWS.

use std::{fmt, time::Duration};

use eft_domain::job::Retention;

use crate::dynamo::TableNames;

/// The topics' ARNs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Every event.
    pub events: String,
    /// Ends that were wished for.
    pub success: String,
    /// Ends and waits that somebody has to look at.
    pub failure: String,
}

/// Where everything is. Router, sweep, worker and stage function use the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The tables.
    pub tables: TableNames,
    /// The URL of `work.fifo`.
    pub work_queue: String,
    /// The ARN of the state machine.
    pub state_machine: String,
    /// The topics.
    pub topics: Topics,
    /// How long rows are kept.
    pub retention: Retention,
}

/// What is wrong with the environment: every fault, each with its variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment: {}", self.0.join("; "))
    }
}

impl std::error::Error for SettingsError {}

/// The variables, for those who set them and for the documentation.
pub const VARIABLES: [(&str, &str); 11] = [
    ("AWS_REGION", "the region; AWS_DEFAULT_REGION where it is not set"),
    ("EFT_TABLE_JOBS", "the table `jobs`"),
    ("EFT_TABLE_KEYS", "the table `keys`"),
    ("EFT_TABLE_RUNS", "the table `runs`"),
    ("EFT_TABLE_CONFIG", "the table `config`"),
    ("EFT_WORK_QUEUE", "the URL of `work.fifo`"),
    ("EFT_STATE_MACHINE", "the ARN of the state machine"),
    ("EFT_TOPIC_EVENTS", "the ARN of the topic of all events"),
    ("EFT_TOPIC_SUCCESS", "the ARN of the topic of good ends"),
    ("EFT_TOPIC_FAILURE", "the ARN of the topic of what somebody has to look at"),
    ("EFT_RETENTION_DAYS", "days for which rows are kept, 400 where it is not set"),
];

impl Settings {
    /// As the environment says.
    ///
    /// # Errors
    /// Every variable that is missing or wrong.
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::parse(|name| std::env::var(name).ok())
    }

    /// As `lookup` says; what is empty counts as missing.
    ///
    /// # Errors
    /// Every variable that is missing or wrong.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut read = Reader { lookup, faults: Vec::new() };
        let region = read.optional("AWS_REGION").or_else(|| read.optional("AWS_DEFAULT_REGION"));
        if region.is_none() {
            read.faults.push("AWS_REGION is not set".to_owned());
        }
        let settings = Self {
            region: region.unwrap_or_default(),
            tables: TableNames {
                jobs: read.table("EFT_TABLE_JOBS"),
                keys: read.table("EFT_TABLE_KEYS"),
                runs: read.table("EFT_TABLE_RUNS"),
                config: read.table("EFT_TABLE_CONFIG"),
            },
            work_queue: read.checked("EFT_WORK_QUEUE", "the URL of a FIFO queue", |url| {
                (url.starts_with("https://") || url.starts_with("http://")) && url.ends_with(".fifo")
            }),
            state_machine: read.arn("EFT_STATE_MACHINE", "states"),
            topics: Topics {
                events: read.arn("EFT_TOPIC_EVENTS", "sns"),
                success: read.arn("EFT_TOPIC_SUCCESS", "sns"),
                failure: read.arn("EFT_TOPIC_FAILURE", "sns"),
            },
            retention: read.retention(),
        };
        if read.faults.is_empty() { Ok(settings) } else { Err(SettingsError(read.faults)) }
    }
}

struct Reader<L> {
    lookup: L,
    faults: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }

    /// The value, or an empty one and a fault.
    fn checked(&mut self, name: &str, what: &str, is_right: impl Fn(&str) -> bool) -> String {
        match self.optional(name) {
            Some(value) if is_right(&value) => return value,
            Some(value) => self.faults.push(format!("{name}: `{value}` is not {what}")),
            None => self.faults.push(format!("{name} is not set")),
        }
        String::new()
    }

    /// A name as DynamoDB has it: 3 to 255 of letters, digits, `_`, `-`, `.` (CreateTable).
    fn table(&mut self, name: &str) -> String {
        self.checked(name, "the name of a table", |value| {
            (3..=255).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        })
    }

    fn arn(&mut self, name: &str, service: &str) -> String {
        self.checked(name, &format!("an ARN of {service}"), |value| {
            let parts: Vec<_> = value.splitn(6, ':').collect();
            parts.len() == 6 && parts[0] == "arn" && parts[2] == service && !parts[5].is_empty()
        })
    }

    fn retention(&mut self) -> Retention {
        let Some(days) = self.optional("EFT_RETENTION_DAYS") else { return Retention::default() };
        match days.parse::<u64>() {
            Ok(days @ 1..=36_500) => Retention(Duration::from_secs(days * 86_400)),
            _ => {
                self.faults.push(format!("EFT_RETENTION_DAYS: `{days}` is not a number from 1 to 36500"));
                Retention::default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(name: &str) -> Option<String> {
        let value = match name {
            "AWS_REGION" => "eu-west-1",
            "EFT_TABLE_JOBS" => "eft-jobs",
            "EFT_TABLE_KEYS" => "eft-keys",
            "EFT_TABLE_RUNS" => "eft-runs",
            "EFT_TABLE_CONFIG" => "eft-config",
            "EFT_WORK_QUEUE" => "https://sqs.eu-west-1.amazonaws.com/123456789012/work.fifo",
            "EFT_STATE_MACHINE" => "arn:aws:states:eu-west-1:123456789012:stateMachine:eft",
            "EFT_TOPIC_EVENTS" | "EFT_TOPIC_SUCCESS" | "EFT_TOPIC_FAILURE" => {
                return Some(format!("arn:aws:sns:eu-west-1:123456789012:{}", name.to_lowercase()));
            }
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn an_environment_is_read() {
        let settings = Settings::parse(right).unwrap();
        assert_eq!(settings.tables.jobs, "eft-jobs");
        assert_eq!(settings.topics.failure, "arn:aws:sns:eu-west-1:123456789012:eft_topic_failure");
        assert_eq!(settings.retention, Retention::default());
        let days = |name: &str| if name == "EFT_RETENTION_DAYS" { Some("7".to_owned()) } else { right(name) };
        assert_eq!(Settings::parse(days).unwrap().retention, Retention(Duration::from_secs(7 * 86_400)));
    }

    #[test]
    fn all_faults_are_said_at_once() {
        let none = Settings::parse(|_| None).unwrap_err();
        assert_eq!(none.0.len(), VARIABLES.len() - 1, "{none}");
        for (name, _) in VARIABLES {
            let wrong = |asked: &str| if asked == name { Some("?".to_owned()) } else { right(asked) };
            let is_free = name == "AWS_REGION";
            assert_eq!(Settings::parse(wrong).is_ok(), is_free, "{name}");
            let blank = |asked: &str| if asked == name { Some(" ".to_owned()) } else { right(asked) };
            assert_eq!(Settings::parse(blank).is_ok(), name == "EFT_RETENTION_DAYS", "{name}");
        }
        let standard = |name: &str| {
            let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/work";
            if name == "EFT_WORK_QUEUE" { Some(url.to_owned()) } else { right(name) }
        };
        assert!(Settings::parse(standard).unwrap_err().to_string().contains("FIFO"));
    }
}
