//! Cursors: where a list goes on. Whoever gets one can read of it only what the list has shown, and can neither make one nor
//! take it to another list or tenant.
//!
//! A cursor is `base64url(expiry in seconds, 8 bytes | place | HMAC-SHA-256)`. The code is over the list and the tenant as
//! well, which do not stand in it.

use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use eft_domain::{Millis, TenantId};
use ring::hmac;

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    call::Call,
    problem::{Code, Problem},
};

/// How long a cursor lasts: a day, in which somebody comes back to a page.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

const TAG: usize = 32;

/// The shortest key: the length of the code.
pub const MIN_KEY_BYTES: usize = 32;

/// Signs cursors. The same in both regions, or a list breaks off with a failover.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey")
    }
}

impl CursorKey {
    /// Of these bytes; none where there are fewer than [`MIN_KEY_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= MIN_KEY_BYTES).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// Of a text of hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        Self::new(&bytes_of(text)?)
    }

    fn message(list: &str, tenant: &TenantId, payload: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        for part in [list.as_bytes(), tenant.as_str().as_bytes(), payload] {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        message
    }

    /// A cursor of this list of this tenant.
    pub fn sign(&self, list: &str, tenant: &TenantId, place: &str, now: Millis) -> String {
        let expires = now.plus(LIFE).0 / 1_000;
        let mut bytes = expires.to_be_bytes().to_vec();
        bytes.extend_from_slice(place.as_bytes());
        let tag = hmac::sign(&self.0, &Self::message(list, tenant, &bytes));
        bytes.extend_from_slice(tag.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of a cursor.
    ///
    /// # Errors
    /// It was not made here, for this list of this tenant, or not within a day.
    pub fn open(&self, list: &str, tenant: &TenantId, cursor: &str, now: Millis) -> Result<String, Problem> {
        let open = || {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let (payload, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
            hmac::verify(&self.0, &Self::message(list, tenant, payload), tag).ok()?;
            let (expires, place) = payload.split_first_chunk::<8>()?;
            let is_live = u64::from_be_bytes(*expires) > now.0 / 1_000;
            is_live.then(|| String::from_utf8(place.to_vec()).ok())?
        };
        open().ok_or_else(|| {
            Problem::new(Code::CursorInvalid, "the cursor is not one of this list, or too old")
        })
    }

    /// A page of a list of the caller's tenant. What filters the list is part of its name.
    ///
    /// # Errors
    /// Nobody asks: a fault of ours.
    pub fn page(
        &self,
        call: &Call,
        list: &str,
        items: Vec<Value>,
        next: Option<String>,
    ) -> Result<Answer, Problem> {
        let mut body = json!({ "items": items });
        if let Some(next) = next {
            body["nextCursor"] = self.sign(list, call.tenant()?, &next, call.now).into();
        }
        Ok(Answer::ok(body))
    }

    /// Where the caller goes on in a list; none where it begins.
    ///
    /// # Errors
    /// The cursor is none of this list.
    pub fn place<T: std::str::FromStr>(&self, call: &Call, list: &str) -> Result<Option<T>, Problem> {
        let Some(cursor) = call.parameter("cursor") else { return Ok(None) };
        let place = self.open(list, call.tenant()?, cursor, call.now)?;
        let place = place.parse().ok();
        place.map(Some).ok_or_else(|| Problem::internal("a cursor that was signed here has no place"))
    }
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> CursorKey {
        CursorKey::new(&[byte; 32]).unwrap()
    }

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    const NOW: Millis = Millis(1_795_737_600_000);

    #[test]
    fn a_cursor_lasts_for_a_day_and_a_short_key_is_none() {
        let cursor = key(1).sign("routes", &tenant("acme"), "orders", NOW);
        let at = |seconds| NOW.plus(Duration::from_secs(seconds));
        let open = |now| key(1).open("routes", &tenant("acme"), &cursor, now);
        assert_eq!(open(NOW), Ok("orders".to_owned()));
        assert_eq!(open(at(86_399)), Ok("orders".to_owned()));
        assert_eq!(open(at(86_400)).unwrap_err().code, Code::CursorInvalid);
        assert!(CursorKey::new(&[0; 31]).is_none());
    }

    #[test]
    fn a_key_is_written_in_hexadecimal_digits() {
        assert_eq!(bytes_of("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!((bytes_of("0"), bytes_of("0g")), (None, None));
    }

    #[test]
    fn where_a_list_ends_and_a_tenant_begins_counts() {
        let cursor = key(1).sign("routes", &tenant("acme"), "a", NOW);
        assert!(key(1).open("route", &tenant("sacme"), &cursor, NOW).is_err());
    }

    proptest! {
        #[test]
        fn a_cursor_is_of_one_list_tenant_and_key(
            place in ".{0,64}", list in "[a-z/]{0,12}", name in "[a-z][a-z0-9.-]{0,8}",
            other_list in "[a-z/]{0,12}", other_name in "[a-z][a-z0-9.-]{0,8}",
        ) {
            let cursor = key(1).sign(&list, &tenant(&name), &place, NOW);
            prop_assert_eq!(key(1).open(&list, &tenant(&name), &cursor, NOW), Ok(place));
            prop_assert!(key(2).open(&list, &tenant(&name), &cursor, NOW).is_err());
            prop_assert_eq!(key(1).open(&other_list, &tenant(&name), &cursor, NOW).is_ok(), other_list == list);
            prop_assert_eq!(key(1).open(&list, &tenant(&other_name), &cursor, NOW).is_ok(), other_name == name);
        }

        #[test]
        fn a_cursor_that_was_touched_is_none(place in "[a-z]{0,20}", at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
            let cursor = key(1).sign("routes", &tenant("acme"), &place, NOW);
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let touched = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert!(key(1).open("routes", &tenant("acme"), &touched, NOW).is_err());
            let cut = &cursor[..cursor.len() - 1];
            prop_assert!(key(1).open("routes", &tenant("acme"), cut, NOW).is_err());
        }

        #[test]
        fn any_text_is_refused_and_nothing_worse(text in ".{0,200}") {
            prop_assert!(key(1).open("routes", &tenant("acme"), &text, NOW).is_err());
        }
    }
}
