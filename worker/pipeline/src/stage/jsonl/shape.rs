//! The keys of the lines before: what a program writes into every line anew is compared, and only what differs is read.
//!
//! A key stands with all that is around it, from the comma before it up to its value. Where the same bytes follow a
//! value in an object, they are a key once more. Whatever is not as expected is read as if nothing was known, so that no
//! verdict on a line depends on the lines before it.

use super::syntax::ends_run;
use crate::stage::csv::lanes::{V, digit, eq, load};

/// Keys that are known at most; those further on in a line are read.
const MAX_KEYS: usize = 64;

/// Keys of the lines before that a line may leave out in one place.
const MAX_LEFT_OUT: usize = 3;

/// How many more lines may have been of mostly other keys than of known ones, before nothing is expected for a while.
const MAX_DOUBT: u32 = 4;

/// Lines for which nothing is expected then, after the one that begins with it.
const PAUSE: u32 = 100;

/// A comma, a key, its colon, and the white space around them.
#[derive(Debug)]
struct Key {
    text: [V; 2],
    /// All ones behind the text.
    padding: [V; 2],
    len: usize,
}

impl Key {
    /// Longest text, two vectors of it; what is longer is read.
    const MAX: usize = 32;

    fn new(text: &[u8]) -> Option<Self> {
        let (mut bytes, mut padding) = ([0; Self::MAX], [0xff; Self::MAX]);
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        padding[..text.len()].fill(0);
        Some(Self { text: halves(&bytes), padding: halves(&padding), len: text.len() })
    }

    #[inline(always)]
    fn stands_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(ahead) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return false };
        let half = halves(ahead);
        let same =
            (eq(half[0], self.text[0]) | self.padding[0]) & (eq(half[1], self.text[1]) | self.padding[1]);
        same.to_bitmask() == 0xffff
    }
}

#[inline(always)]
fn halves(bytes: &[u8; 32]) -> [V; 2] {
    let (halves, _) = bytes.as_chunks();
    [load(&halves[0]), load(&halves[1])]
}

/// What lines are expected to look like.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// In the order in which lines have them.
    keys: Vec<Key>,
    /// The key expected next: none behind the last, and from [`MAX_KEYS`] on none is learnt either.
    next: usize,
    /// Keys of this line that were known, but for the first of each object.
    known: u32,
    /// Keys of this line that had to be read, but for those, and those behind [`MAX_KEYS`] others.
    read: u32,
    /// Lines of which more was read than known, less those of which it was not; never below 0.
    doubt: u32,
    /// Lines left for which nothing is expected.
    pause: u32,
}

/// Where [`Shape::skip`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// No further: the key at the comma has to be read.
    Nothing,
    /// To a value that has to be read, at this index.
    ToValue(usize),
    /// Behind a value, to this index.
    ToEnd(usize),
}

impl Shape {
    /// Most memory it holds, in bytes.
    pub(super) const MEMORY: u64 = (MAX_KEYS * size_of::<Key>()) as u64;

    /// A line begins.
    #[inline]
    pub(super) fn begin(&mut self) {
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        self.doubt = if self.read > self.known { self.doubt + 1 } else { self.doubt.saturating_sub(1) };
        (self.next, self.known, self.read) = (0, 0, 0);
        if self.doubt > MAX_DOUBT {
            (self.next, self.doubt, self.pause) = (MAX_KEYS, 0, PAUSE);
        }
    }

    /// Skip keys that are known, with their values where those are plain. `at` is behind a value in an object.
    #[inline(always)]
    pub(super) fn skip(&mut self, bytes: &[u8], at: usize) -> Skipped {
        if self.next < self.keys.len() { self.skip_known(bytes, at) } else { Skipped::Nothing }
    }

    /// Not inlined: all of this loop has to stay in registers.
    #[inline(never)]
    fn skip_known(&mut self, bytes: &[u8], start: usize) -> Skipped {
        let (mut next, mut known, mut at) = (self.next, 0, start);
        let skipped = loop {
            let Some(mut key) = self.keys.get(next) else { break Skipped::ToEnd(at) };
            if !key.stands_at(bytes, at) {
                let later = next + 1..self.keys.len().min(next + 1 + MAX_LEFT_OUT);
                match later.into_iter().find(|later| self.keys[*later].stands_at(bytes, at)) {
                    Some(later) => (next, key) = (later, &self.keys[later]),
                    None if at == start => break Skipped::Nothing,
                    None => break Skipped::ToEnd(at),
                }
            }
            next += 1;
            known += 1;
            at += key.len;
            match plain(bytes, at) {
                0 => break Skipped::ToValue(at),
                len => at += len,
            }
        };
        self.next = next;
        self.known += known;
        skipped
    }

    /// A key that was not expected has been read: `text` begins with its comma and ends where its value begins.
    #[inline]
    pub(super) fn learn(&mut self, text: &[u8]) {
        if self.next < MAX_KEYS {
            self.insert(text);
        }
    }

    #[inline(never)]
    fn insert(&mut self, text: &[u8]) {
        self.read += 1;
        let Some(key) = Key::new(text) else { return };
        if let Some(at) = self.keys.iter().position(|known| known.len == key.len && known.text == key.text) {
            self.next = at + 1;
            return;
        }
        if self.keys.len() == MAX_KEYS {
            self.keys.truncate(self.next);
        }
        self.keys.insert(self.next, key);
        self.next += 1;
    }
}

/// The length of the literal, the number without an exponent, or the string without escapes at `at`, each of a few
/// bytes. 0 for any other value, for none, and near the end of `bytes`.
#[inline(always)]
fn plain(bytes: &[u8], at: usize) -> usize {
    let Some(ahead) = bytes.get(at..).and_then(|rest| rest.first_chunk::<33>()) else { return 0 };
    match ahead[0] {
        b'"' => {
            let Some(text) = ahead[1..].first_chunk().map(halves) else { return 0 };
            let ends = ends_run(text[0]).to_bitmask() | ends_run(text[1]).to_bitmask() << 16;
            let len = ends.trailing_zeros() as usize;
            if ahead[1 + len % 32] == b'"' { len + 2 } else { 0 }
        }
        b'n' if ahead.starts_with(b"null") => 4,
        b't' if ahead.starts_with(b"true") => 4,
        b'f' if ahead.starts_with(b"false") => 5,
        first => {
            let negative = u32::from(first == b'-');
            let Some(digits) = ahead.first_chunk().map(|text| digit(load(text)).to_bitmask()) else {
                return 0;
            };
            let len = (!(digits | negative)).trailing_zeros() as usize;
            let whole = len - negative as usize;
            // Whether there is one digit or more, no branch could foresee.
            let sound = (whole == 1) | ((whole > 1) & (ahead[negative as usize] != b'0'));
            match ahead[len] {
                _ if !sound | (len > 15) => 0,
                b'e' | b'E' => 0,
                b'.' => with_fraction(digits, len, ahead),
                _ => len,
            }
        }
    }
}

/// The length of a number with a point behind `whole` bytes; bit `i` of `digits` says that byte `i` is one.
#[inline(never)]
fn with_fraction(digits: u32, whole: usize, ahead: &[u8; 33]) -> usize {
    let places = (!digits >> whole >> 1).trailing_zeros() as usize;
    let len = whole + 1 + places;
    if (places == 0) | (len > 15) | matches!(ahead[len % 32], b'e' | b'E') { 0 } else { len }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::syntax::Checker;
    use super::*;

    /// Holds a checker of lines one after the other, each in front of `behind`, to one that expects nothing.
    fn assert_no_line_learns_a_verdict(lines: &[Vec<u8>], behind: &str) {
        let mut checker = Checker::new(4);
        for line in lines {
            let bytes = [b"{}\n", line.as_slice(), b"\n", behind.as_bytes()].concat();
            let mut reader = Checker::new(4);
            *reader.shape_mut() = Shape { next: MAX_KEYS, pause: 1, ..Shape::default() };
            assert_eq!(
                checker.check(&bytes, 3),
                reader.check(&bytes, 3),
                "{:?}",
                String::from_utf8_lossy(line)
            );
            assert!(reader.shape().keys.is_empty());
        }
    }

    /// Where lines of the shape of `first` are skipped to, from the comma behind their first value.
    fn skipped(first: &str, then: &str) -> Skipped {
        let mut shape = Shape::default();
        for key in first.split_inclusive(':') {
            shape.learn(key.as_bytes());
        }
        shape.begin();
        shape.skip(format!("{then}{}", " ".repeat(64)).as_bytes(), 0)
    }

    #[test]
    fn values_are_skipped_up_to_what_is_not_plain() {
        let keys = ",\"a\":,\"b\":,\"c\":";
        for (line, end) in [
            (",\"a\":1,\"b\":-20.5,\"c\":null}", Skipped::ToEnd(25)),
            (",\"a\":\"\",\"b\":true,\"c\":false}", Skipped::ToEnd(26)),
            (",\"a\":\"0123456789012345678901234567890\"}", Skipped::ToEnd(38)),
            (",\"a\":\"01234567890123456789012345678901\"}", Skipped::ToValue(5)),
            (",\"c\":123456789012345}", Skipped::ToEnd(20)),
            (",\"c\":1234567890123456}", Skipped::ToValue(5)),
            (",\"b\":\"\\n\"}", Skipped::ToValue(5)),
            (",\"b\":0}", Skipped::ToEnd(6)),
            (",\"b\":-0}", Skipped::ToEnd(7)),
            (",\"b\":-0.5}", Skipped::ToEnd(9)),
            (",\"b\":1.2345678901234}", Skipped::ToEnd(20)),
            (",\"b\":1.23456789012345}", Skipped::ToValue(5)),
            (",\"b\":1.234567890123456}", Skipped::ToValue(5)),
            (",\"b\":01}", Skipped::ToValue(5)),
            (",\"b\":-01}", Skipped::ToValue(5)),
            (",\"b\":00.5}", Skipped::ToValue(5)),
            (",\"b\":-}", Skipped::ToValue(5)),
            (",\"b\":1.}", Skipped::ToValue(5)),
            (",\"b\":1e3}", Skipped::ToValue(5)),
            (",\"b\":1E3}", Skipped::ToValue(5)),
            (",\"b\":1.5e3}", Skipped::ToValue(5)),
            (",\"b\":1.5E3}", Skipped::ToValue(5)),
            (",\"b\":\"\n\"}", Skipped::ToValue(5)),
            (",\"b\":\"\t\"}", Skipped::ToValue(5)),
            (",\"b\":nul}", Skipped::ToValue(5)),
            (",\"b\":[1]}", Skipped::ToValue(5)),
            (",\"b\": 1}", Skipped::ToValue(5)),
            (", \"a\":1}", Skipped::Nothing),
            (",\"d\":1}", Skipped::Nothing),
            (",\"a\":1,\"d\":1}", Skipped::ToEnd(6)),
        ] {
            assert_eq!(skipped(keys, line), end, "{line}");
        }
    }

    #[test]
    fn nothing_is_expected_of_lines_that_are_never_alike() {
        let mut checker = Checker::new(4);
        let paused = |checker: &Checker| checker.shape().pause > 0;
        for line in 0..MAX_DOUBT + 2 {
            assert!(!paused(&checker), "{line}");
            let line = format!("{{\"a\":1,\"b{line}\":1,\"c{line}\":1}}\n");
            checker.check(line.as_bytes(), 0).unwrap();
        }
        for _ in 0..PAUSE {
            checker.check(b"{\"a\":1,\"b\":1}\n", 0).unwrap();
            assert_eq!((checker.shape().next, checker.shape().read), (MAX_KEYS, 0));
        }
        checker.check(b"{\"a\":1,\"b\":1}\n", 0).unwrap();
        assert!(!paused(&checker) && checker.shape().read == 1);
    }

    #[test]
    fn lines_of_two_shapes_are_known_by_one_key() {
        let mut checker = Checker::new(4);
        for turn in 0..10 {
            for (names, again) in [("abcdefgh", 1), ("ijklmnop", 0)] {
                let members: Vec<_> = names.chars().map(|name| format!("\"{name}\":0")).collect();
                let line = format!("{{{}}}\n{}", members.join(","), " ".repeat(64));
                checker.check(line.as_bytes(), 0).unwrap();
                let read = if turn == 0 { 7 } else { again };
                assert_eq!((checker.shape().read, checker.shape().known), (read, 7 - read), "{turn} {names}");
            }
        }
    }

    #[test]
    fn no_more_keys_are_kept_than_are_counted() {
        let mut checker = Checker::new(4);
        for round in 0..5 {
            let keys: Vec<_> = (0..3 * MAX_KEYS).map(|key| format!("\"{}\":0", key * 7 + round)).collect();
            let line = format!("{{{}}}\n", keys.join(","));
            assert_eq!(checker.check(line.as_bytes(), 0), Ok(line.len() - 1));
            assert!(checker.shape().keys.capacity() <= MAX_KEYS);
        }
    }

    fn value() -> impl Strategy<Value = String> {
        let number = (any::<i32>(), 0u32..12).prop_map(|(number, shift)| (number >> (2 * shift)).to_string());
        let fraction = (any::<i32>(), any::<u32>()).prop_map(|(whole, places)| format!("{whole}.{places}"));
        let other =
            prop::sample::select(vec!["null", "true", "false", "{}", "[]", "1e5", "1.5E3", "0", "-0.0"]);
        let plain = prop_oneof![
            4 => number,
            2 => fraction,
            3 => "[ -~é]{0,40}".prop_map(|text| serde_json::Value::from(text).to_string()),
            2 => other.prop_map(str::to_owned),
        ];
        let inner = (plain.clone(), plain.clone(), any::<bool>());
        let inner = inner.prop_map(|(first, second, in_list)| {
            let object = format!("{{\"m\":{first},\"n\":{second},\"o\":{first}}}");
            if in_list { format!("[1,{object},{object}]") } else { object }
        });
        prop_oneof![6 => plain, 1 => inner]
    }

    /// A value, and whether its line has it.
    type Member = (String, bool);

    /// Lines with some of the same keys, in the same order; each may have one byte changed.
    fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let key = prop_oneof![4 => "[a-z_]{1,12}", 1 => "[a-zé\\n]{20,40}"];
        let keys = prop::collection::vec((key, any::<bool>()), 2..8);
        let line = prop::collection::vec((value(), prop::bool::weighted(0.8)), 8);
        let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\n\t\"\\,:{}[]01-.eE ".to_vec())];
        let change = prop::option::weighted(0.4, (any::<prop::sample::Index>(), byte));
        (keys, prop::collection::vec((line, change), 2..10)).prop_map(|(keys, lines)| {
            let write = |(values, change): (Vec<Member>, Option<(prop::sample::Index, u8)>)| {
                let members = keys.iter().zip(values).filter(|(_, (_, stays))| *stays).map(
                    |((key, space), (value, _))| {
                        let key = serde_json::Value::from(key.as_str());
                        format!("{key}:{}{value}", if *space { " " } else { "" })
                    },
                );
                let mut line = format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes();
                if let Some((at, byte)) = change {
                    let at = at.index(line.len());
                    line[at] = byte;
                }
                line
            };
            lines.into_iter().map(write).collect()
        })
    }

    proptest! {
        #[test]
        fn lines_before_change_no_verdict(
            lines in lines(),
            behind in prop::sample::select(vec!["", " ", "0", "\"", ",\"a\":1}\n"]),
            times in 0usize..40,
        ) {
            assert_no_line_learns_a_verdict(&lines, &behind.repeat(times));
        }
    }
}
