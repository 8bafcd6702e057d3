//! `cargo xtask demo`: one real file through the worker, checked by other means, and a broken one that is refused.

use crate::{
    run::{Outcome, step},
    tools::{self, Places},
};

pub(crate) fn demo() -> Outcome {
    let places = Places::find()?;
    step("build the worker and the in-memory S3", || {
        places.build_release(["-p", "eft-worker", "-p", "eft-s3"])
    })?;
    step("Python environment", || tools::python_environment(&places))?;
    places.python("demo/demo.py", "release").run()
}
