//! Places, and what the steps need beyond the Rust toolchain: a Python environment and cargo-nextest, pinned, in `.eft/`;
//! and a few programs of the system.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::run::{Context, Outcome, Run, Stop, failed};

/// The version this workspace is tested with; an installed one of at least this is used as it is.
const NEXTEST: &str = "0.9.143";

/// Newest first. Plain `python3` goes before all: it is what the user means.
const PYTHONS: [&str; 6] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];

/// OpenSSH's client; with `ssh` come `sftp` and `ssh-keygen`.
const SSH: (&str, &str) = ("ssh", "openssh-client");

/// Programs that check what the worker makes, that it is measured beside, that send files over SFTP, and that the portal
/// is looked at with, each with its package.
const PROGRAMS: [(&str, &str); 11] = [
    ("bzip2", "bzip2"),
    ("chromium", "chromium"),
    ("clamd", "clamav-daemon"),
    ("gpg", "gpg"),
    ("gpg-agent", "gpg-agent"),
    ("gzip", "gzip"),
    SSH,
    ("unzip", "unzip"),
    ("xz", "xz-utils"),
    ("zip", "zip"),
    ("zstd", "zstd"),
];

/// Programs that only the benches run beside the worker, each with its package.
const MEASURED: [(&str, &str); 2] = [("igzip", "isal"), ("pigz", "pigz")];

/// Where things are.
#[derive(Debug)]
pub(crate) struct Places {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// What is installed or made here and ignored by git.
    pub(crate) eft: PathBuf,
    /// cargo's target folder: the one this program was built into.
    pub(crate) target: PathBuf,
}

impl Places {
    /// Finds them.
    pub(crate) fn find() -> Outcome<Self> {
        let root = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .context("cannot find the workspace")?;
        let own = std::env::current_exe().context("cannot find this program")?;
        let Some(target) = own.parent().and_then(Path::parent) else {
            return failed("this program is not in a target folder");
        };
        Ok(Self { eft: root.join(".eft"), target: target.to_owned(), root })
    }

    /// A file of this crate.
    pub(crate) fn own(&self, path: &str) -> PathBuf {
        self.root.join("deploy/xtask").join(path)
    }

    /// `cargo …` in the workspace, into the target folder all steps share.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        Run::cargo(&self.root, args).env("CARGO_TARGET_DIR", &self.target)
    }

    /// Builds what is measured beside other programs, always all of it: with others beside them, dependencies have other
    /// features, and would be built once more for each command.
    pub(crate) fn build_release(&self) -> Outcome {
        self.cargo(["build", "--release", "--quiet"])
            .args(["-p", "eft-worker", "-p", "eft-s3", "-p", "eft-loadtest", "--bins"])
            .args(["--example", "relay", "--example", "sha256"])
            .run()
    }

    /// A script of this crate, in the Python environment, for the programs that cargo has put into this folder of its
    /// target folder.
    pub(crate) fn python(&self, script: &str, built: &str) -> Run {
        Run::new(&self.root, self.eft.join("venv/bin/python"))
            .arg(self.own(script))
            .env("PYTHONPATH", format!("{}:{}", self.own("common").display(), self.own("platform").display()))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1")
            .env("EFT_BIN", self.target.join(built))
            .env("EFT_DIR", &self.eft)
            .env("CARGO_TARGET_DIR", &self.target)
    }
}

/// Makes sure that the Python environment holds what `requirements.txt` says.
pub(crate) fn python_environment(places: &Places) -> Outcome {
    let (venv, stamp) = (places.eft.join("venv"), places.eft.join("venv/eft-requirements.txt"));
    let wanted = fs::read(places.own("requirements.txt")).context("cannot read requirements.txt")?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let python = find_python(&places.root)?;
    println!("installing S3 clients for Python into .eft/venv (once; `{python}`)");
    fs::create_dir_all(&places.eft).context("cannot make .eft")?;
    let made = Run::new(&places.root, &python).args(["-m", "venv", "--clear"]).arg(&venv).run();
    if let Err(Stop::Failed(why)) = made {
        return failed(format!(
            "{why}; on Debian and Ubuntu `apt install python3-venv` adds the missing module"
        ));
    }
    pip(places, "requirements.txt")?;
    fs::write(&stamp, wanted).context("cannot write the environment's stamp")
}

/// Makes sure that the environment, which is there, also holds what only the benches compare with.
pub(crate) fn peers(places: &Places) -> Outcome {
    pip(places, "bench/peers/requirements.txt")
}

/// Makes sure that the environment, which is there, also holds what makes and checks a build of the functions.
pub(crate) fn packagers(places: &Places) -> Outcome {
    pip(places, "package/requirements.txt")
}

/// Builds the programs over other S3 clients into `.eft/peers`.
pub(crate) fn peers_in_rust(places: &Places) -> Outcome {
    build_peers(places, "eft-peers").run()
}

/// Builds the program over other readers of records into `.eft/peers`, for this very processor: `sonic-rs` is as quick as it
/// can be only then, and none of them is slower for it.
pub(crate) fn validators_in_rust(places: &Places) -> Outcome {
    build_peers(places, "eft-peer-validators").env("RUSTFLAGS", "-C target-cpu=native").run()
}

fn build_peers(places: &Places, package: &str) -> Run {
    let peers = places.own("bench/peers");
    Run::cargo(&peers, ["build", "--release", "--quiet", "--locked", "--bins", "--package", package])
        .env("CARGO_TARGET_DIR", places.eft.join("peers"))
}

fn pip(places: &Places, requirements: &str) -> Outcome {
    Run::new(&places.root, places.eft.join("venv/bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
        .arg(places.own(requirements))
        .run()
}

fn find_python(root: &Path) -> Outcome<String> {
    let check = "import sys; print(sys.version_info >= (3, 10))";
    for name in PYTHONS {
        let found = Run::new(root, name).args(["-c", check]).output();
        match found {
            Ok(answer) if answer.trim() == "True" => return Ok(name.to_owned()),
            Err(stop @ Stop::Signal(_)) => return Err(stop),
            _ => {}
        }
    }
    failed("Python 3.10 or later is needed")
}

/// Makes sure that [`PROGRAMS`] are there: a container's root installs them, everybody else is told how to.
pub(crate) fn programs(places: &Places) -> Outcome {
    install(places, &PROGRAMS)
}

/// Makes sure that what is measured is there: [`PROGRAMS`], and what only the benches run.
pub(crate) fn measured_programs(places: &Places) -> Outcome {
    install(places, &[PROGRAMS.as_slice(), &MEASURED].concat())
}

/// Makes sure that there is an SFTP client, the one program of [`PROGRAMS`] that the demo needs.
pub(crate) fn sftp_client(places: &Places) -> Outcome {
    install(places, &[SSH])
}

fn install(places: &Places, programs: &[(&str, &'static str)]) -> Outcome {
    // All know `--version`, but for two; and daemons stand where not every user looks.
    let there = |name: &str| {
        let version = match name {
            "unzip" => "-v",
            "ssh" => "-V",
            _ => "--version",
        };
        for path in [name.to_owned(), format!("/usr/sbin/{name}")] {
            match Run::new(&places.root, path).arg(version).output() {
                Ok(_) => return Ok(true),
                Err(Stop::Failed(_)) => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok(false)
    };
    let mut missing = Vec::new();
    for (name, package) in programs {
        if !there(name)? {
            missing.push(*package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() || !there("apt-get")? {
        return failed(format!(
            "not found: {list}; on Debian and Ubuntu `sudo apt install {list}`, on macOS `brew install` with the programs' names"
        ));
    }
    println!("installing with apt-get, as root: {list}");
    let apt = |args: &[&str]| {
        let apt = Run::new(&places.root, "apt-get").env("DEBIAN_FRONTEND", "noninteractive");
        apt.arg("-qq").args(args).run()
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())
}

/// Runs `cargo nextest` with these arguments; installs it first if there is none or an older one.
pub(crate) fn nextest<'a>(places: &Places, args: impl IntoIterator<Item = &'a str>) -> Outcome {
    let (program, arg) = nextest_program(places)?;
    let run = Run::new(&places.root, program).arg(arg).args(args);
    run.env("CARGO_TARGET_DIR", &places.target).run()
}

/// The program that is nextest, and its first argument.
pub(crate) fn nextest_program(places: &Places) -> Outcome<(PathBuf, &'static str)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let installed = places.cargo(["nextest", "--version"]).output();
    if installed.is_ok_and(|version| at_least(&version, NEXTEST)) {
        return Ok((cargo.into(), "nextest"));
    }
    let home = places.eft.join("cargo");
    let own = home.join("bin/cargo-nextest");
    let version = if own.exists() {
        Run::new(&places.root, &own).args(["nextest", "--version"]).output()?
    } else {
        String::new()
    };
    if !at_least(&version, NEXTEST) {
        println!("installing cargo-nextest {NEXTEST} into .eft/cargo (once; takes some minutes)");
        Run::cargo(&places.root, ["install", "cargo-nextest", "--locked", "--force", "--quiet"])
            .args(["--version", NEXTEST])
            .arg("--root")
            .arg(&home)
            .env("CARGO_TARGET_DIR", places.eft.join("cargo-build"))
            .run()?;
        fs::remove_dir_all(places.eft.join("cargo-build")).context("cannot clear .eft/cargo-build")?;
    }
    Ok((own, "nextest"))
}

/// Whether `cargo-nextest 1.2.3 (…)` names at least this version.
fn at_least(answer: &str, wanted: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(|n| n.parse().ok()).collect::<Option<Vec<u32>>>();
    let found = answer.split_whitespace().nth(1).and_then(numbers);
    found.is_some_and(|found| Some(found) >= numbers(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\nrelease: 0.9.143", "0.9.143"));
        assert!(at_least("cargo-nextest 0.10.2", "0.9.143"));
        assert!(!at_least("cargo-nextest 0.9.99", "0.9.143"));
        assert!(!at_least("", "0.9.143"));
        assert!(!at_least("cargo-nextest unknown", "0.9.143"));
    }
}
