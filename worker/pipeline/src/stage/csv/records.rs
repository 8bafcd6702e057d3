//! Records and their fields, for the stages that make something else of them.
//!
//! # Overview
//! The dialect, its errors, counts and messages are those of `validate.csv`, because it is `validate.csv` that reads
//! what is not plainly sound. A record that lies in one piece of the input and that the [`Splitter`] finds sound is taken
//! as it lies; every other one (the header, the last of a chunk, a broken one) is read by the validator and gathered,
//! and then taken if the validator had nothing to say.
//!
//! # Why not csv-core
//! It leaves out blank lines, ends records at a lone CR, takes whatever follows a closing quote, and does not tell `""`
//! from nothing: four decisions that are others in `validate.csv`.
//!
//! # Memory
//! One record, at most `limits.max_record_bytes` (1 MiB of a header), and what the validator holds.

use eft_domain::route::{Columns, CsvSpec, Limits, OnError};
use eft_domain::{Code, Failure};

use super::dialect::{list, quoted};
use super::fields::{Field, Split, Splitter};
pub(in crate::stage) use super::rules::show;
use super::{BOM, CsvValidate};
use crate::stage::{Input, Reject, StageReport};

/// What a stage does with the records of a file.
pub(in crate::stage) trait Rows {
    /// The columns are known: before the first record.
    ///
    /// # Errors
    /// When the stage cannot work with them. Final.
    fn start(&mut self, names: &[String]) -> Result<(), String>;

    /// A sound record, with as many fields as there are columns.
    ///
    /// # Errors
    /// The column that cannot be written and why. Nothing of the record is then in the output.
    fn row(&mut self, row: &Row<'_>) -> Result<(), (usize, String)>;

    /// No more records for now.
    fn is_full(&self) -> bool;
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stage) enum Stop {
    /// [`Rows::is_full`].
    Full,
    /// All input is read and more may come.
    Hungry,
    /// Somebody waits for the state, and the next byte is the first of a record.
    Boundary,
    /// All records are read.
    End,
}

/// A sound record.
#[derive(Clone, Copy, Debug)]
pub(in crate::stage) struct Row<'a> {
    bytes: &'a [u8],
    fields: &'a [Field],
    splitter: &'a Splitter,
    nulls: &'a [Box<[u8]>],
}

impl<'a> Row<'a> {
    /// The text of a field, where it need not be put together.
    pub(in crate::stage) fn plain(&self, column: usize) -> Option<&'a [u8]> {
        let field = self.fields[column];
        (!field.escaped).then(|| &self.bytes[field.from..field.to])
    }

    /// Append the text of a field.
    pub(in crate::stage) fn append(&self, column: usize, to: &mut Vec<u8>) {
        let field = self.fields[column];
        self.splitter.append(&self.bytes[field.from..field.to], field.escaped, to);
    }

    /// The text of a field, put together in `room` where that is needed.
    pub(in crate::stage) fn text<'b>(&self, column: usize, room: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        if let Some(text) = self.plain(column) {
            return text;
        }
        room.clear();
        self.append(column, room);
        room
    }

    /// The field stands in quotes.
    pub(in crate::stage) fn is_quoted(&self, column: usize) -> bool {
        self.fields[column].quoted
    }

    /// The field says null, which a quoted one never does.
    pub(in crate::stage) fn is_null(&self, column: usize) -> bool {
        let field = self.fields[column];
        !field.quoted && self.nulls.iter().any(|null| **null == self.bytes[field.from..field.to])
    }
}

/// Reads records.
#[derive(Debug)]
pub(in crate::stage) struct Records {
    pub(super) validate: CsvValidate,
    splitter: Splitter,
    fields: Vec<Field>,
    /// The record that is being gathered.
    gathered: Vec<u8>,
    /// The names in the file's header, in full.
    pub(super) names: Option<Vec<String>>,
    pub(super) started: bool,
    ended: bool,
    /// The stage has no state between records.
    never_saved: bool,
    utf8: bool,
}

impl Records {
    /// A reader at the start of a file, for the stage of this name.
    ///
    /// # Errors
    /// Those of [`CsvValidate::new`], in the name of the stage; and a spec without names.
    pub(in crate::stage) fn new(
        stage: &str,
        spec: &CsvSpec,
        on_error: OnError,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        if spec.columns == Columns::Unnamed {
            return Err(Failure::new(Code::RouteInvalid, format!("{stage}: the columns have no names")));
        }
        let mut validate = CsvValidate::new(spec.clone(), limits).map_err(|failure| {
            let message = failure.message.replacen("validate.csv", stage, 1);
            Failure { message, ..failure }
        })?;
        if on_error == OnError::Fail {
            validate.machine.tally.fail_at_once();
        }
        let dialect = &validate.machine.dialect;
        Ok(Self {
            splitter: Splitter::new(dialect.delimiter, dialect.quote, dialect.escape, dialect.terminator),
            utf8: spec.utf8,
            validate,
            fields: Vec::new(),
            gathered: Vec::new(),
            names: None,
            started: false,
            ended: false,
            never_saved: false,
        })
    }

    /// Largest memory held, in bytes.
    pub(in crate::stage) fn memory(&self) -> u64 {
        let dialect = &self.validate.machine.dialect;
        let fields = dialect.max_fields * 2 * size_of::<Field>() as u64;
        // A vector that grew has at most twice the room it needs; names are held once more.
        let names = if dialect.has_header() { 4 * dialect.max_header } else { 0 };
        size_of::<Self>() as u64 + dialect.memory() + 2 * (dialect.max_record + 3) + fields + names
    }

    /// Largest record, in bytes.
    pub(in crate::stage) fn max_record(&self) -> u64 {
        self.validate.machine.dialect.max_record
    }

    /// Never stop for somebody who waits for the state.
    pub(in crate::stage) fn never_saved(&mut self) {
        self.never_saved = true;
    }

    /// The most bytes the names of the columns may have.
    pub(in crate::stage) fn max_names(&self) -> u64 {
        let dialect = &self.validate.machine.dialect;
        match dialect.columns() {
            Columns::Header(names) | Columns::Named(names) => {
                names.iter().map(|name| name.len() as u64).sum()
            }
            Columns::FromFile | Columns::Unnamed => dialect.max_header,
        }
    }

    pub(in crate::stage) fn report(&self) -> StageReport {
        let tally = &self.validate.machine.tally;
        StageReport {
            records: Some(tally.records),
            errors: tally.errors,
            rejects: tally.rejects.clone(),
            ..StageReport::default()
        }
    }

    /// The next byte is the first of a record, or there is none.
    pub(in crate::stage) fn is_between(&self) -> bool {
        self.started && self.gathered.is_empty() && self.validate.is_between()
    }

    /// Read records until something stops it. After [`Stop::End`] it stops there again.
    ///
    /// # Errors
    /// Why the file is rejected.
    pub(in crate::stage) fn read(
        &mut self,
        input: &mut Input,
        rows: &mut impl Rows,
    ) -> Result<Stop, Failure> {
        if !self.started
            && let Columns::Named(names) = self.validate.machine.dialect.columns()
        {
            self.started = true;
            rows.start(names).map_err(|why| self.validate.machine.tally.fatal(0, None, why))?;
        }
        loop {
            if rows.is_full() {
                return Ok(Stop::Full);
            }
            if input.wants_save() && !self.never_saved && self.is_between() {
                return Ok(Stop::Boundary);
            }
            if !input.is_empty() {
                if !self.is_between() || !self.take_sound(input, rows)? {
                    self.gather(input, rows)?;
                }
            } else if input.is_finished() {
                self.finish(input.offset(), rows)?;
                return Ok(Stop::End);
            } else {
                return Ok(Stop::Hungry);
            }
        }
    }

    /// Take the next record where it lies, if it is plainly sound.
    fn take_sound(&mut self, input: &mut Input, rows: &mut impl Rows) -> Result<bool, Failure> {
        let machine = &mut self.validate.machine;
        let Some(table) = &machine.table else { return Ok(false) };
        let width = table.rules.len();
        let chunk = input.chunk();
        let most =
            usize::try_from(machine.dialect.max_record).map_or(chunk.len(), |max| max.min(chunk.len()));
        let split = self.splitter.split(&chunk[..most], false, width, &mut self.fields);
        let Split::Record(len) = split else { return Ok(false) };
        let bytes = &chunk[..len];
        let sound = self.fields.len() == width
            && (!self.utf8 || simdutf8::basic::from_utf8(bytes).is_ok())
            && self.fields.iter().zip(&table.rules).all(|(field, rule)| {
                let raw = field.from - usize::from(field.quoted)..field.to + usize::from(field.quoted);
                rule.is_none() || machine.dialect.rules.check(*rule, &bytes[raw]).is_ok()
            });
        // A blank line is broken where there are several columns, and has one field.
        if !sound {
            return Ok(false);
        }
        let start = input.offset();
        machine.tally.end_record()?;
        machine.start_record(start + len as u64);
        self.give(bytes_of(input, len), start, rows)?;
        input.advance(len);
        Ok(true)
    }

    /// Let the validator read to the next line end, and take the record if it ends there.
    fn gather(&mut self, input: &mut Input, rows: &mut impl Rows) -> Result<(), Failure> {
        let chunk = input.chunk();
        let line = memchr::memchr(b'\n', chunk).map_or(chunk.len(), |at| at + 1);
        let before = self.mark();
        self.validate.read(&chunk[..line], input.offset())?;
        self.gathered.extend_from_slice(&chunk[..line]);
        input.advance(line);
        self.take_gathered(before, input.offset(), rows)
    }

    fn finish(&mut self, end: u64, rows: &mut impl Rows) -> Result<(), Failure> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let before = self.mark();
        self.validate.finish(end)?;
        self.take_gathered(before, end, rows)
    }

    /// What tells that a record ended: the header's state, records, errors.
    fn mark(&self) -> (bool, u64, u64) {
        let machine = &self.validate.machine;
        (machine.header.is_some(), machine.tally.records, machine.tally.errors)
    }

    /// Take what was gathered up to `end` if it is a record, and sound.
    fn take_gathered(
        &mut self,
        before: (bool, u64, u64),
        end: u64,
        rows: &mut impl Rows,
    ) -> Result<(), Failure> {
        let (header, records, errors) = self.mark();
        if (header, records) == (before.0, before.1) {
            return Ok(());
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        let mut start = end - gathered.len() as u64;
        let marked = start == 0 && gathered.starts_with(&BOM);
        let bytes = if marked { &gathered[BOM.len()..] } else { &gathered[..] };
        start += if marked { BOM.len() as u64 } else { 0 };
        if errors == before.2 {
            let most = usize::try_from(self.validate.machine.dialect.max_fields).unwrap_or(usize::MAX);
            let Split::Record(_) = self.splitter.split(bytes, true, most, &mut self.fields) else {
                return Err(Failure::new(
                    Code::Internal,
                    format!("the record at byte {start} has no fields"),
                ));
            };
            if before.0 {
                self.take_header(bytes, start, rows)?;
            } else {
                self.give(bytes, start, rows)?;
            }
        }
        gathered.clear();
        self.gathered = gathered;
        Ok(())
    }

    fn take_header(&mut self, bytes: &[u8], start: u64, rows: &mut impl Rows) -> Result<(), Failure> {
        let mut room = Vec::new();
        let names: Vec<String> = self
            .fields
            .iter()
            .map(|field| {
                room.clear();
                self.splitter.append(&bytes[field.from..field.to], field.escaped, &mut room);
                String::from_utf8_lossy(&room).into_owned()
            })
            .collect();
        self.started = true;
        rows.start(&names).map_err(|why| self.validate.machine.tally.fatal(start, None, why))?;
        self.names = Some(names);
        Ok(())
    }

    /// Hand over a record, which starts at `start`, that was counted already.
    fn give(&mut self, bytes: &[u8], start: u64, rows: &mut impl Rows) -> Result<(), Failure> {
        let machine = &mut self.validate.machine;
        let nulls = &machine.dialect.rules.nulls;
        let row = Row { bytes, fields: &self.fields, splitter: &self.splitter, nulls };
        let Err((column, reason)) = rows.row(&row) else { return Ok(()) };
        let names = machine.table.as_ref().map_or(&[][..], |table| &table.names);
        let column = match names.get(column) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("#{}", column + 1),
        };
        let record = machine.tally.records;
        machine.tally.refuse(Reject { record, offset: start, column: Some(column), reason })
    }
}

fn bytes_of(input: &Input, len: usize) -> &[u8] {
    &input.chunk()[..len]
}

/// No two columns have one name.
///
/// # Errors
/// When they have, in words for the header; `taker` takes only one.
pub(in crate::stage) fn distinct(names: &[String], taker: &str) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    let Some(again) = names.iter().find(|name| !seen.insert(name.as_str())) else { return Ok(()) };
    let count = names.iter().filter(|name| *name == again).count();
    Err(format!("{count} columns are named {}, {taker} takes one of a name", quoted(again)))
}

/// The column of this name.
///
/// # Errors
/// When there is none, or several, in words for the header.
pub(in crate::stage) fn find(names: &[String], wanted: &str) -> Result<usize, String> {
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted).map(|(at, _)| at);
    match (found.next(), found.count()) {
        (Some(at), 0) => Ok(at),
        (Some(_), more) => {
            Err(format!("{} columns are named {}, one is asked for", more + 1, quoted(wanted)))
        }
        (None, _) => Err(format!(
            "no column {}, which the route asks for; the columns are {}",
            quoted(wanted),
            list(names)
        )),
    }
}
