//! Sixty-four bytes at once: which of them are structure, and which cannot be part of a number.

use super::lanes::{self, V};

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// Which mask has to be clear over a field for the field to be right.
///
/// The masks accept nothing the rules refuse; what they do not accept is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing to check.
    Text,
    /// An empty unquoted field is wrong.
    TextNotEmpty,
    /// Sign and up to 18 digits; empty is null.
    Integer,
    /// Sign and up to 18 digits.
    IntegerNotEmpty,
    /// Sign, digits, point between digits; empty is null.
    Decimal,
    /// Sign, digits, point between digits.
    DecimalNotEmpty,
    /// Always looked at.
    Look,
}

impl Class {
    /// Two slots a class, rounded up to a power of two.
    pub(super) const SLOTS: usize = 16;

    /// The slot of a column in [`Block::unproven`].
    pub(super) fn slot(self, last_column: bool) -> u8 {
        self as u8 * 2 + u8::from(last_column)
    }

    /// The masks of a block prove the class right for a field that began before the block.
    #[inline]
    pub(super) fn may_straddle(self) -> bool {
        matches!(self, Class::Text | Class::TextNotEmpty)
    }
}

/// The bytes to look for.
#[derive(Debug)]
pub(super) struct Needles {
    delimiter: V,
    quote: V,
    escape: V,
    cr: V,
    /// Not null: a CR must stand before every LF outside quotes.
    lf_needs_cr: bool,
}

impl Needles {
    /// `cr`: a carriage return is structure. A byte the dialect does not have is looked for as NUL, which never passes.
    pub(super) fn new(
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
        cr: bool,
        lf_needs_cr: bool,
    ) -> Self {
        Self {
            delimiter: lanes::splat(delimiter),
            quote: lanes::splat(quote.unwrap_or(0)),
            escape: lanes::splat(escape.unwrap_or(0)),
            cr: lanes::splat(if cr { b'\r' } else { 0 }),
            lf_needs_cr,
        }
    }
}

/// Where the scanner stands when a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// At the start of a field.
    Start,
    /// In an unquoted field.
    Unquoted,
    /// In a quoted field.
    Quoted,
}

/// Which masks the columns need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proofs {
    /// Text only: where records end.
    None,
    /// All but those of decimals.
    Integers,
    /// All.
    Decimals,
}

/// What is known of a block. Bit `i` is byte `i`.
#[derive(Debug)]
pub(super) struct Block {
    /// Delimiters and line feeds that end a field.
    pub(super) ends: u64,
    /// Line feeds that end a record.
    pub(super) records: u64,
    /// Carriage returns before those.
    pub(super) returns: u64,
    /// How many bytes may be consumed: what follows the last of them is needed to understand it otherwise.
    pub(super) usable: u32,
    /// The last usable byte is inside quotes.
    pub(super) open_quote: bool,
    /// By [`Class::slot`]: bytes that leave a field unproven. The byte that ends the field stands for an empty field,
    /// and for the wrong kind of end: a line feed before the last column, a delimiter after it.
    pub(super) unproven: [u64; Class::SLOTS],
}

impl Block {
    /// Read a block; `None` when something in it needs the byte-wise machine: NUL, escapes, broken quoting, lone CR or LF.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8; BLOCK], entry: Entry, needles: &Needles, proofs: Proofs) -> Option<Self> {
        let (quarters, _) = bytes.as_chunks::<16>();
        let lanes: [V; 4] = std::array::from_fn(|i| lanes::load(&quarters[i]));
        let find = |needle: V| lanes::mask(lanes.map(|lane| lanes::eq(lane, needle)));
        let delimiters = find(needles.delimiter);
        let line_feeds = find(lanes::splat(b'\n'));
        let nul = lanes::splat(0);
        let rare = lanes.map(|lane| {
            lanes::eq(lane, needles.quote)
                | lanes::eq(lane, needles.escape)
                | lanes::eq(lane, needles.cr)
                | lanes::eq(lane, nul)
        });
        let rare = rare[0] | rare[1] | rare[2] | rare[3];
        let plain = lanes::mask([rare, nul, nul, nul]) == 0;

        let mut block;
        let (mut opening, mut closing) = (0, 0);
        if plain && entry != Entry::Quoted {
            if needles.lf_needs_cr && line_feeds != 0 {
                return None;
            }
            block = Self::plain(delimiters, line_feeds);
        } else {
            if find(needles.escape) | find(nul) != 0 {
                // Looked for as NUL where the dialect has none.
                return None;
            }
            let quotes = find(needles.quote);
            let returns = find(needles.cr);
            (block, opening, closing) =
                Self::quoted(delimiters, line_feeds, quotes, returns, entry, needles)?;
        }
        match proofs {
            Proofs::None => {}
            Proofs::Integers => block.prove::<false>(lanes, entry, opening, closing),
            Proofs::Decimals => block.prove::<true>(lanes, entry, opening, closing),
        }
        Some(block)
    }

    #[inline(always)]
    fn new(ends: u64, records: u64, returns: u64, usable: u32, open_quote: bool) -> Self {
        let mut block = Self { ends, records, returns, usable, open_quote, unproven: [0; Class::SLOTS] };
        block.unproven(Class::Text, 0);
        block
    }

    #[inline(always)]
    fn unproven(&mut self, class: Class, bytes: u64) {
        self.unproven[usize::from(class.slot(false))] = bytes | self.records;
        self.unproven[usize::from(class.slot(true))] = bytes | self.ends & !self.records;
    }

    #[inline(always)]
    fn plain(delimiters: u64, line_feeds: u64) -> Self {
        Self::new(delimiters | line_feeds, line_feeds, 0, 64, false)
    }

    /// A block with quotes or carriage returns; also its opening and closing quotes.
    #[inline(always)]
    fn quoted(
        delimiters: u64,
        line_feeds: u64,
        quotes: u64,
        returns: u64,
        entry: Entry,
        needles: &Needles,
    ) -> Option<(Self, u64, u64)> {
        // The byte after a quote or a return says what it is: leave a run of them at the end to the next block.
        let usable = 64 - (quotes | returns).leading_ones();
        if usable == 0 {
            return None;
        }
        let within = u64::MAX >> (64 - usable);
        let quotes = quotes & within;
        // Bit i: after byte i, an odd number of quotes has been seen.
        let mut inside = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        if entry == Entry::Quoted {
            inside = !inside;
        }
        let opening = quotes & inside;
        let closing = quotes & !inside;
        let records = line_feeds & !inside & within;
        let returns = returns & !inside & within;
        let ends = (delimiters & !inside & within) | records;
        let starts = ends << 1 | u64::from(entry == Entry::Start);
        // An opening quote stands at the start of a field or is the second of a pair; after a closing one the field
        // ends, or a pair goes on. After a return comes a line feed, and before one if the dialect says so.
        let misplaced = opening & !(starts | closing << 1) | closing << 1 & !(ends | returns | opening);
        let lone = returns << 1 & !records | if needles.lf_needs_cr { records & !(returns << 1) } else { 0 };
        if misplaced | lone != 0 {
            return None;
        }
        let open_quote = inside >> (usable - 1) & 1 == 1;
        Some((Self::new(ends, records, returns, usable, open_quote), opening, closing))
    }

    /// Fill in the masks of numbers and empty fields.
    #[inline(always)]
    fn prove<const DECIMALS: bool>(&mut self, lanes: [V; 4], entry: Entry, opening: u64, closing: u64) {
        let digits = lanes::mask(lanes.map(lanes::digit));
        let plus_minus = lanes::mask(
            lanes.map(|lane| lanes::eq(lane, lanes::splat(b'-')) | lanes::eq(lane, lanes::splat(b'+'))),
        );

        let starts = self.ends << 1 | u64::from(entry == Entry::Start);
        let quote_starts = opening & starts;
        let empty = starts & (self.ends | self.returns);
        let signs = plus_minus & (starts | quote_starts << 1);
        // Neither a digit, a sign in its place, nor structure; or what follows a sign and is no digit. A quote is
        // structure only around the field, and not around nothing.
        let around = quote_starts | closing & !(opening >> 1) & !(quote_starts << 1);
        let other = !(digits | signs | self.ends | self.returns | around) | signs << 1 & !digits;
        // Runs of 19 digits and more might not fit.
        let run2 = digits & digits >> 1;
        let run4 = run2 & run2 >> 2;
        let run8 = run4 & run4 >> 4;
        let run16 = run8 & run8 >> 8;
        let run19 = run16 & run16 >> 3;
        let integer = other | run19;
        self.unproven(Class::TextNotEmpty, empty);
        self.unproven(Class::Integer, integer);
        self.unproven(Class::IntegerNotEmpty, integer | empty);
        self.unproven(Class::Look, u64::MAX);
        if !DECIMALS {
            return;
        }
        // A point needs a digit on either side, and no point before it in its field: a carry sent off behind each
        // point runs up to the next end or point, where it shows.
        let points = lanes::mask(lanes.map(|lane| lanes::eq(lane, lanes::splat(b'.'))));
        let stops = self.ends | points;
        let second = (points << 1).wrapping_add(!stops) & points;
        let decimal = other & !points | points & !(digits << 1 & digits >> 1) | second;
        self.unproven(Class::Decimal, decimal);
        self.unproven(Class::DecimalNotEmpty, decimal | empty);
    }
}
