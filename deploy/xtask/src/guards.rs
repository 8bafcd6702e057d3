//! What must hold of the tree and no compiler checks: its layout, and which crate may not know which.

use std::{fs, path::Path};

use crate::{
    run::{Context, Outcome, failed},
    tools::Places,
};

/// The top level, besides names with a dot in front. `target` is cargo's.
#[rustfmt::skip]
const TOP: [&str; 13] = [
    "Cargo.lock", "Cargo.toml", "README.md", "benches", "clippy.toml", "control", "deny.toml", "deploy", "loadtest",
    "router", "rustfmt.toml", "target", "worker",
];

const MAX_LINES: usize = 500;

/// The one reason for which a test may stand aside: the step `platform` runs it, and counts what it has run.
const PLATFORM: &str = concat!("#[ign", "ore = \"needs MiniStack: run by cargo xtask test\"]");

/// A crate, and the starts of names of crates it must not depend on, however far down.
const APART: [(&str, &[&str]); 2] =
    [("eft-domain", &["aws-", "tokio", "hyper"]), ("eft-pipeline", &["aws-"])];

/// Runs all of them; all complaints at once.
pub(crate) fn guards(places: &Places) -> Outcome {
    let mut complaints = Vec::new();
    for (name, banned) in APART {
        let tree = places.cargo(["tree", "-p", name, "-e", "normal,build", "--prefix", "none"]).output()?;
        complaints.extend(dependencies(name, &tree, banned));
    }
    let mut files = 0;
    for entry in entries(&places.root)? {
        if !entry.starts_with('.') && !TOP.contains(&entry.as_str()) {
            complaints.push(format!("`{entry}` is not part of the fixed top level"));
        }
        if entry != "target" && !entry.starts_with('.') {
            walk(&places.root, &entry, &mut files, &mut complaints)?;
        }
    }
    println!("{} dependency trees, {files} source files", APART.len());
    if complaints.is_empty() { Ok(()) } else { failed(complaints.join("\n")) }
}

fn dependencies(name: &str, tree: &str, banned: &[&str]) -> Vec<String> {
    let crates = tree.lines().filter_map(|line| line.split(' ').next());
    let mut found: Vec<_> =
        crates.filter(|one| banned.iter().any(|start| one.starts_with(start))).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found.iter().map(|one| format!("{name} must not depend on {one}")).collect()
}

fn entries(folder: &Path) -> Outcome<Vec<String>> {
    let what = format!("cannot list {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).context(&what)? {
        names.push(entry.context(&what)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn walk(root: &Path, path: &str, files: &mut usize, complaints: &mut Vec<String>) -> Outcome {
    let full = root.join(path);
    if full.is_dir() && !full.is_symlink() {
        for name in entries(&full)? {
            if !matches!(name.as_str(), "node_modules" | "target" | "cdk.out" | "dist" | "__pycache__") {
                walk(root, &format!("{path}/{name}"), files, complaints)?;
            }
        }
    } else if let Some((_, kind @ ("rs" | "py" | "ts" | "tsx"))) = path.rsplit_once('.') {
        *files += 1;
        let text = fs::read_to_string(&full).context(format_args!("cannot read {path}"))?;
        complaints.extend(source(path, kind, &text));
    }
    Ok(())
}

fn source(path: &str, kind: &str, text: &str) -> Vec<String> {
    // Written in two halves, or this file would complain of itself.
    let banned: &[&str] = match kind {
        "rs" => &[
            concat!("to", "do!("),
            concat!("unimpl", "emented!("),
            concat!("db", "g!("),
            concat!("#[ign", "ore"),
        ],
        "py" => &[concat!("unittest.sk", "ip"), concat!("pytest.mark.sk", "ip")],
        _ => &[concat!(".sk", "ip("), concat!(".on", "ly(")],
    };
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        complaints.push(format!("{path} has {lines} lines; at most {MAX_LINES}"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim() == PLATFORM {
            continue;
        }
        if let Some(word) = banned.iter().find(|word| line.contains(**word)) {
            complaints.push(format!("{path}:{number} holds `{word}`"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_crate_is_named_once() {
        let tree = "eft-domain v0.1.0\nserde v1.0.0\naws-types v1.0.0\naws-types v1.0.0 (*)\nlaws v1.0.0\n";
        assert_eq!(
            dependencies("eft-domain", tree, &["aws-", "tokio"]),
            ["eft-domain must not depend on aws-types"]
        );
    }

    #[test]
    fn long_files_and_unfinished_code_are_found() {
        assert!(source("a.rs", "rs", &"x\n".repeat(500)).is_empty());
        assert_eq!(source("a.rs", "rs", &"x\n".repeat(501)), ["a.rs has 501 lines; at most 500"]);
        let text =
            format!("fn main() {{\n    {}!()\n}}\n#[{}]\n", concat!("to", "do"), concat!("ign", "ore"));
        assert_eq!(source("a.rs", "rs", &text).len(), 2);
        assert!(source("a.py", "py", &text).is_empty());
        assert!(source("a.rs", "rs", PLATFORM).is_empty());
    }
}
