//! `cargo xtask load`: scenarios of `eft-loadtest`, with AWS's emulator beside it.

use crate::{
    run::{Outcome, Stop, step},
    tools::{self, Places},
};

/// Half a minute with faults and kills, of which nothing is checked that depends on the machine.
const SHORT: [&str; 3] = ["run", "soak-short", "--no-times"];

pub(crate) fn load(args: &[String]) -> Outcome {
    let places = Places::find()?;
    let Some(first) = args.first() else { return Err(Stop::Usage) };
    step("build", || places.build_release())?;
    let program = places.target.join("release/eft-loadtest");
    if matches!(first.as_str(), "list" | "compare") {
        return crate::run::Run::new(&places.root, program).args(args).run();
    }
    step("Python environment", || tools::python_environment(&places))?;
    places.python("platform/ministack.py", "release").arg("--").arg(program).arg("run").args(args).run()
}

/// With the programs of the tests.
pub(crate) fn short(places: &Places) -> Outcome {
    let program = places.target.join("debug/eft-loadtest");
    places.python("platform/ministack.py", "debug").arg("--").arg(program).args(SHORT).run()
}
