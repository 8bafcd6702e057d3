//! `eft-worker`: what the user typed, and how it ended.

mod cli;
mod output;
mod service;

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

// Part buffers are large, equal and recycled at once; mimalloc keeps them, glibc would return and fault them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A run of many objects to files holds one open for each. The soft limit is low for programs that call `select`
    // (getrlimit(2)), which none of ours does; where it stays so, opening says it.
    let limit = getrlimit(Resource::Nofile);
    let _raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    cli::main()
}
