//! `cargo xtask bench`: the README's performance table.

use crate::{
    run::{Outcome, step},
    tools::{self, Places},
};

pub(crate) fn bench(args: &[String]) -> Outcome {
    let places = Places::find()?;
    step("build", || {
        places.build_release(["-p", "eft-worker", "-p", "eft-s3", "--bins", "--example", "relay"])
    })?;
    step("other programs", || tools::programs(&places))?;
    step("Python environment", || tools::python_environment(&places))?;
    places.python("bench/bench.py", "release").args(args).run()
}
