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
    // Those of the tests. What ships is smaller and quicker, so that a bound that these keep is kept by it as well.
    places.cargo(["test", "--workspace", "--no-run", "--quiet"]).run()?;
    places.python("interop/run.py", "debug").args(names).run()
}
