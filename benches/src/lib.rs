//! What the benches and the gate on their counts share: data, routes, and what is counted of a run.
//!
//! Of the data path three benches, from the ceiling down: `speed_of_light` is what this machine can do without us,
//! `plumbing` is each part of the pipeline alone, `porcelain` is whole transfers. They read the same data, so their figures
//! divide. `router` is events on their way to jobs.

pub mod counts;
pub mod data;
pub mod events;
pub mod routes;
mod sink;

use std::time::Duration;

use criterion::Criterion;

/// Ten short samples a bench: all of them take a few minutes on two cores, and ratios within a run hold to a few per
/// cent. Who needs more says so on the command line (`--measurement-time`, `--sample-size`).
pub fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
        .nresamples(5_000)
        .configure_from_args()
}
