//! Passwords of users: as they are chosen, and as they are kept.

use std::{fmt, str::FromStr};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{PasswordHash as Phc, SaltString},
};

/// Fewest characters: NIST SP 800-63B-4, 3.1.1.2, where a password is all that is asked for.
pub const SHORTEST: usize = 15;

/// Most characters: NIST asks for 64 at least. Reasonable default.
pub const LONGEST: usize = 128;

/// Bytes of a salt: RFC 9106, 3.1.
pub const SALT: usize = 16;

/// KiB, passes and lanes: the first that OWASP's "Password Storage Cheat Sheet" has for one lane and little memory.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// What is compared where there is nothing to compare with: of no password that anybody has, at today's cost.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as somebody has chosen it. It is shown nowhere.
#[derive(Clone)]
pub struct Password(String);

/// Why a text is no password. The text is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {SHORTEST} to {LONGEST} letters, digits, spaces and signs of ASCII")]
pub struct PasswordError;

impl FromStr for Password {
    type Err = PasswordError;

    /// Of ASCII alone: clients encode everything else as they like, and it would be another password from the next machine.
    fn from_str(text: &str) -> Result<Self, PasswordError> {
        let is_right = (SHORTEST..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if is_right { Ok(Self(text.to_owned())) } else { Err(PasswordError) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// A password as it is kept: Argon2id, as a PHC string, which says its own cost and salt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Why a text is no hash of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no Argon2id hash of a password in the PHC string format")]
pub struct PasswordHashError;

impl PasswordHash {
    /// The hash of a password with a salt that nobody has had before. It takes tens of milliseconds and 19 MiB, as it should.
    ///
    /// # Errors
    /// Never with these parameters.
    pub fn of(password: &Password, salt: [u8; SALT]) -> Result<Self, PasswordHashError> {
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, None).map_err(|_| PasswordHashError)?;
        let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordHashError)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = hasher.hash_password(password.0.as_bytes(), &salt).map_err(|_| PasswordHashError)?;
        Ok(Self(hash.to_string()))
    }

    /// What to compare with where there is no user, or none with a password: it takes as long, and nothing fits it.
    pub fn decoy() -> Self {
        Self(DECOY.to_owned())
    }

    /// Whether it is this password's. The time that takes does not depend on either.
    pub fn fits(&self, text: &str) -> bool {
        // The cost is what the hash says, so that it can be raised while older ones stand.
        Phc::new(&self.0).is_ok_and(|hash| Argon2::default().verify_password(text.as_bytes(), &hash).is_ok())
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordHashError;

    fn from_str(text: &str) -> Result<Self, PasswordHashError> {
        let hash = Phc::new(text).map_err(|_| PasswordHashError)?;
        let is_whole = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.salt.is_some()
            && hash.hash.is_some()
            && Params::try_from(&hash).is_ok();
        if is_whole { Ok(Self(text.to_owned())) } else { Err(PasswordHashError) }
    }
}

serde_as_text!(PasswordHash);

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_password_fits_its_own_hash_and_no_other() {
        let chosen = password("correct horse battery");
        let (one, two) =
            (PasswordHash::of(&chosen, [1; SALT]).unwrap(), PasswordHash::of(&chosen, [2; SALT]).unwrap());
        assert_ne!(one, two, "the salt is in it");
        for hash in [&one, &two] {
            assert!(hash.fits("correct horse battery"));
            for wrong in ["correct horse batterz", "correct horse battery ", "Correct horse battery", ""] {
                assert!(!hash.fits(wrong), "{wrong}");
            }
        }
        let read: PasswordHash = one.to_string().parse().unwrap();
        assert_eq!(read, one);
    }

    #[test]
    fn a_decoy_costs_what_a_hash_costs_and_fits_nothing() {
        let fresh = PasswordHash::of(&password("correct horse battery"), [1; SALT]).unwrap().to_string();
        let decoy: PasswordHash = DECOY.parse().unwrap();
        let cost = |text: &str| text.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(&fresh), cost(&decoy.to_string()));
        assert_eq!(fresh.len(), DECOY.len());
        assert!(!decoy.fits("") && !decoy.fits("correct horse battery"));
    }

    #[test]
    fn another_programs_hash_is_read() {
        // The vector of the reference implementation's test.c: Argon2id, version 19, 256 KiB, 2 passes, 1 lane.
        let theirs: PasswordHash =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
                .parse()
                .unwrap();
        assert!(theirs.fits("password") && !theirs.fits("passwort"));
    }

    #[test]
    fn weak_passwords_and_other_hashes_are_refused_and_not_repeated() {
        for text in ["", "short", "fourteen chars", &"x".repeat(129), "fifteen\ncharact", "fünfzehn Zeichen!"]
        {
            let error = text.parse::<Password>().unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        assert!("fifteen charact".parse::<Password>().is_ok() && "x".repeat(128).parse::<Password>().is_ok());
        for text in [
            "",
            "plain",
            &DECOY.replace("argon2id", "argon2i"),
            &DECOY.replace("m=19456", "m=1"),
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA",
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        ] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
        assert!(!format!("{:?}", password("correct horse battery")).contains("horse"));
        assert!(!format!("{:?}", PasswordHash::decoy()).contains("AAAA"));
    }
}
