//! Each part of the pipeline alone.

use std::{hint::black_box, num::NonZeroUsize};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use eft_benches::{data, settings};
use eft_domain::ByteSize;
use eft_domain::route::{
    self, CharsetSpec, Codec, ColumnRef, CompressSpec, DecompressSpec, DialectSpec, DropSpec, EdiSpec,
    EdiStandard, HeadSpec, JsonlSpec, Limits, LineEnd, LoneCr, MagicSpec, Malformed, MediaType, NewlineSpec,
    Place, RecordsSpec, SidecarDigest, SidecarSpec, SplitSpec, SumSpec, TrailerSpec, UniqueSpec, XmlSpec,
    ZipSpec,
};
use eft_pipeline::{
    budget::Budget,
    chain::ROOM,
    checksum::{Crc64, RunningCrc64},
    chunk::Chunk,
    pack::Packer,
    pool::Pool,
    port::{Part, SinkLimits},
    schedule::PartSchedule,
    sidecar::Expected,
    stage::{
        BlockCompressor, Charset, CsvValidate, Decompress, DropRecords, Ebcdic, EdiValidate, FixedWidth,
        Flow, HeadRecords, Input, JsonlValidate, MagicValidate, Newline, Output, Scratch, Sha256,
        SidecarValidate, Splitter, Stage, StripBom, TrailerValidate, UniqueValidate, Utf8Validate,
        XmlValidate,
    },
};
use futures::FutureExt;

/// Larger than a core's caches, as an object is; the same as in `speed_of_light`.
const LEN: usize = 16 << 20;
const FRAME: usize = 64 << 10;
const RANGE: usize = 8 << 20;

/// Ranges as they leave the fetcher.
fn ranges(bytes: &Bytes) -> Vec<Chunk> {
    let ranges = data::frames(bytes.clone(), RANGE).into_iter();
    let chunks = ranges.map(|range| Chunk {
        len: range.len() as u64,
        crc: Some(Crc64::of(&range)),
        segments: data::frames(range, FRAME),
        ..Chunk::default()
    });
    chunks.collect()
}

fn checksums(criterion: &mut Criterion) {
    let frames = data::frames(data::noise(LEN), FRAME);
    let mut group = criterion.benchmark_group("plumbing");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("crc64", |bencher| {
        bencher.iter(|| {
            let mut crc = RunningCrc64::default();
            frames.iter().for_each(|frame| crc.update(frame));
            crc.finish()
        });
    });
    group.throughput(Throughput::Elements(1));
    // A whole part's length is the best case, an odd length the usual one behind a codec.
    for (name, len) in [("crc64_join_8_mib", 8 << 20), ("crc64_join_odd", 1_037_413)] {
        let (first, next) = (Crc64::from_parts(0x0123_4567, 1 << 40), Crc64::from_parts(0x89ab_cdef, len));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(first).then(black_box(next))));
    }
    group.finish();
}

fn packing(criterion: &mut Criterion) {
    let chunks = ranges(&data::noise(LEN));
    let mut group = criterion.benchmark_group("plumbing");
    group.throughput(Throughput::Bytes(LEN as u64));
    // Where a part does not end with a chunk, the pieces' checksums have to be taken again.
    for (name, part) in [("pack_whole", RANGE), ("pack_across", 5 << 20)] {
        let schedule = PartSchedule::known(LEN as u64, part as u64, &SinkLimits::S3);
        group.bench_function(name, |bencher| {
            let pack = |chunks: Vec<Chunk>| {
                let mut packer = Packer::new(schedule);
                let mut parts: Vec<Part> = Vec::new();
                chunks.into_iter().for_each(|chunk| packer.push(chunk, &mut parts));
                parts.extend(packer.finish());
                parts
            };
            bencher.iter_batched(|| chunks.clone(), pack, BatchSize::SmallInput);
        });
    }
    group.throughput(Throughput::Bytes(RANGE as u64));
    group.bench_function("split", |bencher| {
        let split = |mut chunk: Chunk| {
            let mut heads = Vec::with_capacity(RANGE.div_ceil(1_000_000));
            while chunk.len > 0 {
                heads.push(chunk.split_to(chunk.len.min(1_000_000)));
            }
            heads
        };
        bencher.iter_batched(|| chunks[0].clone(), split, BatchSize::SmallInput);
    });
    group.finish();
}

fn waiting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plumbing");
    group.throughput(Throughput::Elements(1));
    let budget = Budget::new(64 << 20);
    group.bench_function("budget", |bencher| {
        bencher.iter(|| {
            let mut lease = budget.reserve(ROOM).now_or_never().expect("nobody else takes of it");
            lease.shrink(ROOM / 2);
        });
    });
    let pool = Pool::new(NonZeroUsize::MIN);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a reactor without IO");
    group.bench_function("pool_hand_over", |bencher| {
        bencher.iter(|| runtime.block_on(pool.run(|| black_box(1))).expect("the job runs"));
    });
    group.finish();
}

/// Step a stage over frames as a chain does: with room for [`ROOM`] new bytes, and more when that is full.
fn drain(stage: &mut impl Stage, frames: &[Bytes]) -> usize {
    let mut input = Input::default();
    frames.iter().for_each(|frame| input.push(frame.clone()));
    input.end();
    let mut made = 0;
    loop {
        let mut output = Output::with_room(ROOM as usize);
        let flow = stage.step(&mut input, &mut output).expect("the file is sound");
        made += output.take().iter().map(Bytes::len).sum::<usize>();
        if flow == Flow::Done {
            return made;
        }
    }
}

/// The column of [`data::csv`] with the distance, from 1.
const DISTANCE: u32 = 11;

/// Rows, and a record behind them with the sum of their distances.
fn summed() -> Bytes {
    let all = data::csv(LEN);
    // Without the last row, which fills the length and has no distance.
    let end = all[..all.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let rows = &all[..end];
    let distances = rows.split(|byte| *byte == b'\n').filter_map(|row| {
        let distance = row.split(|byte| *byte == b',').nth(DISTANCE as usize - 1)?;
        str::from_utf8(distance).ok()?.parse::<u64>().ok()
    });
    [rows, format!("{}\n", distances.sum::<u64>()).as_bytes()].concat().into()
}

fn taps(criterion: &mut Criterion) {
    let tolerant = Limits { max_errors: u64::MAX, ..Limits::default() };
    let rows = data::frames(data::csv(LEN), FRAME);
    let limits = Limits::default();
    let records = RecordsSpec::Csv(DialectSpec::default());
    let mut group = criterion.benchmark_group("plumbing");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("validate_csv", |bencher| {
        let stage = || CsvValidate::new(data::csv_spec(), &limits).expect("the rules agree");
        bencher.iter(|| drain(&mut stage(), &rows));
    });
    group.bench_function("validate_magic", |bencher| {
        let spec = MagicSpec { types: vec![MediaType::Pdf, MediaType::Text] };
        bencher.iter(|| drain(&mut MagicValidate::new(spec.clone()), &rows));
    });
    for digest in SidecarDigest::ALL.iter().copied() {
        let spec = SidecarSpec { object: "SUMS".to_owned(), digest };
        let sidecar = Expected::placeholder(&spec);
        group.bench_function(format!("validate_sidecar_{}", digest.as_str()), |bencher| {
            // Without the end, at which it would say that the digest is another.
            bencher.iter(|| {
                let mut stage = SidecarValidate::new(&spec, Some(&sidecar)).expect("the sidecar was read");
                let (mut input, mut output) = (Input::default(), Output::with_room(0));
                rows.iter().cloned().for_each(|frame| input.push(frame));
                assert_eq!(stage.step(&mut input, &mut output), Ok(Flow::Hungry));
                output.take()
            });
        });
    }
    group.bench_function("validate_trailer", |bencher| {
        let sum = SumSpec { column: ColumnRef::At(Place::Field(DISTANCE)), field: Place::Field(1) };
        let spec = TrailerSpec { records, header: true, prefix: None, count: None, sum: Some(sum) };
        let summed = data::frames(summed(), FRAME);
        bencher.iter(|| drain(&mut TrailerValidate::new(spec.clone(), &limits), &summed));
    });
    let lines = data::frames(data::jsonl(LEN), FRAME);
    for (name, spec) in [
        ("validate_jsonl", JsonlSpec::default()),
        ("validate_jsonl_unique_keys", JsonlSpec { unique_keys: true, ..JsonlSpec::default() }),
        ("validate_jsonl_schema", data::jsonl_spec()),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| drain(&mut JsonlValidate::new(spec.clone(), &limits), &lines));
        });
    }
    // The syntax alone as serde_json checks it, line by line of one text: what ours is held to.
    let text = data::jsonl(LEN);
    group.bench_function("jsonl_by_serde_json", |bencher| {
        bencher.iter(|| {
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.for_each(|line| {
                serde_json::from_slice::<serde::de::IgnoredAny>(line).expect("the file is sound");
            });
        });
    });
    let document = data::frames(data::xml(LEN), FRAME);
    group.bench_function("validate_xml", |bencher| {
        bencher.iter(|| drain(&mut XmlValidate::new(XmlSpec::default(), &limits), &document));
    });
    let interchange = data::frames(data::x12(LEN), FRAME);
    group.bench_function("validate_edi", |bencher| {
        let spec = EdiSpec { standard: EdiStandard::X12 };
        bencher.iter(|| drain(&mut EdiValidate::new(spec, &limits), &interchange));
    });
    group.bench_function("validate_unique", |bencher| {
        let spec = UniqueSpec { records, memory: ByteSize::gib(1), ..UniqueSpec::default() };
        bencher.iter(|| drain(&mut UniqueValidate::new(spec.clone(), &tolerant), &rows));
    });
    group.bench_function("validate_utf8", |bencher| {
        bencher.iter(|| drain(&mut Utf8Validate::new(), &rows));
    });
    group.bench_function("head", |bencher| {
        let spec = HeadSpec { first: u64::MAX, records };
        bencher.iter(|| drain(&mut HeadRecords::new(spec, &limits), &rows));
    });
    group.bench_function("drop_last", |bencher| {
        let spec = DropSpec { first: 1, last: 1, records };
        bencher.iter(|| drain(&mut DropRecords::new(spec, &limits), &rows));
    });
    group.bench_function("split", |bencher| {
        let (after_records, after_bytes, header, max_outputs) = (Some(100_000), None, true, 10_000);
        let spec = SplitSpec { after_records, after_bytes, header, max_outputs, records };
        bencher.iter(|| Splitter::new(spec, &limits).cuts(&rows));
    });
    let records = data::frames(data::fixed_width(LEN), FRAME);
    group.bench_function("validate_fixed_width", |bencher| {
        let stage = || FixedWidth::new(data::fixed_width_spec(), &limits).expect("the columns fit");
        bencher.iter(|| drain(&mut stage(), &records));
    });
    group.bench_function("sha256", |bencher| {
        bencher.iter(|| {
            let mut stage = Sha256::default();
            drain(&mut stage, &rows);
            stage.report().sha256
        });
    });
    group.finish();
}

/// A file as the stage `compress` makes it.
fn blocks(codec: Codec, level: i32, plain: &Bytes) -> Bytes {
    let compressor = BlockCompressor::new(CompressSpec { codec, level });
    let mut scratch = Scratch::default();
    let blocks = data::frames(plain.clone(), compressor.block_bytes());
    let made = blocks
        .into_iter()
        .flat_map(|block| compressor.compress(&mut scratch, &[block]).expect("there is room"));
    made.collect::<Vec<_>>().concat().into()
}

/// In bytes of the input, one thread.
fn rewrites(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("plumbing");
    let latin = data::latin1(&data::csv(LEN));
    group.throughput(Throughput::Bytes(latin.len() as u64));
    let frames = data::frames(latin, FRAME);
    group.bench_function("charset_windows_1252", |bencher| {
        let from: route::Charset = "windows-1252".parse().expect("a label");
        let spec = CharsetSpec { from, malformed: Malformed::Reject };
        bencher.iter(|| drain(&mut Charset::new(spec, &limits).expect("a decoder"), &frames));
    });
    let records = data::mainframe(LEN);
    group.throughput(Throughput::Bytes(records.len() as u64));
    // As lines there may be no line ends in the numbers: controls are all below 0x40.
    let text: Bytes = records.iter().map(|&byte| if byte < 0x40 { 0xc1 } else { byte }).collect();
    for (name, layout, records) in [("ebcdic_lines", false, text), ("ebcdic_csv", true, records)] {
        let frames = data::frames(records, FRAME);
        let stage = || Ebcdic::new(data::ebcdic_spec(layout), &limits).expect("the layout fits");
        group.bench_function(name, |bencher| bencher.iter(|| drain(&mut stage(), &frames)));
    }
    let rows = data::frames(data::csv(LEN), FRAME);
    group.throughput(Throughput::Bytes(LEN as u64));
    for (name, to) in [("newline_kept", LineEnd::Lf), ("newline_crlf", LineEnd::CrLf)] {
        let spec = NewlineSpec { to, lone_cr: LoneCr::Keep };
        group.bench_function(name, |bencher| bencher.iter(|| drain(&mut Newline::new(spec, &limits), &rows)));
    }
    group.bench_function("strip_bom", |bencher| bencher.iter(|| drain(&mut StripBom::new(), &rows)));
    group.finish();
}

/// In bytes of the file with compression undone, one thread.
fn codecs(criterion: &mut Criterion) {
    let plain = data::csv(LEN);
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("plumbing");
    group.throughput(Throughput::Bytes(LEN as u64));
    for (name, codec, file) in [
        ("decompress_bzip2", Codec::Bzip2, blocks(Codec::Bzip2, 9, &plain)),
        ("decompress_gzip", Codec::Gzip, data::gzip(&plain)),
        ("decompress_xz", Codec::Xz, blocks(Codec::Xz, 1, &plain)),
        ("decompress_zstd", Codec::Zstd, data::zstd(&plain)),
    ] {
        let frames = data::frames(file, FRAME);
        group.bench_function(name, |bencher| {
            bencher.iter(|| drain(&mut Decompress::new(DecompressSpec { codec }, &limits), &frames));
        });
    }
    let compressor = |codec, level| BlockCompressor::new(CompressSpec { codec, level });
    for (name, compressor) in [
        ("compress_bzip2_9", compressor(Codec::Bzip2, 9)),
        ("compress_gzip_6", compressor(Codec::Gzip, 6)),
        ("compress_xz_1", compressor(Codec::Xz, 1)),
        ("compress_zip_6", BlockCompressor::of_entry(&ZipSpec { entry: None, level: 6 })),
        ("compress_zstd_3", compressor(Codec::Zstd, 3)),
    ] {
        let blocks: Vec<_> = data::frames(plain.clone(), compressor.block_bytes())
            .into_iter()
            .map(|block| data::frames(block, FRAME))
            .collect();
        group.bench_function(name, |bencher| {
            let mut scratch = Scratch::default();
            bencher.iter(|| {
                let made = blocks.iter().map(|block| compressor.compress(&mut scratch, block));
                made.map(|segments| segments.expect("there is room").len()).sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = settings(); targets = checksums, packing, waiting, taps, rewrites, codecs);
criterion_main!(benches);
