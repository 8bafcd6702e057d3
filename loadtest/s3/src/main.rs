//! The in-memory S3 as a process.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use eft_s3::{Action, Code, Config, Fault, Op, Profile, Server, Tls};
use mimalloc::MiMalloc;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// An in-memory S3 for tests and load. Prints `listening on http://ADDR` once ready; stops on SIGTERM or SIGINT.
///
/// Buckets `synthetic` (any key ending in a size, such as `a-64GiB`, exists) and `discard` (keeps no bytes) are always
/// there. At run time: POST /_faults, POST /_reset, GET /_log, GET /_stats, GET /_uploads.
#[derive(Debug, Parser)]
#[command(name = "eft-s3")]
struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Bucket that exists from the start (repeatable)
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,
    /// What the endpoint lacks: full, no-crc64, no-crc64-strict, no-conditional, ignore-conditional, no-versions
    /// (repeatable)
    #[arg(long = "profile", value_name = "PROFILE")]
    profiles: Vec<Profile>,
    /// Server threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Answer over TLS with this certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Region that GetBucketLocation names
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    /// Answer AccessDenied for BUCKET or BUCKET/KEY-PREFIX (repeatable)
    #[arg(long = "deny", value_name = "PLACE")]
    denied: Vec<String>,
    /// Smallest part but the last, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 5 << 20)]
    min_part_size: u64,
    /// Seed of the faults' draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A fault as JSON, such as {"op":"GetObject","kind":"cut_body","after":1000,"times":1} (repeatable). Filters: op,
    /// bucket, key_prefix, part_number, skip, every, probability, times. Kinds: latency{ms}, hold,
    /// bandwidth{bytes_per_second}, error{code}, done_then_error{code}, done_then_close, done_then_hang, close,
    /// cut_body{after}, stall_body{after,ms}, flip_bit{at}, corrupt_upload, error_in_200{code,done}, replace_object
    #[arg(long = "fault", value_name = "JSON", value_parser = parse_fault)]
    faults: Vec<Fault>,
    /// Wait so long before every answer
    #[arg(long, value_name = "MS")]
    latency_ms: Option<u64>,
    /// Limit every body to so many bytes a second
    #[arg(long, value_name = "BYTES")]
    bandwidth: Option<u64>,
    /// Answer every n-th request with 503 SlowDown
    #[arg(long, value_name = "N")]
    slow_down_every: Option<u64>,
    /// Answer this share of requests with 503 SlowDown
    #[arg(long, value_name = "P")]
    slow_down_probability: Option<f64>,
    /// Cut every n-th GET body after 512 KiB
    #[arg(long, value_name = "N")]
    cut_every: Option<u64>,
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Fault::from_json(value)
}

impl Args {
    fn into_config(self) -> io::Result<Config> {
        let slow_down = || Fault::new(Action::Error { code: Code::SlowDown });
        let flags = [
            self.latency_ms.map(|ms| Fault::new(Action::Latency { ms })),
            self.bandwidth.map(|bytes_per_second| Fault::new(Action::Bandwidth { bytes_per_second })),
            self.slow_down_every.map(|every| slow_down().every(every)),
            self.slow_down_probability.map(|probability| slow_down().probability(probability)),
            self.cut_every
                .map(|every| Fault::on(Op::GetObject, Action::CutBody { after: 512 << 10 }).every(every)),
        ];
        let tls = self.tls_cert.zip(self.tls_key).map(|(cert, key)| Tls::read(&cert, &key)).transpose()?;
        Ok(Config {
            listen: self.listen,
            buckets: self.buckets,
            profile: self.profiles.into_iter().fold(Profile::default(), Profile::and),
            faults: self.faults.into_iter().chain(flags.into_iter().flatten()).collect(),
            seed: self.seed,
            denied: self.denied,
            min_part_size: self.min_part_size,
            region: self.region,
            threads: self.threads,
            tls,
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eft-s3: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> io::Result<()> {
    let config = args.into_config()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::start(config)?;
    println!("listening on {}", server.endpoint());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}
