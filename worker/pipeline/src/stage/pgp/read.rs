//! Reading a message: which layers it has, what each of them must be, and whether it holds in the end.

use std::{
    io::{self, BufRead, Write},
    sync::Arc,
};

use eft_domain::{
    Code, Failure,
    route::{Limits, PgpVerify},
};
use pgp::{
    composed::{
        CompressedDataReader, DebugBufRead, Edata, Esk, Message, MessageReader, PlainSessionKey,
        RawSessionKey, SignatureManyReader, SymEncryptedProtectedDataReader,
    },
    crypto::sym::SymmetricKeyAlgorithm,
    packet::{ProtectedDataConfig, Signature, SymEncryptedProtectedDataConfig},
    ser::Serialize,
    types::{KeyId, Seipdv1ReadMode, VerifyingKey},
};

use super::{
    armor::Dearmor,
    bridge::{Feed, Sink},
    guard::Guard,
    watch::{Watch, drain, lend},
};
use crate::{
    keys::{Cert, Judgement, Keyring, SecretKey},
    stage::decompress::meter::Meter,
};

/// Compressed packets within each other, at most: one is what programs write.
const MAX_COMPRESSED: u32 = 2;

/// Ids of recipients that a message names, at most.
const MAX_NAMED: usize = 8;

/// Characters of a reason of rPGP's that are told, at most.
const MAX_REASON: usize = 160;

/// Everything that is needed to read one message.
pub(super) struct Reading {
    /// The keys it may be encrypted to; `None` for a message that may not be encrypted.
    keys: Option<Vec<Arc<SecretKey>>>,
    verify: PgpVerify,
    signers: Vec<(String, Arc<Cert>)>,
    meter: Meter,
    ring: Keyring,
}

/// What a layer says of its content.
type Verdict = Result<(), Failure>;

impl Reading {
    pub(super) fn new(
        keys: Option<Vec<Arc<SecretKey>>>,
        verify: PgpVerify,
        signers: &[String],
        limits: &Limits,
        ring: &Keyring,
    ) -> Result<Self, Failure> {
        let signers = signers.iter().map(|name| Ok((name.clone(), ring.cert(name)?)));
        let signers = signers.collect::<Result<_, Failure>>()?;
        Ok(Self { keys, verify, signers, meter: Meter::new(limits), ring: ring.clone() })
    }

    /// Read the message and write its content.
    pub(super) fn read(mut self, mut feed: Feed, mut sink: Sink) -> Verdict {
        let verdict = self.outermost(&mut feed, &mut sink);
        // What was made before a fault is judged by the stages behind this one first.
        let flushed = sink.flush().map_err(|error| broken(&error));
        // Every refusal comes after the last byte: when it comes says nothing.
        let read = drain(&mut feed).map_err(|error| broken(&error));
        verdict.and(read).and(flushed)
    }

    fn outermost(&mut self, feed: &mut Feed, sink: &mut Sink) -> Verdict {
        let first = feed.fill_buf().map_err(|error| broken(&error))?.first().copied();
        let Some(first) = first else {
            return Err(Failure::new(
                Code::FormatTruncated,
                "the file is empty: expected an OpenPGP message",
            ));
        };
        let watch = Watch::default();
        // Binary packets begin with the highest bit set, text does not.
        let message = if first & 0x80 != 0 {
            Message::from_bytes(Guard::new(feed, watch.clone()))
        } else {
            Message::from_bytes(Guard::new(Dearmor::new(feed, watch.clone()), watch.clone()))
        };
        let verdict = match (message, self.keys.take()) {
            (Err(error), _) => Err(malformed(&error)),
            (Ok(Message::Encrypted { esk, edata, .. }), Some(keys)) => {
                self.encrypted(&esk, edata, &keys, sink)
            }
            (Ok(Message::Encrypted { .. }), None) => {
                refused("the message is encrypted; `pgp_verify` reads signed messages that are not")
            }
            (Ok(_), Some(_)) => refused("the message is not encrypted"),
            (Ok(message), None) => self.content(message, 0, sink),
        };
        whole(verdict, &watch)
    }

    /// Decrypt. Whatever is wrong inside is told only of a message whose integrity holds.
    fn encrypted(
        &mut self,
        esk: &[Esk],
        edata: Edata<'_>,
        keys: &[Arc<SecretKey>],
        sink: &mut Sink,
    ) -> Verdict {
        let mut reader = match edata {
            Edata::SymEncryptedProtectedData { reader } | Edata::GnupgAeadData { reader } => reader,
            Edata::SymEncryptedData { .. } => {
                return refused(
                    "the message has no integrity protection (a symmetrically encrypted data packet)",
                );
            }
        };
        let session_key = session_key(esk, reader.config(), keys, &self.ring)?;
        if reader.decrypt(&session_key, Seipdv1ReadMode::Streaming).is_err() {
            return Err(unproven());
        }
        let watch = Watch::default();
        let (lent, home) = lend(reader, &watch);
        let content = self.level(lent, 0, sink);
        let reader = home.take().filter(|_| !watch.has_failed());
        if reader.is_some_and(|reader| drain_encrypted(reader).is_ok()) { content } else { Err(unproven()) }
    }

    /// The packets inside another layer.
    fn level<'a>(&mut self, packets: impl DebugBufRead + 'a, depth: u32, sink: &mut Sink) -> Verdict {
        let watch = Watch::default();
        let verdict = match Message::from_bytes(Guard::new(packets, watch.clone())) {
            Ok(message) => self.content(message, depth, sink),
            Err(error) => Err(malformed(&error)),
        };
        whole(verdict, &watch)
    }

    /// What is inside any encryption: literal data, signed or not, compressed or not.
    fn content(&mut self, message: Message<'_>, depth: u32, sink: &mut Sink) -> Verdict {
        match message {
            Message::Compressed { reader, .. } => self.compressed(reader, depth + 1, sink),
            Message::Encrypted { .. } => Err(corrupt("an encrypted message within a message")),
            Message::Signed { ref reader, .. } if !reader.get_ref().is_literal() => {
                Err(corrupt("a signature that is not over literal data"))
            }
            message => self.literal(message, sink),
        }
    }

    fn compressed(
        &mut self,
        reader: CompressedDataReader<MessageReader<'_>>,
        depth: u32,
        sink: &mut Sink,
    ) -> Verdict {
        if depth > MAX_COMPRESSED {
            let observed = format!("{depth} compressed packets within each other");
            return Err(Failure::new(
                Code::LimitDepth,
                format!("observed {observed}, at most {MAX_COMPRESSED} are read"),
            ));
        }
        let reader = reader.decompress().map_err(|error| malformed(&error))?;
        let watch = Watch::default();
        let (lent, home) = lend(reader, &watch);
        self.level(lent, depth, sink)?;
        let Some(mut reader) = home.take().filter(|_| watch.is_whole()) else {
            return Err(corrupt("the compressed data is damaged"));
        };
        drain(&mut reader).map_err(|error| malformed(&error))?;
        let mut packet = reader.into_inner();
        drain(&mut packet).map_err(|error| malformed(&error))?;
        drain(&mut packet.into_inner()).map_err(|error| malformed(&error))
    }

    fn literal(&mut self, mut message: Message<'_>, sink: &mut Sink) -> Verdict {
        loop {
            let bytes = message.fill_buf().map_err(|error| malformed(&error))?;
            if bytes.is_empty() {
                break;
            }
            let n = bytes.len().min(self.meter.allowance());
            self.meter.add(n, sink.read())?;
            sink.write_all(&bytes[..n]).map_err(|error| broken(&error))?;
            message.consume(n);
        }
        self.meter.finish(sink.read())?;
        self.signatures(&message)
    }

    /// Whether the message is signed by who may sign it.
    fn signatures(&self, message: &Message<'_>) -> Verdict {
        if self.verify == PgpVerify::None {
            return Ok(());
        }
        let (mut good, mut refusal, mut foreign) = (false, None, None);
        let signed = match message {
            Message::Signed { reader, .. } => reader.num_signatures(),
            _ => 0,
        };
        for at in 0..signed {
            let Some(signature) = signature(message, at) else { continue };
            for (name, cert) in &self.signers {
                let verify = |key: &dyn VerifyingKey| message.verify_nested_explicit(at, key).is_ok();
                match cert.judge(signature, self.ring.now(), verify) {
                    Judgement::Good => good = true,
                    Judgement::Broken => return Err(unproven()),
                    Judgement::Refused(why) => {
                        refusal.get_or_insert(format!("the signature of `{name}` does not count: {why}"));
                    }
                    Judgement::Foreign => {
                        foreign.get_or_insert_with(|| issuer(signature));
                    }
                }
            }
        }
        match (good, refusal, foreign) {
            (true, ..) => Ok(()),
            (_, Some(why), _) => refused(&why),
            (_, None, Some(id)) => {
                refused(&format!("the message is signed by {id}, which is none of the route's `signers`"))
            }
            _ if self.verify == PgpVerify::Optional && signed == 0 => Ok(()),
            _ if signed == 0 => refused("the message is not signed"),
            _ => refused("the message has a signature of a kind that is not read"),
        }
    }
}

fn signature<'a>(message: &'a Message<'_>, at: usize) -> Option<&'a Signature> {
    match message {
        Message::Signed { reader, .. } => SignatureManyReader::signature(reader, at),
        _ => None,
    }
}

/// Who made a signature, in words.
fn issuer(signature: &Signature) -> String {
    if let Some(fingerprint) = signature.issuer_fingerprint().first() {
        return format!("the key {fingerprint:X}");
    }
    match signature.issuer_key_id().first() {
        Some(id) => format!("the key {}", key_id(id)),
        None => "a key it does not name".to_owned(),
    }
}

/// A verdict on a level, after its own readers were heard: they know better than the error they caused.
fn whole(verdict: Verdict, watch: &Watch) -> Verdict {
    if let Some(fault) = watch.fault() {
        return Err(fault);
    }
    verdict?;
    if watch.is_whole() { Ok(()) } else { Err(corrupt("the message does not end where it should")) }
}

/// To the end of the encrypted data, where its integrity is checked, and of the level it is in.
fn drain_encrypted(mut reader: SymEncryptedProtectedDataReader<MessageReader<'_>>) -> io::Result<()> {
    drain(&mut reader)?;
    let mut packet = reader.into_inner();
    drain(&mut packet)?;
    // A fault of the frames outside is told by their guard, and is none of the integrity.
    drop(drain(&mut packet.into_inner()));
    Ok(())
}

/// The session key, by the first key that opens it.
///
/// When a key of ours is named and does not open it, decryption goes on with a key that is none and fails as it does with any
/// damaged message: RFC 9580, section 13.4, on what an attacker learns from the difference.
fn session_key(
    esk: &[Esk],
    config: &ProtectedDataConfig,
    keys: &[Arc<SecretKey>],
    ring: &Keyring,
) -> Result<PlainSessionKey, Failure> {
    let (mut ours, mut named, mut passphrase) = (false, Vec::new(), false);
    for esk in esk {
        let Esk::PublicKeyEncryptedSessionKey(esk) = esk else {
            passphrase = true;
            continue;
        };
        for key in keys {
            match key.session_key(esk) {
                None => {}
                Some(None) => ours = true,
                Some(Some(session_key)) => return Ok(session_key),
            }
        }
        if let Ok(id) = esk.id() {
            named.push(key_id(id));
        } else if let Ok(Some(fingerprint)) = esk.fingerprint() {
            named.push(format!("{fingerprint:X}"));
        }
    }
    if ours {
        return decoy(esk, config, ring);
    }
    let more = named.len().saturating_sub(MAX_NAMED);
    named.truncate(MAX_NAMED);
    let names = named.join(", ");
    let message = match (named.is_empty(), more) {
        (true, _) if passphrase => "the message is encrypted to a passphrase and to no key".to_owned(),
        (true, _) => "the message is encrypted to no key".to_owned(),
        (false, 0) => format!("the message is encrypted to {names}, and none of these is a key of the route"),
        (false, more) => {
            format!("the message is encrypted to {names} and {more} others, and none is a key of the route")
        }
    };
    Err(Failure::new(Code::CryptoNoKey, message))
}

/// A session key of the right kind that decrypts to nothing.
fn decoy(esk: &[Esk], config: &ProtectedDataConfig, ring: &Keyring) -> Result<PlainSessionKey, Failure> {
    let mut seed = Vec::new();
    for esk in esk {
        esk.to_writer(&mut seed).map_err(|_| unproven())?;
    }
    let sym_alg = match config {
        ProtectedDataConfig::Seipd(SymEncryptedProtectedDataConfig::V1) => SymmetricKeyAlgorithm::AES256,
        ProtectedDataConfig::Seipd(SymEncryptedProtectedDataConfig::V2 { sym_alg, .. }) => *sym_alg,
        ProtectedDataConfig::GnupgAead(config) => config.sym_alg,
    };
    let mut key = ring.decoy(&seed);
    key.truncate(sym_alg.key_size());
    let key = RawSessionKey::from(key);
    Ok(match config {
        ProtectedDataConfig::Seipd(SymEncryptedProtectedDataConfig::V2 { .. }) => PlainSessionKey::V6 { key },
        _ => PlainSessionKey::V3_4 { sym_alg, key },
    })
}

/// The one thing that is said of a message whose integrity or signature does not hold.
fn unproven() -> Failure {
    let message = "the message cannot be decrypted, or its integrity or signature does not hold";
    Failure::new(Code::CryptoRefused, message)
}

fn refused(why: &str) -> Verdict {
    Err(Failure::new(Code::CryptoRefused, why))
}

fn corrupt(why: &str) -> Failure {
    Failure::new(Code::FormatCorrupt, why)
}

fn key_id(id: &KeyId) -> String {
    id.to_string().to_uppercase()
}

fn malformed(error: &impl std::fmt::Display) -> Failure {
    let reason: String = error.to_string().chars().take(MAX_REASON).flat_map(char::escape_debug).collect();
    corrupt(&format!("not a well-formed OpenPGP message: {reason}"))
}

/// The stage is gone, or the channels to it.
fn broken(error: &io::Error) -> Failure {
    Failure::new(Code::Internal, format!("OpenPGP thread: {error}"))
}
