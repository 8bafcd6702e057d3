//! What a key may do, and when: the self-signatures of RFC 9580, sections 5.2.3 and 10.1, read as strictly as a file
//! exchange needs. A key that is revoked for whatever reason, expired, or without a valid self-signature is not used.

use pgp::{
    composed::{PlainSessionKey, SignedPublicKey, SignedPublicSubKey, SignedSecretKey},
    crypto::hash::HashAlgorithm,
    packet::{KeyFlags, PublicKeyEncryptedSessionKey, PublicSubkey, Signature, SignatureType, SubpacketData},
    types::{
        DecryptionKey, EskType, KeyDetails, Password, PkeskVersion, SigningKey, Tag, Timestamp, VerifyingKey,
    },
};

/// How far in the future a signature may lie: a sender's clock or time zone that is wrong. None, reasonable default.
const MAX_SKEW_SECONDS: u32 = 24 * 60 * 60;

/// A public key with all that is said of it.
pub(crate) struct Cert {
    key: SignedPublicKey,
}

/// What a certificate says to a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is by another key.
    Foreign,
    /// It is by this key, over this content, and the key may sign.
    Good,
    /// It claims to be by this key, but not over this content.
    Broken,
    /// It is by this key and over this content, but does not count, for this reason.
    Refused(String),
}

impl Cert {
    pub(super) fn new(key: SignedPublicKey) -> Self {
        Self { key }
    }

    /// At least one valid self-signature.
    pub(super) fn check(&self) -> Result<(), String> {
        self.self_signature().map(drop).ok_or_else(|| "has no valid self-signature".to_owned())
    }

    /// The newest valid self-signature of the primary key: what its flags and its expiry are.
    fn self_signature(&self) -> Option<&Signature> {
        let primary = &self.key.primary_key;
        let direct = self.key.details.direct_signatures.iter();
        let direct = direct.filter(|signature| signature.verify_key(primary).is_ok());
        let users = self.key.details.users.iter().flat_map(|user| {
            let signatures = user.signatures.iter().filter(|signature| signature.is_certification());
            signatures
                .filter(|signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok())
        });
        direct.chain(users).max_by_key(|signature| signature.created())
    }

    /// Why the primary key cannot be relied on now.
    fn primary_fault(&self, now: Timestamp) -> Option<String> {
        let primary = &self.key.primary_key;
        let revoked = |signature: &Signature| {
            signature.typ() == Some(SignatureType::KeyRevocation) && signature.verify_key(primary).is_ok()
        };
        if self.key.details.revocation_signatures.iter().any(revoked) {
            return Some("is revoked".to_owned());
        }
        let Some(signature) = self.self_signature() else {
            return Some("has no valid self-signature".to_owned());
        };
        expired(primary.created_at(), signature, now)
    }

    /// The newest valid binding of a subkey, or why it cannot be relied on now.
    fn binding<'a>(&self, subkey: &'a SignedPublicSubKey, now: Timestamp) -> Result<&'a Signature, String> {
        let primary = &self.key.primary_key;
        let valid = |kind| {
            let of_kind = move |signature: &&Signature| signature.typ() == Some(kind);
            let verified =
                |signature: &&Signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok();
            subkey.signatures.iter().filter(of_kind).filter(verified)
        };
        if valid(SignatureType::SubkeyRevocation).next().is_some() {
            return Err("is revoked".to_owned());
        }
        let newest = valid(SignatureType::SubkeyBinding).max_by_key(|signature| signature.created());
        let binding = newest.ok_or("has no valid binding signature")?;
        match expired(subkey.key.created_at(), binding, now) {
            Some(fault) => Err(fault),
            None => Ok(binding),
        }
    }

    /// The subkey that a message to this key is encrypted to: the newest that may be used for it.
    pub(crate) fn encrypting(&self, now: Timestamp) -> Result<&PublicSubkey, String> {
        if let Some(fault) = self.primary_fault(now) {
            return Err(fault);
        }
        let mut why = "has no subkey for encryption".to_owned();
        let mut found: Vec<_> = Vec::new();
        for subkey in &self.key.public_subkeys {
            match self.binding(subkey, now) {
                Ok(binding) if encrypts(&binding.key_flags()) => found.push(subkey),
                Ok(_) => {}
                Err(fault) => why = format!("its subkey for encryption {fault}"),
            }
        }
        let newest = found.into_iter().max_by_key(|subkey| subkey.key.created_at());
        newest.map(|subkey| &subkey.key).ok_or(why)
    }

    /// Judge a signature over content; `verify` says whether a key has made it over that content.
    pub(crate) fn judge(
        &self,
        signature: &Signature,
        now: Timestamp,
        verify: impl Fn(&dyn VerifyingKey) -> bool,
    ) -> Judgement {
        let primary = &self.key.primary_key;
        let fault = if claims(signature, primary) {
            if !verify(primary) {
                return Judgement::Broken;
            }
            let flags = self.self_signature().map(Signature::key_flags);
            self.primary_fault(now).or_else(|| flags.filter(forbids_signing).map(|_| may_not()))
        } else {
            let subkey = self.key.public_subkeys.iter().find(|subkey| claims(signature, &subkey.key));
            let Some(subkey) = subkey else { return Judgement::Foreign };
            if !verify(&subkey.key) {
                return Judgement::Broken;
            }
            self.primary_fault(now).or_else(|| self.signing_fault(subkey, now))
        };
        match fault.map(|fault| format!("the key {fault}")).or_else(|| signature_fault(signature, now)) {
            Some(fault) => Judgement::Refused(fault),
            None => Judgement::Good,
        }
    }

    /// Why a subkey may not sign now. The primary key has to be named by the subkey as well: otherwise anybody could
    /// claim another's signing subkey, and with it the signatures.
    fn signing_fault(&self, subkey: &SignedPublicSubKey, now: Timestamp) -> Option<String> {
        let binding = match self.binding(subkey, now) {
            Ok(binding) => binding,
            Err(fault) => return Some(fault),
        };
        let backed = binding
            .embedded_signature()
            .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, &self.key.primary_key).is_ok());
        match (binding.key_flags().sign(), backed) {
            (false, _) => Some(may_not()),
            (true, false) => Some("is not bound to its primary key by itself".to_owned()),
            (true, true) => None,
        }
    }
}

fn may_not() -> String {
    "may not sign".to_owned()
}

/// A primary key without flags may do what its algorithm can.
fn forbids_signing(flags: &KeyFlags) -> bool {
    let says_something = flags.certify() || encrypts(flags) || flags.authentication();
    says_something && !flags.sign()
}

fn encrypts(flags: &KeyFlags) -> bool {
    flags.encrypt_comms() || flags.encrypt_storage()
}

fn expired(created: Timestamp, signature: &Signature, now: Timestamp) -> Option<String> {
    let life = signature.key_expiration_time().map_or(0, |life| life.as_secs());
    let over = life > 0 && created.as_secs().saturating_add(life) <= now.as_secs();
    over.then(|| "is expired".to_owned())
}

/// The signature names this key. One that names none is nobody's.
fn claims(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if !fingerprints.is_empty() {
        return fingerprints.contains(&&key.fingerprint());
    }
    signature.issuer_key_id().contains(&&key.legacy_key_id())
}

/// Why a signature that is over this content does not count.
fn signature_fault(signature: &Signature, now: Timestamp) -> Option<String> {
    let fault = |what: &str| Some(format!("the signature {what}"));
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return fault("is not one of a document");
    }
    let weak = [HashAlgorithm::Md5, HashAlgorithm::Sha1, HashAlgorithm::Ripemd160];
    if signature.hash_alg().is_none_or(|algorithm| weak.contains(&algorithm)) {
        return fault("uses a hash function that is broken (MD5, SHA-1 or RIPEMD-160)");
    }
    let Some(created) = signature.created().map(Timestamp::as_secs) else { return fault("has no date") };
    if created > now.as_secs().saturating_add(MAX_SKEW_SECONDS) {
        return fault("is dated in the future");
    }
    let life = signature.signature_expiration_time().map_or(0, |life| life.as_secs());
    if life > 0 && created.saturating_add(life) <= now.as_secs() {
        return fault("is expired");
    }
    // RFC 9580, section 5.2.3.7: what is critical and not understood makes a signature invalid.
    let unknown = |data: &SubpacketData| {
        matches!(
            data,
            SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(..)
        )
    };
    let hashed = signature.config().map(|config| config.hashed_subpackets());
    if hashed.is_some_and(|mut all| all.any(|one| one.is_critical && unknown(&one.data))) {
        return fault("makes a demand that is not understood");
    }
    None
}

/// A secret key and what unlocks it.
pub(crate) struct SecretKey {
    key: SignedSecretKey,
    password: Password,
    cert: Cert,
}

impl SecretKey {
    pub(super) fn new(key: SignedSecretKey, password: Password) -> Self {
        let cert = Cert::new(key.to_public_key());
        Self { key, password, cert }
    }

    pub(crate) fn password(&self) -> Password {
        Password::from(&self.password.read()[..])
    }

    /// Some part of it can be unlocked. Expired and revoked keys still decrypt what was sent to them.
    pub(super) fn decrypting(&self) -> Result<(), String> {
        let primary = self.key.primary_key.unlock(&self.password, |_, _| Ok(()));
        let unlocks = |result: pgp::errors::Result<pgp::errors::Result<()>>| matches!(result, Ok(Ok(())));
        let subkeys = &self.key.secret_subkeys;
        if subkeys.is_empty() && unlocks(primary) {
            return Ok(());
        }
        let any = subkeys.iter().any(|subkey| unlocks(subkey.key.unlock(&self.password, |_, _| Ok(()))));
        if any { Ok(()) } else { Err(self.locked()) }
    }

    fn locked(&self) -> String {
        match self.password.read().is_empty() {
            true => "is locked, and no passphrase was given".to_owned(),
            false => "the passphrase does not unlock it".to_owned(),
        }
    }

    /// The part of it that signs: the newest subkey that may, or the primary key.
    pub(crate) fn signing(&self, now: Timestamp) -> Result<&dyn SigningKey, String> {
        if let Some(fault) = self.cert.primary_fault(now) {
            return Err(fault);
        }
        let may = |fingerprint: &pgp::types::Fingerprint| {
            let public =
                self.cert.key.public_subkeys.iter().find(|subkey| subkey.key.fingerprint() == *fingerprint);
            public.is_some_and(|subkey| self.cert.signing_fault(subkey, now).is_none())
        };
        let unlocks = |result: pgp::errors::Result<pgp::errors::Result<()>>| matches!(result, Ok(Ok(())));
        let subkeys = self.key.secret_subkeys.iter().filter(|subkey| may(&subkey.key.fingerprint()));
        if let Some(subkey) = subkeys.max_by_key(|subkey| subkey.key.created_at()) {
            let usable = unlocks(subkey.key.unlock(&self.password, |_, _| Ok(())));
            return if usable { Ok(&subkey.key) } else { Err(self.locked()) };
        }
        let flags = self.cert.self_signature().map(Signature::key_flags);
        if flags.is_some_and(|flags| forbids_signing(&flags)) {
            return Err("has no part that may sign".to_owned());
        }
        let usable = unlocks(self.key.primary_key.unlock(&self.password, |_, _| Ok(())));
        if usable { Ok(&self.key.primary_key) } else { Err(self.locked()) }
    }

    /// Try this key on an encrypted session key. `None`: it is not for any part of this key. `Some(None)`: it is, or
    /// does not say for whom it is, and could not be decrypted.
    pub(crate) fn session_key(&self, esk: &PublicKeyEncryptedSessionKey) -> Option<Option<PlainSessionKey>> {
        let kind = match esk.version() {
            PkeskVersion::V3 => EskType::V3_4,
            PkeskVersion::V6 => EskType::V6,
            PkeskVersion::Other(_) => return None,
        };
        let values = esk.values().ok()?;
        let mut matched = false;
        let mut attempt = |names_it: bool, key: &dyn DecryptionKey| {
            matched |= names_it;
            let opened = || key.decrypt(&self.password, values, kind);
            if names_it { opened().ok().and_then(Result::ok) } else { None }
        };
        let primary = &self.key.primary_key;
        let mut found = attempt(esk.match_identity(primary.public_key()), primary);
        for subkey in &self.key.secret_subkeys {
            let names_it = found.is_none() && esk.match_identity(subkey.key.public_key());
            found = found.or(attempt(names_it, &subkey.key));
        }
        matched.then_some(found)
    }
}
