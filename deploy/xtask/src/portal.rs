//! The portal: checked, and built into `control/portal/dist/site`.

use crate::{
    node,
    run::{Outcome, Run},
    tools::Places,
};

const PACKAGES: &str = "the portal's packages";

/// Holds its types to the documents of the APIs, checks them, runs its tests, and builds it.
pub(crate) fn check(places: &Places) -> Outcome {
    npm(places, "check")
}

/// Builds it; without Node.js there is none, which is said, and nobody is kept from the rest.
pub(crate) fn build(places: &Places) -> Outcome {
    match node::version(&places.root)? {
        Ok(()) => npm(places, "build"),
        Err(why) => {
            println!("no portal: {why}");
            Ok(())
        }
    }
}

fn npm(places: &Places, script: &str) -> Outcome {
    let portal = places.root.join("control/portal");
    node::packages(&portal, PACKAGES)?;
    Run::new(&portal, "npm").args(["run", "--silent", script]).run()
}
