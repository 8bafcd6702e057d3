//! The gate: what a transfer copies and allocates per byte it delivers.
//!
//! One test, in a process of its own: the allocator counts for the process.

use eft_benches::{
    counts::{Counts, Table},
    routes::Route,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// More than one part, and little enough to read where nothing is optimised.
const LEN: usize = 16 << 20;

/// Bounds are what was measured, in debug and release builds, idle and busy: bytes exactly where none may move,
/// one and a half times the figure where it is bookkeeping. What the codec route makes is held closer, or one more
/// copy of its output would pass; all its bytes are new, so how many moved says nothing there.
#[test]
fn transfers_copy_and_allocate_no_more_than_they_must() {
    let bound = |copied, moved, allocations, allocated| Counts { copied, moved, allocations, allocated };
    let gates = [
        (Route::identity(LEN), bound(0.0, 0.0, 8.3, 0.0045)),
        (Route::sha256(LEN), bound(0.0, 0.0, 12.5, 0.0063)),
        (Route::tee(LEN), bound(0.0, 0.0, 9.3, 0.0048)),
        (Route::csv(LEN), bound(0.0, 0.0, 31.0, 0.0071)),
        (Route::gunzip_csv_zstd(LEN), bound(13.0, f64::INFINITY, 215.0, 6.2)),
    ];
    let (routes, bounds): (Vec<_>, Vec<_>) = gates.into_iter().unzip();
    let table = Table::of(&routes);
    let mut over = Vec::new();
    for ((name, counts), bound) in table.0.iter().zip(&bounds) {
        over.extend(counts.over(bound).iter().map(|figure| format!("{name}: {figure}")));
    }
    println!("{table}");
    assert!(over.is_empty(), "over the bound:\n{}", over.join("\n"));
}
