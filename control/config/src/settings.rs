//! The environment, read and checked in one place before anything is opened.

use std::sync::Arc;

use eft_api::{CursorKey, settings::Reader};
use eft_store::{
    Clock,
    aws::{Clients, SettingsError, sdk_config},
    dynamo::{DynamoCatalog, DynamoKeys},
};

use crate::Api;

/// What the API has to know. It is given less than others are: two tables, no queue, no topic.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `AWS_REGION`: the region.
    pub region: String,
    /// `EFT_TABLE_CONFIG`: the table `config`.
    pub config: String,
    /// `EFT_TABLE_KEYS`: the table `keys`.
    pub keys: String,
    /// `EFT_CURSOR_KEY`: what signs cursors, in hexadecimal digits; the same in both regions.
    pub cursors: CursorKey,
    /// `EFT_TENANT_CLAIM`: the claim that names the tenant; `tenant` where it is not set.
    pub tenant_claim: String,
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
        let mut reader = Reader::new(lookup);
        let (region, config) = (reader.need("AWS_REGION"), reader.need("EFT_TABLE_CONFIG"));
        let (keys, cursors) = (reader.need("EFT_TABLE_KEYS"), reader.cursors());
        let tenant_claim = reader.tenant_claim();
        let cursors = reader.done(cursors)?;
        Ok(Self { region, config, keys, cursors, tenant_claim })
    }

    /// The API on AWS.
    pub async fn open(&self) -> Api {
        let clients = Clients::new(&sdk_config(&self.region).await);
        let config = Arc::new(DynamoCatalog::new(&clients.dynamo, &self.config, Clock::System));
        Api {
            catalog: config.clone(),
            audit: config,
            keys: Arc::new(DynamoKeys::new(&clients.dynamo, &self.keys)),
            cursors: self.cursors.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(name: &str) -> Option<String> {
        let value = match name {
            "AWS_REGION" => "eu-west-1".to_owned(),
            "EFT_TABLE_CONFIG" => "eft-config".to_owned(),
            "EFT_TABLE_KEYS" => "eft-keys".to_owned(),
            "EFT_CURSOR_KEY" => "0f".repeat(32),
            _ => return None,
        };
        Some(value)
    }

    #[test]
    fn an_environment_is_read_and_every_fault_is_said() {
        let settings = Settings::parse(&right).unwrap();
        assert_eq!((settings.config.as_str(), settings.tenant_claim.as_str()), ("eft-config", "tenant"));
        assert_eq!(Settings::parse(&|_| None).unwrap_err().0.len(), 4);
        let claim = |name: &str| if name == "EFT_TENANT_CLAIM" { Some("org".into()) } else { right(name) };
        assert_eq!(Settings::parse(&claim).unwrap().tenant_claim, "org");
    }
}
