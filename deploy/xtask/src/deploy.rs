//! The templates of the deployment: held to what the stacks in `deploy/` make, and checked by those who know what AWS takes.

use crate::{
    node,
    run::{Outcome, Run},
    tools::{self, Places},
};

/// Compiles the stacks, compares the templates with the committed ones byte by byte, runs the tests of these, and cfn-lint.
/// cdk-nag is part of what makes the templates.
pub(crate) fn check(places: &Places) -> Outcome {
    let deploy = places.root.join("deploy");
    node::packages(&deploy, "CDK")?;
    Run::new(&deploy, "npm").args(["run", "--silent", "check"]).run()?;
    tools::python_environment(places)?;
    // It finds `.cfnlintrc.yaml` where it runs.
    Run::new(&deploy, places.eft.join("venv/bin/cfn-lint")).run()
}
