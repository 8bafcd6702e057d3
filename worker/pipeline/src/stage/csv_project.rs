//! `csv_project`: columns selected, ordered, renamed, masked, hashed or added.
//!
//! # Overview
//! A rewrite. Records are read as `validate.csv` reads them (see `csv/records.rs`); a record's fields are written in the
//! order of the route, in the dialect of the output. A byte-order mark is not written.
//!
//! # Null
//! What was null stays null, and what was text stays text: a null is neither masked nor hashed, and a text that
//! would read as a null stands in quotes. Where the output has one column, a null is a blank line.

use std::fmt;

use eft_domain::route::{Change, ColumnSource, CsvOutput, CsvProjectSpec, Limits, QuoteStyle};
use eft_domain::{Code, Failure};
use ring::hmac;

use super::csv::records::{self, Records, Row, Rows};
use super::csv_rewrite::{self, Pending, Text};
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State};
use crate::secrets::Secrets;

const NAME: &str = "csv_project";

/// Fewest bytes of a key: what is shorter can be tried out, with every value at hand that was ever hashed. RFC 2104 §3
/// asks for the 32 of the digest; 16 random bytes hold out.
const MIN_KEY: usize = 16;

/// The stage `csv_project`.
#[derive(Debug)]
pub struct CsvProject {
    records: Records,
    rows: Projection,
    memory: u64,
}

impl CsvProject {
    /// A projector at the start of a file.
    ///
    /// # Errors
    /// [`Code::RouteInvalid`] when the spec contradicts itself, as [`CsvValidate::new`](super::CsvValidate::new);
    /// [`Code::KeysUnusable`] when a secret is missing or too short.
    pub fn new(spec: CsvProjectSpec, limits: &Limits, secrets: &dyn Secrets) -> Result<Self, Failure> {
        let records = Records::new(NAME, &spec.input, spec.on_error, limits)?;
        let memory = records.memory() + memory(&spec, records.max_record());
        Ok(Self { records, rows: Projection::new(spec, secrets)?, memory })
    }
}

/// The largest memory of the writing side, in bytes.
fn memory(spec: &CsvProjectSpec, max_record: u64) -> u64 {
    // A field of n bytes takes up to 2n + 2, and all fields of a record together max_record.
    let uses = |name: &str| {
        let same = |source: &ColumnSource| matches!(source, ColumnSource::Column(other, _) if other == name);
        spec.columns.iter().filter(|column| same(&column.source)).count() as u64
    };
    let most = spec.columns.iter().map(|column| match &column.source {
        ColumnSource::Column(name, _) => uses(name),
        ColumnSource::Constant(_) => 0,
    });
    let fixed = spec.columns.iter().map(|column| match &column.source {
        ColumnSource::Column(..) => 2 * column.name.len() + 80,
        ColumnSource::Constant(text) => 2 * (column.name.len() + 2 * text.len()) + 80,
    });
    let fixed = fixed.sum::<usize>() as u64;
    let row = 2 * max_record * most.max().unwrap_or(0);
    // A field put together, or masked, once more.
    Pending::memory(row + fixed) + fixed + 4 * max_record
}

impl Stage for CsvProject {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R1,
            memory: self.memory,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        csv_rewrite::step(&mut self.records, &mut self.rows, input, output)
    }

    fn report(&self) -> StageReport {
        self.records.report()
    }

    fn save(&self) -> Option<State> {
        self.rows.pending.is_empty().then(|| self.records.save())?
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let names = self.records.restore(NAME, state)?;
        self.rows.find(&names).map_err(|why| super::bad_state(NAME, why))
    }
}

/// Writes rows.
struct Projection {
    columns: Vec<Column>,
    names: Vec<String>,
    output: CsvOutput,
    nulls: Vec<String>,
    /// Bytes that a field has to be quoted for.
    special: [bool; 256],
    pending: Pending,
    /// A field put together.
    text: Vec<u8>,
    /// A field masked.
    masked: Vec<u8>,
}

/// One column of the output.
enum Column {
    /// From a column of the input, by name and, once the header is known, by number.
    Field { name: String, at: usize, change: Made },
    /// The text as it is written.
    Constant(Vec<u8>),
}

/// [`Change`] with its key.
enum Made {
    None,
    Mask { keep_last: usize, with: u8 },
    Hash(Box<hmac::Key>),
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Projection {
    fn new(spec: CsvProjectSpec, secrets: &dyn Secrets) -> Result<Self, Failure> {
        let CsvProjectSpec { input, columns, output, .. } = spec;
        let mut special = [false; 256];
        for byte in [output.delimiter, b'"', b'\r', b'\n'] {
            special[usize::from(byte)] = true;
        }
        let mut this = Self {
            columns: Vec::with_capacity(columns.len()),
            names: columns.iter().map(|column| column.name.clone()).collect(),
            output,
            nulls: input.null_values,
            special,
            pending: Pending::default(),
            text: Vec::new(),
            masked: Vec::new(),
        };
        for column in columns {
            let made = match column.source {
                ColumnSource::Column(name, change) => {
                    Column::Field { name, at: 0, change: Made::new(change, secrets)? }
                }
                ColumnSource::Constant(text) => {
                    this.put(text.as_bytes(), true);
                    Column::Constant(std::mem::take(&mut this.pending.bytes))
                }
            };
            this.columns.push(made);
        }
        Ok(this)
    }

    /// Find the columns of the input.
    fn find(&mut self, names: &[String]) -> Result<(), String> {
        for column in &mut self.columns {
            if let Column::Field { name, at, .. } = column {
                *at = records::find(names, name)?;
            }
        }
        Ok(())
    }

    /// Write a field that is not null; `may_be_null`: its text may be one that means null.
    fn put(&mut self, text: &[u8], may_be_null: bool) {
        let quoted = self.output.quote == QuoteStyle::Always
            || text.iter().any(|byte| self.special[usize::from(*byte)])
            || may_be_null && self.nulls.iter().any(|null| null.as_bytes() == text);
        put(&mut self.pending.bytes, text, quoted);
    }

    fn put_null(&mut self, text: &[u8]) {
        let quoted = self.output.quote == QuoteStyle::Always
            || text.iter().any(|byte| self.special[usize::from(*byte)]);
        put(&mut self.pending.bytes, text, quoted);
    }

    fn put_column(&mut self, column: &Column, row: &Row<'_>) {
        let (at, change) = match column {
            Column::Field { at, change, .. } => (*at, change),
            Column::Constant(written) => return self.pending.bytes.extend_from_slice(written),
        };
        let mut room = std::mem::take(&mut self.text);
        let text = row.text(at, &mut room);
        if row.is_null(at) {
            self.put_null(text);
        } else {
            match change {
                Made::None => self.put(text, row.is_quoted(at)),
                Made::Mask { keep_last, with } => {
                    let mut masked = std::mem::take(&mut self.masked);
                    mask(text, *keep_last, *with, &mut masked);
                    self.put(&masked, true);
                    self.masked = masked;
                }
                Made::Hash(key) => self.put(&hex(hmac::sign(key, text).as_ref()), true),
            }
        }
        self.text = room;
    }
}

/// Append a field, in quotes or not.
fn put(to: &mut Vec<u8>, mut text: &[u8], quoted: bool) {
    if !quoted {
        return to.extend_from_slice(text);
    }
    to.push(b'"');
    while let Some(at) = memchr::memchr(b'"', text) {
        to.extend_from_slice(&text[..=at]);
        to.push(b'"');
        text = &text[at + 1..];
    }
    to.extend_from_slice(text);
    to.push(b'"');
}

/// `with` for every character but the last `keep_last`, and for all of them where there are no more than these. Of what
/// is not UTF-8, a broken sequence is a character.
fn mask(text: &[u8], keep_last: usize, with: u8, to: &mut Vec<u8>) {
    to.clear();
    let mut starts = text.len();
    let mut characters = 0;
    let mut kept = text.len();
    // Backwards: a byte that does not continue a character starts one.
    while starts > 0 {
        starts -= 1;
        while starts > 0 && text[starts] & 0xc0 == 0x80 {
            starts -= 1;
        }
        characters += 1;
        if characters == keep_last {
            kept = starts;
        }
    }
    let keeps = keep_last > 0 && characters > keep_last;
    to.resize(if keeps { characters - keep_last } else { characters }, with);
    if keeps {
        to.extend_from_slice(&text[kept..]);
    }
}

fn hex(digest: &[u8]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    }
    text
}

impl Made {
    fn new(change: Change, secrets: &dyn Secrets) -> Result<Self, Failure> {
        Ok(match change {
            Change::None => Self::None,
            Change::Mask { keep_last, with } => Self::Mask { keep_last: keep_last as usize, with },
            Change::Hash { key } => {
                let bytes = secrets.secret_bytes(&key)?;
                if bytes.len() < MIN_KEY {
                    let n = bytes.len();
                    let message = format!(
                        "{NAME}: the secret `{key}` has {n} bytes, a hash takes at least {MIN_KEY}; make it of 32 random bytes"
                    );
                    return Err(Failure::new(Code::KeysUnusable, message));
                }
                Self::Hash(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
            }
        })
    }
}

impl Rows for Projection {
    fn start(&mut self, names: &[String]) -> Result<(), String> {
        self.find(names)?;
        if !self.output.header {
            return Ok(());
        }
        let names = std::mem::take(&mut self.names);
        for (at, name) in names.iter().enumerate() {
            if at > 0 {
                self.pending.bytes.push(self.output.delimiter);
            }
            self.put(name.as_bytes(), false);
        }
        self.names = names;
        self.pending.bytes.extend_from_slice(self.output.terminator.bytes());
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), (usize, String)> {
        let columns = std::mem::take(&mut self.columns);
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                self.pending.bytes.push(self.output.delimiter);
            }
            self.put_column(column, row);
        }
        self.columns = columns;
        self.pending.bytes.extend_from_slice(self.output.terminator.bytes());
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.pending.is_full()
    }
}

impl Text for Projection {
    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_the_last_characters() {
        let masked = |text: &[u8], keep| {
            let mut to = Vec::new();
            mask(text, keep, b'*', &mut to);
            String::from_utf8_lossy(&to).into_owned()
        };
        assert_eq!(masked(b"4111111111111234", 4), "************1234");
        assert_eq!(masked(b"1234", 4), "****");
        assert_eq!(masked(b"12345", 4), "*2345");
        assert_eq!(masked(b"", 4), "");
        assert_eq!(masked(b"abc", 0), "***");
        assert_eq!(masked("héllo wörld".as_bytes(), 4), "*******örld");
        assert_eq!(masked(b"a\x80\xff12", 2), "**12");
    }
}
