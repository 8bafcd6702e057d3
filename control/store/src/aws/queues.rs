//! The queues as operators see them, on SQS.

use aws_sdk_sqs::{Client, types::QueueAttributeName};
use futures::{FutureExt, future::BoxFuture, future::try_join_all};

use super::{
    Clients,
    error::{Deed, store_error},
};
use crate::{
    port::{StoreError, StoreErrorKind, StoreResult},
    queues::{Depth, QueueState, Queues, Redrive},
};

/// A queue and its dead-letter queue, by their URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrls {
    /// What it is called among us.
    pub name: &'static str,
    /// Its URL.
    pub url: String,
    /// The URL of its dead-letter queue.
    pub dead: Option<String>,
}

/// The queues on SQS.
#[derive(Clone, Debug)]
pub struct AwsQueues {
    sqs: Client,
    queues: Vec<QueueUrls>,
}

const DEPTH: [QueueAttributeName; 3] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
];

impl AwsQueues {
    /// These.
    pub fn new(clients: &Clients, queues: Vec<QueueUrls>) -> Self {
        Self { sqs: clients.sqs.clone(), queues }
    }

    async fn attributes(&self, url: &str, names: &[QueueAttributeName]) -> StoreResult<Vec<String>> {
        let request = self.sqs.get_queue_attributes().queue_url(url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let what = format!("look at queue {url}");
        let answer = answer.map_err(|error| store_error(&what, Deed::Read, &error))?;
        let found = answer.attributes.unwrap_or_default();
        let value = |name| found.get(name).cloned();
        names.iter().map(value).collect::<Option<Vec<_>>>().ok_or_else(|| {
            StoreError::new(StoreErrorKind::Permanent, format!("{what}: an attribute is missing"))
        })
    }

    async fn depth(&self, url: &str) -> StoreResult<Depth> {
        let values = self.attributes(url, &DEPTH).await?;
        let numbers: Vec<u64> = values.iter().filter_map(|value| value.parse().ok()).collect();
        let [visible, in_flight, delayed] = numbers[..] else {
            let what = format!("look at queue {url}: an attribute is no number");
            return Err(StoreError::new(StoreErrorKind::Permanent, what));
        };
        Ok(Depth { visible, in_flight, delayed })
    }

    async fn state(&self, queue: &QueueUrls) -> StoreResult<QueueState> {
        let depth = self.depth(&queue.url).await?;
        let dead = match &queue.dead {
            Some(url) => Some(self.depth(url).await?),
            None => None,
        };
        Ok(QueueState { name: queue.name, depth, dead })
    }

    /// Whether SQS moves messages out of this queue: it has one task a queue.
    async fn moves(&self, arn: &str) -> StoreResult<bool> {
        let answer = self.sqs.list_message_move_tasks().source_arn(arn).max_results(1).send().await;
        let what = format!("look at what is moved out of {arn}");
        let answer = answer.map_err(|error| store_error(&what, Deed::Read, &error))?;
        let is_open = |status: Option<&str>| matches!(status, Some("RUNNING" | "CANCELLING"));
        Ok(answer.results().iter().any(|task| is_open(task.status())))
    }
}

impl Queues for AwsQueues {
    fn states(&self) -> BoxFuture<'_, StoreResult<Vec<QueueState>>> {
        try_join_all(self.queues.iter().map(|queue| self.state(queue))).boxed()
    }

    fn redrive<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, StoreResult<Redrive>> {
        async move {
            let known = self.queues.iter().find(|known| known.name == queue);
            let Some(dead) = known.and_then(|known| known.dead.as_deref()) else {
                return Ok(Redrive::Unknown);
            };
            let arn = self.attributes(dead, &[QueueAttributeName::QueueArn]).await?.concat();
            if self.moves(&arn).await? {
                return Ok(Redrive::Running);
            }
            match self.sqs.start_message_move_task().source_arn(&arn).send().await {
                Ok(answer) => Ok(Redrive::Started(answer.task_handle.unwrap_or_default())),
                // Somebody else was quicker, or the answer to an attempt of ours was lost.
                Err(_) if self.moves(&arn).await.unwrap_or(false) => Ok(Redrive::Running),
                Err(error) => Err(store_error(&format!("redrive {arn}"), Deed::Write, &error)),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use aws_smithy_runtime_api::client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    };
    use aws_smithy_types::body::SdkBody;
    use serde_json::{Value, json};

    use super::*;

    const DEAD: &str = "http://sqs/1/work-dead.fifo";
    const ARN: &str = "arn:aws:sqs:eu-west-1:1:work-dead.fifo";

    /// Action, what is asked, status and answer of a request.
    type Step = (&'static str, Value, u16, Value);

    /// SQS as its API reference has it: what is asked of it, in this order.
    #[derive(Clone, Debug, Default)]
    struct Script(Arc<Mutex<VecDeque<Step>>>);

    impl HttpConnector for Script {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let (action, body, status, answer) = self.0.lock().unwrap().pop_front().unwrap();
            assert_eq!(request.headers().get("x-amz-target"), Some(format!("AmazonSQS.{action}").as_str()));
            let asked: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            assert_eq!(asked, body, "{action}");
            let answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer.to_string()));
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    /// What becomes of a wish to redrive `work` when SQS has been asked for its ARN and goes on so.
    async fn redriven(rest: &[Step]) -> StoreResult<Redrive> {
        let arn = json!({ "Attributes": { "QueueArn": ARN } });
        let asked = json!({ "QueueUrl": DEAD, "AttributeNames": ["QueueArn"] });
        let script = Script::default();
        script.0.lock().unwrap().push_back(("GetQueueAttributes", asked, 200, arn));
        script.0.lock().unwrap().extend(rest.iter().cloned());
        let mut clients = Clients::for_endpoint("http://sqs", "eu-west-1", "test");
        let played = script.clone();
        let http = http_client_fn(move |_, _| SharedHttpConnector::new(played.clone()));
        clients.sqs = Client::from_conf(clients.sqs.config().to_builder().http_client(http).build());
        let urls = [
            QueueUrls { name: "work", url: "http://sqs/1/work.fifo".to_owned(), dead: Some(DEAD.to_owned()) },
            QueueUrls { name: "lone", url: "http://sqs/1/lone".to_owned(), dead: None },
        ];
        let queues = AwsQueues::new(&clients, urls.into());
        for unknown in ["lone", "other"] {
            assert_eq!(queues.redrive(unknown).await, Ok(Redrive::Unknown), "SQS is not asked");
        }
        let done = queues.redrive("work").await;
        assert_eq!(script.0.lock().unwrap().len(), 0, "it was not asked");
        done
    }

    fn tasks(status: &[&str]) -> Step {
        let tasks: Vec<_> =
            status.iter().map(|status| json!({ "SourceArn": ARN, "Status": status })).collect();
        let asked = json!({ "SourceArn": ARN, "MaxResults": 1 });
        ("ListMessageMoveTasks", asked, 200, json!({ "Results": tasks }))
    }

    fn start(status: u16, answer: Value) -> Step {
        ("StartMessageMoveTask", json!({ "SourceArn": ARN }), status, answer)
    }

    #[tokio::test]
    async fn what_was_set_aside_goes_back_to_where_it_came_from_by_one_task_at_a_time() {
        let started = || start(200, json!({ "TaskHandle": "task-1" }));
        for before in [&[][..], &["COMPLETED"], &["FAILED"], &["CANCELLED"]] {
            let done = redriven(&[tasks(before), started()]).await;
            assert_eq!(done, Ok(Redrive::Started("task-1".to_owned())), "{before:?}");
        }
        for open in ["RUNNING", "CANCELLING"] {
            assert_eq!(redriven(&[tasks(&[open])]).await, Ok(Redrive::Running), "{open}");
        }
    }

    #[tokio::test]
    async fn a_task_that_began_meanwhile_is_no_fault_and_any_other_refusal_is() {
        let refused = |code: &str| start(400, json!({ "__type": format!("com.amazonaws.sqs#{code}") }));
        let (before, after) = (|| tasks(&["COMPLETED"]), || tasks(&["RUNNING"]));
        let quicker = redriven(&[before(), refused("InvalidParameterValue"), after()]).await;
        assert_eq!(quicker, Ok(Redrive::Running));
        for (code, kind) in [
            ("ResourceNotFoundException", StoreErrorKind::Permanent),
            ("AccessDeniedException", StoreErrorKind::Denied),
        ] {
            let error = redriven(&[before(), refused(code), before()]).await.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.contains(ARN), "{error}");
        }
    }
}
