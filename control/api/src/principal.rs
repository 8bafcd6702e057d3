//! Who asks: what the JWT authorizer of the API has found in the token. The tenant is taken from there and nowhere else.

use std::collections::HashMap;

use eft_domain::TenantId;

use crate::problem::{Code, Problem};

/// The claim that names the tenant, where the settings name no other.
pub const TENANT_CLAIM: &str = "tenant";

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To look at routes and users.
    ConfigRead,
    /// To look at them and to change them.
    ConfigWrite,
    /// To look at jobs.
    JobsRead,
    /// To look at them and to act on them.
    JobsWrite,
    /// To do everything, also to set tenants up and to act on queues: for those who run the platform. A tenant that could
    /// set itself up could deliver to the places of others.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::ConfigRead, Self::ConfigWrite, Self::JobsRead, Self::JobsWrite, Self::Admin];

    /// As it stands in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigRead => "config:read",
            Self::ConfigWrite => "config:write",
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::Admin => "admin",
        }
    }

    /// Whether who has it may do what needs the other.
    pub const fn allows(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Admin, _)
                | (Self::ConfigWrite, Self::ConfigWrite | Self::ConfigRead)
                | (Self::ConfigRead, Self::ConfigRead)
                | (Self::JobsWrite, Self::JobsWrite | Self::JobsRead)
                | (Self::JobsRead, Self::JobsRead)
        )
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose things it may touch.
    pub tenant: TenantId,
    /// Who it is; at most 256 characters.
    pub subject: String,
    /// What its token says it may do.
    pub scopes: Vec<Scope>,
}

impl Principal {
    /// What an authorizer found in a token, whose tenant stands in this claim.
    ///
    /// # Errors
    /// The token names no tenant or no subject.
    pub fn from_claims(claims: &HashMap<String, String>, tenant_claim: &str) -> Result<Self, Problem> {
        let invalid = |what: &str| Problem::new(Code::AuthInvalid, format!("the token {what}"));
        let subject = claims.get("sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| invalid("names no subject"))?;
        if subject.chars().count() > 256 || subject.contains(char::is_control) {
            return Err(invalid("names a subject of more than 256 characters, or of others than letters"));
        }
        let tenant = claims.get(tenant_claim).ok_or_else(|| invalid("names no tenant"))?;
        let tenant = tenant.parse().map_err(|_| invalid("names a tenant that cannot be one"))?;
        Ok(Self { tenant, subject: subject.clone(), scopes: scopes_of(claims) })
    }

    /// Whether it may do what needs this scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| held.allows(scope))
    }

    /// # Errors
    /// It may not.
    pub fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.has(scope) {
            return Ok(());
        }
        let detail = format!("this needs the scope `{}`", scope.as_str());
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scope.as_str());
        Err(Problem::new(Code::AuthScope, detail).with_header(http::header::WWW_AUTHENTICATE, challenge))
    }
}

/// The scopes of `scope` (RFC 8693: words with spaces between) or `scp`, which some providers write as a list: the
/// authorizer hands lists over as `[a b]`.
fn scopes_of(claims: &HashMap<String, String>) -> Vec<Scope> {
    let texts = ["scope", "scp"].into_iter().filter_map(|name| claims.get(name));
    let words = texts.flat_map(|text| text.trim_matches(['[', ']']).split_whitespace());
    words.filter_map(|word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_token_says_who_asks() {
        let all = claims(&[("sub", "ann"), ("tenant", "acme"), ("scope", "openid config:write config:read")]);
        let principal = Principal::from_claims(&all, TENANT_CLAIM).unwrap();
        assert_eq!((principal.tenant.as_str(), principal.subject.as_str()), ("acme", "ann"));
        assert!(principal.may(Scope::ConfigRead).is_ok() && principal.may(Scope::ConfigWrite).is_ok());
        assert_eq!(principal.may(Scope::Admin).unwrap_err().code, Code::AuthScope);
        let list = claims(&[("sub", "ann"), ("org", "acme"), ("scp", "[config:read x]")]);
        let principal = Principal::from_claims(&list, "org").unwrap();
        assert_eq!(principal.scopes, [Scope::ConfigRead]);
    }

    #[test]
    fn a_scope_allows_its_own_and_no_other_kind() {
        use Scope::{Admin, ConfigRead, ConfigWrite, JobsRead, JobsWrite};
        let allowed = |held: Scope| Scope::ALL.into_iter().filter(move |scope| held.allows(*scope));
        assert_eq!(allowed(ConfigRead).collect::<Vec<_>>(), [ConfigRead]);
        assert_eq!(allowed(ConfigWrite).collect::<Vec<_>>(), [ConfigRead, ConfigWrite]);
        assert_eq!(allowed(JobsRead).collect::<Vec<_>>(), [JobsRead]);
        assert_eq!(allowed(JobsWrite).collect::<Vec<_>>(), [JobsRead, JobsWrite]);
        assert_eq!(allowed(Admin).collect::<Vec<_>>(), Scope::ALL);
        let both = claims(&[("sub", "ann"), ("tenant", "acme"), ("scope", "jobs:read config:write")]);
        let both = Principal::from_claims(&both, TENANT_CLAIM).unwrap();
        assert!(both.has(ConfigRead) && both.has(JobsRead) && !both.has(JobsWrite) && !both.has(Admin));
    }

    #[test]
    fn a_token_without_a_tenant_or_subject_is_none() {
        let long = "x".repeat(257);
        for pairs in [
            &[("tenant", "acme")][..],
            &[("sub", ""), ("tenant", "acme")],
            &[("sub", "ann")],
            &[("sub", "ann"), ("tenant", "../acme")],
            &[("sub", "ann"), ("tenant", "")],
            &[("sub", "a\nb"), ("tenant", "acme")],
            &[("sub", &long), ("tenant", "acme")],
        ] {
            let problem = Principal::from_claims(&claims(pairs), TENANT_CLAIM).unwrap_err();
            assert_eq!(problem.code, Code::AuthInvalid, "{pairs:?}");
        }
    }

    #[test]
    fn a_word_that_looks_like_a_scope_is_none() {
        for text in ["", "config", "config:readx", "ADMIN", "x/admin", "admin,config:read"] {
            assert_eq!(scopes_of(&claims(&[("scope", text)])), [], "{text}");
        }
    }
}
