//! The topics.

use aws_sdk_sns::types::MessageAttributeValue;
use eft_domain::job::EventKind;
use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;

use super::{
    error::{Deed, store_error},
    settings::Topics,
};
use crate::port::{Notify, StoreError, StoreErrorKind, StoreResult};

/// Message attributes for filter policies, and where in an event each stands. One that is missing or null is left out:
/// a policy matches it with `{"exists": false}`.
pub const FILTER_ATTRIBUTES: [(&str, &str); 4] =
    [("type", "/type"), ("tenant", "/data/tenant"), ("route", "/data/route"), ("state", "/data/state")];

/// Topics on SNS. They are no FIFO topics: those deliver to queues only, and consumers know an event by its id.
#[derive(Clone, Debug)]
pub struct AwsNotify {
    sns: aws_sdk_sns::Client,
    topics: Topics,
}

impl AwsNotify {
    /// To these topics.
    pub fn new(clients: &super::Clients, topics: &Topics) -> Self {
        Self { sns: clients.sns.clone(), topics: topics.clone() }
    }

    async fn publish_to(&self, topic: &str, event: &Value) -> StoreResult<()> {
        let mut request = self.sns.publish().topic_arn(topic).message(event.to_string());
        for (name, value) in attributes(event) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|error| {
                StoreError::new(
                    StoreErrorKind::Permanent,
                    format!("cannot make a message attribute: {error}"),
                )
            })?;
            request = request.message_attributes(name, value);
        }
        request.send().await.map(drop).map_err(|error| store_error("publish an event", Deed::Write, &error))
    }
}

fn attributes(event: &Value) -> Vec<(&'static str, &str)> {
    let text = |path| event.pointer(path).and_then(Value::as_str).filter(|text: &&str| !text.is_empty());
    FILTER_ATTRIBUTES.iter().filter_map(|(name, path)| Some((*name, text(path)?))).collect()
}

impl Notify for AwsNotify {
    fn publish<'a>(&'a self, kind: EventKind, event: &'a Value) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            self.publish_to(&self.topics.events, event).await?;
            match kind {
                EventKind::Progress => Ok(()),
                EventKind::Success => self.publish_to(&self.topics.success, event).await,
                EventKind::Failure => self.publish_to(&self.topics.failure, event).await,
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_of_an_event_is_no_attribute() {
        let event = json!({ "type": "eft.job.unrouted", "data": { "tenant": "acme", "route": null, "state": "UNROUTED" } });
        assert_eq!(
            attributes(&event),
            [("type", "eft.job.unrouted"), ("tenant", "acme"), ("state", "UNROUTED")]
        );
    }
}
