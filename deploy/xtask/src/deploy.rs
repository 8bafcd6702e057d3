//! The templates of the deployment: held to what the stacks in `deploy/` make, and checked by those who know what AWS takes.

use std::{fs, path::Path};

use crate::{
    run::{Context, Outcome, Run, Stop, failed},
    tools::{self, Places},
};

/// What CDK and its stacks are made for.
const NODE: u32 = 20;

/// Compiles the stacks, compares the templates with the committed ones byte by byte, runs the tests of these, and cfn-lint.
/// cdk-nag is part of what makes the templates.
pub(crate) fn check(places: &Places) -> Outcome {
    let deploy = places.root.join("deploy");
    packages(&deploy)?;
    Run::new(&deploy, "npm").args(["run", "--silent", "check"]).run()?;
    tools::python_environment(places)?;
    // It finds `.cfnlintrc.yaml` where it runs.
    Run::new(&deploy, places.eft.join("venv/bin/cfn-lint")).run()
}

/// Makes sure that `node_modules` holds what `package-lock.json` says.
fn packages(deploy: &Path) -> Outcome {
    node(deploy)?;
    let stamp = deploy.join("node_modules/eft-package-lock.json");
    let wanted = fs::read(deploy.join("package-lock.json")).context("cannot read package-lock.json")?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing CDK into deploy/node_modules (once)");
    Run::new(deploy, "npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).run()?;
    fs::write(&stamp, wanted).context("cannot write the stamp of deploy/node_modules")
}

fn node(deploy: &Path) -> Outcome {
    match Run::new(deploy, "node").arg("--version").output() {
        Ok(answer) if major(&answer).is_some_and(|major| major >= NODE) => Ok(()),
        Ok(answer) => failed(format!("Node.js {NODE} or later is needed, and this is {}", answer.trim())),
        Err(stop @ Stop::Signal(_)) => Err(stop),
        Err(_) => failed(format!("Node.js {NODE} or later is needed, with npm")),
    }
}

/// `20` of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major(""), None);
    }
}
