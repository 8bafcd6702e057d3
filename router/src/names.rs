//! Names that are no files, as `eft_domain` has them; here is the page that says so.

pub use eft_domain::names::{CONTROL_FILE, IGNORED, Ignored, base_of, ignored, markdown_table};

#[cfg(test)]
mod tests {
    use super::*;

    /// `EFT_BLESS=1` writes it anew.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's own switch")]
    fn the_page_says_which_names_are_left_out() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/NAMES.md");
        let page = format!(
            "# Names that are no files\n\nNo route is asked about an object with one of these names; the log says `ignored` and \
             why. `*` is any text, endings are compared without their case, and a name is what stands behind the last \
             `/` of the key. Made from `control/domain/src/names.rs` by `EFT_BLESS=1 cargo test --workspace --lib the_page_says`.\n\n{}",
            markdown_table()
        );
        if std::env::var("EFT_BLESS").is_ok() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page, "EFT_BLESS=1 writes it anew");
    }
}
