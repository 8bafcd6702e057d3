//! `work.fifo` on SQS.

use std::time::Duration;

use aws_sdk_sqs::{
    config::timeout::TimeoutConfig,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::MessageSystemAttributeName,
};
use eft_store::{StoreError, StoreErrorKind, StoreResult};
use futures::{FutureExt, future::BoxFuture};

use super::queue::{Received, WorkQueue};

/// A queue of SQS.
pub struct Sqs {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Sqs {
    /// The queue with this URL.
    pub fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self { client, url }
    }
}

impl WorkQueue for Sqs {
    fn receive(&self, wait: Duration) -> BoxFuture<'_, StoreResult<Option<Received>>> {
        async move {
            let answer = self
                .client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(1)
                .wait_time_seconds(seconds(wait.min(Duration::from_secs(20))))
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .customize()
                // The queue answers when the wait is over.
                .config_override(aws_sdk_sqs::Config::builder().timeout_config(patience(wait)))
                .send()
                .await
                .map_err(|error| store_error("ReceiveMessage", &error))?;
            let Some(message) = answer.messages.into_iter().flatten().next() else { return Ok(None) };
            let receives = message.attributes.as_ref().and_then(|attributes| {
                attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount)?.parse().ok()
            });
            Ok(Some(Received {
                body: message.body.unwrap_or_default(),
                receipt: message.receipt_handle.unwrap_or_default(),
                receives: receives.unwrap_or(1),
            }))
        }
        .boxed()
    }

    fn hide<'a>(&'a self, receipt: &'a str, time: Duration) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let request =
                self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
            // SQS: 0 to 43,200 seconds.
            let time = seconds(time.min(Duration::from_secs(43_200)));
            let answer = request.visibility_timeout(time).send().await;
            answer.map(|_| ()).map_err(|error| store_error("ChangeMessageVisibility", &error))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let answer =
                self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await;
            answer.map(|_| ()).map_err(|error| store_error("DeleteMessage", &error))
        }
        .boxed()
    }
}

/// Longer than the wait that was asked for.
fn patience(wait: Duration) -> TimeoutConfig {
    let time = wait + Duration::from_secs(10);
    TimeoutConfig::builder().operation_attempt_timeout(time).operation_timeout(time * 2).build()
}

fn seconds(time: Duration) -> i32 {
    // A part of a second is a whole one: nothing is given out too early.
    i32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// All of these requests may be made again, so that it does not matter whether one was carried out.
fn store_error<E, R>(operation: &str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let kind = match code {
        "AccessDenied" | "AccessDeniedException" | "KMS.AccessDeniedException" => StoreErrorKind::Denied,
        "RequestThrottled" | "ThrottlingException" | "KmsThrottled" | "OverLimit" => {
            StoreErrorKind::Throttled
        }
        "ReceiptHandleIsInvalid"
        | "InvalidParameterValue"
        | "MessageNotInflight"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "AWS.SimpleQueueService.MessageNotInflight" => StoreErrorKind::Permanent,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, format!("{operation}: {}", DisplayErrorContext(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_not_given_out_too_early() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(300)), 300);
    }
}
