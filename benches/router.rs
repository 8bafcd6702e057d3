//! The router in events a second of one core, over memory: what AWS takes to answer is not in it. Then what an event
//! allocates.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group};
use eft_benches::{
    events::{BATCH, Bed, Envelope, ROUTES, routes},
    settings,
};
use eft_domain::{message::Ingest, route::RouteTable};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router");
    group.throughput(Throughput::Elements(1));
    for envelope in Envelope::ALL {
        let event = envelope.event(7);
        let name = format!("parse/{}", envelope.name());
        group.bench_function(name, |bencher| bencher.iter(|| Ingest::parse(black_box(&event))));
    }
    let table = RouteTable::new(routes().into_iter().map(Arc::new));
    let keys: Vec<_> = (0..ROUTES).map(|at| format!("tenants/acme/in/{at:04}/orders.csv")).collect();
    let mut keys = keys.iter().cycle();
    group.bench_function("select", |bencher| {
        bencher.iter(|| table.select(keys.next().expect("keys without end")).map(Arc::as_ptr))
    });
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router");
    group.throughput(Throughput::Elements(BATCH as u64));
    for envelope in Envelope::ALL {
        let mut bed = Bed::new();
        let name = format!("batch/{}", envelope.name());
        group.bench_function(name, |bencher| bencher.iter_custom(|batches| bed.run(envelope, batches).time));
    }
    group.finish();
}

criterion_group!(name = benches; config = settings(); targets = parts, batches);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // A list of benches is read by a program.
    if !std::env::args().any(|argument| argument == "--list") {
        for envelope in Envelope::ALL {
            let mut bed = Bed::new();
            bed.run(envelope, 10);
            let (allocations, bytes) = bed.run(envelope, 100).per_event();
            println!("{:<10} {allocations:.1} allocations, {bytes:.0} bytes an event", envelope.name());
        }
    }
}
