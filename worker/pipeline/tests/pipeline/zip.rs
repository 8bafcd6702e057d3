//! `decompress: { codec: zip }`: archives of CPython's zipfile, and evil ones (`data/zip/make.py`).

use std::sync::Arc;

use bytes::Bytes;
use eft_domain::{ByteSize, Code, Failure, route::Limits};
use eft_fakes::{
    MemorySource, SourceFaults,
    drive::{Arrival, Outcome, drive},
};
use eft_pipeline::{
    port::ErrorKind,
    retry::RetryPolicy,
    stage::{AnyStage, UnzipEntry},
    zip::{Archive, Method, Packed},
};
use futures::TryStreamExt;
use proptest::prelude::*;

fn fixture(name: &str) -> Bytes {
    let path = format!("{}/tests/data/zip/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")).into()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

async fn open(bytes: &Bytes, limits: &Limits) -> Result<Archive, Failure> {
    Archive::open(Arc::new(MemorySource::new(bytes.clone())), limits, RetryPolicy::DEFAULT).await
}

/// The packed bytes of an entry, and what is known of them.
fn packed(bytes: &Bytes, entry: Option<&str>, limits: &Limits) -> Result<(Bytes, Packed), Failure> {
    block_on(async {
        let archive = open(bytes, limits).await?;
        let (source, packed) = archive.unpack(archive.find(entry)?, limits).await?;
        let size = source.size().unwrap();
        let frames: Vec<Bytes> = match size {
            0 => vec![],
            size => source.read(0..size).await.unwrap().try_collect().await.unwrap(),
        };
        assert_eq!(size, packed.compressed);
        Ok((frames.concat().into(), packed))
    })
}

fn stage(packed: &Packed, limits: &Limits) -> Vec<AnyStage> {
    vec![AnyStage::Unzip(Box::new(UnzipEntry::new(packed.clone(), limits)))]
}

fn unpack(bytes: &Bytes, entry: Option<&str>, limits: &Limits) -> Result<Outcome, Failure> {
    let (bytes, packed) = packed(bytes, entry, limits)?;
    let whole = drive(stage(&packed, limits), &Arrival::whole(&bytes));
    whole.assert_same(&drive(stage(&packed, limits), &Arrival::bytewise(&bytes)));
    Ok(whole)
}

/// The content, or why there is none.
fn content(bytes: &Bytes, entry: Option<&str>, limits: &Limits) -> Result<Bytes, Failure> {
    let outcome = unpack(bytes, entry, limits)?;
    outcome.verdict.clone()?;
    Ok(outcome.bytes.clone().into())
}

fn refused(name: &str, entry: Option<&str>) -> Failure {
    content(&fixture(name), entry, &Limits::default()).expect_err(name)
}

#[test]
fn archives_of_zipfile() {
    let expected = fixture("expected.csv");
    let names = ["deflate", "stored", "streamed", "zip64", "zip64-streamed", "zip64-end", "comment"];
    for name in names {
        let archive = fixture(&format!("{name}.zip"));
        for entry in [None, Some("data/orders.csv")] {
            let found = content(&archive, entry, &Limits::default());
            assert!(found.as_ref() == Ok(&expected), "{name}: {:?}", found.map(|bytes| bytes.len()));
        }
    }
    let (_, stored) = packed(&fixture("stored.zip"), None, &Limits::default()).unwrap();
    assert_eq!((stored.method, stored.size), (Method::Stored, expected.len() as u64));
}

#[test]
fn an_entry_is_found_by_its_name() {
    let several = fixture("several.zip");
    let limits = Limits::default();
    assert_eq!(content(&several, Some("data/überblick.txt"), &limits).unwrap(), "hello");
    assert_eq!(content(&several, Some("leer"), &limits).unwrap(), "");
    assert_eq!(content(&several, Some("data/orders.csv"), &limits).unwrap(), fixture("expected.csv"));
    // A document whose format is made of ZIP: its name says what it is, and nothing opens it.
    assert_eq!(content(&several, Some("data/sheet.xlsx"), &limits).unwrap(), fixture("deflate.zip"));
    let entries = block_on(async { open(&several, &limits).await.unwrap().entries().len() });
    assert_eq!(entries, 5);
    let messages = [
        (
            "several.zip",
            None,
            "the route takes the only file of an archive, but this one has 4 (`data/überblick.txt`, \
             `data/orders.csv`, `leer` and 1 more); name one with `entry`",
        ),
        (
            "several.zip",
            Some("data/"),
            "the archive has no file `data/`; it has 4 (`data/überblick.txt`, `data/orders.csv`, `leer` and 1 more)",
        ),
        (
            "deflate.zip",
            Some("orders.csv"),
            "the archive has no file `orders.csv`; it has 1 (`data/orders.csv`)",
        ),
        ("empty.zip", None, "the archive has no file"),
        ("folder.zip", None, "the archive has no file"),
        ("empty.zip", Some("a"), "the archive has no file `a`; it has no files"),
    ];
    for (name, entry, message) in messages {
        let failure = refused(name, entry);
        assert_eq!((failure.code, &failure.message[..]), (Code::ArchiveEntry, message));
    }
}

#[test]
fn evil_archives_are_refused() {
    let cases = [
        (
            "name-parent",
            None,
            Code::ArchiveUnsafe,
            "the name `../orders.csv` of an entry leads out of its folder (`..`)",
        ),
        ("name-middle", None, Code::ArchiveUnsafe, "leads out of its folder"),
        ("name-absolute", None, Code::ArchiveUnsafe, "the name `/etc/passwd` of an entry is absolute"),
        ("name-drive", None, Code::ArchiveUnsafe, "begins with a drive"),
        ("name-backslash", None, Code::ArchiveUnsafe, "backslash"),
        (
            "name-control",
            None,
            Code::ArchiveUnsafe,
            "`data\\norders.csv` of an entry holds a control character",
        ),
        ("symlink", None, Code::ArchiveUnsafe, "entry `data/orders.csv`: is a symbolic link"),
        ("device", None, Code::ArchiveUnsafe, "is not a regular file (type 0o20000)"),
        ("encrypted", None, Code::ArchiveUnsupported, "entry `data/orders.csv`: is encrypted"),
        ("method", None, Code::ArchiveUnsupported, "method 12 (bzip2); stored (0) and deflate (8) are read"),
        ("nested", None, Code::ArchiveUnsupported, "is an archive itself"),
        ("nameless", None, Code::ArchiveUnsupported, "is an archive itself"),
        (
            "twice",
            Some("data/orders.csv"),
            Code::ArchiveUnsafe,
            "two entries have the name `data/orders.csv`",
        ),
        ("overlap", Some("a"), Code::ArchiveUnsafe, "share bytes"),
        ("quoted", Some("a"), Code::ArchiveUnsafe, "entries `a` and `b` share bytes"),
        ("local-name", None, Code::ArchiveUnsafe, "its local header has another name"),
        ("local-size", None, Code::ArchiveUnsafe, "its local header has other sizes or another checksum"),
        ("local-crc", None, Code::ArchiveUnsafe, "its local header has other sizes or another checksum"),
        ("local-method", None, Code::ArchiveUnsafe, "packed in another way"),
        ("local-gone", None, Code::ArchiveUnsafe, "there is no local header where the directory says"),
        ("descriptor", None, Code::ArchiveUnsafe, "the descriptor behind it"),
        ("two-ends", None, Code::ArchiveUnsafe, "two end records fit"),
        ("disk", None, Code::ArchiveUnsupported, "split over several disks"),
        ("zip64-parts", None, Code::ArchiveUnsupported, "split over several disks"),
        ("zip64-disagree", None, Code::FormatCorrupt, "the end record and the ZIP64 end record do not agree"),
        ("zip64-locator", None, Code::FormatCorrupt, "there is no sound ZIP64 end record at byte 0"),
        ("count", None, Code::FormatCorrupt, "does not hold the 2 entries"),
        ("prefix", None, Code::FormatCorrupt, "the directory is not where the end record says"),
        ("crc", None, Code::FormatCorrupt, "entry `data/orders.csv`: its CRC-32 is wrong"),
        ("more", None, Code::FormatCorrupt, "more comes out than the"),
        ("less", None, Code::FormatCorrupt, "the directory says"),
        ("bomb", None, Code::LimitRatio, "the route allows 200"),
        ("bomb-liar", None, Code::FormatCorrupt, "more comes out than the 1000 bytes the directory says"),
    ];
    for (name, entry, code, message) in cases {
        let failure = refused(&format!("evil-{name}.zip"), entry);
        assert_eq!(failure.code, code, "{name}: {failure}");
        assert!(failure.message.contains(message), "{name}: {failure}");
    }
    let names = std::fs::read_dir(format!("{}/tests/data/zip", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let evil = names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with("evil-"));
    assert_eq!(evil.count(), cases.len(), "an evil archive is not tried");
}

#[test]
fn what_is_no_archive_says_so() {
    let whole = fixture("deflate.zip");
    let code = |bytes: Bytes| content(&bytes, None, &Limits::default()).unwrap_err();
    assert_eq!(code(Bytes::new()).message, "the file is empty: expected a ZIP archive");
    assert_eq!(code(fixture("expected.csv")).code, Code::FormatCorrupt);
    let mut long = vec![b'x'; 100_000];
    assert_eq!(code(long.clone().into()).code, Code::FormatCorrupt);
    long[..4].copy_from_slice(b"PK\x03\x04");
    assert_eq!(code(long.into()).code, Code::FormatTruncated);
    let trailing = code([&whole[..], b"garbage"].concat().into());
    let message = format!("7 bytes follow the end of the archive, from byte {}", whole.len());
    assert_eq!((trailing.code, trailing.message), (Code::FormatTrailing, message));
    // Every prefix is refused, and from four bytes on it is known what was cut.
    for len in 0..whole.len() {
        let failure = code(whole.slice(..len));
        let cut = len == 0 || len >= 4;
        assert_eq!(failure.code, if cut { Code::FormatTruncated } else { Code::FormatCorrupt }, "{len}");
    }
    let stream = block_on(async {
        let source = Arc::new(MemorySource::new(whole).stream());
        Archive::open(source, &Limits::default(), RetryPolicy::DEFAULT).await.err().unwrap()
    });
    assert_eq!(stream.code, Code::PlanRefused);
}

#[test]
fn limits_hold_before_anything_is_unpacked() {
    let several = fixture("several.zip");
    let code =
        |limits: Limits| content(&several, Some("data/orders.csv"), &limits).map_err(|failure| failure.code);
    let size = fixture("expected.csv").len() as u64;
    let default = Limits::default;
    assert!(code(Limits { max_entries: 5, ..default() }).is_ok());
    assert_eq!(code(Limits { max_entries: 4, ..default() }), Err(Code::LimitEntries));
    assert!(code(Limits { max_output_bytes: ByteSize(size), ..default() }).is_ok());
    assert_eq!(
        code(Limits { max_output_bytes: ByteSize(size - 1), ..default() }),
        Err(Code::LimitOutputBytes)
    );
    let input = ByteSize(several.len() as u64 - 1);
    assert_eq!(code(Limits { max_input_bytes: input, ..default() }), Err(Code::LimitInputBytes));
}

#[test]
fn no_flipped_bit_changes_the_content() {
    let expected = fixture("expected.csv");
    for name in ["deflate.zip", "zip64-streamed.zip", "stored.zip"] {
        let whole = fixture(name);
        let (mut refused, mut flips) = (0, 0);
        // Of the content a few bits will do.
        let bits =
            (0..whole.len() * 8).filter(|bit| bit / 8 < 200 || bit / 8 > whole.len() - 300 || bit % 97 == 0);
        for bit in bits {
            let mut file = whole.to_vec();
            file[bit / 8] ^= 1 << (bit % 8);
            flips += 1;
            let found = packed(&file.into(), Some("data/orders.csv"), &Limits::default()).and_then(
                |(bytes, entry)| {
                    let outcome = drive(stage(&entry, &Limits::default()), &Arrival::whole(&bytes));
                    outcome.verdict.map(|()| outcome.bytes)
                },
            );
            match found {
                Ok(found) => assert!(found == expected, "{name}: bit {bit} changed the content"),
                Err(_) => refused += 1,
            }
        }
        // What may change unseen: times, versions, attributes of either header.
        assert!(refused > flips / 2, "{name}: {refused} of {flips}");
    }
}

#[test]
fn small_reads_are_tried_again() {
    let faults = SourceFaults {
        read: [Some(ErrorKind::Transient), None, Some(ErrorKind::Throttled)].into(),
        short: [Some(10)].into(),
        ..SourceFaults::default()
    };
    let source = Arc::new(MemorySource::new(fixture("deflate.zip")).faults(faults));
    let opened = block_on(Archive::open(source, &Limits::default(), RetryPolicy::DEFAULT));
    assert_eq!(opened.map(|archive| archive.entries().len()), Ok(1));
    let faults = SourceFaults { read: [Some(ErrorKind::Changed)].into(), ..SourceFaults::default() };
    let source = Arc::new(MemorySource::new(fixture("deflate.zip")).faults(faults));
    let opened = block_on(Archive::open(source, &Limits::default(), RetryPolicy::DEFAULT));
    assert_eq!(opened.err().unwrap().code, Code::SourceChanged);
}

proptest! {
    /// The same end however the packed bytes arrive, sound or not.
    #[test]
    fn arrival_does_not_matter(
        name in prop::sample::select(vec!["deflate", "stored", "evil-crc", "evil-more", "evil-less", "evil-bomb-liar", "evil-nameless"]),
        damage in prop::option::weighted(0.4, (any::<prop::sample::Index>(), 1u8..=255)),
        seed: u64,
    ) {
        // How far the inflate has read when the ratio is looked at depends on the arrival.
        let limits = Limits { max_ratio: u32::MAX, ..Limits::default() };
        let (bytes, packed) = packed(&fixture(&format!("{name}.zip")), None, &limits).unwrap();
        let mut bytes = bytes.to_vec();
        if let Some((at, value)) = damage {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        let bytes = Bytes::from(bytes);
        let whole = drive(stage(&packed, &limits), &Arrival::whole(&bytes));
        whole.assert_same(&drive(stage(&packed, &limits), &Arrival::seeded(&bytes, seed, 16)));
        let is_good = !name.starts_with("evil") && damage.is_none();
        prop_assert_eq!(whole.verdict.is_ok(), is_good, "{:?}", whole.verdict);
    }
}
