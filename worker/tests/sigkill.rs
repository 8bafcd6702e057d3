//! The worker killed at random points, as a process: it goes on, to the same bytes, and leaves nothing behind.
//!
//! `EFT_KILLS=200` kills each route as often as a release is tested; fewer by default.
#![allow(clippy::unwrap_used)] // Helpers of tests, which clippy does not take for tests.
#![allow(
    clippy::disallowed_methods,
    reason = "no runtime here: it starts processes and kills them in real time"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use eft_fakes::Pattern;
use eft_s3::{Config, Server};

const MIB: u64 = 1 << 20;

/// Kills of each route where nobody asks for another number.
const KILLS: u64 = 8;

struct Bed {
    server: Server,
    folder: tempfile::TempDir,
    route: Option<PathBuf>,
    memory: &'static str,
    /// As asked for: `--checkpoint-interval`.
    interval: u64,
}

impl Bed {
    fn new(route: Option<&str>, memory: &'static str, interval: u64) -> Self {
        let server = Server::start(Config::with_buckets(["ingest", "delivered"])).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let route = route.map(|text| {
            let path = folder.path().join("route.yaml");
            std::fs::write(&path, text).unwrap();
            path
        });
        Self { server, folder, route, memory, interval }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, source: &str, destination: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eft-worker"));
        command.env_clear();
        command.env("AWS_ENDPOINT_URL", self.server.endpoint());
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            command.env(name, value);
        }
        command.env("EFT_SIGNING_KEY", self.path("key"));
        command.args(["transfer", "--quiet", "--no-server-copy", "--memory", self.memory]);
        if let Some(route) = &self.route {
            command.arg("--route").arg(route);
        }
        command.args([source, destination]).stdin(Stdio::null());
        command
    }

    fn with_checkpoint(&self, source: &str, destination: &str, checkpoint: &Path) -> Command {
        let mut command = self.command(source, destination);
        command.arg("--checkpoint").arg(checkpoint);
        command.arg("--checkpoint-interval").arg(format!("{}MiB", self.interval / MIB));
        command
    }

    /// Put content into `in/packed`, in gzip members as the worker itself makes them; returns the size.
    fn pack(&self, content: Bytes) -> u64 {
        self.server.put_object("ingest", "plain", content);
        let route = self.path("pack.yaml");
        std::fs::write(&route, "id: pack\nstages:\n  - compress: { codec: gzip, level: 1 }\n").unwrap();
        let packing = Self { route: Some(route), ..Self::new(None, "64MiB", 0) };
        let mut command = packing.command("s3://ingest/plain", "s3://ingest/packed");
        let ended = command.env("AWS_ENDPOINT_URL", self.server.endpoint()).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        self.server.object("ingest", "packed").unwrap().size
    }

    /// Bytes of the source asked for, as the server answered them.
    fn read(&self) -> u64 {
        let log = self.server.request_log();
        log.iter().filter(|record| record.op == "GetObject").map(|record| record.bytes_out).sum()
    }

    /// Kill runs of the route until enough were killed; each ends as `whole` did.
    fn kill_and_go_on(&self, source: &str, size: u64) {
        let started = Instant::now();
        let ended = self.command(source, "s3://delivered/whole").output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let time = started.elapsed();
        let whole = self.server.get_object("delivered", "whole").unwrap();

        let wanted = std::env::var("EFT_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
        let mut pattern = Pattern::new(size);
        let (mut killed, mut run, mut resumed, mut most) = (0, 0, 0, 0);
        while killed < wanted {
            run += 1;
            let key = format!("run-{run}");
            let (kills, went_on, again) = self.one_object(source, size, &key, time, &mut pattern);
            assert!(self.server.get_object("delivered", &key).unwrap() == whole, "{key} has other bytes");
            let left = self.server.open_uploads();
            assert!(left.is_empty(), "{key}: uploads left behind: {left:?}");
            (killed, resumed, most) = (killed + kills, resumed + went_on, most.max(again));
        }
        println!(
            "{killed} kills, {run} objects, {resumed} runs went on from the middle; at most {most} bytes read again after one kill, {} allowed",
            self.interval
        );
        assert!(resumed > 0, "no run went on from the middle: the test shows nothing");
    }

    /// Kill and go on until the object is there. Returns the kills, the runs that went on from the middle, and the most
    /// bytes that were read again for one kill.
    fn one_object(
        &self,
        source: &str,
        size: u64,
        key: &str,
        time: Duration,
        pattern: &mut Pattern,
    ) -> (u64, u64, u64) {
        let (checkpoint, receipt) = (self.path(&format!("{key}.checkpoint")), self.path("receipt.json"));
        let destination = format!("s3://delivered/{key}");
        self.server.reset_log();
        let (mut kills, mut went_on) = (0, 0);
        loop {
            let mut command = self.with_checkpoint(source, &destination, &checkpoint);
            let mut child = command.arg("--receipt").arg(&receipt).stderr(Stdio::piped()).spawn().unwrap();
            let patience = time.mul_f64((pattern.word() % 1000) as f64 / 1000.0);
            std::thread::sleep(patience);
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                continue;
            }
            let ended = child.wait_with_output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            let receipt = std::fs::read_to_string(&receipt).unwrap();
            went_on += u64::from(receipt.contains("\"resumed_from\""));
            assert!(!checkpoint.exists(), "the checkpoint of an ended run");
            let again = self.read().saturating_sub(size);
            let each = again.checked_div(kills).unwrap_or(again);
            assert!(again <= kills * self.interval, "{key}: {again} bytes read again after {kills} kills");
            return (kills, went_on, each);
        }
    }
}

#[test]
fn an_identity_run_goes_on() {
    let bed = Bed::new(None, "16MiB", 32 * MIB);
    bed.kill_and_go_on("s3://synthetic/a-192MiB", 192 * MIB);
}

#[test]
fn gunzip_csv_zstd_goes_on() {
    let route = "id: kill\nstages:\n  - decompress: { codec: gzip }\n  - validate: { csv: { header: [a, b, c], types: { a: integer } } }\n  - compress: { codec: zstd, level: 1 }\n";
    let bed = Bed::new(Some(route), "32MiB", 64 * MIB);
    let size = bed.pack(rows(160 << 20));
    bed.kill_and_go_on("s3://ingest/packed", size);
}

/// Lines that compress little.
fn rows(len: usize) -> Bytes {
    let mut pattern = Pattern::new(9);
    let mut text = b"a,b,c\n".to_vec();
    while text.len() < len {
        let (a, b, c) = (pattern.word() >> 1, pattern.word(), pattern.word());
        text.extend_from_slice(format!("{a},{b:x},{c:x}\n").as_bytes());
    }
    text.into()
}

#[test]
fn charset_jsonl_goes_on() {
    let route = "id: kill\nstages:\n  - charset: { from: windows-1252 }\n  - validate: { jsonl: { unique_keys: true } }\n";
    let bed = Bed::new(Some(route), "32MiB", 64 * MIB);
    let mut pattern = Pattern::new(5);
    let mut text = Vec::new();
    while text.len() < 160 << 20 {
        let (number, more) = (pattern.word(), pattern.word());
        // Z\xfcrich, \x80 and \x9c: a letter, the euro sign and a ligature of windows-1252.
        text.extend_from_slice(format!("{{\"id\":{number},\"more\":\"{more:x}\",\"place\":\"Z").as_bytes());
        text.extend_from_slice(b"\xfcrich, \x80 9.95, \x9cuvre\"}\n");
    }
    let size = text.len() as u64;
    bed.server.put_object("ingest", "lines", text);
    bed.kill_and_go_on("s3://ingest/lines", size);
    // Once more, by another hand.
    let sent = bed.server.get_object("ingest", "lines").unwrap();
    let whole = bed.server.get_object("delivered", "whole").unwrap();
    let expected = |byte: &u8| match byte {
        0xfc => "ü".to_owned(),
        0x80 => "€".to_owned(),
        0x9c => "œ".to_owned(),
        byte => char::from(*byte).to_string(),
    };
    let tail = &sent[sent.len() - 10_000..];
    assert!(whole.ends_with(tail.iter().map(expected).collect::<String>().as_bytes()));
}
