//! How a server is set up.

use std::{net::SocketAddr, str::FromStr};

use crate::{faults::Fault, tls::Tls};

/// How an endpoint treats a feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feature {
    /// As S3 does.
    #[default]
    Supported,
    /// As if the request did not ask for it.
    Ignored,
    /// With an error.
    Refused,
}

/// What an S3-compatible endpoint has and lacks. Parses from the names of the bin's `--profile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// CRC-64/NVME. `no-crc64`: ignored, never returned. `no-crc64-strict`: refused with `InvalidRequest`.
    pub crc64: Feature,
    /// `If-Match` and `If-None-Match` on writes. `no-conditional`: `NotImplemented`. `ignore-conditional`: ignored.
    pub conditional: Feature,
    /// `no-versions`: buckets are not versioned and cannot be.
    pub without_versions: bool,
}

impl Profile {
    /// Both profiles' gaps.
    pub fn and(self, other: Self) -> Self {
        let either = |a, b| if a == Feature::Supported { b } else { a };
        Self {
            crc64: either(self.crc64, other.crc64),
            conditional: either(self.conditional, other.conditional),
            without_versions: self.without_versions || other.without_versions,
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let full = Self::default();
        match name {
            "full" => Ok(full),
            "no-crc64" => Ok(Self { crc64: Feature::Ignored, ..full }),
            "no-crc64-strict" => Ok(Self { crc64: Feature::Refused, ..full }),
            "no-conditional" => Ok(Self { conditional: Feature::Refused, ..full }),
            "ignore-conditional" => Ok(Self { conditional: Feature::Ignored, ..full }),
            "no-versions" => Ok(Self { without_versions: true, ..full }),
            _ => Err(format!(
                "unknown profile `{name}`: full, no-crc64, no-crc64-strict, no-conditional, ignore-conditional, no-versions"
            )),
        }
    }
}

/// A server's configuration. Buckets `synthetic` and `discard` always exist.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Default `127.0.0.1:0`: a free port.
    pub listen: SocketAddr,
    /// Buckets that exist from the start.
    pub buckets: Vec<String>,
    /// What the endpoint lacks. Default: nothing.
    pub profile: Profile,
    /// Faults from the start.
    pub faults: Vec<Fault>,
    /// Seed of the faults' draws.
    pub seed: u64,
    /// `bucket` or `bucket/key-prefix`: answered with `AccessDenied`.
    pub denied: Vec<String>,
    /// Smallest part but the last. Default 5 MiB, S3's; tests lower it to work on small bytes.
    pub min_part_size: u64,
    /// The region that `GetBucketLocation` names. Default `us-east-1`.
    pub region: String,
    /// Server threads. Default 1.
    pub threads: usize,
    /// Answer over TLS only. Default: in the clear.
    pub tls: Option<Tls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            buckets: Vec::new(),
            profile: Profile::default(),
            faults: Vec::new(),
            seed: 1,
            denied: Vec::new(),
            min_part_size: 5 << 20,
            region: "us-east-1".to_owned(),
            threads: 1,
            tls: None,
        }
    }
}

impl Config {
    /// The default with these buckets.
    pub fn with_buckets<S: Into<String>>(buckets: impl IntoIterator<Item = S>) -> Self {
        Self { buckets: buckets.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}
