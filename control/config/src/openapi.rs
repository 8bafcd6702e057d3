//! The OpenAPI document of the config API; `openapi.json` is what it says.

mod schemas;

use eft_api::openapi::About;
use serde_json::Value;

use crate::table::TABLE;

const ABOUT: About = About {
    title: "EFT config API",
    summary: "The routes of a tenant, as data with revisions; who sends it files; and who has changed any of it.",
    description: "Every write is conditional: `If-None-Match: *` creates, `If-Match` with the ETag that was read changes. \
        Every write has an entry in the audit trail before it is made. Every act has an `Idempotency-Key`. The tenant is that of the token; what is another tenant's is not there. \
        Whatever is refused is `application/problem+json` (RFC 9457) with a stable `code`.",
};

/// The document.
pub fn document() -> Value {
    eft_api::openapi::document(&ABOUT, TABLE, schemas::all())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `EFT_BLESS=1` writes it anew.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's own switch")]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let made = document();
        if std::env::var("EFT_BLESS").is_ok() {
            let text = serde_json::to_string_pretty(&made).unwrap();
            std::fs::write(path, format!("{text}\n")).unwrap();
        }
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(kept, made, "EFT_BLESS=1 writes it anew");
    }

    #[test]
    fn the_document_is_whole() {
        assert_eq!(eft_api::openapi::complaints(&document(), TABLE), [""; 0]);
    }
}
