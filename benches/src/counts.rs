//! Counts of a run: what it copies and allocates per byte it delivers.
//!
//! They do not depend on how fast the machine is, so a test may hold them to a bound. Who asks for them must have
//! [`INSTRUMENTED_SYSTEM`] as its global allocator.
//!
//! `stats_alloc`, because it counts for the whole process, and much of the work is done by the pool's threads
//! (`allocation-counter` counts the calling thread's alone), has no dependencies, and is atomic counters and no more:
//! `dhat` takes a backtrace of every allocation, `divan`'s profiler comes with divan, `alloc_tracker` with serde and a
//! session of reports. Memory that C allocates (libzstd's and libdeflate's contexts) is not counted.

use std::{cmp::Ordering, fmt, num::NonZeroUsize};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

use crate::{
    routes::{Machine, Route},
    sink::Discard,
};

/// What a run did, per byte that every sink got ("delivered").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    /// Bytes the pipeline says it copied or made, per byte.
    pub copied: f64,
    /// Bytes that a sink did not get in the memory they came in, per byte.
    pub moved: f64,
    /// Heap allocations, growth of a buffer included, per MiB.
    pub allocations: f64,
    /// Heap allocated, per byte: also a copy that nobody counted and no sink can see.
    pub allocated: f64,
}

impl Counts {
    fn of(machine: &Machine, route: &Route) -> Self {
        let region = Region::new(&INSTRUMENTED_SYSTEM);
        let ran = machine.run(route);
        let heap = region.change();
        assert!(heap.allocations > 0, "the global allocator is not `stats_alloc::INSTRUMENTED_SYSTEM`");
        let delivered = ran.progress.written as f64;
        let moved = ran.sinks.iter().map(Discard::moved).max().unwrap_or_default();
        Self {
            copied: ran.progress.copied as f64 / delivered,
            moved: moved as f64 / delivered,
            allocations: (heap.allocations + heap.reallocations) as f64 / (delivered / f64::from(1 << 20)),
            allocated: heap.bytes_allocated as f64 / delivered,
        }
    }

    /// The counts that are over their bound, each with its name, figure and bound.
    pub fn over(&self, bound: &Self) -> Vec<String> {
        let pairs = [
            ("bytes copied per byte delivered", self.copied, bound.copied),
            ("bytes moved per byte delivered", self.moved, bound.moved),
            ("allocations per MiB delivered", self.allocations, bound.allocations),
            ("bytes allocated per byte delivered", self.allocated, bound.allocated),
        ];
        // A figure that is not a number is over.
        let over = pairs
            .into_iter()
            .filter(|(_, figure, bound)| figure.partial_cmp(bound).is_none_or(Ordering::is_gt));
        over.map(|(name, figure, bound)| format!("{figure} {name}, at most {bound}")).collect()
    }
}

/// The counts of each route.
pub struct Table(pub Vec<(&'static str, Counts)>);

impl Table {
    /// Run each route once and count.
    ///
    /// # Panics
    /// When a transfer fails, or the global allocator is not the one that counts.
    pub fn of(routes: &[Route]) -> Self {
        // One thread, because how many buffers several of them need follows from which was faster.
        let machine = Machine::new(NonZeroUsize::MIN);
        // What a process does once, such as setting up a thread's locals, is no cost of a transfer.
        machine.run(&Route::gunzip_csv_zstd(1 << 20));
        Self(routes.iter().map(|route| (route.name, Counts::of(&machine, route))).collect())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "per byte or MiB    copied    moved      allocated  allocations")?;
        for (name, counts) in &self.0 {
            let Counts { copied, moved, allocations, allocated } = counts;
            writeln!(
                f,
                "{name:<16} {copied:>6.3} B {moved:>6.3} B {allocated:>12.4} B {allocations:>8.1} /MiB"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_named_with_figure_and_bound() {
        let bound = Counts { copied: 0.0, moved: 0.0, allocations: 40.0, allocated: 0.01 };
        assert_eq!(bound.over(&bound), Vec::<String>::new());
        let counts = Counts { copied: 0.5, allocations: 41.0, ..bound };
        assert_eq!(
            counts.over(&bound),
            [
                "0.5 bytes copied per byte delivered, at most 0",
                "41 allocations per MiB delivered, at most 40"
            ]
        );
        let nothing_delivered = Counts { moved: f64::NAN, ..bound };
        assert_eq!(nothing_delivered.over(&bound), ["NaN bytes moved per byte delivered, at most 0"]);
    }
}
