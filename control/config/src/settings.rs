//! The environment, read and checked in one place before anything is opened.

use eft_store::{
    Clock,
    aws::{Clients, SettingsError, sdk_config},
    dynamo::{DynamoCatalog, DynamoKeys},
};

use crate::{Api, CursorKey, cursor::MIN_KEY_BYTES, principal::TENANT_CLAIM};

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
        let read =
            |name: &str| lookup(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut faults = Vec::new();
        let mut need = |name: &str| {
            read(name).unwrap_or_else(|| {
                faults.push(format!("{name} is not set"));
                String::new()
            })
        };
        let (region, config, keys) = (need("AWS_REGION"), need("EFT_TABLE_CONFIG"), need("EFT_TABLE_KEYS"));
        let cursors = need("EFT_CURSOR_KEY");
        let key = bytes_of(&cursors).and_then(|bytes| CursorKey::new(&bytes));
        if key.is_none() && !cursors.is_empty() {
            // Not the value: it is a secret.
            faults.push(format!(
                "EFT_CURSOR_KEY: must be at least {} hexadecimal digits, such as openssl rand -hex {MIN_KEY_BYTES} makes",
                2 * MIN_KEY_BYTES
            ));
        }
        let tenant_claim = read("EFT_TENANT_CLAIM").unwrap_or_else(|| TENANT_CLAIM.to_owned());
        match key {
            Some(cursors) if faults.is_empty() => Ok(Self { region, config, keys, cursors, tenant_claim }),
            _ => Err(SettingsError(faults)),
        }
    }

    /// The API on AWS.
    pub async fn open(&self) -> Api {
        let clients = Clients::new(&sdk_config(&self.region).await);
        Api {
            catalog: std::sync::Arc::new(DynamoCatalog::new(&clients.dynamo, &self.config, Clock::System)),
            keys: std::sync::Arc::new(DynamoKeys::new(&clients.dynamo, &self.keys)),
            cursors: self.cursors.clone(),
        }
    }
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
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

    #[test]
    fn a_weak_or_misspelt_key_is_refused_and_not_repeated() {
        for text in ["0f".repeat(31), "0g".repeat(32), format!("{}0", "0f".repeat(32)), "secret".into()] {
            let wrong = |name: &str| if name == "EFT_CURSOR_KEY" { Some(text.clone()) } else { right(name) };
            let error = Settings::parse(&wrong).unwrap_err().to_string();
            assert!(error.contains("hexadecimal") && !error.contains(&text), "{error}");
        }
        assert_eq!(bytes_of("00ff10"), Some(vec![0, 255, 16]));
    }
}
