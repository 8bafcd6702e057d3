//! `cargo xtask demo`: a partner's files through the whole platform of this machine; or a thousand; or the engine alone.
//! `cargo xtask up` and `down`: that platform, for as long as somebody wants it.

use crate::{
    portal,
    run::{Outcome, Stop, step},
    tools::{self, Places},
};

pub(crate) fn demo(args: &[String]) -> Outcome {
    match args {
        [] => platform("demo/story.py"),
        [what] if what == "thousand" => platform("demo/thousand.py"),
        [what] if what == "engine" => engine(),
        _ => Err(Stop::Usage),
    }
}

pub(crate) fn up() -> Outcome {
    step("build the portal", || portal::build(&Places::find()?))?;
    platform("platform/up.py")
}

pub(crate) fn down() -> Outcome {
    let places = Places::find()?;
    tools::python_environment(&places)?;
    places.python("platform/up.py", "debug").arg("down").run()
}

/// A script beside the programs in the profile of the tests: theirs are quick to build, and of our own crates as quick as
/// what ships.
fn platform(script: &str) -> Outcome {
    let places = Places::find()?;
    tools::sftp_client(&places)?;
    step("build the programs (some minutes, once)", || {
        places.cargo(["build", "--workspace", "--bins", "--quiet"]).run()
    })?;
    step("Python environment", || tools::python_environment(&places))?;
    places.python(script, "debug").run()
}

fn engine() -> Outcome {
    let places = Places::find()?;
    step("build the worker and the in-memory S3", || places.build_release())?;
    step("Python environment", || tools::python_environment(&places))?;
    places.python("demo/engine.py", "release").run()
}
