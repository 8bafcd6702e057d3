//! A sink that looks at the bytes and keeps none.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use eft_pipeline::{
    checksum::Crc64,
    port::{
        Committed, ErrorKind, ObjectSink, Part, PartAck, PortError, PortResult, SinkLimits, Upload, Verified,
    },
};
use futures::{FutureExt, future::BoxFuture, future::ready};

/// Takes an object and forgets it: `MemorySink` of the fakes joins and hashes what it is given, several copies of every
/// byte, which would be most of what a bench of an identity route measures.
///
/// It sees which bytes are still in the memory they came in. A counter in the pipeline says what somebody thought of
/// counting; an address cannot be wrong.
#[derive(Clone, Debug)]
pub struct Discard {
    /// Addresses of the source's bytes.
    source: Range<usize>,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    delivered: AtomicU64,
    moved: AtomicU64,
}

impl Discard {
    /// A sink for what is made of `source`.
    pub fn new(source: &Bytes) -> Self {
        let start = source.as_ptr().addr();
        Self { source: start..start + source.len(), seen: Arc::default() }
    }

    /// Bytes it was given.
    pub fn delivered(&self) -> u64 {
        self.seen.delivered.load(Relaxed)
    }

    /// Bytes of them that did not lie in the source's memory: made anew, or copied.
    pub fn moved(&self) -> u64 {
        self.seen.moved.load(Relaxed)
    }

    fn take(&self, part: &Part) {
        let moved = part.segments.iter().filter(|segment| {
            let start = segment.as_ptr().addr();
            !(self.source.start <= start && start + segment.len() <= self.source.end)
        });
        self.seen.moved.fetch_add(moved.map(|segment| segment.len() as u64).sum(), Relaxed);
        self.seen.delivered.fetch_add(part.len(), Relaxed);
    }

    fn committed() -> Committed {
        Committed {
            version: None,
            etag: None,
            verified: Verified::SizeOnly,
            whole: None,
            already_there: false,
            resolved: false,
        }
    }
}

impl ObjectSink for Discard {
    fn uri(&self) -> String {
        "discard:".to_owned()
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { passes: false, ..SinkLimits::S3 }
    }

    fn put(&self, part: Part) -> BoxFuture<'_, PortResult<Committed>> {
        self.take(&part);
        ready(Ok(Self::committed())).boxed()
    }

    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Upload>>> {
        ready(Ok(Box::new(self.clone()) as Box<dyn Upload>)).boxed()
    }

    fn reopen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, PortResult<Box<dyn Upload>>> {
        ready(Err(PortError::new(ErrorKind::Unsupported, "nothing is kept"))).boxed()
    }

    fn uploads(&self) -> BoxFuture<'_, PortResult<Vec<String>>> {
        ready(Ok(Vec::new())).boxed()
    }
}

impl Upload for Discard {
    fn id(&self) -> Option<String> {
        None
    }

    fn parts(&self, _: u32, _: Crc64) -> BoxFuture<'_, PortResult<Option<Vec<PartAck>>>> {
        ready(Ok(None)).boxed()
    }

    fn write(&self, part: Part) -> BoxFuture<'_, PortResult<PartAck>> {
        self.take(&part);
        ready(Ok(PartAck { number: part.number, tag: String::new(), crc: part.crc })).boxed()
    }

    fn commit<'a>(&'a self, parts: &'a [PartAck], whole: Crc64) -> BoxFuture<'a, PortResult<Committed>> {
        let joined = parts.iter().map(|part| part.crc).fold(Crc64::default(), Crc64::then);
        let answer = if joined == whole {
            Ok(Self::committed())
        } else {
            Err(PortError::new(ErrorKind::Permanent, "the parts do not make the object"))
        };
        ready(answer).boxed()
    }

    fn abort(&self) -> BoxFuture<'_, PortResult<()>> {
        ready(Ok(())).boxed()
    }
}
