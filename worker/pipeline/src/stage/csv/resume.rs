//! What a checkpoint keeps of `validate.csv` and of the stages that read records with it: the state between two records.

use eft_domain::Failure;
use eft_domain::route::Columns;
use serde::{Deserialize, Serialize};

use super::CsvValidate;
use super::dialect::{MAX_NAME, Table};
use super::machine::{Machine, State as Reading};
use super::records::Records;
use crate::stage::{Reject, State, bad_state, pack, unpack};

const NAME: &str = "validate.csv";

#[derive(Serialize, Deserialize)]
struct Between {
    /// Offset of the record that comes next.
    record_start: u64,
    columns: Known,
    records: u64,
    errors: u64,
    rejects: Vec<Reject>,
}

/// What the file has said of its columns.
#[derive(Serialize, Deserialize)]
enum Known {
    /// Nothing the route does not say itself.
    Route,
    /// The names in its header.
    Names(Vec<String>),
    /// The fields of its first record.
    Width(usize),
}

impl CsvValidate {
    /// The header is read, and nothing of the next record.
    pub(super) fn is_between(&self) -> bool {
        self.mark.is_none() && self.machine.is_between()
    }

    pub(super) fn save_between(&self) -> Option<State> {
        pack(&self.between(None)?)
    }

    /// The state, with the names in the file's header where the caller knows them in full.
    fn between(&self, full: Option<&Vec<String>>) -> Option<Between> {
        let machine = &self.machine;
        if !self.is_between() {
            return None;
        }
        let columns = match (machine.dialect.columns(), &machine.table) {
            (Columns::Header(_), Some(_)) | (Columns::Named(_), _) | (_, None) => Known::Route,
            (Columns::Unnamed, Some(table)) => Known::Width(table.rules.len()),
            (Columns::FromFile, Some(_)) if full.is_some() => Known::Names(full?.clone()),
            (Columns::FromFile, Some(table)) => {
                // Names are cut for messages; one that may have been cut would not be found again.
                if table.names.iter().any(|name| name.len() + 3 >= MAX_NAME) {
                    return None;
                }
                Known::Names(table.names.clone())
            }
        };
        let tally = &machine.tally;
        Some(Between {
            record_start: machine.record_start,
            columns,
            records: tally.records,
            errors: tally.errors,
            rejects: tally.rejects.clone(),
        })
    }

    pub(super) fn restore_between(&mut self, state: State) -> Result<(), Failure> {
        self.go_on(NAME, unpack(NAME, state)?)
    }

    fn go_on(&mut self, stage: &str, between: Between) -> Result<(), Failure> {
        let Between { record_start, columns, records, errors, rejects } = between;
        self.mark = None;
        let tally = &mut self.machine.tally;
        (tally.records, tally.errors, tally.rejects) = (records, errors, rejects);
        let table = self.machine.known(columns).map_err(|why| bad_state(stage, why))?;
        self.machine.resume(record_start, table);
        Ok(())
    }
}

impl Records {
    /// The state between two records.
    pub(in crate::stage) fn save(&self) -> Option<State> {
        if !self.is_between() {
            return None;
        }
        pack(&self.validate.between(self.names.as_ref())?)
    }

    /// Go on between two records, for the stage of this name; returns the names of the columns.
    pub(in crate::stage) fn restore(&mut self, stage: &str, state: State) -> Result<Vec<String>, Failure> {
        let between: Between = unpack(stage, state)?;
        let names = match (&between.columns, self.validate.machine.dialect.columns()) {
            (Known::Names(names), Columns::FromFile) => names.clone(),
            (Known::Route, Columns::Header(names) | Columns::Named(names)) => names.clone(),
            _ => return Err(bad_state(stage, "these are not the columns of the route")),
        };
        self.validate.go_on(stage, between)?;
        self.names = Some(names.clone());
        self.started = true;
        Ok(names)
    }
}

impl Machine {
    fn is_between(&self) -> bool {
        self.header.is_none() && self.state == Reading::Start && self.field_start == self.record_start
    }

    fn known(&self, columns: Known) -> Result<Option<Table>, String> {
        Ok(match (columns, self.dialect.columns()) {
            (Known::Route, Columns::Header(names)) => Some(self.dialect.read_header(names)?),
            (Known::Route, Columns::Named(_)) => self.dialect.table(),
            (Known::Route, Columns::Unnamed) => None,
            (Known::Names(names), Columns::FromFile) => Some(self.dialect.read_header(&names)?),
            (Known::Width(width), Columns::Unnamed) if width as u64 <= self.dialect.max_fields => {
                Some(self.dialect.unnamed(width))
            }
            _ => return Err("these are not the columns of the route".to_owned()),
        })
    }

    /// Go on at a record's first byte.
    fn resume(&mut self, record_start: u64, table: Option<Table>) {
        self.header = None;
        self.table = table;
        self.start_record(record_start);
    }
}
