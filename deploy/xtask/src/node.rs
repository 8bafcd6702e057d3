//! Node.js and its packages, each folder's own, as its `package-lock.json` says.

use std::{fs, path::Path};

use crate::run::{Context, Outcome, Run, Stop, failed};

/// What CDK, its stacks and the portal's tools are made for.
const NODE: u32 = 20;

/// Makes sure that `node_modules` of a folder holds what its `package-lock.json` says. `what`: these packages, in words.
pub(crate) fn packages(folder: &Path, what: &str) -> Outcome {
    if let Err(why) = version(folder)? {
        return failed(why);
    }
    let stamp = folder.join("node_modules/eft-package-lock.json");
    let wanted = fs::read(folder.join("package-lock.json")).context("cannot read package-lock.json")?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing {what} into {} (once)", folder.join("node_modules").display());
    Run::new(folder, "npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).run()?;
    fs::write(&stamp, wanted).context("cannot write the stamp of node_modules")
}

/// Whether there is a Node.js that is new enough; otherwise what is needed.
pub(crate) fn version(folder: &Path) -> Outcome<Result<(), String>> {
    match Run::new(folder, "node").arg("--version").output() {
        Ok(answer) if major(&answer).is_some_and(|major| major >= NODE) => Ok(Ok(())),
        Ok(answer) => Ok(Err(format!("Node.js {NODE} or later is needed, and this is {}", answer.trim()))),
        Err(stop @ Stop::Signal(_)) => Err(stop),
        Err(_) => Ok(Err(format!("Node.js {NODE} or later is needed, with npm"))),
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
