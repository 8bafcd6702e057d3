//! `cargo xtask fuzz`: every parser and stage under libFuzzer, with an account of how long.

use crate::{
    run::{Outcome, Run, failed, step},
    tools::{self, Places},
};

/// What libFuzzer is told: edges, and what is compared. These are rustc's names for passes of LLVM, and what `cargo fuzz`
/// asks for; AddressSanitizer needs a nightly toolchain, and our code has no `unsafe`.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks";

pub(crate) fn fuzz(args: &[String]) -> Outcome {
    let places = Places::find()?;
    let host = host(&places)?;
    let target = places.target.join("fuzz");
    step("build", || {
        // For a target, so that build scripts and macros are built without these flags; in a folder of its own, so that
        // nothing else is built anew.
        let what = ["build", "--release", "--quiet", "-p", "eft-fuzz", "--features", "fuzzing", "--bins"];
        let build = Run::cargo(&places.root, what).args(["--target", &host]);
        let build = build.env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &target);
        build.env("CARGO_PROFILE_RELEASE_DEBUG", "false").env("CARGO_PROFILE_RELEASE_STRIP", "symbols").run()
    })?;
    step("Python environment", || tools::python_environment(&places))?;
    places
        .python("fuzz/fuzz.py", "release")
        .env("EFT_BIN", target.join(host).join("release"))
        .args(args)
        .run()
}

/// What this toolchain builds for.
fn host(places: &Places) -> Outcome<String> {
    let said = Run::new(&places.root, "rustc").arg("-vV").output()?;
    match said.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => failed(format!("rustc does not say its host: {said}")),
    }
}
