//! Names of entries: how they are read, and how messages show them.

/// Longest name in a message, in characters.
const SHOWN: usize = 64;

/// The upper half of code page 437, which names are in that do not say they are UTF-8 (Appendix D; the table of
/// `CP437.TXT` of the Unicode consortium).
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The name as text; `None` when it says it is UTF-8 and is not.
pub(super) fn decode(bytes: &[u8], utf8: bool) -> Option<String> {
    if utf8 || bytes.is_ascii() {
        return String::from_utf8(bytes.to_vec()).ok();
    }
    let high: Vec<char> = CP437.chars().collect();
    let char_of = |byte: &u8| match byte.checked_sub(0x80) {
        None => Some(char::from(*byte)),
        Some(at) => high.get(usize::from(at)).copied(),
    };
    bytes.iter().map(char_of).collect()
}

/// A name in a message: in quotes, short, no control characters.
pub(super) fn shown(name: &str) -> String {
    let cut: String = name.chars().take(SHOWN).collect();
    let dots = if cut.len() < name.len() { "…" } else { "" };
    format!("`{}{dots}`", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_page_437_is_whole() {
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(decode(b"\x81ber", false).as_deref(), Some("über"));
        assert_eq!(decode("über".as_bytes(), true).as_deref(), Some("über"));
        assert_eq!(decode(b"\xff", true), None);
        assert_eq!(decode(b"\xff", false).as_deref(), Some("\u{a0}"));
    }
}
