//! A source and a sink in memory, with faults on demand.

mod source;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use eft_pipeline::{
    checksum::Crc64,
    port::{
        Committed, ErrorKind, ObjectSink, Part, PartAck, PassingPart, PortError, PortResult, SinkLimits,
        Upload, Verified,
    },
};
use futures::{FutureExt, TryStreamExt, future::BoxFuture};

pub use self::source::{MemorySource, SourceFaults};

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refused; nothing was done.
    Fails(ErrorKind),
    /// Done, but reported as failed.
    DoneButFails(ErrorKind),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(kind: ErrorKind) -> PortError {
    PortError::new(kind, format!("injected {kind:?}"))
}

/// Faults of a sink: each call takes the next of its queue.
#[derive(Debug, Default)]
pub struct SinkFaults {
    /// Faults of `begin`.
    pub begin: VecDeque<Option<Fault>>,
    /// Faults of `write`.
    pub write: VecDeque<Option<Fault>>,
    /// Faults of `commit` and `put`.
    pub commit: VecDeque<Option<Fault>>,
    /// Faults of `abort`.
    pub abort: VecDeque<Option<Fault>>,
}

#[derive(Debug, Default)]
struct Store {
    object: Option<Bytes>,
    uploads: BTreeMap<u64, BTreeMap<u32, Bytes>>,
    commits: u64,
    most_parts_at_once: usize,
    parts_at_once: usize,
}

/// A place in memory for one object.
#[derive(Clone, Debug)]
pub struct MemorySink {
    name: String,
    store: Arc<Mutex<Store>>,
    faults: Arc<Mutex<SinkFaults>>,
    limits: SinkLimits,
    latency: Duration,
}

impl Default for MemorySink {
    fn default() -> Self {
        Self {
            name: "memory:sink".to_owned(),
            store: Arc::default(),
            faults: Arc::default(),
            limits: SinkLimits { min_part: 1, ..SinkLimits::S3 },
            latency: Duration::ZERO,
        }
    }
}

/// No two uploads have one id, whatever the sink.
static BEGUN: AtomicU64 = AtomicU64::new(1);

impl MemorySink {
    /// With this name, where there are several.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = format!("memory:{name}");
        self
    }

    /// With these limits.
    #[must_use]
    pub fn limits(mut self, limits: SinkLimits) -> Self {
        self.limits = limits;
        self
    }

    /// With this long to each answer.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// With these faults.
    #[must_use]
    pub fn faults(self, faults: SinkFaults) -> Self {
        *locked(&self.faults) = faults;
        self
    }

    /// What is visible under the name.
    pub fn object(&self) -> Option<Bytes> {
        locked(&self.store).object.clone()
    }

    /// What is visible under the name is taken away by whoever it is for.
    pub fn take(&self) -> Option<Bytes> {
        locked(&self.store).object.take()
    }

    /// Uploads begun and neither committed nor aborted.
    pub fn open_uploads(&self) -> usize {
        locked(&self.store).uploads.len()
    }

    /// Lose all uploads, as a lifecycle rule would, or only the first part of each.
    pub fn lose(&self, part: bool) {
        let mut store = locked(&self.store);
        match part {
            true => store.uploads.values_mut().for_each(|parts| drop(parts.remove(&1))),
            false => store.uploads.clear(),
        }
    }

    /// How often an object became visible.
    pub fn commits(&self) -> u64 {
        locked(&self.store).commits
    }

    /// Most parts that were being written at once.
    pub fn most_parts_at_once(&self) -> usize {
        locked(&self.store).most_parts_at_once
    }

    fn publish(&self, bytes: Bytes, fault: Option<Fault>) -> PortResult<Committed> {
        if let Some(Fault::Fails(kind)) = fault {
            return Err(error(kind));
        }
        let mut store = locked(&self.store);
        if store.object.is_some() {
            return Err(PortError::new(ErrorKind::Exists, "memory:sink: the name is taken"));
        }
        let whole = Crc64::of(&bytes);
        store.object = Some(bytes);
        store.commits += 1;
        match fault {
            Some(Fault::DoneButFails(kind)) => Err(error(kind)),
            _ => Ok(Committed {
                version: None,
                etag: None,
                verified: Verified::Checksum,
                whole: Some(whole),
                already_there: false,
                resolved: false,
            }),
        }
    }
}

impl ObjectSink for MemorySink {
    fn uri(&self) -> String {
        self.name.clone()
    }

    fn limits(&self) -> SinkLimits {
        self.limits
    }

    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>> {
        async move {
            tokio::time::sleep(self.latency).await;
            let fault = locked(&self.faults).commit.pop_front().flatten();
            self.publish(part.segments.concat().into(), fault)
        }
        .boxed()
    }

    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>> {
        async move {
            tokio::time::sleep(self.latency).await;
            let fault = locked(&self.faults).begin.pop_front().flatten();
            if let Some(Fault::Fails(kind)) = fault {
                return Err(error(kind));
            }
            let mut store = locked(&self.store);
            let id = BEGUN.fetch_add(1, Relaxed);
            store.uploads.insert(id, BTreeMap::new());
            Ok(Box::new(MemoryUpload { sink: self.clone(), id }) as Box<dyn Upload>)
        }
        .boxed()
    }

    fn reopen<'a>(&'a self, id: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>> {
        async move {
            tokio::time::sleep(self.latency).await;
            let known = id.parse().ok().filter(|id| locked(&self.store).uploads.contains_key(id));
            let id = known.ok_or_else(|| error(ErrorKind::NotFound))?;
            Ok(Box::new(MemoryUpload { sink: self.clone(), id }) as Box<dyn Upload>)
        }
        .boxed()
    }

    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>> {
        async move {
            tokio::time::sleep(self.latency).await;
            Ok(locked(&self.store).uploads.keys().map(u64::to_string).collect())
        }
        .boxed()
    }
}

struct MemoryUpload {
    sink: MemorySink,
    id: u64,
}

/// Counts a part as being written for as long as it lives.
struct AtOnce(Arc<Mutex<Store>>);

impl AtOnce {
    fn new(store: &Arc<Mutex<Store>>) -> Self {
        let mut counts = locked(store);
        counts.parts_at_once += 1;
        counts.most_parts_at_once = counts.most_parts_at_once.max(counts.parts_at_once);
        Self(Arc::clone(store))
    }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        locked(&self.0).parts_at_once -= 1;
    }
}

impl MemoryUpload {
    /// A part comes: the fault that it meets, unless it is one before any byte.
    async fn take(&self) -> PortResult<Option<Fault>> {
        tokio::time::sleep(self.sink.latency).await;
        match locked(&self.sink.faults).write.pop_front().flatten() {
            Some(Fault::Fails(kind)) => Err(error(kind)),
            fault => Ok(fault),
        }
    }

    fn keep(
        &self,
        number: u32,
        bytes: Bytes,
        said: Option<Crc64>,
        fault: Option<Fault>,
    ) -> PortResult<PartAck> {
        let crc = Crc64::of(&bytes);
        if said != Some(crc) {
            return Err(PortError::new(ErrorKind::Checksum, "the part does not have its checksum"));
        }
        let mut store = locked(&self.sink.store);
        let Some(upload) = store.uploads.get_mut(&self.id) else {
            return Err(PortError::new(ErrorKind::NotFound, "no such upload"));
        };
        upload.insert(number, bytes);
        match fault {
            Some(Fault::DoneButFails(kind)) => Err(error(kind)),
            _ => Ok(PartAck { number, tag: format!("t{number}"), crc }),
        }
    }
}

impl Upload for MemoryUpload {
    fn id(&self) -> Option<String> {
        Some(self.id.to_string())
    }

    fn parts(&self, count: u32, whole: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>> {
        async move {
            tokio::time::sleep(self.sink.latency).await;
            let store = locked(&self.sink.store);
            let parts = store.uploads.get(&self.id).ok_or_else(|| error(ErrorKind::NotFound))?;
            let acks: Vec<_> = parts
                .range(1..=count)
                .map(|(number, bytes)| PartAck {
                    number: *number,
                    tag: format!("t{number}"),
                    crc: Crc64::of(bytes),
                })
                .collect();
            let all = acks.iter().map(|ack| ack.crc).fold(Crc64::default(), Crc64::then);
            Ok((acks.len() == count as usize && all == whole).then_some(acks))
        }
        .boxed()
    }

    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>> {
        async move {
            let _at_once = AtOnce::new(&self.sink.store);
            let fault = self.take().await?;
            self.keep(part.number, part.segments.concat().into(), Some(part.crc), fault)
        }
        .boxed()
    }

    fn passes(&self) -> bool {
        self.sink.limits.passes
    }

    fn pass(&self, part: PassingPart) -> BoxFuture<'_, PortResult<PartAck>> {
        async move {
            let _at_once = AtOnce::new(&self.sink.store);
            let fault = self.take().await?;
            let frames: Vec<Bytes> = part.frames.try_collect().await?;
            let bytes: Bytes = frames.concat().into();
            if bytes.len() as u64 != part.len {
                return Err(PortError::new(ErrorKind::Permanent, "the part does not have its length"));
            }
            self.keep(part.number, bytes, part.crc.get().copied(), fault)
        }
        .boxed()
    }

    fn commit<'a>(&'a self, parts: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>> {
        async move {
            tokio::time::sleep(self.sink.latency).await;
            let fault = locked(&self.sink.faults).commit.pop_front().flatten();
            let stored = locked(&self.sink.store).uploads.get(&self.id).cloned();
            let stored = stored.ok_or_else(|| PortError::new(ErrorKind::NotFound, "no such upload"))?;
            let expected: Vec<u32> = (1..=parts.len() as u32).collect();
            if parts.iter().map(|ack| ack.number).ne(expected.iter().copied())
                || stored.keys().ne(expected.iter())
            {
                return Err(PortError::new(ErrorKind::Permanent, "the parts do not match"));
            }
            let bytes: Bytes = stored.values().flatten().copied().collect();
            if Crc64::of(&bytes) != whole {
                return Err(PortError::new(ErrorKind::Permanent, "the object does not have its checksum"));
            }
            let committed = self.sink.publish(bytes, fault);
            if committed.is_ok() || matches!(fault, Some(Fault::DoneButFails(_))) {
                locked(&self.sink.store).uploads.remove(&self.id);
            }
            committed
        }
        .boxed()
    }

    fn abort(&self) -> BoxFuture<'_, PortResult<()>> {
        async move {
            let fault = locked(&self.sink.faults).abort.pop_front().flatten();
            if let Some(Fault::Fails(kind)) = fault {
                return Err(error(kind));
            }
            locked(&self.sink.store).uploads.remove(&self.id);
            match fault {
                Some(Fault::DoneButFails(kind)) => Err(error(kind)),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}
