//! The state machine file, by the validator that editors and pipelines of others use.

use std::fs;

use crate::{
    run::{Context, Outcome, Run, Stop, failed},
    tools::Places,
};

/// The file, and the validator's version and what it depends on.
const FOLDER: &str = "deploy/state-machine";

/// Validates it, with a validator that is installed first if there is none or another.
pub(crate) fn check(places: &Places) -> Outcome {
    let (home, folder) = (places.eft.join("asl"), places.root.join(FOLDER));
    let program = home.join("node_modules/asl-validator/dist/bin/asl-validator.js");
    let (lock, stamp) = (folder.join("package-lock.json"), home.join("installed.json"));
    let wanted = fs::read(&lock).context("cannot read package-lock.json")?;
    if !fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("installing asl-validator into .eft/asl (once)");
        fs::create_dir_all(&home).context("cannot make .eft/asl")?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(folder.join(name), home.join(name)).context(format_args!("cannot copy {name}"))?;
        }
        let npm =
            Run::new(&home, "npm").args(["ci", "--ignore-scripts", "--no-fund", "--no-audit", "--silent"]);
        match npm.run() {
            Err(Stop::Failed(why)) => {
                return failed(format!("{why}; Node 20 or later with npm is needed (https://nodejs.org)"));
            }
            other => other?,
        }
        fs::write(&stamp, wanted).context("cannot write the validator's stamp")?;
    }
    Run::new(&places.root, "node").arg(program).arg("--json-path").arg(folder.join("run.asl.json")).run()
}
