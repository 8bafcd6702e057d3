//! What the user typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Keeps tenants, routes and users, and follows jobs, over the APIs of EFT.
///
/// The token of the API is read from EFT_TOKEN or a file. Exit codes: 0 done, 2 usage, 3 a watched job was rejected, 4 it
/// failed or the API did not do what was asked.
#[derive(Debug, Parser)]
#[command(name = "eft", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) how: How,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the API is, and how its answers are shown.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Where the API is, such as https://api.example.com.
    #[arg(long, env = "EFT_API", value_name = "URL", global = true)]
    pub(crate) api: Option<String>,
    /// The file with the token; otherwise EFT_TOKEN is the token.
    #[arg(long, env = "EFT_TOKEN_FILE", value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// Print what the API answers, as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What is done with which files.
    #[command(subcommand)]
    Routes(Routes),
    /// What became of the files.
    #[command(subcommand)]
    Jobs(Jobs),
    /// Files that no route takes, or that are not whole yet.
    Arrivals {
        /// Which of the two.
        #[arg(value_enum, default_value_t = Arrival::Unrouted)]
        state: Arrival,
        #[command(flatten)]
        page: Page,
    },
    /// Partners: who sends files.
    #[command(subcommand)]
    Partners(Documents),
    /// Users of the SFTP server.
    #[command(subcommand)]
    Users(Documents),
    /// Tenants and their limits, for whoever runs the platform; `show` without a name is one's own.
    #[command(subcommand)]
    Tenants(Documents),
    /// Who has changed what, and when; the latest first.
    Audit {
        /// Only what was done then or later, such as 2026-11-27T09:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only what was done before.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Queues: how much waits, and how much was set aside.
    Fleet,
    /// Messages that were set aside.
    #[command(subcommand)]
    Dlq(Dlq),
    /// Print what completes this command line in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Routes {
    /// All routes.
    List(Page),
    /// A route as it stands, or as a change or revision made it.
    Show {
        /// Its name.
        name: String,
        /// The number of a change, or the 16 digits of a revision.
        #[arg(long, value_name = "REVISION")]
        revision: Option<String>,
    },
    /// The changes of a route, and who made them.
    Revisions {
        /// Its name.
        name: String,
        #[command(flatten)]
        page: Page,
    },
    /// Say what is wrong with routes, without saving them.
    Validate(Files),
    /// Say what saving routes would change.
    Plan(Files),
    /// Save routes, each unless it has changed since it was read.
    Apply(Files),
    /// Let a route take no files for now.
    Pause {
        /// Its name.
        name: String,
    },
    /// Let a route take files again, with those that wait.
    Activate {
        /// Its name.
        name: String,
    },
    /// Say what would become of a file of this name and size.
    Simulate {
        /// As its sender gives it, such as in/orders/a.csv.
        name: String,
        /// Bytes.
        size: u64,
        /// As if this route were saved.
        #[arg(long, value_name = "FILE")]
        route: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// The jobs that changed last.
    List {
        /// Only those that stand so, such as FAILED.
        #[arg(long)]
        state: Option<String>,
        /// Only those of this route.
        #[arg(long)]
        route: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// A job as it stands.
    Show {
        /// Its id.
        job: String,
    },
    /// What became of a job, in order, and who asked for it.
    Events {
        /// Its id.
        job: String,
    },
    /// Follow a job until it has ended.
    Watch {
        /// Its id.
        job: String,
        /// Give up after so many seconds: exit code 4.
        #[arg(long, value_name = "SECONDS")]
        within: Option<u64>,
    },
    /// Print the signed receipt of a job, as `eft-worker verify` reads it.
    Receipt {
        /// Its id.
        job: String,
    },
    /// The records that were rejected, and why.
    Rejects {
        /// Its id.
        job: String,
    },
    /// Run a job once more.
    Replay {
        #[command(flatten)]
        act: Act,
        /// With the route as it stands now; otherwise with the one that the job had.
        #[arg(long)]
        current: bool,
    },
    /// Deliver to the destinations that have not got it.
    Redeliver(Act),
    /// Go on with a job that waits.
    Resume(Act),
    /// Do not run a job.
    Cancel(Act),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Documents {
    /// All of them.
    List(Page),
    /// One as it stands.
    Show {
        /// Its name.
        name: Option<String>,
    },
    /// Say what saving these would change.
    Plan(Files),
    /// Save these, each unless it has changed since it was read.
    Apply(Files),
    /// Remove one, unless it changes meanwhile. A tenant is not removed.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// Give the messages back to the queue they came from.
    Redrive {
        /// Which: ingest or work.
        queue: String,
        /// Why: it stands in the log.
        #[arg(long)]
        reason: String,
    },
}

/// How much of a list.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Page {
    /// Most items.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// What is read.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// YAML, or JSON if the name ends in .json.
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// What is done to a job.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Its id.
    pub(crate) job: String,
    /// Why: it stands in the job's history.
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrival {
    /// No route takes them.
    Unrouted,
    /// They are not whole yet.
    Incomplete,
}
