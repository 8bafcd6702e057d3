//! What only AWS does, against MiniStack: the tests that need it, with it beside them.

use crate::{
    load,
    run::Outcome,
    tools::{self, Places},
};

/// Tests that need MiniStack are set aside by name and reason; the other steps leave them out.
const TESTS: [&str; 8] =
    ["run", "--workspace", "--test", "ministack", "--profile", "ci", "--run-ignored", "ignored-only"];

/// `cargo xtask ministack`: starts it, runs this program, and ends it.
pub(crate) fn beside(program: &[String]) -> Outcome {
    let places = Places::find()?;
    tools::python_environment(&places)?;
    places.python("platform/ministack.py", "debug").arg("--").args(program).run()
}

/// Of the thousand small files of `cargo xtask demo thousand`: as many as show that all end right, in the time there is.
const FILES: &str = "60";

/// Starts MiniStack, runs them, and ends it; then once more, with the core stack deployed on it, and once more for each demo.
pub(crate) fn run(places: &Places) -> Outcome {
    tools::python_environment(places)?;
    let (program, arg) = tools::nextest_program(places)?;
    places.python("platform/ministack.py", "debug").arg("--").arg(program).arg(arg).args(TESTS).run()?;
    load::short(places)?;
    places.python("platform/smoke.py", "debug").run()?;
    places.python("demo/story.py", "debug").run()?;
    places.python("demo/thousand.py", "debug").env("EFT_FILES", FILES).run()
}
