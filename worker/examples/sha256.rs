//! One pass of ring's SHA-256 over so many MiB of memory, and nothing else: what a digest costs at least.
//!
//! ```text
//! cargo run --release -p eft-worker --example sha256 -- 2048
//! ```

use std::{env, process::ExitCode};

use ring::digest::{Context, SHA256};

/// A frame of the pipeline.
const FRAME: usize = 1 << 20;
/// More than the caches of a core hold, and next to nothing beside what is hashed.
const FRAMES: usize = 8;

fn main() -> ExitCode {
    let Some(mib) = env::args().nth(1).and_then(|text| text.parse::<usize>().ok()) else {
        eprintln!("usage: sha256 MIB");
        return ExitCode::from(2);
    };
    let frames: Vec<Vec<u8>> = (0..FRAMES.min(mib)).map(|number| vec![number as u8; FRAME]).collect();
    let mut context = Context::new(&SHA256);
    frames.iter().cycle().take(mib).for_each(|frame| context.update(frame));
    println!("{:?}", context.finish());
    ExitCode::SUCCESS
}
