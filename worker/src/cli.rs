//! The command line. Exit codes: 0 done, 2 usage or configuration, 3 rejected, 4 failed, 130 interrupted.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::{Args, Parser, Subcommand};
use eft_domain::{
    ByteSize, Class, Code, Failure, ObjectUri, Route,
    receipt::{DeliveryOutcome, SignedReceipt},
    route::{Profile, did_you_mean},
};
use eft_pipeline::{
    budget::Budget,
    concurrency::Concurrency,
    error::of_sink,
    fetch::checksum_of,
    given::Given,
    keys::{Keyring, Keys, NoKeys},
    port::ErrorKind,
    scanner::Scanner,
    stage::catalogue::{self, Entry},
};
use eft_worker::{
    clamd::{Address, Clamd},
    kept::CheckpointAt,
    keys::Folder,
    place::{self, Goal},
    run::Job,
    s3::{Client, crc_to_text},
    secrets,
    sign::{SigningKey, check},
};
use tokio_util::sync::CancellationToken;

use crate::{
    output::{self, Shown},
    service::Service,
};

/// Moves one object of any size, checked and transformed in one pass, and says in a signed receipt what it did.
#[derive(Debug, Parser)]
#[command(name = "eft-worker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Move an object.
    Transfer {
        #[command(flatten)]
        what: What,
        /// Write the signed receipt to this file; otherwise it is not kept.
        #[arg(long, value_name = "FILE")]
        receipt: Option<PathBuf>,
        /// Print nothing but errors.
        #[arg(long, conflicts_with = "json")]
        quiet: bool,
        /// Print the signed receipt to standard output.
        #[arg(long)]
        json: bool,
    },
    /// Say what a transfer would do, without moving a byte.
    Plan {
        #[command(flatten)]
        what: What,
    },
    /// Check a receipt's signature, and that the destination still holds the bytes it names.
    Verify {
        /// The receipt.
        receipt: PathBuf,
    },
    /// Make the key that signs receipts, unless there is one, and print its public key (Ed25519, base64).
    Key,
    /// Take jobs from the work queue and run them until stopped.
    Serve(Service),
    /// Say which stages a route may name, or print the page of one of them.
    Stages {
        /// A stage, such as validate.csv; none: the table of all.
        name: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct What {
    /// The route (YAML, or JSON if the name ends in .json); none: the bytes as they are.
    #[arg(long, value_name = "FILE")]
    route: Option<PathBuf>,
    /// Memory for bytes in flight and stages [default: 128MiB, more where the parts of a huge object need it].
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Most requests in flight in each direction.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    concurrency: u16,
    /// Size of the first parts; the plan makes parts larger where it must.
    #[arg(long, value_name = "SIZE")]
    part_size: Option<ByteSize>,
    /// Stream every byte, also where no stage reads them and S3 could copy the object itself.
    #[arg(long)]
    no_server_copy: bool,
    /// Keep in this file what a later run needs to go on, and go on from what it holds; gone when the run has ended.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// How much of the source a resumed run may read again [default: 256MiB, or twice the memory].
    #[arg(long, value_name = "SIZE", requires = "checkpoint")]
    checkpoint_interval: Option<ByteSize>,
    /// A folder with what the route names: secrets in NAME.key, OpenPGP keys in NAME.asc or NAME.pgp. The passphrase of a
    /// secret key is in NAME.pass, or in EFT_PASSPHRASE_NAME (capitals, _ for what is no letter or digit).
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Where the clamd of a route that scans listens: host:port or unix:/path [default: what EFT_SCANNER says].
    #[arg(long, value_name = "ADDR")]
    scanner: Option<Address>,
    /// s3://bucket/key[?versionId=…], a path, or - for standard input.
    #[arg(value_name = "SRC")]
    source: ObjectUri,
    /// s3://bucket/key, a path, or - for standard output. Several get the same bytes from one pass; one that fails does not
    /// keep the others from getting them.
    #[arg(value_name = "DST", required = true)]
    destinations: Vec<ObjectUri>,
}

impl What {
    async fn job(self) -> Result<Job, Failure> {
        let route = match &self.route {
            None => Route::identity(),
            Some(path) => read_route(path)?,
        };
        let is_version = |uri: &&ObjectUri| matches!(uri, ObjectUri::S3 { version_id: Some(_), .. });
        if let Some(uri) = self.destinations.iter().find(is_version) {
            let message = format!("{uri}: a version cannot be written; leave out ?versionId=");
            return Err(configuration(message));
        }
        let secrets = Arc::new(secrets::read(self.keys.as_deref(), &route)?);
        let keys: Box<dyn Keys> = match self.keys {
            Some(folder) => Box::new(Folder::new(folder, variable)),
            None => Box::new(NoKeys),
        };
        let keys = Keyring::resolve(&route.stages, keys.as_ref(), SystemTime::now()).await?;
        let scanner = scanner(self.scanner)?;
        Ok(Job {
            route,
            given: Given { secrets, keys, scanner, ..Given::default() },
            source: self.source,
            destinations: self.destinations.into_iter().map(Goal::new).collect(),
            memory: self.memory,
            concurrency: usize::from(self.concurrency),
            part_size: self.part_size,
            server_copy: !self.no_server_copy,
            checkpoint: self.checkpoint.map(CheckpointAt::File),
            run: None,
            permit: None,
            shared: None,
            interval: self.checkpoint_interval,
        })
    }
}

/// The scanner that was named, or that the environment names.
pub(crate) fn scanner(named: Option<Address>) -> Result<Option<Arc<dyn Scanner>>, Failure> {
    let address = match (named, variable("EFT_SCANNER")) {
        (Some(address), _) => address,
        (None, None) => return Ok(None),
        (None, Some(text)) => text.parse().map_err(|error| configuration(format!("EFT_SCANNER: {error}")))?,
    };
    Ok(Some(Arc::new(Clamd::new(address))))
}

pub(crate) fn configuration(message: String) -> Failure {
    Failure::new(Code::Configuration, message)
}

fn read_route(path: &Path) -> Result<Route, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| configuration(format!("route {}: {error}", path.display())))?;
    let json = path.extension().is_some_and(|extension| extension == "json");
    let parse = if json { Route::parse_json } else { Route::parse_yaml };
    parse(&text, Profile::Cli).map_err(Failure::from)
}

fn exit_code(failure: &Failure) -> ExitCode {
    ExitCode::from(match failure.code.class() {
        Class::Usage => 2,
        Class::Rejected => 3,
        Class::Failed | Class::Held => 4,
        Class::Interrupted => 130,
    })
}

/// Run the command line.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run(cli.command));
            // A read of standard input cannot be cancelled; do not wait for it.
            runtime.shutdown_timeout(Duration::from_millis(100));
            ended
        }
        Err(error) => Err(Failure::new(Code::Internal, format!("no runtime: {error}"))),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("eft-worker: {failure}\n  {}", failure.code.remedy());
            exit_code(&failure)
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Transfer { what, receipt, quiet, json } => {
            transfer(what.job().await?, receipt, quiet, json).await
        }
        Command::Plan { what } => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            print!("{}", output::plan(&what.job().await?.look(threads).await?));
            Ok(())
        }
        Command::Verify { receipt } => verify(&receipt).await,
        Command::Key => key(),
        Command::Serve(service) => service.run().await,
        Command::Stages { name, json } => stages(name.as_deref(), json),
    }
}

/// The catalogue, or the page of one stage.
fn stages(name: Option<&str>, json: bool) -> Result<(), Failure> {
    let entries = catalogue::entries().map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let Some(name) = name else {
        let all = || serde_json::Value::from(entries.iter().map(Entry::to_value).collect::<Vec<_>>());
        print!("{}", if json { format!("{:#}\n", all()) } else { output::stages(&entries) });
        return Ok(());
    };
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        let known: Vec<_> = entries.iter().map(|entry| entry.name).collect();
        let (shown, hint) = (name.escape_debug(), did_you_mean(name, known.iter().copied()));
        let message = format!("unknown stage `{shown}`, known are {}{hint}", known.join(", "));
        return Err(configuration(message));
    };
    if json {
        println!("{:#}", entry.to_value());
    } else {
        print!("{}", entry.page);
    }
    Ok(())
}

async fn transfer(job: Job, receipt: Option<PathBuf>, quiet: bool, json: bool) -> Result<(), Failure> {
    if json && job.destinations.iter().any(|goal| goal.uri == ObjectUri::Std) {
        let message = "--json and the destination - are both standard output: use --receipt FILE";
        return Err(configuration(message.to_owned()));
    }
    let key = SigningKey::load_or_create(&key_path()?)?;
    // Before a byte moves: what was delivered and cannot be told would be moved again.
    let receipt = receipt.map(|path| ReceiptFile::create(&path)).transpose()?;
    let cancel = CancellationToken::new();
    let signals = tokio::spawn(watch_signals(cancel.clone()));
    let mut shown = None;
    let done = job
        .run(cancel, |size, progress| {
            if !quiet && !json {
                shown = Some(Shown::start(size, progress));
            }
        })
        .await;
    signals.abort();
    drop(shown);
    let done = done?;
    let signed = key.sign(done.receipt)?;
    if let Some(Err(error)) = receipt.map(|file| file.write(&signed.to_json())) {
        // The transfer is over and this is all that tells of it.
        eprintln!("{}", signed.to_json());
        let outcome = signed.receipt.outcome;
        let message =
            format!("the transfer ended {outcome}, but its receipt, printed above, {}", error.message);
        return Err(Failure::new(Code::Internal, message));
    }
    if json {
        print!("{}", signed.to_json());
    } else if !quiet {
        eprint!("{}", output::summary(&signed.receipt));
    }
    done.failure.map_or(Ok(()), Err)
}

/// A receipt file that appears when it is complete.
struct ReceiptFile {
    path: PathBuf,
    part: PathBuf,
    file: std::fs::File,
}

impl ReceiptFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy());
        let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        match std::fs::File::create(&part) {
            Ok(file) if !path.is_dir() => Ok(Self { path: path.to_owned(), part, file }),
            Ok(_) => {
                let _removed = std::fs::remove_file(&part);
                Err(configuration(format!("receipt {}: is a folder", path.display())))
            }
            Err(error) => Err(configuration(format!("receipt {}: {error}", path.display()))),
        }
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        let written = written.and_then(|()| std::fs::rename(&self.part, &self.path));
        written
            .map_err(|error| configuration(format!("cannot be written to {}: {error}", self.path.display())))
    }
}

impl Drop for ReceiptFile {
    fn drop(&mut self) {
        // Gone already when it was written.
        let _removed = std::fs::remove_file(&self.part);
    }
}

/// The first SIGINT or SIGTERM ends the transfer in order, the second one the process.
pub(crate) async fn watch_signals(cancel: CancellationToken) {
    interrupted().await;
    cancel.cancel();
    interrupted().await;
    eprintln!("eft-worker: stopped at once; an upload under way may be left behind");
    std::process::exit(130);
}

/// Ends at the first SIGINT or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

fn key() -> Result<(), Failure> {
    let key = SigningKey::load_or_create(&key_path()?)?;
    println!("{}", key.public_key());
    Ok(())
}

async fn verify(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| configuration(format!("receipt {}: {error}", path.display())))?;
    let signed = SignedReceipt::parse(&text).map_err(|error| configuration(error.to_string()))?;
    let changed = |message: String| Failure::new(Code::IntegrityDestination, message);
    let signature =
        signed.signature.as_ref().ok_or_else(|| changed("the receipt is not signed".to_owned()))?;
    check(&signed, signature).map_err(changed)?;
    let own = SigningKey::load_or_create(&key_path()?)?.public_key();
    let trust = if own == signature.public_key { "our own key" } else { "A KEY THAT IS NOT OURS" };
    println!("signature   good, by {trust} ({})", signature.key_id);

    let client = Client::from_environment(Concurrency::new(8)).await;
    for delivery in signed.receipt.deliveries.iter().filter(|d| d.outcome == DeliveryOutcome::Delivered) {
        let uri = match (&delivery.uri, &delivery.version_id) {
            (ObjectUri::S3 { bucket, key, .. }, Some(version)) => {
                ObjectUri::S3 { bucket: bucket.clone(), key: key.clone(), version_id: Some(version.clone()) }
            }
            (uri, _) => uri.clone(),
        };
        if uri == ObjectUri::Std {
            println!("destination - cannot be read again");
            continue;
        }
        let opened = place::source(&client, &uri).await.map_err(|error| match error.kind {
            ErrorKind::NotFound => changed(error.message),
            _ => of_sink(&error),
        })?;
        let read = checksum_of(opened.source.as_ref(), Budget::new(64 << 20), Concurrency::new(8)).await;
        let crc = read.map_err(|failure| match failure.code {
            Code::IntegritySource | Code::SourceChanged | Code::SourceGone => changed(failure.message),
            _ => Failure::new(Code::DestinationUnavailable, failure.message),
        })?;
        let (size, text) = (crc.len(), crc_to_text(crc.value()));
        let expected = (delivery.size, delivery.crc64nvme.as_deref());
        if expected != (Some(size), Some(&text)) {
            return Err(changed(format!(
                "{uri}: has {size} bytes and CRC-64/NVME {text}, the receipt says {expected:?}"
            )));
        }
        println!("destination {uri}: {size} bytes, CRC-64/NVME {text}, as the receipt says");
    }
    Ok(())
}

/// What the environment says. This is the one place that reads ours.
#[allow(clippy::disallowed_methods)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the signing key is: `EFT_SIGNING_KEY`, or the user's configuration folder.
pub(crate) fn key_path() -> Result<PathBuf, Failure> {
    if let Some(path) = variable("EFT_SIGNING_KEY") {
        return Ok(path.into());
    }
    let folder = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")));
    let folder = folder
        .ok_or_else(|| configuration("set EFT_SIGNING_KEY to a path for the signing key".to_owned()))?;
    Ok(folder.join("eft").join("signing-key.pk8"))
}
