//! `work.fifo` in memory: groups in order, one message of a group at a time, hidden for a time, deduplicated for five
//! minutes, set aside after five receives.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use eft_domain::message::{RunRequest, WorkMessage};
use eft_store::{
    Dispatch, StoreError, StoreErrorKind, StoreResult,
    faulty::{Call, Fates, befall},
};
use eft_worker::serve::queue::{Received, WorkQueue};
use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::Notify, time::Instant};

const DEDUPLICATION: Duration = Duration::from_secs(300);
pub(crate) const VISIBILITY: Duration = Duration::from_secs(300);
const RECEIVES: u32 = 5;

struct Message {
    body: String,
    group: String,
    hidden: Instant,
    receives: u32,
    receipt: u64,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    seen: Vec<(String, Instant)>,
    next: u64,
    aside: Vec<String>,
}

/// The queue.
#[derive(Clone)]
pub(crate) struct Fifo {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
    /// Every receive is given to a second receiver as well when this says so of its number.
    doubles: fn(u64) -> bool,
}

impl Fifo {
    pub(crate) fn new(doubles: fn(u64) -> bool) -> Self {
        Self { inner: Arc::default(), changed: Arc::default(), doubles }
    }

    /// The queue as a process sees it.
    pub(crate) fn seen_by(&self, fates: Arc<dyn Fates>) -> Seen {
        Seen { queue: self.clone(), fates }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that were set aside.
    pub(crate) fn aside(&self) -> Vec<String> {
        self.inner().aside.clone()
    }

    /// Messages that are there, hidden or not.
    pub(crate) fn len(&self) -> usize {
        self.inner().messages.len()
    }

    /// How often one was received.
    pub(crate) fn receives(&self) -> u64 {
        self.inner().next
    }

    /// A message that nobody's desk has sent.
    pub(crate) fn put(&self, body: &str) {
        self.push(body.to_owned(), body.to_owned());
    }

    fn push(&self, body: String, group: String) {
        let message = Message { body, group, hidden: Instant::now(), receives: 0, receipt: 0 };
        self.inner().messages.push_back(message);
        self.changed.notify_waiters();
    }

    fn send(&self, message: &WorkMessage, group: &str) {
        let (now, id) = (Instant::now(), message.deduplication_id());
        let mut inner = self.inner();
        inner.seen.retain(|(_, at)| now.duration_since(*at) < DEDUPLICATION);
        if inner.seen.iter().any(|(seen, _)| *seen == id) {
            return;
        }
        inner.seen.push((id, now));
        drop(inner);
        self.push(message.to_message(), group.to_owned());
    }

    /// The next message, or when there may be one.
    fn take(&self) -> Result<Received, Option<Instant>> {
        let now = Instant::now();
        let mut inner = self.inner();
        let Inner { messages, next, aside, .. } = &mut *inner;
        messages.retain(|message| {
            let is_poison = message.receives >= RECEIVES && message.hidden <= now;
            if is_poison {
                aside.push(message.body.clone());
            }
            !is_poison
        });
        let is_first =
            |at: &usize| messages.iter().take(*at).all(|before| before.group != messages[*at].group);
        let first = (0..messages.len()).filter(is_first).min_by_key(|at| messages[*at].hidden.max(now));
        let Some(at) = first.filter(|at| messages[*at].hidden <= now) else {
            return Err(first.map(|at| messages[at].hidden));
        };
        *next += 1;
        let message = &mut messages[at];
        message.receives += 1;
        message.receipt = *next;
        // A doubled one stays visible, as if its answer had been lost.
        if !(self.doubles)(*next) {
            message.hidden = now + VISIBILITY;
        }
        Ok(Received {
            body: message.body.clone(),
            receipt: format!("{}/{}", message.receipt, message.body),
            receives: message.receives,
        })
    }

    async fn receive(&self, wait: Duration) -> Option<Received> {
        let until = Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            let next = match self.take() {
                Ok(received) => return Some(received),
                Err(next) => next.map_or(until, |next| next.min(until)),
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(next) => {}
            }
            if Instant::now() >= until {
                return self.take().ok();
            }
        }
    }

    fn with<T>(&self, receipt: &str, then: impl FnOnce(&mut VecDeque<Message>, usize) -> T) -> Option<T> {
        let (number, body) = receipt.split_once('/')?;
        let mut inner = self.inner();
        let at = inner
            .messages
            .iter()
            .position(|message| message.body == body && message.receipt.to_string() == number)?;
        let done = then(&mut inner.messages, at);
        drop(inner);
        self.changed.notify_waiters();
        Some(done)
    }

    fn hide(&self, receipt: &str, time: Duration) -> StoreResult<()> {
        let hidden = Instant::now() + time;
        // An old receipt is refused, as SQS does it.
        self.with(receipt, |messages, at| messages[at].hidden = hidden)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Permanent, "the receipt is not valid any more"))
    }

    fn delete(&self, receipt: &str) {
        self.with(receipt, |messages, at| drop(messages.remove(at)));
    }
}

/// The queue as a process sees it.
pub(crate) struct Seen {
    queue: Fifo,
    fates: Arc<dyn Fates>,
}

impl WorkQueue for Seen {
    fn receive(&self, wait: Duration) -> BoxFuture<'_, StoreResult<Option<Received>>> {
        // What was received and not heard of is hidden all the same.
        let call = Call::write("receive", "");
        befall(self.fates.as_ref(), call, async move { Ok(self.queue.receive(wait).await) }).boxed()
    }

    fn hide<'a>(&'a self, receipt: &'a str, time: Duration) -> BoxFuture<'a, StoreResult<()>> {
        let call = Call::write("hide", receipt);
        befall(self.fates.as_ref(), call, async move { self.queue.hide(receipt, time) }).boxed()
    }

    fn delete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        let call = Call::write("delete", receipt);
        let delete = async move {
            self.queue.delete(receipt);
            Ok(())
        };
        befall(self.fates.as_ref(), call, delete).boxed()
    }
}

impl Dispatch for Seen {
    fn send<'a>(&'a self, message: &'a WorkMessage, group: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        let call = Call::write("send", group);
        let send = async move {
            self.queue.send(message, group);
            Ok(())
        };
        befall(self.fates.as_ref(), call, send).boxed()
    }

    fn start<'a>(&'a self, request: &'a RunRequest) -> BoxFuture<'a, StoreResult<()>> {
        let error = format!("run {} is for the state machine, which there is none of here", request.run);
        async move { Err(StoreError::new(StoreErrorKind::Permanent, error)) }.boxed()
    }
}
