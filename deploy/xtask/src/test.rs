//! `cargo xtask test`: everything CI runs, cheap checks first, stopping at the first step that fails.

use crate::{
    guards, interop,
    run::{Outcome, step},
    tools::{self, Places},
};

/// Checks of `cargo xtask interop` that the worker does not pass yet; all others are held. Said at the end of every run,
/// so that nobody takes a green one for more than it is.
const OPEN: [&str; 17] = [
    "gates.memory_of_an_identity_route",
    "gates.memory_of_a_chain",
    "gates.a_copy_moves_no_bytes",
    "objects.server_copy",
    "objects.metadata",
    "refusals_input.empty_where_the_route",
    "refusals_input.damage_is_placed",
    "refusals_places.disk_full_by_a_full_device",
    "refusals_faults.flipped_bit_of_an_object_with_a_crc32",
    "refusals_faults.flipped_bit_under_a_stage",
    "refusals_faults.endpoint_that_refuses_crc64",
    "refusals_faults.endpoint_that_ignores_conditions",
    "refusals_usage.a_version_is_no_destination",
    "refusals_usage.memory_too_small_for_a_stream",
    "refusals_usage.memory_too_small_for_the_stages",
    "refusals_usage.part_size_of_a_stream",
    "refusals_usage.part_size_that_no_store_takes",
];

pub(crate) fn test() -> Outcome {
    let places = Places::find()?;
    step("1/7 format", || places.cargo(["fmt", "--all", "--check"]).run())?;
    step("2/7 layout and dependencies", || guards::guards(&places))?;
    step("3/7 clippy", || {
        places.cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]).run()
    })?;
    step("4/7 tests", || {
        tools::nextest(&places, ["run", "--workspace", "--profile", "ci", "--cargo-quiet"])
    })?;
    step("5/7 examples in the documentation", || {
        places.cargo(["test", "--doc", "--workspace", "--quiet"]).run()
    })?;
    step("6/7 benches, each once", || {
        places.cargo(["bench", "-p", "eft-benches", "--quiet", "--", "--test"]).run()
    })?;
    step("7/7 gates, and other clients", || interop::run(&places, &OPEN.map(|name| format!("-{name}"))))?;
    println!("\nnot run, because the worker does not keep them yet: {}", OPEN.join(", "));
    println!(
        "\nall steps passed; licences and advisories (cargo-deny) are checked by the GitHub workflow only"
    );
    Ok(())
}
