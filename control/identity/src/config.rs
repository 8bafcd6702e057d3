//! The environment, read and checked in one place before anything is opened.

use std::sync::Arc;

use eft_domain::BucketName;
use eft_store::{
    Clock,
    aws::{Clients, SettingsError, sdk_config},
    dynamo::{DynamoCatalog, DynamoKeys},
};

use crate::login::{Login, Role};

/// What the function has to know: two tables, a bucket, a role; no queue, no topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `AWS_REGION`: the region.
    pub region: String,
    /// `EFT_TABLE_CONFIG`: the table `config`.
    pub config: String,
    /// `EFT_TABLE_KEYS`: the table `keys`.
    pub keys: String,
    /// `EFT_INGEST_BUCKET`: the bucket of this region that files arrive in.
    pub bucket: BucketName,
    /// `EFT_SFTP_ROLE`: the ARN of the role with which Transfer Family writes them.
    pub role: Role,
}

impl Settings {
    /// The process's environment.
    ///
    /// # Errors
    /// Every fault.
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::parse(&|name| std::env::var(name).ok())
    }

    /// As `lookup` says; what is empty counts as missing.
    ///
    /// # Errors
    /// Every fault.
    pub fn parse(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut faults = Vec::new();
        let mut need = |name: &str| {
            let text = lookup(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            if text.is_none() {
                faults.push(format!("{name} is not set"));
            }
            text
        };
        let (region, config, keys) = (need("AWS_REGION"), need("EFT_TABLE_CONFIG"), need("EFT_TABLE_KEYS"));
        let (bucket, role) = (need("EFT_INGEST_BUCKET"), need("EFT_SFTP_ROLE"));
        let bucket = bucket.and_then(|text| {
            let parsed = text.parse::<BucketName>();
            parsed.map_err(|error| faults.push(format!("EFT_INGEST_BUCKET: {error}"))).ok()
        });
        let role = role.and_then(|text| {
            let parsed = text.parse::<Role>();
            parsed.map_err(|error| faults.push(format!("EFT_SFTP_ROLE: `{text}` {error}"))).ok()
        });
        match (region, config, keys, bucket, role) {
            (Some(region), Some(config), Some(keys), Some(bucket), Some(role)) => {
                Ok(Self { region, config, keys, bucket, role })
            }
            _ => Err(SettingsError(faults)),
        }
    }

    /// Over AWS.
    pub async fn open(&self) -> Login {
        let clients = Clients::new(&sdk_config(&self.region).await);
        Login {
            catalog: Arc::new(DynamoCatalog::new(&clients.dynamo, &self.config, Clock::System)),
            keys: Arc::new(DynamoKeys::new(&clients.dynamo, &self.keys)),
            bucket: self.bucket.clone(),
            role: self.role.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read_and_every_fault_is_said() {
        let right = |name: &str| {
            let value = match name {
                "AWS_REGION" => "eu-west-1",
                "EFT_TABLE_CONFIG" => "eft-config",
                "EFT_TABLE_KEYS" => "eft-keys",
                "EFT_INGEST_BUCKET" => "acme-in",
                "EFT_SFTP_ROLE" => "arn:aws:iam::111122223333:role/eft-sftp",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let settings = Settings::parse(&right).unwrap();
        assert_eq!((settings.bucket.as_str(), settings.keys.as_str()), ("acme-in", "eft-keys"));
        assert_eq!(Settings::parse(&|_| None).unwrap_err().0.len(), 5);
        let wrong =
            |name: &str| right(name).map(|text| text.replace("acme-in", "A").replace(":iam:", ":s3:"));
        let faults = Settings::parse(&wrong).unwrap_err().0;
        assert!(
            faults[0].starts_with("EFT_INGEST_BUCKET: ") && faults[1].ends_with("is no ARN of a role"),
            "{faults:?}"
        );
    }
}
