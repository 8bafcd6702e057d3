//! The environment, read and checked in one place before anything is opened.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use eft_domain::{Actor, BucketName, ByteSize, Failure, Job};
use eft_pipeline::{budget::Budget, pool::Pool, scanner::Scanner};
use eft_store::{
    Buckets, Desk,
    aws::{Clients, Settings, SettingsError, sdk_config},
};
use eft_worker::{
    clamd::{Address, Clamd},
    keys::Folder,
    run::Shared,
    s3,
    serve::transfer::Engine,
    sign::SigningKey,
};

use crate::{Stages, handler::Log, owned::LEASE, staging::Staging};

/// What the function reads besides [`eft_store::aws::VARIABLES`].
pub const VARIABLES: [(&str, &str); 8] = [
    ("EFT_INGEST_BUCKETS", "the buckets that files arrive in: `logical=bucket,logical=bucket`"),
    ("EFT_STAGING_BUCKET", "where outputs wait; it keeps versions, and expires what is older than a week"),
    ("EFT_SIGNING_KEY", "a file with the key that signs receipts (Ed25519, PKCS#8); it has to be there"),
    ("EFT_ARCHIVE_BUCKET", "where originals are archived; only routes that archive ask for it"),
    ("EFT_KEYS", "a folder with the secrets and OpenPGP keys that routes name"),
    ("EFT_SCANNER", "where the clamd of routes that scan listens"),
    ("EFT_CONCURRENCY", "most requests in flight in each direction, 16 where it is not set"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "set by Lambda; half of it is for bytes in flight and stages"),
];

/// What the function has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Tables, queue, topics and state machine.
    pub settings: Settings,
    /// The buckets that files arrive in.
    pub buckets: Buckets,
    /// Where outputs wait.
    pub staging: BucketName,
    /// Where originals are archived.
    pub archive: Option<String>,
    /// The key that signs receipts.
    pub signing: PathBuf,
    /// Secrets and OpenPGP keys, in a folder for each tenant.
    pub keys: Option<PathBuf>,
    /// The scanner.
    pub scanner: Option<Address>,
    /// Most requests in flight in each direction.
    pub concurrency: usize,
    /// For bytes in flight and stages.
    pub memory: ByteSize,
}

impl Config {
    /// The process's environment.
    ///
    /// # Errors
    /// Every fault.
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::parse(&variable)
    }

    /// As `lookup` says; what is empty counts as missing.
    ///
    /// # Errors
    /// Every fault.
    pub fn parse(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let settings = Settings::parse(lookup);
        let mut read = Reader { lookup, faults: Vec::new() };
        let buckets = read.needed("EFT_INGEST_BUCKETS", Buckets::parse);
        let staging = read.needed("EFT_STAGING_BUCKET", |text| text.parse::<BucketName>().map_err(said));
        let signing = read.needed("EFT_SIGNING_KEY", |text| Ok(PathBuf::from(text)));
        let scanner = read.optional("EFT_SCANNER", |text| text.parse::<Address>().map_err(said));
        let concurrency = read.optional("EFT_CONCURRENCY", |text| number(text, 1..=512)).unwrap_or(16);
        let mib = read.optional("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", |text| number(text, 128..=1 << 20));
        let archive = read.text("EFT_ARCHIVE_BUCKET");
        let keys = read.text("EFT_KEYS").map(PathBuf::from);
        match (settings, buckets, staging, signing, read.faults) {
            (Ok(settings), Some(buckets), Some(staging), Some(signing), faults) if faults.is_empty() => {
                let memory = ByteSize((mib.unwrap_or(1024) as u64) << 19);
                Ok(Self { settings, buckets, staging, archive, signing, keys, scanner, concurrency, memory })
            }
            (settings, .., own) => {
                let mut faults = settings.err().map(|error| error.0).unwrap_or_default();
                faults.extend(own);
                Err(SettingsError(faults))
            }
        }
    }

    /// The states over AWS.
    ///
    /// # Errors
    /// The signing key cannot be read.
    pub async fn open(self) -> Result<Stages, SettingsError> {
        let wrong = |failure: Failure| SettingsError(vec![format!("EFT_SIGNING_KEY: {failure}")]);
        let signing = SigningKey::load(&self.signing).map_err(wrong)?;
        let sdk = sdk_config(&self.settings.region).await;
        let clients = s3::Clients::from_environment().await;
        let desk = Desk::with_clients(&Clients::new(&sdk), &self.settings, Actor::part("steps"));
        let staging = Staging::new(self.staging, &clients);
        let named = self.buckets.iter().map(|(logical, here)| (logical.to_owned(), here.to_string()));
        let engine = Engine {
            shared: Shared {
                budget: Budget::new(self.memory.bytes()),
                pool: Pool::for_this_machine(),
                clients,
            },
            memory: Some(self.memory),
            concurrency: self.concurrency,
            interval: None,
            buckets: named.collect::<BTreeMap<_, _>>(),
            archive: self.archive,
            keys: self.keys.map(|folder| Folder::new(folder, variable)),
            scanner: self.scanner.map(|address| Arc::new(Clamd::new(address)) as Arc<dyn Scanner>),
            signing,
        };
        Ok(Stages { desk, engine, staging, lease: LEASE, log: stdout() })
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|text| !text.trim().is_empty())
    }

    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        parse(text.trim()).map_err(|fault| self.faults.push(format!("{name}: {fault}"))).ok()
    }

    fn needed<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if self.text(name).is_none() {
            self.faults.push(format!("{name} is not set"));
        }
        self.optional(name, parse)
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn number(text: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let found = text.parse().ok().filter(|number| range.contains(number));
    found.ok_or_else(|| format!("`{text}` is not a number from {} to {}", range.start(), range.end()))
}

/// Lines of JSON on standard output.
fn stdout() -> Log {
    Arc::new(|event: &str, job: &Job, what: &str| {
        let line = serde_json::json!({
            "at": jiff::Timestamp::now().to_string(),
            "event": event,
            "what": what,
            "job": job.id,
            "run": job.run(),
            "fence": job.fence,
            "state": job.state,
            "code": job.failure.as_ref().map(|failure| &failure.code),
            "traceparent": job.trace,
        });
        println!("{line}");
    })
}

/// A variable of the process.
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_said_at_once() {
        let none = Config::parse(&|_| None).unwrap_err().0;
        for name in ["EFT_TABLE_JOBS", "EFT_INGEST_BUCKETS", "EFT_STAGING_BUCKET", "EFT_SIGNING_KEY"] {
            assert!(none.contains(&format!("{name} is not set")), "{name}: {none:?}");
        }
        let wrong = |name: &str| {
            let texts = [("EFT_STAGING_BUCKET", "No Bucket"), ("EFT_SCANNER", "?"), ("EFT_CONCURRENCY", "0")];
            texts.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        let faults = Config::parse(&wrong).unwrap_err().0;
        for name in ["EFT_STAGING_BUCKET: ", "EFT_SCANNER: ", "EFT_CONCURRENCY: `0` is not a number"] {
            assert!(faults.iter().any(|fault| fault.starts_with(name)), "{name}: {faults:?}");
        }
    }
}
