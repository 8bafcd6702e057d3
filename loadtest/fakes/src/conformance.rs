//! What every sink and source must do, whatever is behind it. Run by the tests of each adapter.
//!
//! A check panics with what was expected; it is test code that happens to be shared.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use eft_pipeline::{
    checksum::Crc64,
    port::{ErrorKind, ObjectSink, ObjectSource, Part, PassingPart, PortError, PortResult},
    stored::Stored,
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};

use crate::pattern;

/// A place where a sink writes and a source reads, made anew for each check.
pub trait Place: Sync {
    /// A sink of the object called `name`.
    fn sink(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSink>>;
    /// A source of the object called `name`, pinned now.
    fn source(&self, name: &str) -> BoxFuture<'_, Arc<dyn ObjectSource>>;
    /// What is visible under `name`, found without the code under test.
    fn visible(&self, name: &str) -> BoxFuture<'_, Option<Bytes>>;
    /// Traces of uploads that are neither committed nor aborted.
    fn leftovers(&self) -> BoxFuture<'_, usize>;
}

fn part(number: u32, offset: u64, bytes: &Bytes) -> Part {
    // Uneven segments, as the network delivers them.
    let (mut rest, mut segments) = (bytes.clone(), Vec::new());
    while !rest.is_empty() {
        segments.push(rest.split_to(rest.len().min(100_003)));
    }
    Part { number, offset, segments: segments.into(), crc: Crc64::of(bytes), leases: Arc::new([]) }
}

/// Run every check.
pub async fn run(place: &dyn Place) {
    small_objects(place).await;
    large_objects_in_any_order(place).await;
    a_part_written_twice(place).await;
    parts_that_are_still_being_read(place).await;
    abort_leaves_nothing(place).await;
    taken_names(place).await;
    reads(place).await;
    assert_eq!(place.leftovers().await, 0, "leftovers at the end");
}

async fn small_objects(place: &dyn Place) {
    for len in [0, 1, 70_001] {
        let name = format!("small-{len}");
        let bytes = pattern(1, len);
        place.sink(&name).await.put(part(1, 0, &bytes)).await.expect("put");
        assert_eq!(place.visible(&name).await, Some(bytes), "{name}");
    }
}

async fn large_objects_in_any_order(place: &dyn Place) {
    let sink = place.sink("large").await;
    let size = sink.limits().min_part.max(1 << 16) as usize;
    let whole = pattern(2, 2 * size + 17);
    let parts = [whole.slice(..size), whole.slice(size..2 * size), whole.slice(2 * size..)];
    let upload = sink.begin().await.expect("begin");
    let order: &[usize] = if sink.limits().sequential { &[0, 1, 2] } else { &[2, 0, 1] };
    let mut acks = Vec::new();
    for index in order {
        let part = part(*index as u32 + 1, (index * size) as u64, &parts[*index]);
        let ack = upload.write(part.clone()).await.expect("write");
        assert_eq!((ack.number, ack.crc), (part.number, part.crc));
        acks.push(ack);
        assert_eq!(place.visible("large").await, None, "visible before the commit");
    }
    acks.sort_by_key(|ack| ack.number);
    upload.commit(&acks, Crc64::of(&whole)).await.expect("commit");
    assert_eq!(place.visible("large").await, Some(whole));
    assert_eq!(place.leftovers().await, 0, "leftovers after a commit");
    // A transfer that does not know that it succeeded may abort.
    drop(upload.abort().await);
    assert!(place.visible("large").await.is_some(), "an abort removed a committed object");
}

async fn a_part_written_twice(place: &dyn Place) {
    let sink = place.sink("twice").await;
    if sink.limits().sequential {
        return;
    }
    let size = sink.limits().min_part.max(1 << 16) as usize;
    let whole = pattern(3, size + 5);
    let upload = sink.begin().await.expect("begin");
    let first = part(1, 0, &whole.slice(..size));
    upload.write(first.clone()).await.expect("write");
    let first = upload.write(first).await.expect("write again");
    let second = upload.write(part(2, size as u64, &whole.slice(size..))).await.expect("write");
    upload.commit(&[first, second], Crc64::of(&whole)).await.expect("commit");
    assert_eq!(place.visible("twice").await, Some(whole));
}

async fn parts_that_are_still_being_read(place: &dyn Place) {
    let sink = place.sink("passing").await;
    let size = sink.limits().min_part.max(1 << 16) as usize;
    let whole = pattern(8, 2 * size + 3);
    let upload = sink.begin().await.expect("begin");
    assert!(!upload.passes() || sink.limits().passes, "an upload that passes, of a sink that does not");
    if !upload.passes() {
        return upload.abort().await.expect("abort");
    }
    let slices = [whole.slice(..size), whole.slice(size..2 * size), whole.slice(2 * size..)];
    let passing = |number: usize, frames: Vec<PortResult<Bytes>>| {
        let (at, crc) = (number - 1, Arc::<OnceLock<Crc64>>::default());
        crc.get_or_init(|| Crc64::of(&slices[at]));
        let (offset, len) = ((at * size) as u64, slices[at].len() as u64);
        PassingPart { number: number as u32, offset, len, frames: stream::iter(frames).boxed(), crc }
    };
    let frames = |bytes: &Bytes| -> Vec<PortResult<Bytes>> {
        bytes.chunks(70_001).map(|frame| Ok(Bytes::copy_from_slice(frame))).collect()
    };
    // Of parts that break, or that have other bytes, there is nothing.
    let mut broken = frames(&slices[0]);
    broken.pop();
    broken.push(Err(PortError::new(ErrorKind::Transient, "the source is gone")));
    upload.pass(passing(1, broken)).await.expect_err("the part breaks off");
    let mut other = frames(&slices[0]);
    other[0] = Ok(pattern(9, 70_001));
    if size > 70_001 {
        upload.pass(passing(1, other)).await.expect_err("the part has other bytes than its checksum");
    }
    let mut acks = Vec::new();
    for number in [3, 1, 2] {
        let ack = match upload.passes() {
            true => upload.pass(passing(number, frames(&slices[number - 1]))).await.expect("pass"),
            false => {
                let part = part(number as u32, ((number - 1) * size) as u64, &slices[number - 1]);
                upload.write(part).await.expect("write what does not pass any more")
            }
        };
        assert_eq!(ack.crc, Crc64::of(&slices[number - 1]));
        acks.push(ack);
    }
    acks.sort_by_key(|ack| ack.number);
    upload.commit(&acks, Crc64::of(&whole)).await.expect("commit");
    assert_eq!(place.visible("passing").await, Some(whole));
}

async fn abort_leaves_nothing(place: &dyn Place) {
    let sink = place.sink("aborted").await;
    let size = sink.limits().min_part.max(1 << 16) as usize;
    let upload = sink.begin().await.expect("begin");
    upload.write(part(1, 0, &pattern(4, size))).await.expect("write");
    upload.abort().await.expect("abort");
    upload.abort().await.expect("abort again");
    assert_eq!(place.visible("aborted").await, None);
    assert_eq!(place.leftovers().await, 0, "leftovers after an abort");
}

async fn taken_names(place: &dyn Place) {
    let bytes = pattern(5, 100);
    place.sink("taken").await.put(part(1, 0, &bytes)).await.expect("put");
    let other = pattern(6, 100);
    let error = place.sink("taken").await.put(part(1, 0, &other)).await.expect_err("the name is taken");
    assert_eq!(error.kind, ErrorKind::Exists, "{error}");

    let sink = place.sink("taken").await;
    // A sink may find out when it begins or when it commits, but not publish.
    let error = match sink.begin().await {
        Err(error) => error,
        Ok(upload) => {
            let ack = upload.write(part(1, 0, &other)).await.expect("write");
            let error = upload.commit(&[ack], Crc64::of(&other)).await.expect_err("the name is taken");
            upload.abort().await.expect("abort");
            error
        }
    };
    assert_eq!(error.kind, ErrorKind::Exists, "{error}");
    assert_eq!(place.visible("taken").await, Some(bytes), "the object that stood there was touched");
}

async fn reads(place: &dyn Place) {
    let bytes = pattern(7, 300_000);
    place.sink("read").await.put(part(1, 0, &bytes)).await.expect("put");
    let source = place.source("read").await;
    assert_eq!(source.size(), Some(300_000));
    if let Some(stored) = source.checksum() {
        assert_eq!(stored, Stored::Crc64(Crc64::of(&bytes).value()), "the store's checksum");
    }
    for range in [0..300_000u64, 0..1, 299_999..300_000, 65_535..131_073] {
        let frames = source.read(range.clone()).await.expect("read");
        let read: Vec<Bytes> = frames.try_collect().await.expect("frames");
        assert_eq!(read.concat(), bytes[range.start as usize..range.end as usize], "{range:?}");
    }
}
