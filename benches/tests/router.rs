//! The gate: what an event allocates on its way through the router.
//!
//! One test, in a process of its own: the allocator counts for the process.

use eft_benches::events::{Bed, Envelope};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Bounds are what was measured, in the build of the tests, and a tenth. Most of it is the memory that stands for the
/// tables: it clones a row with every read and twice with every write.
#[test]
fn an_event_allocates_no_more_than_it_must() {
    let gates = [(Envelope::Raw, 703.0, 58_300.0), (Envelope::Canonical, 703.0, 58_300.0)];
    let mut over = Vec::new();
    for (envelope, most_allocations, most_bytes) in gates {
        let mut bed = Bed::new();
        // What a router does once, such as making the table of routes, is no cost of an event.
        bed.run(envelope, 10);
        let (allocations, bytes) = bed.run(envelope, 100).per_event();
        let said = format!("{}: {allocations:.1} allocations and {bytes:.0} bytes an event", envelope.name());
        println!("{said}");
        if allocations > most_allocations || bytes > most_bytes {
            over.push(format!("{said}, at most {most_allocations} and {most_bytes}"));
        }
    }
    assert!(over.is_empty(), "over the bound:\n{}", over.join("\n"));
}
