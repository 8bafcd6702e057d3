//! A user of the SFTP server: with which keys it logs in, from where, and where its files arrive.

use std::{fmt, net::IpAddr, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{PartnerId, Tenant, TenantId, text::shown};

mod password;

pub use password::{LONGEST, Password, PasswordError, PasswordHash, PasswordHashError, SALT, SHORTEST};

/// Most keys of a user: what Transfer Family takes (its quotas, "SSH keys per user").
pub const MOST_KEYS: usize = 10;

/// Most networks of a user. Reasonable default.
pub const MOST_SOURCES: usize = 50;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SftpUser {
    /// What it logs in as. No two tenants have one of the same name: there is one server.
    pub name: SftpName,
    /// Whose files it sends.
    pub tenant: TenantId,
    /// With what it logs in; with none, and no password, it cannot.
    #[serde(default)]
    pub keys: Vec<SshKey>,
    /// With what it logs in as well, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// Which partner of the tenant it belongs to, if to one. While that is paused, or is not there, it cannot log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<PartnerId>,
    /// Where its files arrive, below the tenant's prefix; empty: there itself.
    #[serde(default)]
    pub home: Folder,
    /// From where it logs in; empty: from anywhere.
    #[serde(default)]
    pub sources: Vec<Network>,
    /// It cannot log in for now.
    #[serde(default)]
    pub paused: bool,
}

impl SftpUser {
    /// What the keys of its files start with.
    pub fn prefix(&self) -> String {
        format!("{}{}", Tenant::ingest_prefix(&self.tenant), self.home)
    }

    /// Whether it may log in from here, with a key or its password.
    pub fn admits(&self, from: IpAddr) -> bool {
        !self.paused && (self.sources.is_empty() || self.sources.iter().any(|network| network.has(from)))
    }
}

/// Why a text is not what a user is made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {reason}")]
pub struct ParseSftpError {
    text: String,
    reason: &'static str,
}

fn no<T>(text: &str, reason: &'static str) -> Result<T, ParseSftpError> {
    Err(ParseSftpError { text: shown(text, 80), reason })
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $fault:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseSftpError;

            fn from_str(text: &str) -> Result<Self, ParseSftpError> {
                match $fault(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(reason) => no(text, reason),
                }
            }
        }

        serde_as_text!($name);
    )*};
}

texts! {
    /// The name of a user, as Transfer Family has them (CreateUser).
    SftpName, name_fault;
    /// A folder below a tenant's prefix: empty, or names with a `/` behind each.
    #[derive(Default)]
    Folder, folder_fault;
}

fn name_fault(text: &str) -> Option<&'static str> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_@.-".contains(&b);
    let is_name = (3..=100).contains(&text.len())
        && text.bytes().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    (!is_name).then_some(
        "is not a user name: 3 to 100 of letters, digits, `_`, `@`, `.`, `-`, starting with a letter, digit or `_`",
    )
}

fn folder_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return None;
    }
    let Some(names) = text.strip_suffix('/') else {
        return Some("is not a folder: a `/` must stand at its end");
    };
    let is_right = text.len() <= 512
        && names.split('/').all(|name| {
            !matches!(name, "" | "." | "..") && !name.contains(|c: char| c.is_control() || c == '\\')
        });
    (!is_right).then_some(
        "is not a folder: at most 512 bytes of names, each with a `/` behind it and none of them `..`",
    )
}

/// A public key as OpenSSH writes it: `ssh-ed25519 AAAA… comment`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshKey {
    algorithm: String,
    blob: Vec<u8>,
    comment: String,
}

impl SshKey {
    /// Such as `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The key itself, of which fingerprints are made.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, BASE64_STANDARD.encode(&self.blob))?;
        if self.comment.is_empty() { Ok(()) } else { write!(f, " {}", self.comment) }
    }
}

impl FromStr for SshKey {
    type Err = ParseSftpError;

    fn from_str(text: &str) -> Result<Self, ParseSftpError> {
        if text.contains("PRIVATE KEY") {
            // Nothing of it may stand in an answer or a log.
            return no("", "is a private key: whoever made it must make another, and send the .pub file");
        }
        let text = text.trim();
        if text.len() > 4_096 || text.contains(char::is_control) {
            return no(text, "is not one line of at most 4,096 bytes, as in a .pub file");
        }
        let mut words = text.splitn(3, ' ');
        let (Some(algorithm), Some(blob)) = (words.next(), words.next()) else {
            return no(text, "is not a public key as OpenSSH writes it: `ssh-ed25519 AAAA… comment`");
        };
        let Ok(blob) = BASE64_STANDARD.decode(blob) else {
            return no(text, "is not a public key: its second word is not base64");
        };
        if let Some(reason) = key_fault(algorithm, &blob) {
            return no(text, reason);
        }
        let comment = words.next().unwrap_or_default().trim().to_owned();
        Ok(Self { algorithm: algorithm.to_owned(), blob, comment })
    }
}

serde_as_text!(SshKey);

/// What of a key is wrong (RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4).
fn key_fault(algorithm: &str, blob: &[u8]) -> Option<&'static str> {
    const BROKEN: &str = "is not a public key: it is cut or changed";
    let mut rest = blob;
    let Some(inside) = field(&mut rest) else { return Some(BROKEN) };
    if inside != algorithm.as_bytes() {
        return Some("is not a public key: its first word is not what stands in it");
    }
    let is_whole = match algorithm {
        "ssh-ed25519" => field(&mut rest).is_some_and(|point| point.len() == 32),
        "ecdsa-sha2-nistp256" => curve(&mut rest, "nistp256", 65),
        "ecdsa-sha2-nistp384" => curve(&mut rest, "nistp384", 97),
        "ecdsa-sha2-nistp521" => curve(&mut rest, "nistp521", 133),
        "ssh-rsa" => {
            let (Some(_), Some(modulus)) = (field(&mut rest), field(&mut rest)) else { return Some(BROKEN) };
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            let first = modulus.first().map_or(8, |byte| byte.leading_zeros() as usize);
            if !(2_048..=4_096).contains(&(modulus.len() * 8).saturating_sub(first)) {
                return Some(
                    "is an RSA key of fewer than 2,048 or more than 4,096 bits; ssh-ed25519 is better still",
                );
            }
            true
        }
        _ => {
            return Some(
                "is of a kind that is not taken; ssh-ed25519, ecdsa-sha2-nistp256, 384 and 521, and ssh-rsa are",
            );
        }
    };
    (!is_whole || !rest.is_empty()).then_some(BROKEN)
}

/// A field with its length before it.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (field, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(field)
}

/// An uncompressed point of a curve.
fn curve(rest: &mut &[u8], name: &str, bytes: usize) -> bool {
    field(rest) == Some(name.as_bytes())
        && field(rest).is_some_and(|point| point.len() == bytes && point[0] == 4)
}

/// Addresses: `192.0.2.0/24`, `2001:db8::/32`, or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is one of them. An IPv4 address that comes as one of IPv6 is what it is.
    pub fn has(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }

    fn most(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = ParseSftpError;

    fn from_str(text: &str) -> Result<Self, ParseSftpError> {
        const RULE: &str = "is not an address or a network such as 192.0.2.0/24";
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let Ok(address) = address.parse::<IpAddr>() else { return no(text, RULE) };
        let bits = match bits {
            None => Some(Self::most(address)),
            Some(bits) if bits.len() > 3 || bits.starts_with('+') => None,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= Self::most(address)),
        };
        let Some(bits) = bits else { return no(text, RULE) };
        let network = Self { address, bits };
        // Whoever writes another address than the first means something else than is meant here.
        let is_first = match address {
            IpAddr::V4(own) => own.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) == 0,
            IpAddr::V6(own) => own.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) == 0,
        };
        if is_first { Ok(network) } else { no(text, "is not a network: bits stand behind its length") }
    }
}

serde_as_text!(Network);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by ssh-keygen.
    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAy7gI6eXKyBxtH/sjYHvshtYT4HRGh3tZyD9ia85m2A ann@example.com";

    fn blob(fields: &[&[u8]]) -> Vec<u8> {
        fields.iter().flat_map(|field| [&(field.len() as u32).to_be_bytes()[..], field].concat()).collect()
    }

    fn key(algorithm: &str, fields: &[&[u8]]) -> String {
        format!("{algorithm} {}", BASE64_STANDARD.encode(blob(fields)))
    }

    fn rsa(bits: usize) -> String {
        let modulus = [&[0][..], &vec![0xff; bits / 8]].concat();
        key("ssh-rsa", &[b"ssh-rsa", &[1, 0, 1], &modulus])
    }

    #[test]
    fn keys_are_read_and_written_as_they_were() {
        let point = [&[4][..], &[7; 64]].concat();
        for text in [
            ED25519.to_owned(),
            rsa(2_048),
            rsa(4_096),
            key("ecdsa-sha2-nistp256", &[b"ecdsa-sha2-nistp256", b"nistp256", &point]),
        ] {
            let read: SshKey = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.to_string(), text);
        }
        let key: SshKey = format!("  {ED25519}\n").parse().unwrap();
        assert_eq!(key.algorithm(), "ssh-ed25519");
    }

    #[test]
    fn keys_that_are_none_are_refused_with_the_reason() {
        let (cut, torn) = (&ED25519[..60], &ED25519[..61]);
        for (text, says) in [
            (cut, "cut"),
            (torn, "base64"),
            ("ssh-ed25519", "OpenSSH"),
            ("ssh-dss AAAAB3NzaC1kc3M=", "kind"),
            (&ED25519.replacen("ed25519", "rsa", 1), "first word"),
            (&rsa(1_024), "2,048"),
            (&rsa(8_192), "2,048"),
            (&key("ssh-ed25519", &[b"ssh-ed25519", &[1; 31]]), "cut"),
            (&key("ssh-ed25519", &[b"ssh-ed25519", &[1; 32], b"more"]), "cut"),
            (&key("ssh-ed25519", &[b"ssh-ed25519"]), "cut"),
            ("a\nb c", "one line"),
        ] {
            let error = text.parse::<SshKey>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----";
        let error = private.parse::<SshKey>().unwrap_err().to_string();
        assert!(error.contains("private") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_user_logs_in_from_where_it_may() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let mut user = SftpUser {
            name: "acme-erp".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            keys: vec![],
            password: None,
            partner: None,
            home: "in/orders/".parse().unwrap(),
            sources: vec![network("192.0.2.0/24"), network("2001:db8::/32"), network("198.51.100.7")],
            paused: false,
        };
        assert_eq!(user.prefix(), "tenants/acme/in/orders/");
        for (from, may) in [
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::ffff:192.0.2.1", true),
        ] {
            assert_eq!(user.admits(from.parse().unwrap()), may, "{from}");
        }
        user.paused = true;
        assert!(!user.admits("192.0.2.1".parse().unwrap()));
        user.paused = false;
        user.sources = vec![];
        assert!(user.admits("203.0.113.1".parse().unwrap()));
        assert!(network("0.0.0.0/0").has("203.0.113.1".parse().unwrap()));
        assert!(!network("0.0.0.0/0").has("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_user_of_before_there_were_passwords_is_read() {
        let row =
            format!(r#"{{"name": "acme-erp", "tenant": "acme", "keys": ["{ED25519}"], "home": "in/"}}"#);
        let user: SftpUser = serde_json::from_str(&row).unwrap();
        assert_eq!((user.password.clone(), user.keys.len()), (None, 1));
        assert!(!serde_json::to_string(&user).unwrap().contains("password"), "and written as it was");
        let user = SftpUser { password: Some(PasswordHash::decoy()), ..user };
        let row = serde_json::to_string(&user).unwrap();
        assert_eq!(serde_json::from_str::<SftpUser>(&row).unwrap(), user);
    }

    #[test]
    fn names_folders_and_networks_keep_their_rules() {
        for text in ["acme-erp", "_a.b@c", "123"] {
            assert_eq!(text.parse::<SftpName>().unwrap().as_str(), text);
        }
        for text in ["", "ab", "-abc", "a b c", "aé cd", &"a".repeat(101), "../..", "a/b"] {
            assert!(text.parse::<SftpName>().is_err(), "{text}");
        }
        for text in ["", "in/", "in/orders/", "ä b/"] {
            assert!(text.parse::<Folder>().is_ok(), "{text}");
        }
        for text in [
            "in",
            "/",
            "/in/",
            "in//",
            "../",
            "in/../",
            "./",
            "a\n/",
            "a\\b/",
            &format!("{}/", "a".repeat(512)),
        ] {
            assert!(text.parse::<Folder>().is_err(), "{text}");
        }
        for text in [
            "",
            "x",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "1.2.3",
            "2001:db8::1/64",
            "::/129",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_alike(text in "(ssh-ed25519|ssh-rsa) [A-Za-z0-9+/=]{0,80}( [a-z]{0,3})?") {
            if let Ok(key) = text.parse::<SshKey>() {
                prop_assert_eq!(key.to_string().parse(), Ok(key));
            }
        }

        #[test]
        fn an_address_is_in_its_networks(address: u32, bits in 0_u32..=32) {
            let first = address & u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let text = format!("{}/{bits}", std::net::Ipv4Addr::from_bits(first));
            let network: Network = text.parse().unwrap();
            prop_assert!(network.has(std::net::Ipv4Addr::from_bits(address).into()));
            prop_assert_eq!(network.to_string(), text);
        }
    }
}
