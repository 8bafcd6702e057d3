//! `cargo xtask interop`: the built worker against the in-memory S3, with other clients before and after it.

use crate::{
    run::{Outcome, step},
    tools::{self, Places},
};

/// With programs as they ship: the bounds on memory are promises about these.
pub(crate) fn interop(names: &[String]) -> Outcome {
    let places = Places::find()?;
    step("gates, and other clients", || {
        places.build_release()?;
        run(&places, "release", names)
    })
}

/// With the programs of the tests: to build others takes longer than the rest of CI. Their bounds are wider by what their
/// code is larger.
pub(crate) fn with_programs_of_the_tests(places: &Places) -> Outcome {
    places.cargo(["test", "--workspace", "--no-run", "--quiet"]).run()?;
    run(places, "debug", &[])
}

fn run(places: &Places, built: &str, names: &[String]) -> Outcome {
    tools::programs(places)?;
    tools::python_environment(places)?;
    places.python("interop/run.py", built).args(names).run()
}
