//! A partner: an organisation that sends files to a tenant, and under which its users of the SFTP server stand.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    PartnerId, TenantId,
    sftp::{Folder, SftpUser},
    text::shown,
};

/// Most contacts of a partner. Reasonable default.
pub const MOST_CONTACTS: usize = 20;

/// The longest name of an organisation or a person. Reasonable default.
pub const MOST_CHARS: usize = 200;

/// The longest address (RFC 5321, 4.5.3.1.3: a path of 256, of which two are its brackets).
pub const MOST_EMAIL_BYTES: usize = 254;

/// A partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Partner {
    /// Its name.
    pub id: PartnerId,
    /// Whose partner it is.
    pub tenant: TenantId,
    /// What people call it; may be empty.
    #[serde(default)]
    pub display_name: String,
    /// Whom to ask about its files.
    #[serde(default)]
    pub contacts: Vec<Contact>,
    /// The folder below the tenant's prefix in which the homes of its users lie; empty: any.
    #[serde(default)]
    pub folder: Folder,
    /// None of its users can log in for now.
    #[serde(default)]
    pub paused: bool,
}

/// Somebody of a partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// What it is called, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address.
    pub email: Email,
}

/// Why a user may not log in, as far as its partner is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// It names a partner that is not there: the two were changed at once, or the one was restored without the other.
    Unknown,
    /// The partner is paused.
    Paused,
    /// The partner's folder was changed so that the user's home is not in it any more.
    Outside,
}

impl Partner {
    /// Whether the home of a user lies in its folder.
    pub fn holds(&self, home: &Folder) -> bool {
        // Both end with a `/`, or are empty.
        home.as_str().starts_with(self.folder.as_str())
    }

    /// What keeps a user out whose partner was looked up and is this. Nothing but the look at login joins the two rows,
    /// so that whatever does not fit keeps the user out.
    pub fn bars(partner: Option<&Self>, user: &SftpUser) -> Option<Barred> {
        let named = user.partner.as_ref()?;
        match partner.filter(|partner| partner.id == *named && partner.tenant == user.tenant) {
            None => Some(Barred::Unknown),
            Some(partner) if partner.paused => Some(Barred::Paused),
            Some(partner) if !partner.holds(&user.home) => Some(Barred::Outside),
            Some(_) => None,
        }
    }
}

/// An address of e-mail, of visible ASCII. Whether anybody reads it only sending to it tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// A text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address such as ann@example.com, of at most {MOST_EMAIL_BYTES} visible ASCII characters"
)]
pub struct ParseEmailError(String);

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = ParseEmailError;

    fn from_str(text: &str) -> Result<Self, ParseEmailError> {
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
        let is_address = text.len() <= MOST_EMAIL_BYTES
            && text.split_once('@').is_some_and(|(name, host)| is_part(name) && is_part(host));
        if is_address { Ok(Self(text.to_owned())) } else { Err(ParseEmailError(shown(text, 80))) }
    }
}

serde_as_text!(Email);

#[cfg(test)]
mod tests {
    use super::*;

    fn partner() -> Partner {
        serde_json::from_str(r#"{"id": "shop", "tenant": "acme", "folder": "shop/"}"#).unwrap()
    }

    fn user(partner: Option<&str>, home: &str) -> SftpUser {
        let row =
            serde_json::json!({ "name": "shop-erp", "tenant": "acme", "partner": partner, "home": home });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_folder_holds_what_is_below_it() {
        for (home, holds) in
            [("shop/", true), ("shop/in/", true), ("", false), ("shop2/", false), ("in/shop/", false)]
        {
            assert_eq!(partner().holds(&home.parse().unwrap()), holds, "{home}");
        }
        let everywhere = Partner { folder: Folder::default(), ..partner() };
        assert!(everywhere.holds(&Folder::default()) && everywhere.holds(&"in/".parse().unwrap()));
    }

    #[test]
    fn whoever_does_not_fit_its_partner_is_kept_out() {
        let (shop, mine) = (partner(), user(Some("shop"), "shop/in/"));
        assert_eq!(Partner::bars(None, &user(None, "in/")), None, "who belongs to none needs none");
        assert_eq!(Partner::bars(Some(&shop), &mine), None);
        assert_eq!(Partner::bars(None, &mine), Some(Barred::Unknown));
        assert_eq!(Partner::bars(Some(&shop), &user(Some("other"), "shop/")), Some(Barred::Unknown));
        let theirs = Partner { tenant: "globex".parse().unwrap(), ..shop.clone() };
        assert_eq!(Partner::bars(Some(&theirs), &mine), Some(Barred::Unknown));
        assert_eq!(Partner::bars(Some(&shop), &user(Some("shop"), "in/")), Some(Barred::Outside));
        let paused = Partner { paused: true, ..shop };
        assert_eq!(Partner::bars(Some(&paused), &mine), Some(Barred::Paused));
    }

    #[test]
    fn an_address_has_two_parts() {
        for text in ["ann@example.com", "a+b@[192.0.2.1]", "x@y"] {
            assert_eq!(text.parse::<Email>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "a@b@c",
            "a b@c",
            "ä@b",
            "a@b\n",
            &format!("a@{}", "b".repeat(253)),
        ] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
    }
}
