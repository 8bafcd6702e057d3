//! A scanner in memory, with limits and faults on demand.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use eft_pipeline::{
    port::{ErrorKind, PortError, PortResult},
    scanner::{Scan, Scanner, Verdict},
};
use futures::{FutureExt, future::BoxFuture};

/// What it finds a file infected with.
pub const SIGNATURE: &str = "Test.Needle";

/// Finds a needle; remembers all it was shown.
#[derive(Clone, Debug, Default)]
pub struct MemoryScanner {
    needle: Bytes,
    /// It wants no more than this.
    limit: Option<u64>,
    /// It is lost when it was shown so much.
    dies_at: Option<u64>,
    latency: Duration,
    begin: Arc<Mutex<VecDeque<Option<ErrorKind>>>>,
    scans: Arc<Mutex<Vec<Vec<u8>>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryScanner {
    /// That finds these bytes.
    pub fn new(needle: impl Into<Bytes>) -> Self {
        Self { needle: needle.into(), ..Self::default() }
    }

    /// That ends a scan with [`Verdict::TooLarge`] once it was shown more.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// That is lost once it was shown so many bytes; at its end, if the file is shorter.
    #[must_use]
    pub fn dies_at(mut self, bytes: u64) -> Self {
        self.dies_at = Some(bytes);
        self
    }

    /// With this long to take bytes, and to give a verdict.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// With these faults of `begin`, one a call.
    #[must_use]
    pub fn begin_faults(self, faults: impl IntoIterator<Item = Option<ErrorKind>>) -> Self {
        *locked(&self.begin) = faults.into_iter().collect();
        self
    }

    /// What it was shown, scan by scan.
    pub fn scans(&self) -> Vec<Vec<u8>> {
        locked(&self.scans).clone()
    }
}

impl Scanner for MemoryScanner {
    fn begin(&self) -> BoxFuture<'_, PortResult<Box<dyn Scan>>> {
        async {
            if let Some(kind) = locked(&self.begin).pop_front().flatten() {
                return Err(PortError::new(kind, "memory:scanner cannot be reached"));
            }
            let mut scans = locked(&self.scans);
            scans.push(Vec::new());
            Ok(Box::new(MemoryScan { scanner: self.clone(), number: scans.len() - 1 }) as Box<dyn Scan>)
        }
        .boxed()
    }
}

struct MemoryScan {
    scanner: MemoryScanner,
    number: usize,
}

impl MemoryScan {
    fn shown(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        locked(&self.scanner.scans)
    }

    fn lost(&self, at: u64) -> PortResult<()> {
        match self.scanner.dies_at.is_some_and(|dies| at >= dies) {
            true => Err(PortError::new(ErrorKind::Transient, "memory:scanner is lost")),
            false => Ok(()),
        }
    }

    fn verdict(&self) -> PortResult<Verdict> {
        if self.scanner.dies_at.is_some() {
            self.lost(u64::MAX)?;
        }
        let (needle, shown) = (&self.scanner.needle, self.shown());
        let found = !needle.is_empty() && shown[self.number].windows(needle.len()).any(|part| part == needle);
        Ok(if found { Verdict::Infected(SIGNATURE.to_owned()) } else { Verdict::Clean })
    }
}

impl Scan for MemoryScan {
    fn scanner(&self) -> &str {
        "memory 1.0"
    }

    fn feed(&mut self, bytes: Bytes) -> BoxFuture<'_, PortResult<Option<Verdict>>> {
        async move {
            assert!(!bytes.is_empty(), "no bytes would end a scan");
            tokio::time::sleep(self.scanner.latency).await;
            let shown = {
                let mut scans = self.shown();
                scans[self.number].extend_from_slice(&bytes);
                scans[self.number].len() as u64
            };
            self.lost(shown)?;
            let larger = self.scanner.limit.is_some_and(|limit| shown > limit);
            Ok(larger.then(|| Verdict::TooLarge("size limit exceeded".to_owned())))
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, PortResult<Verdict>> {
        async move {
            tokio::time::sleep(self.scanner.latency).await;
            self.verdict()
        }
        .boxed()
    }
}
