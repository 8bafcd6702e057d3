//! Making a message: signed inside, compressed if asked, encrypted outside; written by rPGP's message builder.

use std::{io::Write, sync::Arc};

use eft_domain::{
    Code, Failure,
    route::{PgpCipher, PgpCompression, PgpEncryptSpec, PgpIntegrity, PgpSignSpec},
};
use pgp::{
    composed::{ArmorOptions, Encryption, MessageBuilder, NoEncryption, SubpacketConfig},
    crypto::{
        aead::{AeadAlgorithm, ChunkSize},
        sym::SymmetricKeyAlgorithm,
    },
    packet::{PublicSubkey, Subpacket, SubpacketData},
    types::{CompressionAlgorithm, KeyVersion, SigningKey, Timestamp},
};
use rand::rngs::OsRng;

use super::bridge::{Feed, Sink};
use crate::keys::{Cert, Keyring, SecretKey};

/// Plaintext bytes of a chunk of an authenticated message: what other programs write, and a buffer that stays in the
/// cache. Readers have to take up to 4 MiB (RFC 9580, section 5.13.2).
const CHUNK: ChunkSize = ChunkSize::C64KiB;

/// Everything that is needed to write one message.
pub(super) struct Writing {
    recipients: Vec<(String, Arc<Cert>)>,
    signer: Option<(String, Arc<SecretKey>)>,
    armor: bool,
    cipher: SymmetricKeyAlgorithm,
    integrity: PgpIntegrity,
    compression: Option<CompressionAlgorithm>,
    now: Timestamp,
}

type Builder<'a, E> = MessageBuilder<'a, Feed, E>;

impl Writing {
    pub(super) fn encrypted(spec: &PgpEncryptSpec, keys: &Keyring) -> Result<Self, Failure> {
        let recipients = spec.recipients.iter().map(|name| Ok((name.clone(), keys.cert(name)?)));
        let signer = spec.sign_with.as_ref().map(|name| keys.secret(name).map(|key| (name.clone(), key)));
        Ok(Self {
            recipients: recipients.collect::<Result<_, Failure>>()?,
            signer: signer.transpose()?,
            armor: spec.armor,
            cipher: match spec.cipher {
                PgpCipher::Aes128 => SymmetricKeyAlgorithm::AES128,
                PgpCipher::Aes256 => SymmetricKeyAlgorithm::AES256,
            },
            integrity: spec.integrity,
            compression: compression(spec.compression),
            now: keys.now(),
        })
    }

    pub(super) fn signed(spec: &PgpSignSpec, keys: &Keyring) -> Result<Self, Failure> {
        Ok(Self {
            recipients: Vec::new(),
            signer: Some((spec.sign_with.clone(), keys.secret(&spec.sign_with)?)),
            armor: spec.armor,
            cipher: SymmetricKeyAlgorithm::AES256,
            integrity: PgpIntegrity::default(),
            compression: compression(spec.compression),
            now: keys.now(),
        })
    }

    /// Read the content and write the message.
    pub(super) fn write(self, feed: Feed, mut sink: Sink) -> Result<(), Failure> {
        let mut builder: Builder<'_, NoEncryption> = MessageBuilder::from_reader("", feed);
        if let Some(algorithm) = self.compression {
            builder.compression(algorithm);
        }
        if let Some((name, secret)) = &self.signer {
            let key = secret.signing(self.now).map_err(|why| unusable(name, &why))?;
            let subpackets = self.subpackets(key).map_err(failed)?;
            builder.sign_with_subpackets(key, secret.password(), key.hash_alg(), subpackets);
        }
        if self.recipients.is_empty() {
            self.finish(builder, &mut sink)?;
        } else if self.integrity == PgpIntegrity::Mdc {
            let mut builder = builder.seipd_v1(OsRng, self.cipher);
            for recipient in &self.recipients {
                builder.encrypt_to_key(OsRng, self.subkey(recipient)?).map_err(failed)?;
            }
            self.finish(builder, &mut sink)?;
        } else {
            let mut builder = builder.seipd_v2(OsRng, self.cipher, AeadAlgorithm::Ocb, CHUNK);
            for recipient in &self.recipients {
                builder.encrypt_to_key(OsRng, self.subkey(recipient)?).map_err(failed)?;
            }
            self.finish(builder, &mut sink)?;
        }
        sink.flush().map_err(failed)
    }

    fn subkey<'a>(&self, (name, cert): &'a (String, Arc<Cert>)) -> Result<&'a PublicSubkey, Failure> {
        cert.encrypting(self.now).map_err(|why| unusable(name, &why))
    }

    /// What a signature says besides: who and when. The time is that of the plan, so that a stage knows nothing of it.
    fn subpackets(&self, key: &dyn SigningKey) -> pgp::errors::Result<SubpacketConfig> {
        let hashed = vec![
            Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
            Subpacket::regular(SubpacketData::SignatureCreationTime(self.now))?,
        ];
        // Programs that know no fingerprints yet look for the id.
        let id = || Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()));
        let unhashed = if key.version() <= KeyVersion::V4 { vec![id()?] } else { Vec::new() };
        Ok(SubpacketConfig::UserDefined { hashed, unhashed })
    }

    fn finish<E: Encryption>(&self, builder: Builder<'_, E>, sink: &mut Sink) -> Result<(), Failure> {
        if self.armor {
            builder.to_armored_writer(OsRng, ArmorOptions::default(), sink).map_err(failed)
        } else {
            builder.to_writer(OsRng, sink).map_err(failed)
        }
    }
}

fn compression(asked: PgpCompression) -> Option<CompressionAlgorithm> {
    match asked {
        PgpCompression::None => None,
        PgpCompression::Zip => Some(CompressionAlgorithm::ZIP),
        PgpCompression::Zlib => Some(CompressionAlgorithm::ZLIB),
        PgpCompression::Bzip2 => Some(CompressionAlgorithm::BZip2),
    }
}

/// The keyring has looked at every key already.
fn unusable(name: &str, why: &str) -> Failure {
    Failure::new(Code::KeysUnusable, format!("key `{name}`: {why}"))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Internal, format!("the OpenPGP message cannot be made: {error}"))
}
