//! `concat`: joined sources are their bytes in order, whatever the ranges, the frames and the faults.

use std::sync::Arc;

use bytes::Bytes;
use eft_domain::Code;
use eft_fakes::{MemorySource, SourceFaults, pattern};
use eft_pipeline::{
    budget::Budget,
    checksum::Crc64,
    concat::Concat,
    concurrency::Concurrency,
    fetch::checksum_of,
    port::{ErrorKind, ObjectSource, PortError},
    stored::Stored,
};
use futures::TryStreamExt;
use proptest::prelude::*;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
}

fn joined(pieces: impl IntoIterator<Item = MemorySource>) -> Concat {
    let pieces = pieces.into_iter().map(|piece| Arc::new(piece) as Arc<dyn ObjectSource>);
    Concat::new("several".to_owned(), pieces.collect()).unwrap()
}

fn read(source: &Concat, range: std::ops::Range<u64>) -> Result<Bytes, PortError> {
    block_on(async {
        let frames: Vec<Bytes> = source.read(range).await?.try_collect().await?;
        Ok(frames.concat().into())
    })
}

proptest! {
    #[test]
    fn any_range_of_any_pieces(
        lens in proptest::collection::vec(prop_oneof![3 => 0_usize..400, 1 => Just(0)], 0..30),
        frame in 1_usize..150,
        (from, to) in (any::<u32>(), any::<u32>()),
    ) {
        let bytes = pattern(3, lens.iter().sum());
        let mut left = bytes.clone();
        let source = joined(lens.iter().map(|len| MemorySource::new(left.split_to(*len)).frame(frame).with_checksum()));
        prop_assert_eq!(source.size(), Some(bytes.len() as u64));
        let at = |word: u32| word as usize % (bytes.len() + 1);
        let range = at(from).min(at(to))..at(from).max(at(to));
        let found = read(&source, range.start as u64..range.end as u64).unwrap();
        prop_assert_eq!(found, bytes.slice(range));
        let stored = (!bytes.is_empty()).then(|| Stored::Crc64(Crc64::of(&bytes).value()));
        prop_assert_eq!(source.checksum(), stored);
    }

    /// A body that ends early, breaks or brings too much never shifts what comes behind it.
    #[test]
    fn a_piece_that_fails_is_read_again_from_there(
        lens in proptest::collection::vec(1_usize..3_000, 1..12),
        (piece, at) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ends in any::<bool>(),
    ) {
        let bytes = pattern(4, lens.iter().sum());
        let mut left = bytes.clone();
        let hit = piece.index(lens.len());
        let pieces = lens.iter().enumerate().map(|(number, len)| {
            let at = at.index(*len);
            let faults = match (number == hit, ends) {
                (false, _) => SourceFaults::default(),
                (true, true) => SourceFaults { short: [Some(at)].into(), ..SourceFaults::default() },
                (true, false) => {
                    SourceFaults { cut: [Some((at, ErrorKind::Transient))].into(), ..SourceFaults::default() }
                }
            };
            MemorySource::new(left.split_to(*len)).frame(100).faults(faults)
        });
        let source = joined(pieces.collect::<Vec<_>>());
        let crc = block_on(checksum_of(&source, Budget::new(4 << 20), Concurrency::new(3)));
        prop_assert_eq!(crc, Ok(Crc64::of(&bytes)));
    }
}

#[test]
fn a_piece_that_is_gone_is_named() {
    let gone = SourceFaults { read: [Some(ErrorKind::NotFound)].into(), ..SourceFaults::default() };
    let source = joined([MemorySource::new("abc"), MemorySource::new("def").faults(gone)]);
    let failure = block_on(checksum_of(&source, Budget::new(1 << 20), Concurrency::new(1))).unwrap_err();
    assert_eq!(failure.code, Code::SourceGone);
}

/// The next object is asked for while one is read.
#[tokio::test(start_paused = true)]
async fn the_next_piece_is_asked_ahead() {
    let second = std::time::Duration::from_secs(1);
    let source = joined((0..64).map(|_| MemorySource::new("0123456789").latency(second)));
    let begun = tokio::time::Instant::now();
    let frames: Vec<Bytes> = source.read(0..640).await.unwrap().try_collect().await.unwrap();
    assert_eq!(frames.concat().len(), 640);
    assert_eq!(begun.elapsed(), 32 * second);
}

#[test]
fn checksums_of_different_kinds_are_not_joined() {
    let source = joined([MemorySource::new("abc").with_checksum(), MemorySource::new("def")]);
    assert_eq!(source.checksum(), None);
    // The check value of the catalogue of parametrised CRC algorithms, of "123456789" in two.
    let digits = |at: usize| (&b"123456789"[..at], &b"123456789"[at..]);
    let (first, second) = digits(4);
    let crc = |algorithm, bytes| crc_fast::checksum(algorithm, bytes);
    let crc32 = |bytes| Stored::Crc32(crc(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32);
    let crc32c = |bytes| Stored::Crc32c(crc(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32);
    assert_eq!(crc32(first).then(&crc32(second), 5), Some(Stored::Crc32(0xcbf4_3926)));
    assert_eq!(crc32c(first).then(&crc32c(second), 5), Some(Stored::Crc32c(0xe306_9283)));
    assert_eq!(crc32(first).then(&crc32c(second), 5), None);
    assert_eq!(Stored::Sha1([0; 20]).then(&Stored::Sha1([0; 20]), 5), None);
}

#[test]
fn a_stream_is_not_joined() {
    let stream: Arc<dyn ObjectSource> = Arc::new(MemorySource::new("abc").stream());
    let refused = Concat::new("several".to_owned(), vec![stream]).map(drop).unwrap_err();
    assert_eq!(refused.code, Code::PlanRefused);
}
