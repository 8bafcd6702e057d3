//! Counts records and broken records, keeps the first of them, and knows when it is too many.

use eft_domain::{Code, Failure};

use super::rules::show;
use crate::stage::{MAX_REJECTS, Reject};

/// Most rows one broken record may take in the report; reasonable default.
pub(in crate::stage) const MAX_PER_RECORD: usize = 10;

/// The tally of a file.
#[derive(Debug)]
pub(in crate::stage) struct Tally {
    max_errors: u64,
    pub(in crate::stage) records: u64,
    pub(in crate::stage) errors: u64,
    pub(in crate::stage) rejects: Vec<Reject>,
    /// The first broken record is final, whatever the route tolerates.
    at_once: bool,
    /// What is wrong with the record being read.
    open: Vec<Reject>,
    broken: bool,
}

impl Tally {
    pub(in crate::stage) fn new(max_errors: u64) -> Self {
        Self {
            max_errors,
            at_once: false,
            records: 0,
            errors: 0,
            rejects: Vec::new(),
            open: Vec::new(),
            broken: false,
        }
    }

    /// Tolerate nothing.
    pub(super) fn fail_at_once(&mut self) {
        self.at_once = true;
    }

    /// Something is wrong with the record being read.
    #[inline]
    pub(in crate::stage) fn broken(&self) -> bool {
        self.broken
    }

    /// Note what is wrong with the record being read; the row is only made when it is kept.
    pub(in crate::stage) fn note(&mut self, reject: impl FnOnce(u64) -> Reject) {
        self.broken = true;
        if self.open.len() < MAX_PER_RECORD && self.rejects.len() + self.open.len() < MAX_REJECTS {
            self.open.push(reject(self.records + 1));
        }
    }

    /// The record being read ends.
    ///
    /// # Errors
    /// When it is broken and one too many.
    #[inline]
    pub(in crate::stage) fn end_record(&mut self) -> Result<(), Failure> {
        self.records += 1;
        if !self.broken {
            return Ok(());
        }
        self.broken = false;
        self.rejects.append(&mut self.open);
        self.count_error()
    }

    /// The record that ended last, and was sound, cannot be taken over.
    ///
    /// # Errors
    /// When it is one too many.
    pub(super) fn refuse(&mut self, reject: Reject) -> Result<(), Failure> {
        if self.rejects.len() < MAX_REJECTS {
            self.rejects.push(reject);
        }
        self.count_error()
    }

    fn count_error(&mut self) -> Result<(), Failure> {
        self.errors += 1;
        if self.at_once {
            let first = self.rejects.first().map_or_else(String::new, describe);
            return Err(Failure::new(Code::Validation, first));
        }
        if self.errors <= self.max_errors {
            return Ok(());
        }
        let first = self.rejects.first().map_or_else(String::new, describe);
        let (errors, max_errors) = (self.errors, self.max_errors);
        let s = if errors == 1 { " breaks" } else { "s break" };
        Err(Failure::new(
            Code::Validation,
            format!("{errors} record{s} the rules, the route allows {max_errors}; first: {first}"),
        ))
    }

    /// The header is wrong: final, whatever the route tolerates.
    pub(in crate::stage) fn fatal(&mut self, offset: u64, column: Option<String>, reason: String) -> Failure {
        let reject = Reject { record: 0, offset, column, reason };
        let failure = Failure::new(Code::Validation, describe(&reject));
        self.errors = 1;
        self.rejects.push(reject);
        failure
    }
}

fn describe(reject: &Reject) -> String {
    let Reject { record, offset, column, reason } = reject;
    let record = if *record == 0 { "header".to_owned() } else { format!("record {record}") };
    match column {
        Some(column) => {
            // A name of the file's own header, escaped like every text of the file, without the quotes.
            let shown = show(column.as_bytes(), false);
            format!("{record} at byte {offset}, column {}: {reason}", &shown[1..shown.len() - 1])
        }
        None => format!("{record} at byte {offset}: {reason}"),
    }
}
