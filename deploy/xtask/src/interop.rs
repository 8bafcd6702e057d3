//! `cargo xtask interop`: the built worker against the in-memory S3, with other clients before and after it.

use crate::{
    run::{Outcome, step},
    tools::{self, Places},
};

pub(crate) fn interop(names: &[String]) -> Outcome {
    let places = Places::find()?;
    step("gates, and other clients", || run(&places, names))
}

pub(crate) fn run(places: &Places, names: &[String]) -> Outcome {
    tools::programs(places)?;
    tools::python_environment(places)?;
    // As they ship: the bounds on memory are promises about these programs.
    places.build_release(["-p", "eft-worker", "-p", "eft-s3"])?;
    places.python("interop/run.py", "release").args(names).run()
}
