//! `eft`: what operators and scripts do over the APIs.
//!
//! # Overview
//! What was typed ([`args`]) becomes requests ([`client`]) of the config API ([`routes`], [`documents`], [`audit`]) or of the status API
//! ([`jobs`], [`fleet`]), and their answers are shown as tables or as they came ([`show`]). Whatever is refused is a
//! [`fault`].

mod args;
mod audit;
mod client;
mod diff;
mod documents;
mod fault;
mod fleet;
mod jobs;
mod routes;
mod show;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{
    args::{Cli, Command, How},
    client::Client,
    fault::Fault,
    show::Shown,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "eft", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("eft: the runtime does not start: {error}");
            return ExitCode::from(4);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            eprintln!("eft: {fault}");
            ExitCode::from(fault.code())
        }
    }
}

/// Does what was typed; gives the exit code.
async fn run(cli: Cli) -> Result<u8, Fault> {
    let client = client(&cli.how)?;
    let shown = Shown { json: cli.how.json };
    let done = match &cli.command {
        Command::Routes(command) => routes::run(&client, shown, command).await,
        Command::Users(command) => documents::run(&client, shown, documents::USERS, command).await,
        Command::Partners(command) => documents::run(&client, shown, documents::PARTNERS, command).await,
        Command::Tenants(command) => documents::run(&client, shown, documents::TENANTS, command).await,
        Command::Jobs(command) => jobs::run(&client, shown, command).await,
        Command::Arrivals { state, page } => jobs::arrivals(&client, shown, *state, *page).await,
        Command::Audit { since, until, page } => {
            audit::list(&client, shown, since.as_deref(), until.as_deref(), *page).await
        }
        Command::Fleet => fleet::show(&client, shown).await,
        Command::Dlq(command) => fleet::redrive(&client, shown, command).await,
        Command::Completions { .. } => Ok(0),
    };
    let fault = match done {
        Ok(code) => return Ok(code),
        Err(fault) => fault,
    };
    eprintln!("eft: {fault}");
    // What to do about a code is the API's own knowledge.
    if let Some(path) = fault.remedy()
        && let Ok(kind) = client.get(path).await
        && let Some(remedy) = kind.body.get("remedy").and_then(serde_json::Value::as_str)
    {
        eprintln!("eft: what to do: {remedy}");
    }
    Ok(fault.code())
}

#[expect(clippy::disallowed_methods, reason = "the environment is read here, and by clap")]
fn client(how: &How) -> Result<Client, Fault> {
    let api =
        how.api.as_ref().ok_or_else(|| Fault::usage("where is the API? give --api URL or set EFT_API"))?;
    let token = match &how.token_file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| Fault::file(path, error))?,
        None => std::env::var("EFT_TOKEN")
            .map_err(|_| Fault::usage("no token: set EFT_TOKEN, or name a file with --token-file"))?,
    };
    Client::new(api, &token)
}
