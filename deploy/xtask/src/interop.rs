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
    // As the tests were built: of fewer packages or targets cargo unifies other features, and builds dependencies again.
    places.cargo(["build", "--workspace", "--all-targets", "--quiet"]).run()?;
    places.python("interop/run.py", "debug").args(names).run()
}
