//! `cargo xtask test`: everything CI runs, cheap checks first, stopping at the first step that fails.
//!
//! All that runs is built once, in the profile of the tests and of the whole workspace: any other profile, and any choice of
//! packages, would have cargo build the dependencies again, which takes longer than all tests together.

use crate::{
    guards, interop,
    run::{Outcome, step},
    tools::{self, Places},
};

pub(crate) fn test() -> Outcome {
    let places = Places::find()?;
    step("1/7 format", || places.cargo(["fmt", "--all", "--check"]).run())?;
    step("2/7 layout and dependencies", || guards::guards(&places))?;
    step("3/7 clippy", || {
        places.cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]).run()
    })?;
    step("4/7 tests", || {
        tools::programs(&places)?;
        tools::nextest(&places, ["run", "--workspace", "--profile", "ci", "--cargo-quiet"])
    })?;
    step("5/7 examples in the documentation", || {
        places.cargo(["test", "--doc", "--workspace", "--quiet"]).run()
    })?;
    step("6/7 benches, each once", || {
        places.cargo(["test", "--workspace", "--bench", "*", "--quiet"]).run()
    })?;
    step("7/7 gates, and other clients", || interop::run(&places, &[]))?;
    println!(
        "\nall steps passed; licences and advisories (cargo-deny) are checked by the GitHub workflow only"
    );
    Ok(())
}
