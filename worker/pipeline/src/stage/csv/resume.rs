//! What a checkpoint keeps of `validate.csv`: its state between two records.

use eft_domain::Failure;
use eft_domain::route::Columns;
use serde::{Deserialize, Serialize};

use super::CsvValidate;
use super::dialect::{MAX_NAME, Table};
use super::machine::{Machine, State as Reading};
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
        let machine = &self.machine;
        if !self.is_between() {
            return None;
        }
        let columns = match (machine.dialect.columns(), &machine.table) {
            (Columns::Header(_), Some(_)) | (Columns::Named(_), _) | (_, None) => Known::Route,
            (Columns::Unnamed, Some(table)) => Known::Width(table.rules.len()),
            (Columns::FromFile, Some(table)) => {
                // Names are cut for messages; one that may have been cut would not be found again.
                if table.names.iter().any(|name| name.len() + 3 >= MAX_NAME) {
                    return None;
                }
                Known::Names(table.names.clone())
            }
        };
        let tally = &machine.tally;
        pack(&Between {
            record_start: machine.record_start,
            columns,
            records: tally.records,
            errors: tally.errors,
            rejects: tally.rejects.clone(),
        })
    }

    pub(super) fn restore_between(&mut self, state: State) -> Result<(), Failure> {
        let Between { record_start, columns, records, errors, rejects } = unpack(NAME, state)?;
        self.mark = None;
        let tally = &mut self.machine.tally;
        (tally.records, tally.errors, tally.rejects) = (records, errors, rejects);
        let table = self.machine.known(columns).map_err(|why| bad_state(NAME, why))?;
        self.machine.resume(record_start, table);
        Ok(())
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
