//! `cargo xtask test`: everything CI runs, cheap checks first, stopping at the first step that fails.
//!
//! All that runs is built once, in the profile of the tests and of the whole workspace: any other profile, and any choice of
//! packages, would have cargo build the dependencies again, which takes longer than all tests together.

use crate::{
    deploy, guards, interop, platform, portal,
    run::{Outcome, step},
    state_machine,
    tools::{self, Places},
};

pub(crate) fn test() -> Outcome {
    let places = Places::find()?;
    step("1/11 format", || places.cargo(["fmt", "--all", "--check"]).run())?;
    step("2/11 layout and dependencies", || guards::guards(&places))?;
    step("3/11 templates", || deploy::check(&places))?;
    step("4/11 portal", || portal::check(&places))?;
    step("5/11 state machine", || state_machine::check(&places))?;
    step("6/11 clippy", || {
        places.cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]).run()
    })?;
    step("7/11 tests", || {
        tools::programs(&places)?;
        tools::nextest(&places, ["run", "--workspace", "--profile", "ci", "--cargo-quiet"])
    })?;
    step("8/11 tests on MiniStack", || platform::run(&places))?;
    step("9/11 examples in the documentation", || {
        places.cargo(["test", "--doc", "--workspace", "--quiet"]).run()
    })?;
    step("10/11 benches, each once", || {
        places.cargo(["test", "--workspace", "--bench", "*", "--quiet"]).run()
    })?;
    step("11/11 gates, and other clients", || interop::with_programs_of_the_tests(&places))?;
    println!(
        "\nall steps passed; licences and advisories (cargo-deny) are checked by the GitHub workflow only"
    );
    Ok(())
}
