//! A range of an object as an object of its own.

use std::{ops::Range, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use crate::{
    port::{Frames, ObjectSource, PortResult},
    stored::Stored,
};

/// The bytes of one entry, as they are in the archive.
pub struct EntrySource {
    archive: Arc<dyn ObjectSource>,
    range: Range<u64>,
    uri: String,
}

impl EntrySource {
    /// The bytes of this range of the archive.
    pub(super) fn new(archive: Arc<dyn ObjectSource>, range: Range<u64>, name: &str) -> Self {
        let uri = format!("{} (entry {name})", archive.uri());
        Self { archive, range, uri }
    }
}

impl ObjectSource for EntrySource {
    fn uri(&self) -> String {
        self.uri.clone()
    }

    fn size(&self) -> Option<u64> {
        Some(self.range.end - self.range.start)
    }

    /// None: the store's is of the whole archive. The entry has a CRC-32 of its own, which the stage compares.
    fn checksum(&self) -> Option<Stored> {
        None
    }

    fn read(&self, range: Range<u64>) -> BoxFuture<'_, PortResult<Frames>> {
        let (start, end) =
            (self.range.start + range.start, (self.range.start + range.end).min(self.range.end));
        async move { self.archive.read(start..end).await }.boxed()
    }
}
