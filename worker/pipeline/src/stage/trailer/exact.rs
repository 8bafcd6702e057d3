//! Decimal numbers, added without loss.

use std::{fmt, str::FromStr};

/// Most digits of a number, and decimal places of a sum: 10^38 is the largest power of ten in 127 bits.
const MAX_DIGITS: u32 = 38;

/// A decimal number: `units / 10^places`. Equal numbers may be written in several ways; [`Exact::same`] compares them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exact {
    units: i128,
    places: u32,
}

/// Why a text is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotExact {
    /// Not a sign, digits and a point.
    NotDecimal,
    /// More digits than are kept.
    TooLong,
}

impl Exact {
    /// Optional sign, digits, optional point and digits; at least one digit. Zeros at the ends do not count as digits.
    pub(super) fn parse(text: &[u8]) -> Result<Self, NotExact> {
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        let point = memchr::memchr(b'.', digits);
        let (whole, part) = point.map_or((digits, &[][..]), |at| (&digits[..at], &digits[at + 1..]));
        if whole.len() + part.len() == 0 || !whole.iter().chain(part).all(u8::is_ascii_digit) {
            return Err(NotExact::NotDecimal);
        }
        let zeros = part.iter().rev().take_while(|digit| **digit == b'0').count();
        let part = &part[..part.len() - zeros];
        let mut units = 0i128;
        for digit in whole.iter().chain(part) {
            let digit = i128::from(digit - b'0');
            units =
                units.checked_mul(10).and_then(|units| units.checked_add(digit)).ok_or(NotExact::TooLong)?;
        }
        let places = u32::try_from(part.len()).ok().filter(|places| *places <= MAX_DIGITS);
        Ok(Self { units: if negative { -units } else { units }, places: places.ok_or(NotExact::TooLong)? })
    }

    fn with_places(self, places: u32) -> Option<i128> {
        self.units.checked_mul(10i128.checked_pow(places.checked_sub(self.places)?)?)
    }

    /// The sum; `None` where it has too many digits.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let units = self.with_places(places)?.checked_add(other.with_places(places)?)?;
        Some(Self { units, places })
    }

    /// The same number, however written.
    pub(super) fn same(self, other: Self) -> bool {
        let (one, two) = (self.trimmed(), other.trimmed());
        (one.units, one.places) == (two.units, two.places)
    }

    fn trimmed(mut self) -> Self {
        while self.places > 0 && self.units % 10 == 0 {
            (self.units, self.places) = (self.units / 10, self.places - 1);
        }
        self
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { units, places } = self.trimmed();
        let (digits, places) = (units.unsigned_abs().to_string(), places as usize);
        let digits = format!("{digits:0>0$}", places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        let sign = if units < 0 { "-" } else { "" };
        let point = if places > 0 { "." } else { "" };
        write!(f, "{sign}{whole}{point}{part}")
    }
}

impl FromStr for Exact {
    type Err = NotExact;

    fn from_str(text: &str) -> Result<Self, NotExact> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(text: &str) -> Exact {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn numbers_are_read_and_written() {
        for (text, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("+12", "12"),
            ("-12.50", "-12.5"),
            (".5", "0.5"),
            ("-.05", "-0.05"),
            ("7.", "7"),
            ("000012.000", "12"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"),
        ] {
            assert_eq!(exact(text).to_string(), written);
        }
        for text in ["", "-", ".", "1e3", "1,5", " 1", "1.2.3", "--1", "0x1", "\u{661}"] {
            assert_eq!(text.parse::<Exact>().map(|n| n.to_string()), Err(NotExact::NotDecimal), "{text}");
        }
        for text in [format!("1{}", "0".repeat(39)), format!("0.{}1", "0".repeat(38))] {
            assert_eq!(text.parse::<Exact>().map(|n| n.to_string()), Err(NotExact::TooLong), "{text}");
        }
    }

    #[test]
    fn sums_are_exact() {
        let tenths = (0..10).try_fold(Exact::default(), |sum, _| sum.plus(exact("0.1"))).unwrap();
        assert!(tenths.same(exact("1")) && tenths.to_string() == "1");
        assert!(exact("1.5").plus(exact("-1.50")).unwrap().same(Exact::default()));
        let most = exact(&i128::MAX.to_string());
        assert!(most.plus(exact("1")).is_none() && most.plus(exact("0.1")).is_none());
    }

    proptest! {
        #[test]
        fn order_does_not_matter(numbers in prop::collection::vec((-1_000_000i64..1_000_000, 0u32..6), 0..20)) {
            let text = |(units, places): &(i64, u32)| Exact { units: i128::from(*units), places: *places }.to_string();
            let sum = |texts: Vec<String>| {
                texts.iter().fold(Exact::default(), |sum, text| sum.plus(exact(text)).unwrap())
            };
            let forward = sum(numbers.iter().map(text).collect());
            let backward = sum(numbers.iter().rev().map(text).collect());
            prop_assert!(forward.same(backward));
            let scaled: i128 = numbers.iter().map(|(units, places)| i128::from(*units) * 10i128.pow(6 - places)).sum();
            let scaled = Exact { units: scaled, places: 6 };
            prop_assert!(forward.same(scaled));
            prop_assert!(exact(&forward.to_string()).same(forward));
        }
    }
}
