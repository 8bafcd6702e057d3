//! A build of the functions, as AWS Lambda takes them.

use std::env;

use crate::{
    run::{Outcome, Stop},
    tools::{self, Places},
};

/// What `provided.al2023` has. The toolchain links against the glibc of its own machine, which may be newer; zig against any.
const GLIBC: &str = "2.34";

const FUNCTIONS: [&str; 6] =
    ["eft-router", "eft-sweep", "eft-stage", "eft-config", "eft-status", "eft-identity"];

/// `cargo xtask package x86_64|arm64`: builds, checks and packs them into `.eft/packages/VERSION`.
pub(crate) fn package(args: &[String]) -> Outcome {
    let [architecture] = args else {
        return Err(Stop::Usage);
    };
    let triple = match architecture.as_str() {
        "x86_64" => "x86_64-unknown-linux-gnu",
        "arm64" => "aarch64-unknown-linux-gnu",
        _ => return Err(Stop::Usage),
    };
    let places = Places::find()?;
    tools::python_environment(&places)?;
    tools::packagers(&places)?;
    let (made, zig) = (places.target.join("lambda"), places.eft.join("zig"));
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([places.eft.join("venv/bin")].into_iter().chain(env::split_paths(&path)))
        .map_err(|error| Stop::Failed(format!("PATH cannot be added to: {error}")))?;
    // cargo-lambda would have a panic abort the program, against the tests: in them it ends its job alone.
    places
        .cargo(["lambda", "build", "--locked", "--profile", "dist", "--disable-optimizations"])
        .args(["--target", &format!("{triple}.{GLIBC}"), "--lambda-dir"])
        .arg(&made)
        .args(FUNCTIONS.iter().flat_map(|function| ["--bin", function]))
        .env("PATH", path)
        .env("CARGO_ZIGBUILD_CACHE_DIR", &zig)
        .env("ZIG_GLOBAL_CACHE_DIR", &zig)
        .env("ZIG_LOCAL_CACHE_DIR", &zig)
        .run()?;
    places.python("platform/packages.py", "lambda").arg(&made).arg(architecture).run()
}
