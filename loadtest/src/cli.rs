//! The command line.

use std::{
    fs,
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    compare,
    platform::{Ground, Outcome, Platform},
    record::{Growth, Machine, Record, Sample},
    report,
    run::{Options, once},
    scenario::Scenario,
    verdict,
};

/// Load for the platform: scenarios, each with a report and a verdict
#[derive(Debug, Parser)]
#[command(name = "eft-loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What scenarios there are
    List {
        /// Where their files are
        #[arg(long, value_name = "DIR", default_value = "loadtest/scenarios")]
        scenarios: PathBuf,
    },
    /// Run scenarios; exit code 1 where one does not hold what it promises
    Run {
        /// Names, or files
        #[arg(required = true, value_name = "SCENARIO")]
        names: Vec<String>,
        /// Where their files are
        #[arg(long, value_name = "DIR", default_value = "loadtest/scenarios")]
        scenarios: PathBuf,
        /// Where NAME.html and NAME.json are written to
        #[arg(long, value_name = "DIR", default_value = ".eft/load")]
        out: PathBuf,
        /// Where arrivals, kills and faults are drawn from
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// So many times as long as the file says
        #[arg(long, value_name = "TIMES", default_value_t = 1.0)]
        stretch: f64,
        /// Check nothing that depends on how quick the machine is
        #[arg(long)]
        no_times: bool,
        /// Where AWS's emulator answers
        #[arg(long, value_name = "URL", env = "EFT_TEST_ENDPOINT")]
        emulator: String,
        /// The program `eft-worker` [default: the one beside this program]
        #[arg(long, value_name = "FILE")]
        worker: Option<PathBuf>,
    },
    /// Two runs beside each other
    Compare {
        /// NAME.json of the one before
        before: PathBuf,
        /// NAME.json of the one after
        after: PathBuf,
    },
}

/// What the program does.
pub async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What was started ends with what is dropped here.
    let acted = tokio::select! {
        acted = act(arguments.command) => acted,
        stopped = stopped() => stopped,
    };
    match acted {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("eft-loadtest: {error}");
            ExitCode::from(2)
        }
    }
}

/// Somebody wants it to end.
async fn stopped() -> Outcome<bool> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

/// Whether everything held.
async fn act(action: Action) -> Outcome<bool> {
    match action {
        Action::List { scenarios } => {
            for path in files(&scenarios)? {
                let (scenario, _) = Scenario::read(&path)?;
                println!("{:<26} {}", name_of(&path), scenario.about);
            }
            Ok(true)
        }
        Action::Run { names, scenarios, out, seed, stretch, no_times, emulator, worker } => {
            let worker = worker.map_or_else(beside, Ok)?;
            fs::create_dir_all(&out)?;
            // All are read before the first is run.
            let paths = names.iter().map(|name| path_of(&scenarios, name));
            let read: Vec<_> =
                paths.map(|path| Ok((name_of(&path), Scenario::read(&path)?))).collect::<Outcome<_>>()?;
            let (mut holds, mut number) = (true, 0);
            for (name, (scenario, file)) in read {
                let ground = || {
                    number += 1;
                    let account =
                        format!("{:012}", 300_000_000_000 + 100 * u64::from(std::process::id()) + number);
                    Ground { emulator: emulator.clone(), worker: worker.clone(), account }
                };
                let scenario = scenario.stretched(stretch)?;
                let file =
                    format!("# --stretch {stretch}{}\n{file}", if no_times { " --no-times" } else { "" });
                let record = measured(&name, &scenario, file, ground, &Options { seed, no_times }).await?;
                println!("{}", summary(&record));
                let (html, json) = (out.join(format!("{name}.html")), out.join(format!("{name}.json")));
                fs::write(&html, report::html(&record))?;
                fs::write(&json, serde_json::to_string(&record)?)?;
                println!("report: {}\n", html.display());
                holds &= record.checks.iter().all(|check| check.holds);
            }
            Ok(holds)
        }
        Action::Compare { before, after } => {
            println!("{}", compare::table(&record(&before)?, &record(&after)?));
            Ok(true)
        }
    }
}

/// A run, or one for each value of its series.
async fn measured(
    name: &str,
    scenario: &Scenario,
    file: String,
    mut ground: impl FnMut() -> Ground,
    options: &Options,
) -> Outcome<Record> {
    println!("== {name}: {}", scenario.about);
    let commit = commit();
    let begun = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let view = View::new();
    let mut record = match &scenario.series {
        None => {
            once(scenario, Platform::new(ground(), &[]).await?, options, &|sample| view.show(sample)).await?
        }
        Some(series) => {
            let (mut checks, mut points, mut last) = (Vec::new(), Vec::new(), Record::default());
            let mut of = "";
            for value in &series.values {
                let platform = Platform::new(ground(), &[]).await?;
                let scenario = scenario.with(series.of, *value);
                last = once(&scenario, platform, options, &|sample| view.show(sample)).await?;
                let (across, number) = series.of.across(*value, last.totals.jobs);
                of = across;
                println!("  {number} {across}: {:.2} CPU-s of the workers", last.totals.cpu_seconds);
                points.push((number, last.totals.cpu_seconds));
                checks.extend(last.checks.drain(..).map(|mut check| {
                    check.what = format!("{value} {}: {}", series.of.name(), check.what);
                    check
                }));
            }
            last.checks = checks;
            last.growth = Some(Growth { of: of.to_owned(), points, exponent: f64::NAN });
            verdict::grows(&mut last, scenario.expect.exponent.unwrap_or(f64::NAN));
            last
        }
    };
    view.end();
    record.scenario = name.to_owned();
    record.about = scenario.about.clone();
    record.file = file;
    record.commit = commit;
    record.begun = begun;
    record.machine = machine();
    Ok(record)
}

/// What goes on: a line that changes on a terminal, one in ten seconds elsewhere.
struct View {
    bar: ProgressBar,
    lines: bool,
}

impl View {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, lines: !std::io::stderr().is_terminal() }
    }

    fn show(&self, sample: &Sample) {
        let text = format!(
            "{:6.0} s  {:<12} {:5} open  {:3} busy  {:7.1} MiB/s  {:4.2} CPUs  {:5.0} MiB  {:3} requests",
            sample.at,
            sample.phase,
            sample.open,
            sample.busy,
            sample.read_mib,
            sample.cpu,
            sample.rss_mib,
            sample.in_flight,
        );
        if self.lines && (sample.at as u64).is_multiple_of(10) {
            self.bar.suspend(|| println!("{text}"));
        }
        self.bar.set_message(text);
    }

    fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn summary(record: &Record) -> String {
    let totals = &record.totals;
    let mut text = format!(
        "{} jobs, {:.1} MiB in {:.1} s; workers: {:.2} CPU-s ({:.1} ms a job), {:.0} MiB at most, {} killed\n",
        totals.jobs,
        totals.bytes as f64 / f64::from(1 << 20),
        totals.seconds,
        totals.cpu_seconds,
        totals.cpu_seconds * 1e3 / totals.jobs.max(1) as f64,
        totals.peak_rss_mib,
        totals.killed,
    );
    for group in &record.groups {
        let latency = &group.latency;
        text += &format!(
            "  {:<12} {:<14} {:6} jobs, ms: p50 {:.0}, p90 {:.0}, p99 {:.0}, most {:.0}\n",
            group.phase, group.tenants, group.jobs, latency.p50, latency.p90, latency.p99, latency.max,
        );
    }
    for check in &record.checks {
        let holds = if check.holds { "ok  " } else { "FAIL" };
        text += &format!("{holds} {}: {} (allowed: {})\n", check.what, check.seen, check.allowed);
    }
    text
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    paths.sort();
    Ok(paths)
}

fn path_of(folder: &Path, name: &str) -> PathBuf {
    if name.ends_with(".yaml") { name.into() } else { folder.join(format!("{name}.yaml")) }
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn record(path: &Path) -> Outcome<Record> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn beside() -> Outcome<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.with_file_name("eft-worker"))
}

/// The commit of the folder it is started in, and how this program was built, as the worker beside it; without git, or outside
/// a repository, it is unknown.
fn commit() -> String {
    let said = Command::new("git").args(["describe", "--always", "--dirty", "--exclude", "*"]).output();
    let text = said.ok().filter(|said| said.status.success()).map(|said| said.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let commit = if text.is_empty() { "unknown" } else { &text };
    format!("{commit}, {} build", if cfg!(debug_assertions) { "debug" } else { "release" })
}

fn machine() -> Machine {
    let text = |path: &str| {
        let mut text = String::new();
        // What cannot be read is left out of the report.
        fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)).unwrap_or_default();
        text
    };
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let memory = field(&text("/proc/meminfo"), "MemTotal");
    Machine {
        processor: field(&text("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_mib: memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024,
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
    }
}
