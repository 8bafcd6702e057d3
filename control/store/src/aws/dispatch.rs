//! The queue and the state machine that runs are given to.

use aws_sdk_sqs::types::MessageAttributeValue;
use eft_domain::message::{RunRequest, WorkMessage};
use futures::{FutureExt, future::BoxFuture};

use super::error::{Deed, store_error};
use crate::port::{Dispatch, StoreError, StoreErrorKind, StoreResult};

/// The message attribute that carries the trace on.
pub const TRACE_ATTRIBUTE: &str = "traceparent";

/// `work.fifo` on SQS and the state machine on Step Functions.
///
/// # Failure handling
/// The SDK repeats what is not answered: the queue knows a message by its deduplication id, and Step Functions an
/// execution by its name.
#[derive(Clone, Debug)]
pub struct AwsDispatch {
    sqs: aws_sdk_sqs::Client,
    sfn: aws_sdk_sfn::Client,
    queue: String,
    state_machine: String,
}

impl AwsDispatch {
    /// To this queue (URL) and state machine (ARN).
    pub fn new(clients: &super::Clients, queue: &str, state_machine: &str) -> Self {
        Self {
            sqs: clients.sqs.clone(),
            sfn: clients.sfn.clone(),
            queue: queue.to_owned(),
            state_machine: state_machine.to_owned(),
        }
    }
}

/// A message attribute that is a text.
fn text(value: &str) -> StoreResult<MessageAttributeValue> {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().map_err(|error| {
        StoreError::new(StoreErrorKind::Permanent, format!("cannot make a message attribute: {error}"))
    })
}

impl Dispatch for AwsDispatch {
    fn send<'a>(&'a self, message: &'a WorkMessage, group: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let mut request = self
                .sqs
                .send_message()
                .queue_url(&self.queue)
                .message_body(message.to_message())
                .message_group_id(group)
                .message_deduplication_id(message.deduplication_id());
            // SQS refuses an attribute that is empty.
            if let Some(trace) = message.trace.as_deref().filter(|trace| !trace.is_empty()) {
                request = request.message_attributes(TRACE_ATTRIBUTE, text(trace)?);
            }
            let what = format!("send run {}", message.run);
            request.send().await.map(drop).map_err(|error| store_error(&what, Deed::Write, &error))
        }
        .boxed()
    }

    fn start<'a>(&'a self, request: &'a RunRequest) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let asked = self
                .sfn
                .start_execution()
                .state_machine_arn(&self.state_machine)
                .name(request.execution_name())
                .input(request.to_message());
            match asked.send().await {
                Ok(_) => Ok(()),
                // The name is the run and the send: whatever has it was started by us.
                Err(error)
                    if error.as_service_error().is_some_and(|error| error.is_execution_already_exists()) =>
                {
                    Ok(())
                }
                Err(error) => Err(store_error(&format!("start run {}", request.run), Deed::Write, &error)),
            }
        }
        .boxed()
    }
}
