//! Which control numbers have been used, in bounded memory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Most runs and texts that are remembered: senders count upwards, which is one run. Reasonable default.
const MAX_RUNS: usize = 1_000;

/// Longest control number that is remembered, in bytes: the standards allow 14.
const MAX_TEXT: usize = 35;

/// Control numbers: runs of consecutive numbers, and texts that are no numbers. What comes when it is full is not
/// remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// First and last of each run. Numbers of another length are other numbers.
    runs: BTreeMap<u64, u64>,
    texts: BTreeSet<String>,
}

impl Seen {
    /// Remember a control number; says whether it was known.
    pub(super) fn insert(&mut self, text: &[u8]) -> bool {
        match number(text) {
            Some(number) => self.insert_number(number),
            None => {
                let text = String::from_utf8_lossy(&text[..text.len().min(MAX_TEXT)]).into_owned();
                if self.texts.contains(&text) {
                    return true;
                }
                if self.has_room() {
                    self.texts.insert(text);
                }
                false
            }
        }
    }

    fn insert_number(&mut self, number: u64) -> bool {
        let before = self.runs.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return true;
        }
        let last = self.runs.remove(&(number + 1)).unwrap_or(number);
        match before {
            Some((first, end)) if end + 1 == number => {
                self.runs.insert(first, last);
            }
            _ if last > number || self.has_room() => {
                self.runs.insert(number, last);
            }
            _ => {}
        }
        false
    }

    fn has_room(&self) -> bool {
        self.runs.len() + self.texts.len() < MAX_RUNS
    }
}

/// A number that counts upwards with others of its length: at most 14 digits.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 14 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    // A hundred million million is less than 2^47.
    Some((text.len() as u64) << 48 | value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_run_take_no_room() {
        let mut seen = Seen::default();
        for number in (0..100_000).rev() {
            assert!(!seen.insert(format!("{number:06}").as_bytes()));
        }
        assert_eq!(seen.runs.len(), 1);
        assert!(seen.insert(b"000000") && seen.insert(b"099999") && !seen.insert(b"100000"));
        assert!(!seen.insert(b"0000000"), "another length is another number");
    }

    #[test]
    fn it_agrees_with_a_set_while_there_is_room() {
        let (mut seen, mut set) = (Seen::default(), BTreeSet::new());
        let mut state = 7u64;
        for _ in 0..3_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let text = format!("{}", (state >> 33) % 900);
            assert_eq!(seen.insert(text.as_bytes()), !set.insert(text));
        }
        assert!(!seen.insert(b"A1") && seen.insert(b"A1") && !seen.insert(b"a1"));
    }

    #[test]
    fn it_stays_small() {
        let mut seen = Seen::default();
        for number in 0..10_000 {
            seen.insert(format!("{:05}", number * 2).as_bytes());
            seen.insert(format!("x{number}").as_bytes());
        }
        assert_eq!(seen.runs.len() + seen.texts.len(), MAX_RUNS);
        assert!(seen.insert(b"00000"));
    }
}
