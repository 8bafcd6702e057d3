//! Running programs: one at a time, each in a process group of its own, and none left behind.
//!
//! # Cancellation
//! SIGINT, SIGTERM and SIGHUP are passed on to the running group as SIGTERM; what has not ended after [`GRACE`], or at
//! the second signal, is killed. The group is ended by its id, which nobody else can get while a member lives.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI32, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Longer than nextest's own grace period (10 s), so that it can end its tests itself.
const GRACE: Duration = Duration::from_secs(15);

static GROUP: Mutex<Option<Pid>> = Mutex::new(None);
static STOPPED: AtomicI32 = AtomicI32::new(0);

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Called in a wrong way.
    Usage,
    /// This step did not succeed.
    Failed(String),
    /// This signal came.
    Signal(i32),
}

/// What a step gives.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str("wrong usage"),
            Self::Failed(what) => f.write_str(what),
            Self::Signal(signal) => write!(f, "stopped by signal {signal}"),
        }
    }
}

impl Stop {
    /// The exit code; a signal's as a shell reports it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Failed(_) => 1,
            Self::Signal(signal) => 128 + u8::try_from(*signal).unwrap_or(0),
        }
    }
}

/// A failed step with this text.
pub(crate) fn failed<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Stop::Failed(what.into()))
}

/// Turns an IO error into a failed step.
pub(crate) trait Context<T> {
    /// `what` says what was tried.
    fn context(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Stop::Failed(format!("{what}: {error}")))
    }
}

fn group() -> std::sync::MutexGuard<'static, Option<Pid>> {
    GROUP.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on signals end the running group, then this program.
pub(crate) fn watch_signals() -> Outcome {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch signals")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let first = STOPPED.swap(signal, SeqCst) == 0;
            let Some(running) = *group() else {
                std::process::exit(128 + signal);
            };
            if first {
                end(running, Signal::TERM);
                thread::spawn(move || {
                    thread::sleep(GRACE);
                    if *group() == Some(running) {
                        end(running, Signal::KILL);
                    }
                });
            } else {
                end(running, Signal::KILL);
            }
        }
    });
    Ok(())
}

/// A group that has just ended is no error.
fn end(group: Pid, signal: Signal) {
    if let Err(error) = kill_process_group(group, signal)
        && error != rustix::io::Errno::SRCH
    {
        eprintln!("xtask: cannot signal process group {group}: {error}");
    }
}

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    text: String,
}

impl Run {
    /// Runs in `root`, with this program's standard output and error and no input.
    pub(crate) fn new(root: &Path, program: impl AsRef<OsStr>) -> Self {
        let text = Path::new(program.as_ref()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.current_dir(root).stdin(Stdio::null()).process_group(0);
        // What `cargo run` says of this crate. The build script of ring takes it for its own, and cargo would build ring and
        // all that stands on it anew whenever people's `cargo test` and this program take turns.
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
            {
                command.env_remove(name);
            }
        }
        Self { command, text }
    }

    /// `cargo`, the one that runs us.
    pub(crate) fn cargo<'a>(root: &Path, args: impl IntoIterator<Item = &'a str>) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::new(root, cargo).args(args)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.text.push(' ');
        self.text.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs to the end; anything but exit code 0 is a failure.
    pub(crate) fn run(mut self) -> Outcome {
        self.wait().map(drop)
    }

    /// The same, and gives what it wrote to standard output.
    pub(crate) fn output(mut self) -> Outcome<String> {
        self.command.stdout(Stdio::piped());
        self.wait()
    }

    fn wait(&mut self) -> Outcome<String> {
        let text = &self.text;
        let (mut child, leader) = {
            // Held over the start, so that a signal finds either no child or this one.
            let mut group = group();
            stopped()?;
            let child = self.command.spawn().context(format_args!("cannot start `{text}`"))?;
            let leader = Pid::from_child(&child);
            *group = Some(leader);
            (child, leader)
        };
        let mut output = String::new();
        let read = match child.stdout.take() {
            Some(mut stdout) => std::io::Read::read_to_string(&mut stdout, &mut output),
            None => Ok(0),
        };
        let status = child.wait();
        let left = test_kill_process_group(leader).is_ok();
        if left {
            end(leader, Signal::KILL);
        }
        *group() = None;
        stopped()?;
        read.context(format_args!("cannot read from `{text}`"))?;
        let status = status.context(format_args!("cannot wait for `{text}`"))?;
        if left {
            return failed(format!("`{text}` left processes behind; they were killed"));
        }
        if !status.success() {
            return failed(format!("`{text}` failed: {status}"));
        }
        Ok(output)
    }
}

fn stopped() -> Outcome {
    match STOPPED.load(SeqCst) {
        0 => Ok(()),
        signal => Err(Stop::Signal(signal)),
    }
}

/// Runs a step under a heading and says how long it took.
pub(crate) fn step(title: &str, work: impl FnOnce() -> Outcome) -> Outcome {
    println!("\n== {title}");
    let begun = Instant::now();
    let result = work();
    let word = if result.is_ok() { "done" } else { "failed" };
    println!("== {title}: {word} in {:.1} s", begun.elapsed().as_secs_f64());
    result
}
