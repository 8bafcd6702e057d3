//! `eft-worker`: what the user typed, and how it ended.

mod cli;
mod output;

use std::process::ExitCode;

// Part buffers are large, equal and recycled at once; mimalloc keeps them, glibc would return and fault them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
