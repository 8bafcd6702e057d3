//! What each [`ColumnType`] accepts. Pure functions of a field's text; [`accepts`] is the only way in.

use eft_domain::route::ColumnType;

/// Longest text a typed field may have, in bytes. Every date, timestamp, UUID, boolean and 64-bit number fits; it bounds
/// decimals, floats and leading zeros, and with them the memory a field cut by chunks needs. Reasonable default.
pub(super) const MAX_TYPED: usize = 64;

/// The type's name in messages.
pub(in crate::stage) fn name(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Text => "text",
        ColumnType::Integer => "an integer",
        ColumnType::Decimal => "a decimal",
        ColumnType::Float => "a number",
        ColumnType::Boolean => "a boolean",
        ColumnType::Date => "a date",
        ColumnType::Timestamp => "a timestamp",
        ColumnType::Uuid => "a UUID",
    }
}

/// Whether `text`, unquoted, is of the type.
#[inline]
pub(in crate::stage) fn accepts(ty: ColumnType, text: &[u8]) -> bool {
    if ty == ColumnType::Text {
        return true;
    }
    text.len() <= MAX_TYPED
        && match ty {
            ColumnType::Text => true,
            ColumnType::Integer => integer(text),
            ColumnType::Decimal => decimal(unsigned(text)),
            ColumnType::Float => float(text),
            ColumnType::Boolean => boolean(text),
            ColumnType::Date => text.as_array().is_some_and(date),
            ColumnType::Timestamp => timestamp(text),
            ColumnType::Uuid => uuid(text),
        }
}

fn unsigned(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    }
}

fn digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn integer(text: &[u8]) -> bool {
    let magnitude = unsigned(text);
    if !digits(magnitude) {
        return false;
    }
    let zeros = magnitude.iter().take_while(|&&byte| byte == b'0').count();
    let magnitude = &magnitude[zeros..];
    // Same length: digits compare as text.
    let largest: &[u8; 19] = if text[0] == b'-' { b"9223372036854775808" } else { b"9223372036854775807" };
    magnitude.len() < largest.len() || magnitude.len() == largest.len() && magnitude <= largest.as_slice()
}

fn decimal(magnitude: &[u8]) -> bool {
    match magnitude.iter().position(|byte| !byte.is_ascii_digit()) {
        None => !magnitude.is_empty(),
        Some(at) => at > 0 && magnitude[at] == b'.' && digits(&magnitude[at + 1..]),
    }
}

fn float(text: &[u8]) -> bool {
    let magnitude = unsigned(text);
    match magnitude.iter().position(|byte| byte | 0x20 == b'e') {
        None => decimal(magnitude),
        Some(at) => decimal(&magnitude[..at]) && digits(unsigned(&magnitude[at + 1..])),
    }
}

fn boolean(text: &[u8]) -> bool {
    let words: &[&str] = match text.len() {
        1 => &["0", "1", "t", "f", "y", "n"],
        2 => &["no"],
        3 => &["yes"],
        4 => &["true"],
        5 => &["false"],
        _ => &[],
    };
    words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

/// Eight bytes at once: whether each is a digit, or exactly the byte the pattern has there (a `0` means a digit).
#[inline]
fn matches8(text: &[u8], pattern: [u8; 8]) -> bool {
    let Some(text) = text.first_chunk::<8>() else { return false };
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A digit leaves 0..=9 after the xor and must not reach bit 7 by adding 0x76; any other byte must leave 0.
    let slack = u64::from_le_bytes(pattern.map(|byte| if byte == b'0' { 0x76 } else { 0x7f }));
    let rest = u64::from_le_bytes(*text) ^ u64::from_le_bytes(pattern);
    // A carry into the next byte needs a byte over 0x7f, which `rest & HIGH` refuses already.
    (rest | rest.wrapping_add(slack)) & HIGH == 0
}

#[inline]
fn two<const N: usize>(text: &[u8; N], at: usize) -> u32 {
    u32::from(text[at] & 15) * 10 + u32::from(text[at + 1] & 15)
}

/// `YYYY-MM-DD`, a day of the proleptic Gregorian calendar from year 0000.
#[inline]
fn date(text: &[u8; 10]) -> bool {
    if !(matches8(text, *b"0000-00-") && text[8].is_ascii_digit() && text[9].is_ascii_digit()) {
        return false;
    }
    let (month, day) = (two(text, 5), two(text, 8));
    if day < 29 {
        return day > 0 && month.wrapping_sub(1) < 12;
    }
    let leap = || {
        let (century, year) = (two(text, 0), two(text, 2));
        if year == 0 { century % 4 == 0 } else { year % 4 == 0 }
    };
    match month {
        2 => day == 29 && leap(),
        4 | 6 | 9 | 11 => day <= 30,
        1..=12 => day <= 31,
        _ => false,
    }
}

fn timestamp(text: &[u8]) -> bool {
    let Some((head, rest)) = text.split_first_chunk::<19>() else { return false };
    let Some((day, clock)) = head.split_first_chunk::<10>() else { return false };
    if !(date(day) && matches8(&clock[1..], *b"00:00:00")) {
        return false;
    }
    let zone_optional = match clock[0] {
        b'T' | b't' => false,
        b' ' => true,
        _ => return false,
    };
    let (hour, minute, second) = (two(head, 11), two(head, 14), two(head, 17));
    if hour > 23 || minute > 59 || second > 60 {
        return false;
    }
    let rest = match rest {
        [b'.', fraction @ ..] => {
            let n = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if n == 0 {
                return false;
            }
            &fraction[n..]
        }
        _ => rest,
    };
    let east = match rest {
        [] if zone_optional => 0,
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let Some(zone @ [a, b, b':', c, d]) = zone.as_array::<5>() else { return false };
            if ![a, b, c, d].iter().all(|byte| byte.is_ascii_digit())
                || two(zone, 0) > 23
                || two(zone, 3) > 59
            {
                return false;
            }
            let minutes = (two(zone, 0) * 60 + two(zone, 3)).cast_signed();
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return false,
    };
    // A leap second is the last of a UTC day.
    let utc = ((hour * 60 + minute).cast_signed() - east).rem_euclid(1440);
    second < 60 || utc == 1439
}

fn uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One type: texts it accepts, texts it refuses.
    fn table(ty: ColumnType, valid: &[&str], invalid: &[&str]) {
        for text in valid {
            assert!(accepts(ty, text.as_bytes()), "{ty:?} refuses {text:?}");
        }
        for text in invalid {
            assert!(!accepts(ty, text.as_bytes()), "{ty:?} accepts {text:?}");
        }
    }

    #[test]
    fn integers() {
        let valid = [
            "0",
            "-0",
            "+0",
            "7",
            "-12",
            "+12",
            "007",
            "9223372036854775807",
            "+9223372036854775807",
            "-9223372036854775808",
            "0000000000000000000009223372036854775807",
            "999999999999999999",
        ];
        let invalid = [
            "",
            "-",
            "+",
            "--1",
            "+-1",
            "1.0",
            "1e3",
            " 1",
            "1 ",
            "1,000",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "10000000000000000000",
            "99999999999999999999",
            "\u{0661}",
        ];
        table(ColumnType::Integer, &valid, &invalid);
        assert!(accepts(ColumnType::Integer, &[b'0'; MAX_TYPED]));
        assert!(!accepts(ColumnType::Integer, &[b'0'; MAX_TYPED + 1]));
    }

    #[test]
    fn decimals_and_floats() {
        let decimals = ["0", "-1", "+1.5", "00.10", "123456789012345678901234567890.123456789"];
        let neither = [
            "", ".", "-", "1.", ".5", "1.2.3", "1..2", "1,5", "-.5", "+", "NaN", "inf", "1.5f", "0x1p3",
            "1_0",
        ];
        table(ColumnType::Decimal, &decimals, &neither);
        table(ColumnType::Float, &decimals, &neither);
        let floats = ["1e5", "1E5", "-1.5e-10", "+2.0E+3", "0e0"];
        table(ColumnType::Decimal, &[], &floats);
        table(ColumnType::Float, &floats, &["e5", "1e", "1e+", "1e5.0", "1ee5", "1e5e5", ".e5", "1.e5"]);
    }

    #[test]
    fn booleans() {
        let valid = ["true", "FALSE", "True", "0", "1", "t", "F", "yes", "No", "y", "N"];
        table(ColumnType::Boolean, &valid, &["", "2", "on", "off", "tru", "truee", " true", "01"]);
    }

    #[test]
    fn dates() {
        let valid = [
            "2024-02-29",
            "2000-02-29",
            "0000-02-29",
            "2023-12-31",
            "9999-12-31",
            "2023-04-30",
            "2023-01-31",
        ];
        let invalid = [
            "",
            "2023-02-29",
            "1900-02-29",
            "2100-02-29",
            "2024-02-30",
            "2023-04-31",
            "2023-00-10",
            "2023-13-10",
            "2023-01-00",
            "2023-01-32",
            "2023-1-1",
            "20230101",
            "2023/01/01",
            "2023-01-01 ",
            "2023-01-01T",
            "x023-01-01",
            "2023-01-0x",
            "202\u{00b3}-01-1",
            "2023-99-01",
            "2023-20-31",
        ];
        table(ColumnType::Date, &valid, &invalid);
    }

    #[test]
    fn timestamps() {
        let valid = [
            "2013-01-01T10:00:00Z",
            "2013-01-01t10:00:00z",
            "2013-01-01 10:00:00",
            "2013-01-01 10:00:00Z",
            "2013-01-01T10:00:00.5Z",
            "2013-01-01 10:00:00.123456789",
            "2013-01-01T10:00:00+05:30",
            "2013-01-01T10:00:00-23:59",
            "2013-01-01 10:00:00.1-08:00",
            "2016-12-31T23:59:60Z",
            "2017-01-01T01:59:60+02:00",
            "2016-12-31T15:59:60-08:00",
            "2024-02-29T00:00:00Z",
            "2013-01-01T23:59:59Z",
        ];
        let invalid = [
            "",
            "2013-01-01",
            "2013-01-01T10:00:00",
            "2013-01-01T10:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T10:60:00Z",
            "2013-01-01T10:00:61Z",
            "2013-01-01T10:00:60Z",
            "2016-12-31T23:59:60+01:00",
            "2023-02-29T10:00:00Z",
            "2013-01-01T10:00:00.Z",
            "2013-01-01 10:00:00.",
            "2013-01-01T10:00:00+0530",
            "2013-01-01T10:00:00+24:00",
            "2013-01-01T10:00:00+05:60",
            "2013-01-01T10:00:00+05",
            "2013-01-01_10:00:00Z",
            "2013-01-01T10:00:00ZZ",
            "2013-01-01T10:00:00 Z",
            "2013-01-01  10:00:00",
            "2013-01-01T1x:00:00Z",
            "2013-01-01T10:00:00+0x:00",
        ];
        table(ColumnType::Timestamp, &valid, &invalid);
    }

    #[test]
    fn uuids() {
        let valid = [
            "123e4567-e89b-12d3-a456-426614174000",
            "00000000-0000-0000-0000-000000000000",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        ];
        let invalid = [
            "",
            "123e4567e89b12d3a456426614174000",
            "{123e4567-e89b-12d3-a456-426614174000}",
            "123e4567-e89b-12d3-a456-42661417400",
            "123e4567-e89b-12d3-a456-42661417400g",
            "123e4567-e89b-12d3-a4564-26614174000",
        ];
        table(ColumnType::Uuid, &valid, &invalid);
    }

    #[test]
    fn text_is_anything() {
        assert!(accepts(ColumnType::Text, &[0xff; 1000]));
    }
}
