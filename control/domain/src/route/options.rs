//! The parts of a route that are neither stages nor destinations.

use super::StorageClass;
use crate::ByteSize;

/// The largest object Step Functions take: what one Lambda invocation can stream with time to spare.
pub const SMALL_MAX: ByteSize = ByteSize::mib(100);

/// Which keys a route takes. The longest prefix wins; among equals the one with a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What the key starts with, such as `tenants/acme/in/orders/`.
    pub prefix: String,
    /// What the rest of the key must look like: `*` any characters but `/`, `?` one of them, `**` any characters.
    /// `None`: anything.
    pub glob: Option<String>,
}

impl Match {
    /// Whether a key is taken.
    pub fn takes(&self, key: &str) -> bool {
        match key.strip_prefix(self.prefix.as_str()) {
            Some(rest) => self.glob.as_ref().is_none_or(|glob| glob_matches(glob, rest)),
            None => false,
        }
    }
}

/// Whether a text is what a glob says: `*` any characters but `/`, `**` any, `?` one but `/`.
///
/// Linear in `glob × text` whatever both say: a row of the matching table is kept, nothing backtracks.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    let mut pattern = glob.chars().peekable();
    while let Some(p) = pattern.next() {
        let deep = p == '*' && pattern.next_if_eq(&'*').is_some();
        if p == '*' {
            for at in 0..text.len() {
                row[at + 1] = row[at + 1] || (row[at] && (deep || text[at] != '/'));
            }
        } else {
            for at in (0..text.len()).rev() {
                row[at + 1] = row[at] && (if p == '?' { text[at] != '/' } else { text[at] == p });
            }
            row[0] = false;
        }
    }
    row[text.len()]
}

/// When a file counts as whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CompleteWhen {
    /// `immediate`: an S3 object is whole when it is there.
    #[default]
    Immediate,
    /// `quiet(60s)`: no newer version of the key for that long, in seconds.
    Quiet(u32),
    /// `control_file(".done")`: an object with that suffix appended to the key was written after it, while it was the
    /// latest version of its key. Each file needs one of its own.
    ControlFile(String),
    /// `transfer_event`: Transfer Family reported the upload as complete.
    TransferEvent,
}

/// Whether and how the original is archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The storage class. Default Glacier Instant Retrieval.
    pub storage_class: StorageClass,
    /// Archive the original as well as what was delivered. Default true.
    pub original: bool,
}

impl Default for Archive {
    fn default() -> Self {
        Self { storage_class: StorageClass::GlacierIr, original: true }
    }
}

/// Order across the files of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// None.
    #[default]
    None,
    /// Delivered in the order of claim.
    Strict(HeadOfLine),
}

words! {
    /// What happens to an empty object.
    #[derive(Default)]
    pub enum OnEmpty {
        /// It is a file like any other.
        #[default]
        Accept = "accept",
        /// `REJECTED(source.empty)`.
        Reject = "reject",
        /// A sign of life: recorded, nothing is delivered.
        Heartbeat = "heartbeat",
    }

    /// A digest besides CRC-64/NVME.
    pub enum Digest {
        /// SHA-256 of what is read and of what is written.
        Sha256 = "sha256",
    }

    /// Which executor runs a route.
    #[derive(Default)]
    pub enum Executor {
        /// Small files by Step Functions, others by the worker.
        #[default]
        Auto = "auto",
        /// Step Functions; larger files are refused.
        Steps = "steps",
        /// The worker, whatever the size.
        Worker = "worker",
    }

    /// What a file that cannot be delivered does to the files behind it on an ordered route.
    #[derive(Default)]
    pub enum HeadOfLine {
        /// They wait.
        #[default]
        Block = "block",
        /// It is held, they go on.
        HoldAndContinue = "hold_and_continue",
    }

    /// When a file is acknowledged.
    #[derive(Default)]
    pub enum Rpo {
        /// When this region has it: what a lost region loses is the replication lag.
        #[default]
        Fast = "fast",
        /// When both regions have it: nothing acknowledged is lost with a region.
        Strict = "strict",
    }
}

/// Why a text does not say when a file is whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseCompleteWhenError {
    /// None of the four.
    #[error("not one of immediate, quiet(60s), control_file(\".done\"), transfer_event")]
    Unknown,
    /// Not a time, or out of range.
    #[error("quiet takes a time from 1s to 24h, such as quiet(60s), quiet(10m) or quiet(2h)")]
    Quiet,
    /// Not a suffix.
    #[error("control_file takes a suffix in double quotes, such as control_file(\".done\")")]
    ControlFile,
}

impl std::str::FromStr for CompleteWhen {
    type Err = ParseCompleteWhenError;

    fn from_str(text: &str) -> Result<Self, ParseCompleteWhenError> {
        let inside =
            |name: &str| text.strip_prefix(name)?.trim().strip_prefix('(')?.strip_suffix(')').map(str::trim);
        match text {
            "immediate" => return Ok(Self::Immediate),
            "transfer_event" => return Ok(Self::TransferEvent),
            _ => {}
        }
        if let Some(time) = inside("quiet") {
            return seconds(time).map(Self::Quiet).ok_or(ParseCompleteWhenError::Quiet);
        }
        if let Some(suffix) = inside("control_file") {
            let suffix: Option<String> = serde_json::from_str(suffix).ok();
            return suffix
                .filter(|suffix| (1..=64).contains(&suffix.len()))
                .map(Self::ControlFile)
                .ok_or(ParseCompleteWhenError::ControlFile);
        }
        Err(ParseCompleteWhenError::Unknown)
    }
}

/// `60s`, `10m`, `2h`; from one second to a day.
fn seconds(text: &str) -> Option<u32> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit).filter(|seconds| (1..=86_400).contains(seconds))
}
