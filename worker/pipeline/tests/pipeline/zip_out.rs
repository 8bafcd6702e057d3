//! `compress: { codec: zip }`: the archive is the file, whatever its size and the cut, and other readers take it (the
//! black-box tests ask CPython and `unzip`).

use std::{num::NonZeroUsize, sync::Arc};

use crate::codec_support::{noise, text};
use bytes::Bytes;
use eft_domain::{
    ByteSize, Code, Failure,
    route::{Limits, StageSpec, ZipSpec},
};
use eft_fakes::{
    MemorySink, MemorySource,
    drive::{Arrival, drive},
};
use eft_pipeline::{
    budget::Budget,
    concurrency::Concurrency,
    given::Given,
    plan::{Plan, Request},
    pool::Pool,
    port::{ObjectSource, SinkLimits},
    retry::RetryPolicy,
    stage::{AnyStage, UnzipEntry},
    transfer::Transfer,
    zip::{Archive, Frame},
};
use futures::TryStreamExt;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn plan(spec: ZipSpec, size: usize, given: Given) -> Result<Plan, Failure> {
    Plan::new(&Request {
        size: Some(size as u64),
        stages: &[StageSpec::Zip(spec)],
        archive: None,
        limits: &Limits::default(),
        sha256: false,
        given,
        sink: SinkLimits { min_part: 64 << 10, ..SinkLimits::S3 },
        memory: ByteSize::mib(48),
        concurrency: 3,
        part_size: None,
        threads: 2,
        near: false,
        refuse_empty: false,
    })
}

/// The archive that a whole transfer makes.
async fn archive(content: &Bytes, entry: &str, level: i32, frame: usize) -> Bytes {
    let spec = ZipSpec { entry: Some(entry.to_owned()), level };
    let plan = plan(spec, content.len(), Given::default()).unwrap();
    let sink = MemorySink::default().limits(SinkLimits { min_part: 64 << 10, ..SinkLimits::S3 });
    let transfer = Transfer {
        source: Arc::new(MemorySource::new(content.clone()).frame(frame)),
        more: None,
        sinks: vec![Arc::new(sink.clone())],
        budget: Budget::new(plan.memory),
        reading: Concurrency::new(plan.reads),
        writing: Concurrency::new(plan.writes),
        plan,
        pool: Pool::new(NonZeroUsize::new(2).unwrap()),
        retry: RetryPolicy::DEFAULT,
        keeper: None,
        progress: Arc::default(),
        cancel: CancellationToken::new(),
    };
    let outcome = transfer.run().await.unwrap();
    let object = sink.object().unwrap();
    assert_eq!((outcome.output.len(), outcome.source.len()), (object.len() as u64, content.len() as u64));
    let stage = &outcome.stages[0];
    assert_eq!((stage.info.name, stage.bytes_out), ("compress.zip", object.len() as u64));
    object
}

/// What our own reader, which refuses what is not wholly consistent, finds in it.
async fn unpacked(archive: &Bytes, entry: &str) -> Result<Bytes, Failure> {
    let limits = Limits { max_ratio: u32::MAX, ..Limits::default() };
    let source = Arc::new(MemorySource::new(archive.clone()));
    let archive = Archive::open(source, &limits, RetryPolicy::DEFAULT).await?;
    let (source, packed) = archive.unpack(archive.find(Some(entry))?, &limits).await?;
    let bytes: Vec<Bytes> =
        source.read(0..source.size().unwrap()).await.unwrap().try_collect().await.unwrap();
    let stage = vec![AnyStage::Unzip(Box::new(UnzipEntry::new(packed, &limits)))];
    let outcome = drive(stage, &Arrival::whole(&bytes.concat().into()));
    outcome.verdict.clone().map(|_| outcome.bytes.clone().into())
}

#[test]
fn archives_of_every_level_and_size() {
    for (content, levels) in [
        (Bytes::new(), 1..=9),
        (Bytes::from_static(b"a"), 1..=9),
        (text(7, 3 << 20).into(), 1..=9),
        (noise((2 << 20) + 1).into(), 1..=9),
        (vec![0; 1 << 20].into(), 1..=9),
    ] {
        for level in levels {
            let made = block_on(archive(&content, "data/überblick.csv", level, 100_000));
            let found = block_on(unpacked(&made, "data/überblick.csv"));
            assert!(found.as_ref() == Ok(&content), "{} bytes, level {level}", content.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_cut_does_not_matter(seed in any::<u64>(), len in 0_usize..3 << 20, frame in 1_000_usize..2 << 20) {
        let content = Bytes::from(text(seed, len));
        let whole = block_on(archive(&content, "a", 6, usize::MAX));
        prop_assert!(block_on(archive(&content, "a", 6, frame)) == whole);
        prop_assert!(block_on(unpacked(&whole, "a")) == Ok(content));
    }
}

#[test]
fn the_entry_is_named_after_the_destination_or_as_the_route_says() {
    let zip = |entry: Option<&str>| ZipSpec { entry: entry.map(str::to_owned), level: 6 };
    let given = |name: Option<&str>| Given { entry_name: name.map(str::to_owned), ..Given::default() };
    let refused = |spec, name| plan(spec, 1, given(name)).map(drop).unwrap_err();
    assert!(plan(zip(None), 1, given(Some("orders.csv"))).is_ok());
    assert!(plan(zip(Some("orders.csv")), 1, given(None)).is_ok());
    let missing = refused(zip(None), None);
    assert_eq!(missing.code, Code::PlanRefused);
    assert!(missing.message.contains("say `entry`"), "{missing}");
    for name in ["..", ".", "a\\b", "C:x", "a\nb"] {
        assert_eq!(refused(zip(None), Some(name)).code, Code::PlanRefused, "{name:?}");
    }
}

/// The head and the tail of archives too large to make here, around a hole that nobody reads.
#[test]
fn large_archives_have_zip64() {
    const G4: u64 = 0xffff_ffff;
    for (size, deflated) in [
        (G4 - 1, 1_000),
        (G4, 1_000),
        (1_000, G4 - 2),
        (G4 - 1, G4 - 100),
        (G4 - 1, G4 - 3),
        (5 << 30, 5 << 30),
        (50_000 << 30, 40_000 << 30),
    ] {
        let frame = Frame::new("a.csv").unwrap();
        let source =
            Holed { head: frame.begin().into(), hole: deflated, tail: frame.end(size, deflated, 7).into() };
        let limits = Limits {
            max_input_bytes: ByteSize(u64::MAX),
            max_output_bytes: ByteSize(u64::MAX),
            max_ratio: u32::MAX,
            ..Limits::default()
        };
        let packed = block_on(async {
            let archive = Archive::open(Arc::new(source), &limits, RetryPolicy::DEFAULT).await?;
            let (source, packed) = archive.unpack(archive.find(None)?, &limits).await?;
            assert_eq!(source.size(), Some(deflated + 2));
            Ok::<_, Failure>(packed)
        });
        let packed = packed.unwrap_or_else(|failure| panic!("{size}, {deflated}: {failure}"));
        assert_eq!((packed.size, packed.compressed, packed.crc32), (size, deflated + 2, 7));
    }
}

/// An object whose middle is only counted.
struct Holed {
    head: Bytes,
    hole: u64,
    tail: Bytes,
}

impl ObjectSource for Holed {
    fn uri(&self) -> String {
        "holed".to_owned()
    }

    fn size(&self) -> Option<u64> {
        Some(self.head.len() as u64 + self.hole + self.tail.len() as u64)
    }

    fn checksum(&self) -> Option<eft_pipeline::stored::Stored> {
        None
    }

    fn read(
        &self,
        range: std::ops::Range<u64>,
    ) -> futures::future::BoxFuture<'_, eft_pipeline::port::PortResult<eft_pipeline::port::Frames>> {
        let tail_at = self.head.len() as u64 + self.hole;
        let byte = |at: u64| match at {
            at if at < self.head.len() as u64 => self.head[at as usize],
            at if at >= tail_at => self.tail[(at - tail_at) as usize],
            _ => 0xaa,
        };
        let bytes: Bytes = range.map(byte).collect::<Vec<_>>().into();
        let frames: eft_pipeline::port::Frames = Box::pin(futures::stream::iter([Ok(bytes)]));
        Box::pin(async move { Ok(frames) })
    }
}
