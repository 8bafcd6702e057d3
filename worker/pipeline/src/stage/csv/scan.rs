//! The block scanner: skips what the machine would find nothing wrong with.
//!
//! It reads [`BLOCK`] bytes at a time as bit masks ([`Block`]), walks from field end to field end and stops at the first
//! thing it cannot prove right, leaving the machine exactly where it would be had it read every byte itself. It
//! reports nothing and decides nothing.

use super::block::{BLOCK, Block, Class, Entry, Needles, Proofs};
use super::machine::{Machine, Piece, State};
use eft_domain::Failure;
use eft_domain::route::RecordTerminator;

/// The scanner of one file.
#[derive(Debug)]
pub(super) struct Scanner {
    needles: Needles,
    /// Class of each column; empty until they are known.
    classes: Vec<Class>,
    /// [`Class::slot`] of each column, over and over: the walk through a block needs no wrapping around.
    slots: Vec<u8>,
    proofs: Proofs,
    max_record: u64,
}

/// Why [`Scanner::skip`] stopped.
enum Stop {
    /// Fewer than [`BLOCK`] bytes are left.
    Short,
    /// The machine has to read on, at least this far.
    Machine(usize),
}

impl Scanner {
    pub(super) fn new(machine: &Machine) -> Self {
        let dialect = &machine.dialect;
        let cr = dialect.terminator != RecordTerminator::Lf;
        let lf_needs_cr = dialect.terminator == RecordTerminator::CrLf;
        Self {
            needles: Needles::new(dialect.delimiter, dialect.quote, dialect.escape, cr, lf_needs_cr),
            classes: Vec::new(),
            slots: Vec::new(),
            proofs: Proofs::None,
            max_record: dialect.max_record,
        }
    }

    /// Read `piece.bytes[from..to]`. Returns where it stopped: at `to`, or, unless `flush`, less than a block before.
    ///
    /// # Errors
    /// The machine's.
    pub(super) fn read(
        &mut self,
        machine: &mut Machine,
        piece: Piece<'_>,
        from: usize,
        to: usize,
        flush: bool,
    ) -> Result<usize, Failure> {
        let bytes = &piece.bytes[..to];
        let mut at = from;
        while at < to {
            let mut least = at + 1;
            if self.may_skip(machine) {
                let stop;
                (at, stop) = match self.proofs {
                    Proofs::None => self.skip::<true>(machine, piece.base, bytes, at),
                    _ => self.skip::<false>(machine, piece.base, bytes, at),
                };
                match stop {
                    Stop::Short if !flush => return Ok(at),
                    Stop::Short => least = to,
                    Stop::Machine(until) => least = until,
                }
            }
            while at < to {
                machine.byte(piece, piece.base + at as u64, bytes[at])?;
                at += 1;
                if at >= least && self.may_skip(machine) {
                    break;
                }
            }
        }
        Ok(at)
    }

    /// The scanner can take over where the machine stands.
    #[inline]
    fn may_skip(&mut self, machine: &Machine) -> bool {
        if machine.tally.broken() || machine.field_broken || self.max_record < BLOCK as u64 {
            return false;
        }
        if self.classes.is_empty() {
            let Some(table) = &machine.table else { return false };
            self.classes = table.rules.iter().map(|rule| machine.dialect.rules.class(*rule)).collect();
            let width = self.classes.len();
            let slot = |i: usize| self.classes[i % width].slot(i % width == width - 1);
            self.slots = (0..width + BLOCK).map(slot).collect();
            let has = |classes: &[Class]| self.classes.iter().any(|class| classes.contains(class));
            self.proofs = if has(&[Class::Decimal, Class::DecimalNotEmpty]) {
                Proofs::Decimals
            } else if self.classes.iter().any(|class| *class != Class::Text) {
                Proofs::Integers
            } else {
                Proofs::None
            };
        }
        match machine.state {
            State::Start => machine.field < self.classes.len(),
            State::Unquoted | State::Quoted => {
                self.classes.get(machine.field).is_some_and(|class| class.may_straddle())
            }
            State::Escaped | State::Closing | State::Return | State::ClosingReturn => false,
        }
    }

    /// Skip blocks from `at` on. `TEXT`: every column is [`Class::Text`].
    fn skip<const TEXT: bool>(
        &self,
        machine: &mut Machine,
        base: u64,
        bytes: &[u8],
        mut at: usize,
    ) -> (usize, Stop) {
        while let Some(window) = bytes[at..].first_chunk::<BLOCK>() {
            let entry = match machine.state {
                State::Start => Entry::Start,
                State::Quoted => Entry::Quoted,
                _ => Entry::Unquoted,
            };
            let offset = base + at as u64;
            let Some(block) = Block::read(window, entry, &self.needles, self.proofs) else {
                return (at, Stop::Machine(at + BLOCK));
            };
            // Records that end here after the first are shorter than a block.
            let first_end =
                if block.records == 0 { block.usable } else { block.records.trailing_zeros() + 1 };
            if offset + u64::from(first_end) - machine.record_start > self.max_record {
                return (at, Stop::Machine(at + BLOCK));
            }

            let first = machine.field;
            let Some(slots) = self.slots.get(first..first + BLOCK) else {
                return (at, Stop::Machine(at + BLOCK));
            };
            let mut ends = block.ends;
            let mut before = 0;
            let mut walked = 0;
            let rows = if TEXT { self.rows(&block, first) } else { None };
            if let Some((column, through)) = rows {
                (walked, before, ends) = (column + self.classes.len() - first, through, 0);
            }
            for slot in slots {
                if ends == 0 {
                    break;
                }
                let rest = ends - 1;
                let through = ends ^ rest;
                let unproven = block.unproven[usize::from(*slot) % Class::SLOTS] & (through ^ before);
                if unproven != 0 {
                    let end = through & ends;
                    let column = (first + walked) % self.classes.len();
                    if !proved(machine, base, bytes, at, &block, column, end) {
                        let next = settle(machine, offset, &block, before, column);
                        machine.state = if next == 0 { entry.into() } else { State::Start };
                        // A return that belongs to this end is the machine's, too.
                        let stop = (end | end >> 1 & block.returns).trailing_zeros();
                        if stop > next {
                            machine.state = State::Unquoted;
                        }
                        let stop = at + stop as usize;
                        return (stop, Stop::Machine(stop + 1));
                    }
                }
                before = through;
                ends &= rest;
                walked += 1;
            }

            let column = (first + walked) % self.classes.len();
            let next = settle(machine, offset, &block, before, column);
            let straddles = self.classes[column].may_straddle();
            if !straddles && next == 0 {
                // A field of a block and more that is not text.
                machine.state = entry.into();
                return (at, Stop::Machine(at + BLOCK));
            }
            if straddles && block.usable > next {
                at += block.usable as usize;
                machine.state = if block.open_quote { State::Quoted } else { State::Unquoted };
            } else {
                at += next as usize;
                machine.state = State::Start;
            }
        }
        (at, Stop::Short)
    }

    /// Where fields are text, only a record of another number of fields can be wrong: looks at the ends of records alone.
    /// Returns the column behind the last field that ends here, and the bytes through its end.
    #[inline(always)]
    fn rows(&self, block: &Block, first: usize) -> Option<(usize, u64)> {
        let (mut column, mut before, mut records) = (first, 0, block.records);
        while records != 0 {
            let rest = records - 1;
            let through = records ^ rest;
            column += (block.ends & (through ^ before)).count_ones() as usize;
            if column != self.classes.len() {
                return None;
            }
            (column, before) = (0, through);
            records &= rest;
        }
        column += (block.ends & !before).count_ones() as usize;
        let through = u64::MAX.checked_shr(block.ends.leading_zeros()).unwrap_or(0);
        (column < self.classes.len()).then_some((column, through))
    }
}

impl From<Entry> for State {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Start => State::Start,
            Entry::Unquoted => State::Unquoted,
            Entry::Quoted => State::Quoted,
        }
    }
}

/// Count what ends within `through` (a mask of the lowest bits) of the block at `offset`; `column` is the next one.
/// Returns where the open field starts in the block, 0 when it started before.
fn settle(machine: &mut Machine, offset: u64, block: &Block, through: u64, column: usize) -> u32 {
    machine.field = column;
    let records = block.records & through;
    if records != 0 {
        machine.tally.records += u64::from(records.count_ones());
        machine.record_start = offset + u64::from(64 - records.leading_zeros());
    }
    let next = 64 - through.leading_zeros();
    if next > 0 {
        machine.field_start = offset + u64::from(next);
    }
    next
}

/// Look at the one field of the block at `at` that ends at the bit `end`.
#[inline(never)]
fn proved(
    machine: &Machine,
    base: u64,
    bytes: &[u8],
    at: usize,
    block: &Block,
    column: usize,
    end: u64,
) -> bool {
    let Some(table) = &machine.table else { return false };
    let ends_record = block.records & end != 0;
    if ends_record != (column + 1 == table.rules.len()) {
        return false;
    }
    let before = block.ends & (end - 1);
    let start = match before {
        0 if machine.field_start < base => return false,
        0 => (machine.field_start - base) as usize,
        _ => at + BLOCK - before.leading_zeros() as usize,
    };
    let stop = at + (end | end >> 1 & block.returns).trailing_zeros() as usize;
    let raw = &bytes[start..stop];
    raw.len() <= machine.dialect.rules.keep && machine.dialect.rules.check(table.rules[column], raw).is_ok()
}
