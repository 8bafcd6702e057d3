//! Sizes in bytes, written the way people write them: `1MiB`, `20TiB`, `500MB`, `4096`.

use std::{fmt, str::FromStr};

use crate::text::shown;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 11] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl ByteSize {
    /// `n` kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` gibibytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a size: write a whole number of bytes or a number with a unit, such as 64MiB or 5GB"
)]
pub struct ParseSizeError {
    text: String,
}

impl FromStr for ByteSize {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let bad = || ParseSizeError { text: shown(text, 64) };
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (digits, unit) = trimmed.split_at(split);
        let number: u64 = digits.parse().map_err(|_| bad())?;
        let unit = unit.trim_start();
        let factor = match unit {
            "" => 1,
            _ => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).ok_or_else(bad)?,
        };
        number.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    /// The largest unit that divides the size, binary before decimal; otherwise two decimals of a binary one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (binary, decimal) = (&UNITS[1..=5], &UNITS[7..]);
        // 50 TB is a number of KiB as well, one that nobody can read.
        let divides = |(_, factor): &&(&str, u64)| {
            self.0 > 0 && self.0.is_multiple_of(*factor) && self.0 / factor < 1_000_000
        };
        if let Some((unit, factor)) = binary.iter().rev().chain(decimal.iter().rev()).find(divides) {
            return write!(f, "{}{unit}", self.0 / factor);
        }
        match binary.iter().rev().find(|(_, factor)| self.0 >= 10 * factor) {
            Some((unit, factor)) => write!(f, "{:.2}{unit}", self.0 as f64 / *factor as f64),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_units() {
        for (text, bytes) in
            [("0", 0), ("1B", 1), ("1MiB", 1 << 20), ("5 GB", 5_000_000_000), ("20TiB", 20 << 40)]
        {
            assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
        }
        assert_eq!(ByteSize::mib(64).to_string(), "64MiB");
        assert_eq!(ByteSize::mib(12_345).to_string(), "12345MiB");
        assert_eq!(ByteSize(50_000_000_000_000).to_string(), "50TB");
        assert_eq!(ByteSize(1_500_000_001).to_string(), "1430.51MiB");
        assert_eq!(ByteSize(17).to_string(), "17B");
    }

    #[test]
    fn refuses_what_is_not_a_size() {
        for text in ["", "MiB", "-1", "1.5GiB", "1XB", "99999999999TiB", "1mib"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
