//! `eft-loadtest`; `cargo xtask load` starts it with what it needs beside it.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    eft_loadtest::cli::main().await
}
