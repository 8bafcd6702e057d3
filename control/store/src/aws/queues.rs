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
            let answer = self.sqs.start_message_move_task().source_arn(&arn).send().await;
            let what = format!("redrive {arn}");
            let answer = answer.map_err(|error| store_error(&what, Deed::Write, &error))?;
            Ok(Redrive::Started(answer.task_handle.unwrap_or_default()))
        }
        .boxed()
    }
}
