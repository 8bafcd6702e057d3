//! `cargo xtask COMMAND`: what people and CI run.
//!
//! A command is a list of steps; a step is another program, started in a process group of its own, so that Ctrl-C ends
//! it and all it started ([`run`]). What a step needs beyond the Rust toolchain and Python is installed, pinned, below
//! `.eft/` ([`tools`]). The steps that need S3 clients are Python, beside this crate's `src/`.
#![expect(
    clippy::disallowed_methods,
    reason = "a build tool: it has no runtime thread to block and no clock to pause"
)]

mod bench;
mod demo;
mod deploy;
mod fuzz;
mod guards;
mod interop;
mod load;
mod node;
mod package;
mod platform;
mod portal;
mod run;
mod state_machine;
mod test;
mod tools;

use std::process::ExitCode;

use run::Outcome;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo                  a partner's files through the whole platform on this machine, each outcome checked
  demo thousand         so many small files at once (or EFT_FILES), and what each costs in requests
  demo engine           one file through the worker alone and back, checked, then a broken one
  up                    that platform and its portal, until Ctrl-C
  down                  ends the platform that is up
  ministack PROGRAM ... a program with AWS's emulator beside it, such as `cargo test` of what needs it
  test                  everything CI runs, cheap checks first
  interop [[-]NAME ...] gates of the worker and other S3 clients against it; only tests whose name holds NAME, or all
                        but those
  bench [--work identity|flights|stages|chains|validators|sha256|growth|first-byte|cold-start] [--runs N] [--only NAME]
        [--size SIZE] [--tls]
                        CPU, memory and time beside other programs, or from 1 MiB to SIZE, as a markdown table
  load SCENARIO ... [--seed N] [--stretch TIMES] [--no-times]
                        workers under load, with a report for each scenario in .eft/load
  load list, load compare BEFORE AFTER
                        what scenarios there are; two runs of one beside each other, by their NAME.json
  fuzz [TARGET ...] [--minutes N] [--cores N]
                        every parser under libFuzzer, those first that had least; needs a compiler of C++
  package x86_64|arm64  a build of the Lambda functions, for a deployment to AWS
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => return usage(),
    };
    if !matches!(command, "demo" | "ministack" | "interop" | "bench" | "load" | "fuzz" | "package")
        && !rest.is_empty()
    {
        return usage();
    }
    let result = run::watch_signals().and_then(|()| match command {
        "demo" => demo::demo(rest),
        "up" => demo::up(),
        "down" => demo::down(),
        "ministack" if !rest.is_empty() => platform::beside(rest),
        "test" => test::test(),
        "interop" => interop::interop(rest),
        "bench" => bench::bench(rest),
        "load" => load::load(rest),
        "fuzz" => fuzz::fuzz(rest),
        "package" => package::package(rest),
        _ => Err(run::Stop::Usage),
    });
    finish(result)
}

fn finish(result: Outcome) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Stop::Usage) => usage(),
        Err(stop) => {
            eprintln!("xtask: {stop}");
            ExitCode::from(stop.code())
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
