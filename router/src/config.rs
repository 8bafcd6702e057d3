//! The environment, read and checked in one place before anything is opened.

use aws_config::SdkConfig;
use eft_domain::Actor;
use eft_store::{
    Buckets, Desk,
    aws::{Clients, Settings, SettingsError, sdk_config},
};

use crate::{lookup::S3Objects, route::Router};

/// The variable that names the ingest buckets: `logical=bucket,logical=bucket`.
pub const INGEST_BUCKETS: &str = "EFT_INGEST_BUCKETS";

/// What the router has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Tables, queue, topics and state machine.
    pub settings: Settings,
    /// The buckets that files arrive in.
    pub buckets: Buckets,
}

impl Config {
    /// The process's environment.
    ///
    /// # Errors
    /// Every fault.
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::parse(&environment)
    }

    /// As `lookup` says; what is empty counts as missing.
    ///
    /// # Errors
    /// Every fault.
    pub fn parse(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let buckets = match lookup(INGEST_BUCKETS).filter(|text| !text.trim().is_empty()) {
            Some(text) => Buckets::parse(&text).map_err(|fault| format!("{INGEST_BUCKETS}: {fault}")),
            None => Err(format!("{INGEST_BUCKETS} is not set")),
        };
        match (Settings::parse(lookup), buckets) {
            (Ok(settings), Ok(buckets)) => Ok(Self { settings, buckets }),
            (settings, buckets) => {
                let mut faults = settings.err().map(|error| error.0).unwrap_or_default();
                faults.extend(buckets.err());
                Err(SettingsError(faults))
            }
        }
    }

    /// A router over AWS, and the client of S3 that it uses.
    pub async fn open(&self, actor: &str) -> (Router, aws_sdk_s3::Client) {
        let sdk = sdk_config(&self.settings.region).await;
        let s3 = s3_client(&sdk);
        let desk = Desk::with_clients(&Clients::new(&sdk), &self.settings, Actor::part(actor));
        let objects = std::sync::Arc::new(S3Objects(s3.clone()));
        (Router::new(desk, objects, self.buckets.clone()), s3)
    }
}

/// A client of S3. Emulators are reached by path, Amazon's own endpoints by host name.
fn s3_client(sdk: &SdkConfig) -> aws_sdk_s3::Client {
    let is_custom = sdk.endpoint_url().is_some_and(|url| !url.contains(".amazonaws.com"));
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(is_custom).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// A variable of the process.
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_said_at_once() {
        let all = Config::parse(&|_| None).unwrap_err().0;
        assert!(all.len() > 5 && all.iter().any(|fault| fault.contains(INGEST_BUCKETS)), "{all:?}");
        let wrong = |name: &str| (name == INGEST_BUCKETS).then(|| "in=Bucket".to_owned());
        let faults = Config::parse(&wrong).unwrap_err().0;
        assert!(faults.iter().any(|fault| fault.starts_with("EFT_INGEST_BUCKETS: `Bucket`")), "{faults:?}");
        assert_eq!(faults.len(), all.len());
    }
}
