//! `pgp_decrypt`, `pgp_verify`, `pgp_encrypt` and `pgp_sign`: OpenPGP messages (RFC 9580, and RFC 4880 as GnuPG
//! writes it). Keys are named here and looked up when a run is planned.

use serde_json::{Map, Value, json};

use crate::{
    route::{
        cursor::{At, Fields},
        errors::{Report, quoted},
        names::word,
    },
    text::Word,
};

pub(in crate::route) const DECRYPT: &[&str] = &["keys", "verify", "signers"];
pub(in crate::route) const VERIFY: &[&str] = &["signers"];
pub(in crate::route) const ENCRYPT: &[&str] =
    &["recipients", "sign_with", "armor", "cipher", "integrity", "compression"];
pub(in crate::route) const SIGN: &[&str] = &["sign_with", "armor", "compression"];

/// Longest name of a key, in bytes: a file name with room for its extension. None, reasonable default.
const MAX_NAME: usize = 64;

/// Parameters of `pgp_decrypt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgpDecryptSpec {
    /// Names of secret keys; the message is encrypted to at least one of them.
    pub keys: Vec<String>,
    /// Whether the message has to be signed. Default [`PgpVerify::Required`].
    pub verify: PgpVerify,
    /// Names of public keys, any of which may have signed it. Empty when nothing is verified.
    pub signers: Vec<String>,
}

/// Parameters of `pgp_verify`: a message that is signed and not encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgpVerifySpec {
    /// Names of public keys, any of which may have signed it.
    pub signers: Vec<String>,
}

/// Parameters of `pgp_encrypt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgpEncryptSpec {
    /// Names of public keys, each of which can decrypt the message.
    pub recipients: Vec<String>,
    /// Name of the secret key that signs it. Default: not signed.
    pub sign_with: Option<String>,
    /// ASCII armor instead of binary. Default false.
    pub armor: bool,
    /// The cipher. Default AES-256.
    pub cipher: PgpCipher,
    /// What protects it from change. Default [`PgpIntegrity::Mdc`].
    pub integrity: PgpIntegrity,
    /// Compression inside the message. Default none.
    pub compression: PgpCompression,
}

/// Parameters of `pgp_sign`: a signed message that is not encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgpSignSpec {
    /// Name of the secret key that signs it.
    pub sign_with: String,
    /// ASCII armor instead of binary. Default false.
    pub armor: bool,
    /// Compression inside the message. Default none.
    pub compression: PgpCompression,
}

/// Whether a message has to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PgpVerify {
    /// By one of the signers.
    #[default]
    Required,
    /// It may be unsigned; a signature it has must be one of the signers'.
    Optional,
    /// Signatures are not looked at.
    None,
}

/// A symmetric cipher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PgpCipher {
    /// AES with a key of 256 bits.
    #[default]
    Aes256,
    /// AES with a key of 128 bits.
    Aes128,
}

/// What protects an encrypted message from change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PgpIntegrity {
    /// A modification detection code: SEIPD version 1, what every OpenPGP program of the last twenty years reads.
    #[default]
    Mdc,
    /// Authenticated encryption (OCB, RFC 9580): SEIPD version 2, which GnuPG does not read.
    Aead,
}

/// Compression inside a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PgpCompression {
    /// None.
    #[default]
    None,
    /// Raw deflate (RFC 1951), "ZIP" in OpenPGP.
    Zip,
    /// Deflate with a zlib header (RFC 1950).
    Zlib,
    /// Bzip2.
    Bzip2,
}

impl Word for PgpVerify {
    const WORDS: &'static [(&'static str, Self)] =
        &[("required", Self::Required), ("optional", Self::Optional), ("none", Self::None)];
}

impl Word for PgpCipher {
    const WORDS: &'static [(&'static str, Self)] = &[("aes256", Self::Aes256), ("aes128", Self::Aes128)];
}

impl Word for PgpIntegrity {
    const WORDS: &'static [(&'static str, Self)] = &[("mdc", Self::Mdc), ("aead", Self::Aead)];
}

impl Word for PgpCompression {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("zip", Self::Zip), ("zlib", Self::Zlib), ("bzip2", Self::Bzip2)];
}

pub(in crate::route) fn decrypt(at: &At<'_>, report: &mut Report) -> Option<PgpDecryptSpec> {
    let fields = at.fields(report, DECRYPT)?;
    let keys = key_names(&fields, report, "keys");
    let verify = fields.or("verify", PgpVerify::default(), |at| at.word(report));
    let signers = fields.or("signers", Vec::new(), |at| list_of_names(at, report));
    let (keys, verify, signers) = (keys?, verify?, signers?);
    if verify == PgpVerify::None && !signers.is_empty() {
        return at
            .fault(report, "names `signers`, but `verify: none` does not look at them; remove one of them");
    }
    if verify != PgpVerify::None && signers.is_empty() {
        return at.fault(
            report,
            "needs `signers`: name the keys that may have signed the file, or write `verify: none`",
        );
    }
    Some(PgpDecryptSpec { keys, verify, signers })
}

pub(in crate::route) fn verify(at: &At<'_>, report: &mut Report) -> Option<PgpVerifySpec> {
    let fields = at.fields(report, VERIFY)?;
    Some(PgpVerifySpec { signers: key_names(&fields, report, "signers")? })
}

pub(in crate::route) fn encrypt(at: &At<'_>, report: &mut Report) -> Option<PgpEncryptSpec> {
    let fields = at.fields(report, ENCRYPT)?;
    let recipients = key_names(&fields, report, "recipients");
    let sign_with = fields.or("sign_with", None, |at| key_name(at, report).map(Some));
    let armor = fields.or("armor", false, |at| at.boolean(report));
    let cipher = fields.or("cipher", PgpCipher::default(), |at| at.word(report));
    let integrity = fields.or("integrity", PgpIntegrity::default(), |at| at.word(report));
    let compression = fields.or("compression", PgpCompression::default(), |at| at.word(report));
    Some(PgpEncryptSpec {
        recipients: recipients?,
        sign_with: sign_with?,
        armor: armor?,
        cipher: cipher?,
        integrity: integrity?,
        compression: compression?,
    })
}

pub(in crate::route) fn sign(at: &At<'_>, report: &mut Report) -> Option<PgpSignSpec> {
    let fields = at.fields(report, SIGN)?;
    let sign_with = fields.need(report, "sign_with").and_then(|at| key_name(at, report));
    let armor = fields.or("armor", false, |at| at.boolean(report));
    let compression = fields.or("compression", PgpCompression::default(), |at| at.word(report));
    Some(PgpSignSpec { sign_with: sign_with?, armor: armor?, compression: compression? })
}

/// A list that is there and names at least one key.
fn key_names(fields: &Fields<'_>, report: &mut Report, name: &str) -> Option<Vec<String>> {
    let at = fields.need(report, name)?;
    list_of_names(at, report)
}

fn list_of_names(at: &At<'_>, report: &mut Report) -> Option<Vec<String>> {
    let items = at.list(report)?;
    if items.is_empty() {
        return at.fault(report, "must name at least one key");
    }
    let names: Vec<_> = items.iter().map(|at| key_name(at, report)).collect();
    let names: Vec<String> = names.into_iter().collect::<Option<_>>()?;
    for (index, item) in items.iter().enumerate() {
        if names[..index].contains(&names[index]) {
            return item.fault(report, format!("key {} is named twice", quoted(&names[index])));
        }
    }
    Some(names)
}

/// A key's name is part of a file name or a parameter path wherever keys are kept.
fn key_name(at: &At<'_>, report: &mut Report) -> Option<String> {
    let name = at.text(report)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte);
    let sound = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.');
    if !sound {
        let problem = format!(
            "{} is no key name: 1 to {MAX_NAME} letters, digits, `-`, `_`, `.`, `@` and `+`, not starting with `.`",
            quoted(name)
        );
        return at.fault(report, problem);
    }
    Some(name.to_owned())
}

impl PgpDecryptSpec {
    pub(in crate::route) fn encode(&self) -> Value {
        let mut map = Map::new();
        map.insert("keys".to_owned(), json!(self.keys));
        map.insert("verify".to_owned(), word(self.verify).into());
        if !self.signers.is_empty() {
            map.insert("signers".to_owned(), json!(self.signers));
        }
        map.into()
    }
}

impl PgpVerifySpec {
    pub(in crate::route) fn encode(&self) -> Value {
        json!({ "signers": self.signers })
    }
}

impl PgpEncryptSpec {
    pub(in crate::route) fn encode(&self) -> Value {
        let mut map = Map::new();
        map.insert("recipients".to_owned(), json!(self.recipients));
        if let Some(name) = &self.sign_with {
            map.insert("sign_with".to_owned(), name.as_str().into());
        }
        map.insert("armor".to_owned(), self.armor.into());
        map.insert("cipher".to_owned(), word(self.cipher).into());
        map.insert("integrity".to_owned(), word(self.integrity).into());
        map.insert("compression".to_owned(), word(self.compression).into());
        map.into()
    }
}

impl PgpSignSpec {
    pub(in crate::route) fn encode(&self) -> Value {
        json!({ "sign_with": self.sign_with, "armor": self.armor, "compression": word(self.compression) })
    }
}
