//! `cargo xtask test`: everything CI runs, cheap checks first, stopping at the first step that fails.
//!
//! All that runs is built once, in the profile of the tests and of the whole workspace: any other profile, and any choice of
//! packages, would have cargo build the dependencies again, which takes longer than all tests together.

use crate::{
    deploy, guards, interop, platform,
    run::{Outcome, step},
    state_machine,
    tools::{self, Places},
};

pub(crate) fn test() -> Outcome {
    let places = Places::find()?;
    step("1/10 format", || places.cargo(["fmt", "--all", "--check"]).run())?;
    step("2/10 layout and dependencies", || guards::guards(&places))?;
    step("3/10 templates", || deploy::check(&places))?;
    step("4/10 state machine", || state_machine::check(&places))?;
    step("5/10 clippy", || {
        places.cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]).run()
    })?;
    step("6/10 tests", || {
        tools::programs(&places)?;
        tools::nextest(&places, ["run", "--workspace", "--profile", "ci", "--cargo-quiet"])
    })?;
    step("7/10 tests on MiniStack", || platform::run(&places))?;
    step("8/10 examples in the documentation", || {
        places.cargo(["test", "--doc", "--workspace", "--quiet"]).run()
    })?;
    step("9/10 benches, each once", || {
        places.cargo(["test", "--workspace", "--bench", "*", "--quiet"]).run()
    })?;
    step("10/10 gates, and other clients", || interop::with_programs_of_the_tests(&places))?;
    println!(
        "\nall steps passed; licences and advisories (cargo-deny) are checked by the GitHub workflow only"
    );
    Ok(())
}
