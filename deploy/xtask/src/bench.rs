//! `cargo xtask bench`: the README's performance tables, and what a function takes to start.

use crate::{
    run::{Outcome, step},
    tools::{self, Places},
};

pub(crate) fn bench(args: &[String]) -> Outcome {
    let places = Places::find()?;
    if args.iter().any(|arg| arg.ends_with("cold-start")) {
        step("build", || places.build_release(["-p", "eft-router", "--bins", "--example", "empty"]))?;
        step("Python environment", || tools::python_environment(&places))?;
        return places.python("bench/bench.py", "release").args(args).run();
    }
    step("build", || {
        let examples = ["--example", "relay", "--example", "sha256"];
        places.build_release(["-p", "eft-worker", "-p", "eft-s3", "--bins"].into_iter().chain(examples))
    })?;
    step("other programs", || tools::measured_programs(&places))?;
    step("Python environment", || tools::python_environment(&places))?;
    step("other clients", || tools::peers(&places))?;
    let work = args.iter().position(|arg| arg == "--work").and_then(|at| args.get(at + 1));
    match work.map_or("identity", String::as_str) {
        "identity" => step("programs over other libraries", || tools::peers_in_rust(&places))?,
        "validators" => step("programs over other libraries", || tools::validators_in_rust(&places))?,
        _ => {}
    }
    places.python("bench/bench.py", "release").args(args).run()
}
