//! The environment, read and checked in one place before anything is opened.

use std::sync::Arc;

use eft_api::{CursorKey, settings::Reader};
use eft_domain::Actor;
use eft_store::{
    Clock, Desk,
    aws::{AwsQueues, Clients, QueueUrls, SettingsError, sdk_config},
    dynamo::DynamoCatalog,
};

use crate::Api;

/// What the API has to know: what everybody who changes jobs does, and the queues that it shows.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tables, queue, state machine and topics.
    pub platform: eft_store::aws::Settings,
    /// `EFT_INGEST_QUEUE`, `EFT_INGEST_DEAD_QUEUE`, `EFT_WORK_DEAD_QUEUE` and `EFT_UNDELIVERED_QUEUE`, besides the queue of
    /// the platform: their URLs.
    pub queues: Vec<QueueUrls>,
    /// `EFT_CURSOR_KEY`: what signs cursors, in hexadecimal digits; the same in both regions.
    pub cursors: CursorKey,
    /// `EFT_TENANT_CLAIM`: the claim that names the tenant; `tenant` where it is not set.
    pub tenant_claim: String,
}

impl Settings {
    /// The process's environment.
    ///
    /// # Errors
    /// Every fault.
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::parse(&|name| std::env::var(name).ok())
    }

    /// As `lookup` says; what is empty counts as missing.
    ///
    /// # Errors
    /// Every fault.
    pub fn parse(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let platform = reader.add(eft_store::aws::Settings::parse(lookup));
        let ingest = (reader.need("EFT_INGEST_QUEUE"), reader.need("EFT_INGEST_DEAD_QUEUE"));
        let work_dead = reader.need("EFT_WORK_DEAD_QUEUE");
        let undelivered = reader.need("EFT_UNDELIVERED_QUEUE");
        let (cursors, tenant_claim) = (reader.cursors(), reader.tenant_claim());
        let (platform, cursors) = reader.done(platform.zip(cursors))?;
        let queues = vec![
            QueueUrls { name: "ingest", url: ingest.0, dead: Some(ingest.1) },
            QueueUrls { name: "work", url: platform.work_queue.clone(), dead: Some(work_dead) },
            // What EventBridge could not deliver: no queue is its source, and SQS moves nothing out of it.
            QueueUrls { name: "undelivered", url: undelivered, dead: None },
        ];
        Ok(Self { platform, queues, cursors, tenant_claim })
    }

    /// The API on AWS.
    pub async fn open(&self) -> Api {
        let clients = Clients::new(&sdk_config(&self.platform.region).await);
        Api {
            desk: Desk::with_clients(&clients, &self.platform, Actor::part("status")),
            audit: Arc::new(DynamoCatalog::new(&clients.dynamo, &self.platform.tables.config, Clock::System)),
            queues: Arc::new(AwsQueues::new(&clients, self.queues.clone())),
            cursors: self.cursors.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(name: &str) -> Option<String> {
        let value = match name {
            "AWS_REGION" => "eu-west-1".to_owned(),
            "EFT_TABLE_JOBS" | "EFT_TABLE_KEYS" | "EFT_TABLE_RUNS" | "EFT_TABLE_CONFIG" => {
                name.to_lowercase()
            }
            "EFT_STATE_MACHINE" => "arn:aws:states:eu-west-1:123456789012:stateMachine:eft".to_owned(),
            "EFT_TOPIC_EVENTS" | "EFT_TOPIC_SUCCESS" | "EFT_TOPIC_FAILURE" => {
                format!("arn:aws:sns:eu-west-1:123456789012:{}", name.to_lowercase())
            }
            "EFT_CURSOR_KEY" => "0f".repeat(32),
            name if name.ends_with("_QUEUE") => format!("https://sqs/123456789012/{name}.fifo"),
            _ => return None,
        };
        Some(value)
    }

    #[test]
    fn an_environment_is_read_and_every_fault_is_said() {
        let settings = Settings::parse(&right).unwrap();
        assert_eq!(settings.tenant_claim, "tenant");
        let names: Vec<_> = settings.queues.iter().map(|queue| queue.name).collect();
        assert_eq!(names, ["ingest", "work", "undelivered"]);
        assert_eq!(settings.queues[1].url, settings.platform.work_queue);
        // Ten of the platform, four queues, and the key.
        assert_eq!(Settings::parse(&|_| None).unwrap_err().0.len(), 15);
        let short = |name: &str| if name == "EFT_CURSOR_KEY" { Some("0f".into()) } else { right(name) };
        assert!(Settings::parse(&short).unwrap_err().to_string().contains("hexadecimal"));
    }
}
