//! Which characters XML 1.0 (fifth edition) takes, and where.

/// White space (production 3).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Production 2.
pub(super) fn is_char(c: char) -> bool {
    !matches!(c, '\0'..'\t' | '\u{b}' | '\u{c}' | '\u{e}'..' ' | '\u{fffe}' | '\u{ffff}')
}

/// The index of the first character that no document may hold.
pub(super) fn bad_char(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    // Two passes that both skip: over what is not a control character, and to the one lead byte of the other two.
    let control = bytes.iter().position(|byte| *byte < b' ' && !is_space(*byte));
    let behind =
        |at: usize| bytes[at..].starts_with(b"\xef\xbf\xbe") || bytes[at..].starts_with(b"\xef\xbf\xbf");
    let end = control.unwrap_or(bytes.len());
    memchr::memchr_iter(0xef, &bytes[..end]).find(|at| behind(*at)).or(control)
}

/// Production 4.
fn starts_name(c: char) -> bool {
    matches!(c,
        ':' | '_' | 'A'..='Z' | 'a'..='z'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

/// Production 4a.
fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Bytes of the name (production 5) that `text` starts with; 0 where it starts with none.
pub(super) fn name_len(text: &str) -> usize {
    if !text.starts_with(starts_name) {
        return 0;
    }
    text.find(|c| !continues_name(c)).unwrap_or(text.len())
}
