//! What every API reads from its environment.

use eft_store::aws::SettingsError;

use crate::{
    cursor::{CursorKey, MIN_KEY_BYTES},
    principal::TENANT_CLAIM,
};

/// Reads an environment: what is empty counts as missing, and every fault is said at once.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Of what `lookup` says.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, faults: Vec::new() }
    }

    /// A value that may be missing.
    pub fn read(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A value that must be there; where it is not, an empty one and a fault.
    pub fn need(&mut self, name: &str) -> String {
        self.read(name).unwrap_or_else(|| {
            self.faults.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// What somebody else has read of the same environment; none and its faults where it could not.
    pub fn add<T>(&mut self, read: Result<T, SettingsError>) -> Option<T> {
        read.map_err(|SettingsError(faults)| self.faults.extend(faults)).ok()
    }

    /// `EFT_CURSOR_KEY`: what signs cursors, in hexadecimal digits; the same in both regions.
    pub fn cursors(&mut self) -> Option<CursorKey> {
        let text = self.need("EFT_CURSOR_KEY");
        let key = CursorKey::from_hex(&text);
        if key.is_none() && !text.is_empty() {
            // Not the value: it is a secret.
            self.faults.push(format!(
                "EFT_CURSOR_KEY: must be at least {} hexadecimal digits, such as openssl rand -hex {MIN_KEY_BYTES} makes",
                2 * MIN_KEY_BYTES
            ));
        }
        key
    }

    /// `EFT_TENANT_CLAIM`: the claim that names the tenant; `tenant` where it is not set.
    pub fn tenant_claim(&self) -> String {
        self.read("EFT_TENANT_CLAIM").unwrap_or_else(|| TENANT_CLAIM.to_owned())
    }

    /// What was made of it, where nothing is wrong.
    ///
    /// # Errors
    /// Every fault.
    pub fn done<T>(self, made: Option<T>) -> Result<T, SettingsError> {
        made.filter(|_| self.faults.is_empty()).ok_or(SettingsError(self.faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_or_misspelt_key_is_refused_and_not_repeated() {
        for text in ["0f".repeat(31), "0g".repeat(32), format!("{}0", "0f".repeat(32)), "secret".into()] {
            let lookup = |_: &str| Some(text.clone());
            let mut reader = Reader::new(&lookup);
            let key = reader.cursors();
            let error = reader.done(key).unwrap_err().to_string();
            assert!(error.contains("hexadecimal") && !error.contains(&text), "{error}");
        }
        let lookup = |_: &str| Some("0f".repeat(32));
        let mut reader = Reader::new(&lookup);
        let key = reader.cursors();
        assert!(reader.done(key).is_ok());
    }
}
