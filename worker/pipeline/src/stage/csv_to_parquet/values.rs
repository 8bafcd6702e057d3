//! From the text of a typed value, which its type accepted, to what Parquet stores.

use eft_domain::route::DecimalSize;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// A 64-bit integer.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The nearest double; none where that is infinite.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The digits of a decimal as a whole number, its point `scale` digits from the right.
pub(super) fn decimal(text: &[u8], size: DecimalSize) -> Result<i128, String> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let scale = usize::from(size.scale);
    let (kept, cut) = fraction.split_at(fraction.len().min(scale));
    if cut.iter().any(|byte| *byte != b'0') {
        return Err(format!("more than {scale} digits behind the point"));
    }
    let mut value: i128 = 0;
    let padding = std::iter::repeat_n(&b'0', scale - kept.len());
    for digit in whole.iter().chain(kept).chain(padding) {
        // 38 digits fit; one more is out of every precision.
        value = value.saturating_mul(10).saturating_add(i128::from(digit & 15));
    }
    if value >= 10_i128.pow(u32::from(size.precision)) {
        return Err(format!("more than {} digits, {scale} of them behind the point", size.precision));
    }
    Ok(if negative { -value } else { value })
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
    // Years start in March, so that a leap day is the last of one: 400 years are 146,097 days.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    i32::try_from(days).ok()
}

/// Microseconds since 1970-01-01T00:00:00Z; without a zone the text is taken as UTC.
pub(super) fn timestamp(text: &[u8]) -> Result<i64, &'static str> {
    let odd = "not a timestamp";
    let days = date(text).ok_or(odd)?;
    let field = |at| number(text, at, 2).ok_or(odd);
    let (hour, minute, second) = (field(11)?, field(14)?, field(17)?);
    if second > 59 {
        return Err("a leap second, which Parquet has no value for");
    }
    let mut rest = &text[19..];
    let mut micros = 0;
    if let [b'.', fraction @ ..] = rest {
        let n = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if fraction[..n].iter().skip(6).any(|byte| *byte != b'0') {
            return Err("finer than a microsecond");
        }
        for at in 0..6 {
            micros = micros * 10 + fraction[..n].get(at).map_or(0, |byte| i64::from(byte & 15));
        }
        rest = &fraction[n..];
    }
    let east = match rest {
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let minutes = number(zone, 0, 2).ok_or(odd)? * 60 + number(zone, 3, 2).ok_or(odd)?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => 0,
    };
    let seconds = i64::from(days) * 86_400 + hour * 3_600 + (minute - east) * 60 + second;
    Ok(seconds * SECOND + micros)
}

/// The 16 bytes of a UUID.
pub(super) fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut digits = text.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    for byte in &mut bytes {
        *byte = (digits.next()?? * 16 + digits.next()??) as u8;
    }
    Some(bytes)
}

fn number(text: &[u8], at: usize, len: usize) -> Option<i64> {
    let digits = text.get(at..at + len)?;
    Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit & 15)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        // Python: (datetime.date(y, m, d) - datetime.date(1970, 1, 1)).days; year 0 is a leap year before year 1.
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2024-03-01", 19_783),
            ("0001-01-01", -719_162),
            ("0000-01-01", -719_528),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(date(text.as_bytes()), Some(days), "{text}");
        }
    }

    #[test]
    fn timestamps_are_microseconds_in_utc() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2013-01-01T10:00:00Z", 1_357_034_400_000_000),
            ("2013-01-01 10:00:00.5", 1_357_034_400_500_000),
            ("2013-01-01T15:30:00.1234560+05:30", 1_357_034_400_123_456),
            ("1969-12-31T23:59:59.999999-00:00", -1),
            ("0001-01-01t00:00:00z", -62_135_596_800_000_000),
        ] {
            assert_eq!(timestamp(text.as_bytes()), Ok(micros), "{text}");
        }
        assert_eq!(timestamp(b"2016-12-31T23:59:60Z"), Err("a leap second, which Parquet has no value for"));
        assert_eq!(timestamp(b"2013-01-01T10:00:00.1234567Z"), Err("finer than a microsecond"));
    }

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        let size = |precision, scale| DecimalSize { precision, scale };
        assert_eq!(decimal(b"-007.10", size(5, 2)), Ok(-710));
        assert_eq!(decimal(b"+1.5000", size(5, 2)), Ok(150));
        assert_eq!(decimal(b"999", size(5, 2)), Ok(99_900));
        assert_eq!(
            decimal(b"1000", size(5, 2)).unwrap_err(),
            "more than 5 digits, 2 of them behind the point"
        );
        assert_eq!(decimal(b"1.001", size(5, 2)).unwrap_err(), "more than 2 digits behind the point");
        let most = "9".repeat(38);
        assert_eq!(decimal(most.as_bytes(), size(38, 0)), Ok(10_i128.pow(38) - 1));
        assert!(decimal("9".repeat(64).as_bytes(), size(38, 0)).is_err());
        assert!(decimal("9".repeat(64).as_bytes(), size(38, 38)).is_err());
    }

    #[test]
    fn doubles_are_finite() {
        assert_eq!(double(b"+1.5e3"), Some(1500.0));
        assert_eq!((double(b"1e400"), double(b"1e-400")), (None, Some(0.0)));
    }

    #[test]
    fn uuids_are_sixteen_bytes() {
        let expected = 0x123e_4567_e89b_12d3_a456_4266_1417_4000_u128.to_be_bytes();
        assert_eq!(uuid(b"123e4567-e89b-12d3-A456-426614174000"), Some(expected));
    }
}
