//! From a byte of a code page to UTF-8.

use eft_domain::route::CodePage;

use super::tables;

/// A code page.
#[derive(Debug)]
pub(super) struct Page {
    /// The character of each byte where it is ASCII, and [`OTHER`] where it is not.
    ascii: [u8; 256],
    chars: [char; 256],
}

/// No ASCII character.
const OTHER: u8 = 0x80;

impl Page {
    pub(super) fn new(page: CodePage) -> Self {
        let codes = match page {
            CodePage::Cp037 => &tables::CP037,
            CodePage::Cp273 => &tables::CP273,
            CodePage::Cp500 => &tables::CP500,
            CodePage::Cp1047 => &tables::CP1047,
            CodePage::Cp1140 => &tables::CP1140,
        };
        let chars = codes.map(|code| char::from_u32(code.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
        let ascii = chars.map(|char| if char.is_ascii() { char as u8 } else { OTHER });
        Self { ascii, chars }
    }

    /// Whether a byte is the code of a line end in UTF-8.
    pub(super) fn ends_a_line(&self, byte: u8) -> bool {
        matches!(self.ascii[usize::from(byte)], b'\n' | b'\r')
    }

    /// Append the text of `bytes`.
    pub(super) fn write(&self, bytes: &[u8], text: &mut Vec<u8>) {
        let start = text.len();
        text.extend(bytes.iter().map(|byte| self.ascii[usize::from(*byte)]));
        let Some(at) = text[start..].iter().position(|byte| *byte == OTHER) else { return };
        text.truncate(start + at);
        for byte in &bytes[at..] {
            let mut utf8 = [0; 4];
            text.extend_from_slice(self.chars[usize::from(*byte)].encode_utf8(&mut utf8).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        for page in CodePage::ALL {
            let page = Page::new(*page);
            assert!(!page.chars.contains(&char::REPLACEMENT_CHARACTER));
            assert_eq!((page.ascii[0xf0], page.ascii[0x40], page.ascii[0x9f]), (b'0', b' ', OTHER));
            assert_eq!((page.chars[0xf0], page.chars[0x40], page.chars[0xc1]), ('0', ' ', 'A'));
            assert_eq!((page.ascii[0xf0], page.ascii[0x9f]), (b'0', OTHER));
            assert_eq!((0..=255).filter(|byte| page.ends_a_line(*byte)).collect::<Vec<_>>(), [0x0d, 0x25]);
        }
    }
}
