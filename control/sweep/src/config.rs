//! The environment, read and checked in one place.

use std::{ops::RangeInclusive, time::Duration};

use eft_router::config::{Config, environment};
use eft_store::aws::SettingsError;

/// How far a sweep goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `EFT_SWEEP_SECONDS`: for how long. Default 240: a Lambda function that is called every five minutes.
    pub time: Duration,
    /// `EFT_SWEEP_BYTES`: bytes of versions whose event was lost that are given to routes in one sweep. Default 10 TiB:
    /// after a day without events the rest of the platform goes on as well.
    pub bytes: u64,
    /// `EFT_SWEEP_PREFIXES`: what of the ingest buckets is listed, with commas between. Default: all of it.
    pub prefixes: Vec<String>,
    /// A version younger than this is left to its event. Reasonable default: one minute; EventBridge takes about a second.
    pub grace: Duration,
    /// An upload younger than this is nobody's business. A day: longer than any upload of a run goes without a checkpoint.
    pub upload_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(240),
            bytes: 10 << 40,
            prefixes: vec![String::new()],
            grace: Duration::from_secs(60),
            upload_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The process's environment: what the router reads, and the settings.
///
/// # Errors
/// Every fault.
pub fn from_environment() -> Result<(Config, Settings), SettingsError> {
    parse(&environment)
}

fn parse(lookup: &dyn Fn(&str) -> Option<String>) -> Result<(Config, Settings), SettingsError> {
    match (Config::parse(lookup), Settings::parse(lookup)) {
        (Ok(config), Ok(settings)) => Ok((config, settings)),
        (config, settings) => {
            let mut faults = config.err().map(|error| error.0).unwrap_or_default();
            faults.extend(settings.err().map(|error| error.0).unwrap_or_default());
            Err(SettingsError(faults))
        }
    }
}

impl Settings {
    /// As `lookup` says; what is missing has its default.
    ///
    /// # Errors
    /// Every variable that is wrong.
    pub fn parse(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut faults = Vec::new();
        let defaults = Self::default();
        let mut number = |name: &str, range: RangeInclusive<u64>, default: u64| {
            let Some(text) = lookup(name).filter(|text| !text.trim().is_empty()) else { return default };
            text.trim().parse().ok().filter(|number| range.contains(number)).unwrap_or_else(|| {
                faults.push(format!(
                    "{name}: `{text}` is not a number from {} to {}",
                    range.start(),
                    range.end()
                ));
                default
            })
        };
        let seconds = number("EFT_SWEEP_SECONDS", 5..=840, defaults.time.as_secs());
        let bytes = number("EFT_SWEEP_BYTES", 1..=u64::MAX, defaults.bytes);
        let prefixes = lookup("EFT_SWEEP_PREFIXES").filter(|text| !text.trim().is_empty());
        let prefixes = prefixes.map(|text| text.split(',').map(|prefix| prefix.trim().to_owned()).collect());
        let settings = Self {
            time: Duration::from_secs(seconds),
            bytes,
            prefixes: prefixes.unwrap_or_else(|| defaults.prefixes.clone()),
            ..defaults
        };
        if faults.is_empty() { Ok(settings) } else { Err(SettingsError(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_checked() {
        let read = |name: &str| match name {
            "EFT_SWEEP_SECONDS" => Some("60".to_owned()),
            "EFT_SWEEP_PREFIXES" => Some("tenants/a/, tenants/b/".to_owned()),
            _ => None,
        };
        let settings = Settings::parse(&read).unwrap();
        assert_eq!((settings.time, settings.bytes), (Duration::from_secs(60), Settings::default().bytes));
        assert_eq!(settings.prefixes, ["tenants/a/", "tenants/b/"]);
        let wrong = |name: &str| name.starts_with("EFT_SWEEP").then(|| "many".to_owned());
        let faults = Settings::parse(&wrong).unwrap_err().0;
        assert_eq!(faults.len(), 2, "{faults:?}");
        let all = parse(&wrong).unwrap_err().0;
        assert!(
            all.len() > 7 && all.iter().any(|fault| fault.contains("EFT_SWEEP_BYTES: `many`")),
            "{all:?}"
        );
    }
}
