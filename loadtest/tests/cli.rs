//! The program as a process, without anything to load.

use std::process::{Command, Output};

fn eft_loadtest(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eft-loadtest"))
        .args(args)
        .env_remove("EFT_TEST_ENDPOINT")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("it is there, as cargo has built it")
}

#[test]
fn scenarios_are_listed_with_what_they_ask() {
    let said = eft_loadtest(&["list", "--scenarios", "scenarios"]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success() && text.contains("noisy-neighbour"), "{text}");
    assert!(text.lines().all(|line| line.len() > 40), "{text}");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_started() {
    for (args, says) in [
        (
            &["run", "nothing-of-the-kind", "--emulator", "http://127.0.0.1:9"][..],
            "nothing-of-the-kind.yaml: No such file",
        ),
        (&["run", "soak", "--scenarios", "scenarios"], "--emulator <URL>"),
        (&["compare", "Cargo.toml", "Cargo.toml"], "Cargo.toml: expected value at line 1"),
        (&["list", "--scenarios", "nowhere"], "nowhere: No such file"),
    ] {
        let said = eft_loadtest(args);
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    }
}
