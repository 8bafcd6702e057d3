//! What this machine can do: the ceilings that the parts and the whole are measured against.

use std::{hint::black_box, io::Read, thread};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::channel;
use eft_benches::{data, settings};
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use zstd::bulk;

/// Larger than a core's caches, as an object is.
const LEN: usize = 16 << 20;

/// A body's frames, which are hashed one by one.
const FRAME: usize = 64 << 10;

fn memory(criterion: &mut Criterion) {
    let from = data::noise(LEN);
    let mut to = vec![0; LEN];
    let mut group = criterion.benchmark_group("speed_of_light");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| to.copy_from_slice(black_box(&from)));
    });
    group.finish();
}

fn hashes(criterion: &mut Criterion) {
    let bytes = data::noise(LEN);
    let frames = data::frames(bytes.clone(), FRAME);
    let mut group = criterion.benchmark_group("speed_of_light");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("crc64_nvme", |bencher| {
        bencher.iter(|| crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, black_box(&bytes)));
    });
    group.bench_function("sha256", |bencher| {
        bencher.iter(|| {
            let mut context = ring::digest::Context::new(&ring::digest::SHA256);
            frames.iter().for_each(|frame| context.update(frame));
            context.finish()
        });
    });
    group.finish();
}

/// All in bytes of the file with compression undone, as tools say it.
fn codecs(criterion: &mut Criterion) {
    let plain = data::csv(LEN);
    let (gzip, zstd) = (data::gzip(&plain), data::zstd(&plain));
    let mut room = vec![0; LEN + (LEN >> 3)];
    let mut group = criterion.benchmark_group("speed_of_light");
    group.throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("inflate_zlib_rs", |bencher| bencher.iter(|| inflate(&gzip, &mut room)));
    group.bench_function("inflate_libdeflate", |bencher| {
        let mut decompressor = Decompressor::new();
        bencher.iter(|| decompressor.gzip_decompress(&gzip, &mut room).expect("our own file"));
    });
    group.bench_function("deflate_libdeflate_6", |bencher| {
        let mut compressor = Compressor::new(CompressionLvl::default());
        bencher.iter(|| compressor.gzip_compress(&plain, &mut room).expect("there is room"));
    });
    group.bench_function("zstd_decode", |bencher| {
        let mut decompressor = bulk::Decompressor::new().expect("there is memory");
        bencher.iter(|| decompressor.decompress_to_buffer(&zstd, &mut room).expect("our own file"));
    });
    group.bench_function("zstd_encode_3", |bencher| {
        let mut compressor = bulk::Compressor::new(3).expect("level 3 is one");
        bencher.iter(|| compressor.compress_to_buffer(&plain, &mut room).expect("there is room"));
    });
    group.finish();
}

/// Streaming, as an object has to be read, but into one buffer.
fn inflate(gzip: &Bytes, room: &mut [u8]) -> usize {
    let mut decoder = flate2::bufread::GzDecoder::new(gzip.as_ref());
    let mut made = 0;
    loop {
        match decoder.read(&mut room[made..]).expect("our own file") {
            0 => return made,
            n => made += n,
        }
    }
}

/// To another thread and back: two hand-overs.
fn threads(criterion: &mut Criterion) {
    let (to, work) = channel::bounded::<u64>(1);
    let (answer, from) = channel::bounded::<u64>(1);
    let echo = thread::spawn(move || work.into_iter().try_for_each(|n| answer.send(n)));
    let mut group = criterion.benchmark_group("speed_of_light");
    group.throughput(Throughput::Elements(2));
    group.bench_function("hand_over", |bencher| {
        bencher.iter(|| {
            to.send(black_box(1)).expect("the other thread listens");
            from.recv()
        });
    });
    group.finish();
    drop(to);
    echo.join().expect("the other thread ends").expect("we listened to the end");
}

criterion_group!(name = benches; config = settings(); targets = memory, hashes, codecs, threads);
criterion_main!(benches);
