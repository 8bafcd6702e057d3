//! A source and a sink in memory, with faults on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
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
        Committed, ErrorKind, Frames, ObjectSink, ObjectSource, Part, PartAck, PortError, PortResult,
        SinkLimits, Upload, Verified,
    },
    stored::Stored,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};

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

/// Faults of a source: each call to `read` takes the next of each queue.
#[derive(Debug, Default)]
pub struct SourceFaults {
    /// The call itself fails.
    pub read: VecDeque<Option<ErrorKind>>,
    /// The body breaks after this many bytes with this error.
    pub cut: VecDeque<Option<(usize, ErrorKind)>>,
    /// The body ends after this many bytes, without an error.
    pub short: VecDeque<Option<usize>>,
    /// This bit of the body is flipped.
    pub flip: VecDeque<Option<usize>>,
    /// Nothing more comes after this many bytes.
    pub stall: VecDeque<Option<usize>>,
}

/// An object in memory.
#[derive(Debug)]
pub struct MemorySource {
    bytes: Bytes,
    stream: bool,
    crc: Option<u64>,
    frame: usize,
    latency: Duration,
    faults: Mutex<SourceFaults>,
    reads: Mutex<Vec<Range<u64>>>,
}

impl MemorySource {
    /// An object that delivers its bytes in frames of 64 KiB.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            stream: false,
            crc: None,
            frame: 64 << 10,
            latency: Duration::ZERO,
            faults: Mutex::default(),
            reads: Mutex::default(),
        }
    }

    /// Of unknown size, like a pipe.
    #[must_use]
    pub fn stream(mut self) -> Self {
        self.stream = true;
        self
    }

    /// With frames of this many bytes.
    #[must_use]
    pub fn frame(mut self, bytes: usize) -> Self {
        self.frame = bytes;
        self
    }

    /// With this long to the first byte.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// With its true checksum on record.
    #[must_use]
    pub fn with_checksum(mut self) -> Self {
        self.crc = Some(Crc64::of(&self.bytes).value());
        self
    }

    /// With these faults.
    #[must_use]
    pub fn faults(self, faults: SourceFaults) -> Self {
        *locked(&self.faults) = faults;
        self
    }

    /// The ranges that were asked for.
    pub fn reads(&self) -> Vec<Range<u64>> {
        locked(&self.reads).clone()
    }
}

impl ObjectSource for MemorySource {
    fn uri(&self) -> String {
        "memory:source".to_owned()
    }

    fn size(&self) -> Option<u64> {
        (!self.stream).then_some(self.bytes.len() as u64)
    }

    fn checksum(&self) -> Option<Stored> {
        self.crc.map(Stored::Crc64)
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        locked(&self.reads).push(range.clone());
        let mut faults = locked(&self.faults);
        let failure = faults.read.pop_front().flatten();
        let cut = faults.cut.pop_front().flatten();
        let short = faults.short.pop_front().flatten();
        let flip = faults.flip.pop_front().flatten();
        let stall = faults.stall.pop_front().flatten();
        drop(faults);
        async move {
            tokio::time::sleep(self.latency).await;
            if let Some(kind) = failure {
                return Err(error(kind));
            }
            let end = range.end.min(self.bytes.len() as u64) as usize;
            let mut body = self.bytes.slice((range.start as usize).min(end)..end);
            if let Some(bit) = flip.filter(|bit| *bit < body.len() * 8) {
                let mut flipped = body.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                body = flipped.into();
            }
            let keep = [cut.map(|(at, _)| at), short, stall].into_iter().flatten().min();
            let mut body = body.slice(..keep.unwrap_or(body.len()).min(body.len()));
            let mut frames = Vec::new();
            while !body.is_empty() {
                frames.push(Ok(body.split_to(self.frame.min(body.len()))));
            }
            frames.extend(cut.map(|(_, kind)| Err(error(kind))));
            let frames = stream::iter(frames);
            Ok(match stall {
                Some(_) => frames.chain(stream::pending()).boxed(),
                None => frames.boxed(),
            })
        }
        .boxed()
    }
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
            tokio::time::sleep(self.sink.latency).await;
            let fault = locked(&self.sink.faults).write.pop_front().flatten();
            if let Some(Fault::Fails(kind)) = fault {
                return Err(error(kind));
            }
            let bytes: Bytes = part.segments.concat().into();
            if Crc64::of(&bytes) != part.crc {
                return Err(PortError::new(ErrorKind::Checksum, "the part does not have its checksum"));
            }
            let mut store = locked(&self.sink.store);
            let Some(upload) = store.uploads.get_mut(&self.id) else {
                return Err(PortError::new(ErrorKind::NotFound, "no such upload"));
            };
            upload.insert(part.number, bytes);
            match fault {
                Some(Fault::DoneButFails(kind)) => Err(error(kind)),
                _ => Ok(PartAck { number: part.number, tag: format!("t{}", part.number), crc: part.crc }),
            }
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
