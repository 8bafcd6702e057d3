//! The OpenAPI document of the status API; `openapi.json` is what it says.

mod schemas;

use eft_api::openapi::About;
use serde_json::Value;

use crate::table::TABLE;

const ABOUT: About = About {
    title: "EFT status API",
    summary: "The jobs of a tenant: what became of each file, and what can be done about it.",
    description: "The tenant is that of the token; what is another tenant's is not there. Every list is a query of an index, and \
        what no index has is refused. Every act says why, has an `Idempotency-Key`, and stands in the history of its job with \
        whoever sent it, and in the audit trail (`GET /v1/audit` of the config API). Whatever is refused is `application/problem+json` (RFC 9457) with a stable `code`, which \
        `GET /v1/problems/{code}` explains.",
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
