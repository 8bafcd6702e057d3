//! Each part of the pipeline alone.

use std::{hint::black_box, num::NonZeroUsize};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use eft_benches::{data, settings};
use eft_domain::route::{Codec, CompressSpec, DecompressSpec, Limits};
use eft_pipeline::{
    budget::Budget,
    chain::ROOM,
    checksum::{Crc64, RunningCrc64},
    chunk::Chunk,
    pack::Packer,
    pool::Pool,
    port::{Part, SinkLimits},
    schedule::PartSchedule,
    stage::{
        BlockCompressor, CsvValidate, Decompress, Flow, Input, Output, Scratch, Sha256, Stage, Utf8Validate,
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

fn taps(criterion: &mut Criterion) {
    let rows = data::frames(data::csv(LEN), FRAME);
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("plumbing");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("validate_csv", |bencher| {
        let stage = || CsvValidate::new(data::csv_spec(), &limits).expect("the rules agree");
        bencher.iter(|| drain(&mut stage(), &rows));
    });
    group.bench_function("validate_utf8", |bencher| {
        bencher.iter(|| drain(&mut Utf8Validate::new(), &rows));
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
    for (name, codec, level) in [
        ("compress_bzip2_9", Codec::Bzip2, 9),
        ("compress_gzip_6", Codec::Gzip, 6),
        ("compress_xz_1", Codec::Xz, 1),
        ("compress_zstd_3", Codec::Zstd, 3),
    ] {
        let compressor = BlockCompressor::new(CompressSpec { codec, level });
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

criterion_group!(name = benches; config = settings(); targets = checksums, packing, waiting, taps, codecs);
criterion_main!(benches);
