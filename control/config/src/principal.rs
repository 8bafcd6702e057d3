//! Who asks: what the JWT authorizer of the API has found in the token. The tenant is taken from there and nowhere else.

use std::collections::HashMap;

use eft_domain::TenantId;

use crate::problem::{Code, Problem};

/// The claim that names the tenant, where the settings name no other.
pub const TENANT_CLAIM: &str = "tenant";

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To look.
    ConfigRead,
    /// To look and to change.
    ConfigWrite,
    /// To do everything, also to set tenants up: for those who run the platform. A tenant that could set itself up could
    /// deliver to the places of others.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::ConfigRead, Self::ConfigWrite, Self::Admin];

    /// As it stands in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigRead => "config:read",
            Self::ConfigWrite => "config:write",
            Self::Admin => "admin",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose things it may touch.
    pub tenant: TenantId,
    /// Who it is; at most 256 characters.
    pub subject: String,
    /// The most that it may do; the scopes are a ladder.
    pub scope: Option<Scope>,
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
        Ok(Self { tenant, subject: subject.clone(), scope: scope_of(claims) })
    }

    /// # Errors
    /// It may not.
    pub(crate) fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.scope >= Some(scope) {
            return Ok(());
        }
        let detail = format!("this needs the scope `{}`", scope.as_str());
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scope.as_str());
        Err(Problem::new(Code::AuthScope, detail).with_header(http::header::WWW_AUTHENTICATE, challenge))
    }
}

/// The highest scope of `scope` (RFC 8693: words with spaces between) or `scp`, which some providers write as a list: the
/// authorizer hands lists over as `[a b]`.
fn scope_of(claims: &HashMap<String, String>) -> Option<Scope> {
    let texts = ["scope", "scp"].into_iter().filter_map(|name| claims.get(name));
    let words = texts.flat_map(|text| text.trim_matches(['[', ']']).split_whitespace());
    words.filter_map(|word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word)).max()
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
        assert_eq!(principal.scope, Some(Scope::ConfigRead));
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
            assert_eq!(scope_of(&claims(&[("scope", text)])), None, "{text}");
        }
    }
}
