//! Every input of the corpus through its target.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use eft_fuzz::TARGETS;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(folder: PathBuf) -> BTreeSet<String> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    assert_eq!(names(corpus()), targets);
    let binaries = names(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets"));
    assert_eq!(binaries, targets.iter().map(|name| format!("{name}.rs")).collect());
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let built: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .map(str::to_owned)
        .collect();
    assert_eq!(built, targets, "the binaries in Cargo.toml");
}

#[test]
fn the_corpus_is_replayed() {
    let mut replayed = 0;
    for (name, target) in TARGETS {
        let folder = corpus().join(name);
        let inputs = names(folder.clone());
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in &inputs {
            let data = fs::read(folder.join(input)).unwrap();
            // Says which input it was when the target panics.
            println!("{name}/{input}: {} bytes", data.len());
            target(&data);
        }
        replayed += inputs.len();
    }
    println!("replayed {replayed} inputs of {} targets", TARGETS.len());
}

/// Bytes at the edge of what a target takes: none, and few.
#[test]
fn no_target_needs_a_minimum_of_bytes() {
    for (_, target) in TARGETS {
        for len in 0..16 {
            for byte in [0, b'0', 0xff] {
                target(&vec![byte; len]);
            }
        }
    }
}
