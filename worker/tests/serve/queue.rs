//! `work.fifo` in memory: groups in order, one message of a group at a time, hidden for a time, deduplicated for five
//! minutes, set aside after five receives.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use eft_store::{StoreError, StoreErrorKind, StoreResult, memory::Region};
use eft_worker::serve::queue::{Received, WorkQueue};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

const DEDUPLICATION: Duration = Duration::from_secs(300);
const VISIBILITY: Duration = Duration::from_secs(300);
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

/// The queue; it is filled from what the desk has sent.
#[derive(Clone)]
pub(crate) struct Fifo {
    region: Region,
    inner: Arc<Mutex<Inner>>,
    /// Every receive is given to a second receiver as well when this says so of its number.
    pub(crate) doubles: fn(u64) -> bool,
}

impl Fifo {
    pub(crate) fn new(region: Region, doubles: fn(u64) -> bool) -> Self {
        Self { region, inner: Arc::default(), doubles }
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
        self.fill();
        self.inner().messages.len()
    }

    /// A message that nobody's desk has sent.
    pub(crate) fn put(&self, body: &str) {
        self.inner().messages.push_back(Message {
            body: body.to_owned(),
            group: body.to_owned(),
            hidden: Instant::now(),
            receives: 0,
            receipt: 0,
        });
    }

    fn fill(&self) {
        let now = Instant::now();
        let mut inner = self.inner();
        inner.seen.retain(|(_, at)| now.duration_since(*at) < DEDUPLICATION);
        while let Some((message, group)) = self.region.take_work() {
            let id = message.deduplication_id();
            if inner.seen.iter().any(|(seen, _)| *seen == id) {
                continue;
            }
            inner.seen.push((id, now));
            let body = message.to_message();
            inner.messages.push_back(Message { body, group, hidden: now, receives: 0, receipt: 0 });
        }
    }

    fn take(&self) -> Option<Received> {
        self.fill();
        let now = Instant::now();
        let doubles = self.doubles;
        let mut inner = self.inner();
        let Inner { messages, next, aside, .. } = &mut *inner;
        messages.retain(|message| {
            let is_poison = message.receives >= RECEIVES && message.hidden <= now;
            if is_poison {
                aside.push(message.body.clone());
            }
            !is_poison
        });
        let at = (0..messages.len()).find(|at| {
            messages[*at].hidden <= now
                && messages.iter().take(*at).all(|before| before.group != messages[*at].group)
        })?;
        *next += 1;
        let message = &mut messages[at];
        message.receives += 1;
        message.receipt = *next;
        // A doubled one stays visible, as if its answer had been lost.
        if !doubles(*next) {
            message.hidden = now + VISIBILITY;
        }
        Some(Received {
            body: message.body.clone(),
            receipt: format!("{}/{}", message.receipt, message.body),
            receives: message.receives,
        })
    }

    fn with<T>(&self, receipt: &str, then: impl FnOnce(&mut VecDeque<Message>, usize) -> T) -> Option<T> {
        let (number, body) = receipt.split_once('/')?;
        let mut inner = self.inner();
        let at = inner
            .messages
            .iter()
            .position(|message| message.body == body && message.receipt.to_string() == number)?;
        Some(then(&mut inner.messages, at))
    }
}

impl WorkQueue for Fifo {
    fn receive(&self, wait: Duration) -> BoxFuture<'_, StoreResult<Option<Received>>> {
        async move {
            let until = Instant::now() + wait;
            loop {
                if let Some(received) = self.take() {
                    return Ok(Some(received));
                }
                if Instant::now() >= until {
                    return Ok(None);
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        .boxed()
    }

    fn hide<'a>(&'a self, receipt: &'a str, time: Duration) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            let hidden = Instant::now() + time;
            let done = self.with(receipt, |messages, at| messages[at].hidden = hidden);
            // An old receipt is refused, as SQS does it.
            done.ok_or_else(|| {
                StoreError::new(StoreErrorKind::Permanent, "the receipt is not valid any more")
            })
        }
        .boxed()
    }

    fn delete<'a>(&'a self, receipt: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        async move {
            self.with(receipt, |messages, at| drop(messages.remove(at)));
            Ok(())
        }
        .boxed()
    }
}
