//! `ingest.fifo` in memory, and the Lambda service that calls the router with what is in it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use eft_router::{
    Router,
    handler::{Attributes, Batch, Log, Message, MessageAttributes, handle},
};
use tokio::time::Instant;

/// How long Lambda hides what it has given to a function.
const VISIBILITY: Duration = Duration::from_secs(90);
const RECEIVES: u32 = 5;
/// Messages of a batch, as SQS and Lambda have it for FIFO queues.
const BATCH: usize = 10;

struct Event {
    id: u64,
    body: String,
    group: String,
    hidden: Instant,
    receives: u32,
}

#[derive(Default)]
struct Inner {
    events: Vec<Event>,
    next: u64,
    aside: u32,
}

/// The queue.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Inner>>);

impl Events {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event that comes after this time.
    pub(crate) fn put(&self, body: String, group: &str, late: Duration) {
        let mut inner = self.inner();
        inner.next += 1;
        let (id, hidden) = (inner.next, Instant::now() + late);
        inner.events.push(Event { id, body, group: group.to_owned(), hidden, receives: 0 });
    }

    pub(crate) fn len(&self) -> usize {
        self.inner().events.len()
    }

    /// Events that nobody has managed to do anything about.
    pub(crate) fn aside(&self) -> u32 {
        self.inner().aside
    }

    fn take(&self) -> Vec<Message> {
        let now = Instant::now();
        let mut inner = self.inner();
        let Inner { events, aside, .. } = &mut *inner;
        events.retain(|event| {
            let is_given_up = event.hidden <= now && event.receives >= RECEIVES;
            *aside += u32::from(is_given_up);
            !is_given_up
        });
        let given = events.iter_mut().filter(|event| event.hidden <= now).take(BATCH).map(|event| {
            event.receives += 1;
            event.hidden = now + VISIBILITY;
            let attributes =
                Attributes { group: Some(event.group.clone()), receives: Some(event.receives.to_string()) };
            Message {
                message_id: event.id.to_string(),
                body: event.body.clone(),
                attributes,
                message_attributes: MessageAttributes::default(),
            }
        });
        given.collect()
    }

    /// One invocation: a batch, and what the function has done is deleted.
    pub(crate) async fn invoke(&self, router: Router) {
        let records = self.take();
        if records.is_empty() {
            return;
        }
        let mut done: Vec<_> = records.iter().map(|message| message.message_id.clone()).collect();
        let log: Log = Arc::new(|_| ());
        let response = handle(&router, Batch { records }, &log).await;
        done.retain(|id| response.batch_item_failures.iter().all(|failed| failed.item_identifier != *id));
        self.inner().events.retain(|event| !done.contains(&event.id.to_string()));
    }
}
