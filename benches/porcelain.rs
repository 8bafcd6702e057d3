//! Whole transfers over memory, in bytes of the object with compression undone, and what they copy and allocate.
//!
//! The allocator counts, on top of the system's. The worker has mimalloc, with which the route that makes bytes takes
//! 0.93 × the CPU time and the others the same.

use std::thread::available_parallelism;

use criterion::{Criterion, Throughput, criterion_group};
use eft_benches::{
    counts::Table,
    routes::{Machine, Route},
    settings,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Eight parts.
const LEN: usize = 64 << 20;

fn routes() -> [Route; 10] {
    [
        Route::identity(LEN),
        Route::sha256(LEN),
        Route::tee(LEN),
        Route::csv(LEN),
        Route::csv_project(LEN),
        Route::csv_to_jsonl(LEN),
        Route::csv_to_parquet(LEN),
        Route::gunzip_csv_zstd(LEN),
        Route::pgp_decrypt(LEN),
        Route::pgp_encrypt(LEN),
    ]
}

fn transfers(criterion: &mut Criterion) {
    let threads = available_parallelism().expect("the number of cores is known");
    let machine = Machine::new(threads);
    let mut group = criterion.benchmark_group("porcelain");
    for route in routes() {
        group.throughput(Throughput::Bytes(route.plain));
        group.bench_function(route.name, |bencher| bencher.iter(|| machine.run(&route)));
    }
    group.finish();
}

criterion_group!(name = benches; config = settings(); targets = transfers);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // A list of benches is read by a program.
    if !std::env::args().any(|argument| argument == "--list") {
        println!("\n{}", Table::of(&routes()));
    }
}
