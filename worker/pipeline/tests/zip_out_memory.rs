//! `compress: { codec: zip }` holds no more memory than it says: one test, in a process of its own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "pipeline/codec_support/mod.rs"]
#[allow(dead_code, reason = "it needs a part of it")]
mod codec_support;

use std::fs;

use codec_support::text;
use eft_domain::route::ZipSpec;
use eft_pipeline::stage::BlockCompressor;
use flate2::{Compress, Compression, FlushCompress};

/// The memory the planner is told of is what the library holds.
#[test]
fn contexts_are_no_larger_than_said() {
    const CONTEXTS: u64 = 64;
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    let block = text(3, 1 << 20);
    for level in [1, 6, 9] {
        let compressor = BlockCompressor::of_entry(&ZipSpec { entry: None, level });
        let len = compressor.block_bytes();
        let said = compressor.info().memory - (len + compressor.bound(len)) as u64;
        let mut room = vec![0; compressor.bound(len)];
        let before = resident();
        let contexts: Vec<_> = (0..CONTEXTS)
            .map(|_| {
                let mut context = Compress::new(Compression::new(level.unsigned_abs()), false);
                room.clear();
                context.compress_vec(&block, &mut room, FlushCompress::Sync).unwrap();
                context
            })
            .collect();
        let held = resident().saturating_sub(before) / contexts.len() as u64;
        println!("level {level}: {} KiB said, {} KiB held", said >> 10, held >> 10);
        assert!(held <= said && said < held + held / 2, "level {level} holds {held}, says {said}");
    }
}
