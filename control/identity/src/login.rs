//! Whether somebody is let in, and as what.
//!
//! A login with a password takes the same work whatever is wrong with it: one look at the user, one at its partner, one
//! password compared, one at the failures before, one write. Else the time would say which names are users'.

use std::{net::IpAddr, sync::Arc};

use eft_domain::{
    BucketName, Millis, Partner,
    partner::Barred,
    sftp::{PasswordHash, SftpUser},
};
use eft_store::{Catalog, Keys, StoreResult};

use crate::{
    event::{Home, Request, Welcome},
    failures::Counter,
    policy,
};

/// A tenant and partner that is looked for where a login has none. Were there one, nothing would come of it.
const NOBODY: &str = "nobody";

/// Why somebody is not let in. It is said in the log and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Another protocol than SFTP, such as one that sends passwords in the clear.
    Protocol,
    /// There is no such user.
    UnknownUser,
    /// The user is paused.
    Paused,
    /// The user belongs to a partner that is not there: unknown is as good as paused.
    UnknownPartner,
    /// Its partner is paused.
    PartnerPaused,
    /// Its home does not lie in the folder of its partner.
    PartnerFolder,
    /// Not from this address.
    Source,
    /// The user has no key to log in with.
    NoKey,
    /// The user has no password to log in with.
    NoPassword,
    /// It is not the user's password.
    WrongPassword,
    /// It is not the user's password, and was the last that may be wrong.
    Locking,
    /// Too many were wrong.
    Locked,
    /// Its folder has too long a name for the session to be held to it.
    PolicyTooLong,
}

impl Denied {
    /// The word of the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::UnknownUser => "user.unknown",
            Self::Paused => "user.paused",
            Self::UnknownPartner => "partner.unknown",
            Self::PartnerPaused => "partner.paused",
            Self::PartnerFolder => "partner.folder",
            Self::Source => "source",
            Self::NoKey => "key.none",
            Self::NoPassword => "password.none",
            Self::WrongPassword => "password.wrong",
            Self::Locking => "password.locking",
            Self::Locked => "password.locked",
            Self::PolicyTooLong => "policy.too_long",
        }
    }
}

/// What came of a login: the user, if the name is one's, and what Transfer Family is told or why nothing.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whose name it is.
    pub user: Option<SftpUser>,
    /// As what it comes in.
    pub welcome: Result<Box<Welcome>, Denied>,
}

/// Lets users in.
pub struct Login {
    /// Where users are.
    pub catalog: Arc<dyn Catalog>,
    /// Where failures are counted.
    pub keys: Arc<dyn Keys>,
    /// The bucket of this region that files arrive in.
    pub bucket: BucketName,
    /// The role with which they are written.
    pub role: Role,
}

/// The ARN of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    arn: String,
    partition: String,
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(arn: &str) -> Result<Self, &'static str> {
        let parts: Vec<_> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, "iam", "", account, name]
                if account.len() == 12 && name.strip_prefix("role/").is_some_and(|name| !name.is_empty()) =>
            {
                Ok(Self { arn: arn.to_owned(), partition: (*partition).to_owned() })
            }
            _ => Err("is no ARN of a role"),
        }
    }
}

impl Login {
    /// What somebody is told who wants in.
    ///
    /// # Errors
    /// The tables could not be reached: nobody is let in.
    pub async fn decide(&self, request: &Request, now: Millis) -> StoreResult<Decision> {
        if request.protocol != "SFTP" {
            return Ok(Decision { user: None, welcome: Err(Denied::Protocol) });
        }
        let user = match request.username.parse() {
            Ok(name) => self.catalog.sftp_user(&name).await?,
            Err(_) => None,
        };
        let partner = self.partner_of(user.as_ref()).await?;
        let admitted = admit(user.as_ref(), partner.as_ref(), &request.source_ip);
        let welcome = match request.password() {
            None => admitted.and_then(|user| self.by_key(user)),
            Some(password) => self.by_password(request, password, admitted, now).await?,
        };
        Ok(Decision { user, welcome })
    }

    /// The partner of a user. Where there is no user, or it has no partner, one is looked for that nobody has.
    async fn partner_of(&self, user: Option<&SftpUser>) -> StoreResult<Option<Partner>> {
        let named = user.and_then(|user| Some((user.tenant.clone(), user.partner.clone()?)));
        let nobodys = || Some((NOBODY.parse().ok()?, NOBODY.parse().ok()?));
        match named.or_else(nobodys) {
            Some((tenant, partner)) => self.catalog.partner(&tenant, &partner).await,
            None => Ok(None),
        }
    }

    /// It changes nothing: Transfer Family asks several times for one login, and compares the keys itself.
    fn by_key(&self, user: &SftpUser) -> Result<Box<Welcome>, Denied> {
        if user.keys.is_empty() {
            return Err(Denied::NoKey);
        }
        let mut welcome = self.welcome(user)?;
        welcome.public_keys.clone_from(&user.keys);
        Ok(welcome)
    }

    async fn by_password(
        &self,
        request: &Request,
        password: &str,
        admitted: Result<&SftpUser, Denied>,
        now: Millis,
    ) -> StoreResult<Result<Box<Welcome>, Denied>> {
        let (hash, counter) = match admitted {
            Ok(user) => (user.password.clone(), Counter::of(user)),
            Err(_) => (None, Counter::shared(&request.username)),
        };
        // The function has one login at a time, which waits for nothing else.
        let fits = hash.clone().unwrap_or_else(PasswordHash::decoy).fits(password);
        // After the password, not before: of those that are guessed at one moment, as few as may be are judged by what stood
        // there before them.
        let seen = counter.look(self.keys.as_ref(), now).await?;
        match admitted {
            Ok(user) if fits && hash.is_some() && !seen.are_locked() => Ok(self.welcome(user)),
            _ => {
                let is_last = counter.failed(self.keys.as_ref(), &seen, now).await?;
                let why = match (&hash, seen.are_locked(), is_last) {
                    (_, true, _) => Denied::Locked,
                    (None, ..) => Denied::NoPassword,
                    (Some(_), false, true) => Denied::Locking,
                    (Some(_), false, false) => Denied::WrongPassword,
                };
                Ok(admitted.and(Err(why)))
            }
        }
    }

    fn welcome(&self, user: &SftpUser) -> Result<Box<Welcome>, Denied> {
        let (Role { arn, partition }, prefix) = (&self.role, user.prefix());
        Ok(Box::new(Welcome {
            role: arn.clone(),
            policy: policy::session(partition, &self.bucket, &prefix).ok_or(Denied::PolicyTooLong)?,
            home_directory_type: "LOGICAL",
            home_directory_details: Home(format!("/{}/{}", self.bucket, prefix.trim_end_matches('/'))),
            public_keys: Vec::new(),
        }))
    }
}

/// The user, if it may log in from there by whatever means.
fn admit<'a>(
    user: Option<&'a SftpUser>,
    partner: Option<&Partner>,
    from: &str,
) -> Result<&'a SftpUser, Denied> {
    let user = user.ok_or(Denied::UnknownUser)?;
    match Partner::bars(partner, user) {
        Some(Barred::Unknown) => return Err(Denied::UnknownPartner),
        Some(Barred::Paused) => return Err(Denied::PartnerPaused),
        Some(Barred::Outside) => return Err(Denied::PartnerFolder),
        None => {}
    }
    let is_from_there = from.parse::<IpAddr>().is_ok_and(|from| user.admits(from));
    match (user.paused, is_from_there) {
        (true, _) => Err(Denied::Paused),
        (false, false) => Err(Denied::Source),
        (false, true) => Ok(user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_an_arn_of_one() {
        let role: Role = "arn:aws-cn:iam::111122223333:role/path/eft-sftp".parse().unwrap();
        assert_eq!(role.partition, "aws-cn");
        for text in [
            "",
            "eft-sftp",
            "arn:aws:iam::111122223333:user/u",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::1:role/r",
        ] {
            assert!(text.parse::<Role>().is_err(), "{text}");
        }
    }
}
