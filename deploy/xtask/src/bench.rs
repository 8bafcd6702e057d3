//! `cargo xtask bench`: the README's performance tables, and what a function takes to start.

use crate::{
    run::{Outcome, step},
    tools::{self, Places},
};

pub(crate) fn bench(args: &[String]) -> Outcome {
    let places = Places::find()?;
    let work = args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix("--work") {
        Some("") => args.get(at + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    if work == Some("cold-start") {
        step("build", || {
            let router = ["-p", "eft-router", "--bins", "--example", "empty"];
            places.cargo(["build", "--release", "--quiet"]).args(router).run()
        })?;
        step("Python environment", || tools::python_environment(&places))?;
        return places.python("bench/bench.py", "release").args(args).run();
    }
    step("build", || places.build_release())?;
    match work {
        Some("chains" | "stages") => step("other programs", || tools::measured_programs(&places))?,
        _ => step("other programs", || tools::programs(&places))?,
    }
    step("Python environment", || tools::python_environment(&places))?;
    step("other clients", || tools::peers(&places))?;
    match work.unwrap_or("identity") {
        "identity" => step("programs over other libraries", || tools::peers_in_rust(&places))?,
        "validators" => step("programs over other libraries", || tools::validators_in_rust(&places))?,
        _ => {}
    }
    places.python("bench/bench.py", "release").args(args).run()
}
