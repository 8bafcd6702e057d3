//! What a [`CsvSpec`] says, checked and in the form the machine uses.

use std::collections::HashSet;

use eft_domain::route::{ColumnType, Columns, CsvSpec, Limits, RecordTerminator};
use eft_domain::{Code, Failure};

use super::rules::{Rule, Rules, show};

/// Largest header record, in bytes, where the route's own record limit is larger. It is the only record that is held
/// in memory, for its names. Reasonable default.
const MAX_HEADER: u64 = 1 << 20;
/// Longest column name in messages, in bytes.
pub(super) const MAX_NAME: usize = 64;

/// A checked spec.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    pub(super) escape: Option<u8>,
    pub(super) terminator: RecordTerminator,
    pub(super) max_record: u64,
    pub(super) max_header: u64,
    pub(super) max_fields: u64,
    pub(super) rules: Rules,
    spec: CsvSpec,
}

/// The columns, once they are known.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A rule a column.
    pub(super) rules: Vec<Rule>,
    /// Names for messages, cut; empty where columns have none.
    pub(super) names: Vec<String>,
}

impl Dialect {
    pub(super) fn new(spec: CsvSpec, limits: &Limits) -> Result<Self, Failure> {
        let refuse = |why: String| Err(Failure::new(Code::RouteInvalid, format!("validate.csv: {why}")));
        let escape = spec.escape.filter(|escape| Some(*escape) != spec.quote);
        let bytes = [Some(("delimiter", spec.delimiter)), spec.quote.map(|byte| ("quote", byte))];
        let bytes = bytes.into_iter().chain([escape.map(|byte| ("escape", byte))]).flatten();
        let mut seen = HashSet::new();
        for (what, byte) in bytes {
            if !byte.is_ascii() || matches!(byte, 0 | b'\r' | b'\n') {
                return refuse(format!(
                    "{what} {} is not an ASCII byte other than NUL, CR and LF",
                    show(&[byte], false)
                ));
            }
            if !seen.insert(byte) {
                return refuse(format!("{what} {} has another meaning already", show(&[byte], false)));
            }
        }
        if escape.is_some() && spec.quote.is_none() {
            return refuse("an escape works inside quotes, and there is no quote".to_owned());
        }
        if let Columns::Header(names) | Columns::Named(names) = &spec.columns {
            if names.is_empty() {
                return refuse("no columns".to_owned());
            }
            if names.len() as u64 > u64::from(limits.max_fields) {
                return refuse(format!(
                    "{} columns, limits.max_fields is {}",
                    names.len(),
                    limits.max_fields
                ));
            }
            if let Err(why) = table(&spec, names) {
                return refuse(why);
            }
        }
        if spec.columns == Columns::Unnamed
            && let Some(name) = ruled(&spec).next()
        {
            return refuse(format!("a rule for column {name:?}, and the columns have no names"));
        }
        let max_record = limits.max_record_bytes.bytes();
        Ok(Self {
            delimiter: spec.delimiter,
            quote: spec.quote,
            escape,
            terminator: spec.terminator,
            max_record,
            max_header: max_record.min(MAX_HEADER),
            max_fields: u64::from(limits.max_fields),
            rules: Rules::new(spec.quote, escape, &spec.null_values),
            spec,
        })
    }

    /// Where the names come from.
    pub(super) fn columns(&self) -> &Columns {
        &self.spec.columns
    }

    /// The first record is a header.
    pub(super) fn has_header(&self) -> bool {
        matches!(self.spec.columns, Columns::Header(_) | Columns::FromFile)
    }

    /// The columns, where the route says them and no header has to be read.
    pub(super) fn table(&self) -> Option<Table> {
        match &self.spec.columns {
            Columns::Named(names) => table(&self.spec, names).ok(),
            Columns::Header(_) | Columns::FromFile | Columns::Unnamed => None,
        }
    }

    /// Columns of a file whose first record has `width` fields and whose columns have no names.
    pub(super) fn unnamed(&self, width: usize) -> Table {
        Table { rules: vec![Rule { ty: ColumnType::Text, not_null: false }; width], names: Vec::new() }
    }

    /// The columns, from the header record.
    pub(super) fn read_header(&self, found: &[String]) -> Result<Table, String> {
        if let Columns::Header(expected) = &self.spec.columns
            && expected != found
        {
            return Err(mismatch(expected, found));
        }
        table(&self.spec, found)
    }

    /// The reason when a file ends before its header.
    pub(super) fn no_header(&self) -> String {
        match &self.spec.columns {
            Columns::Header(expected) => format!("no header, the file is empty; expected {}", list(expected)),
            _ => "no header, the file is empty".to_owned(),
        }
    }

    /// Largest memory the machine holds, in bytes.
    pub(super) fn memory(&self) -> u64 {
        let columns = match &self.spec.columns {
            Columns::Header(names) | Columns::Named(names) => names.len() as u64,
            Columns::FromFile | Columns::Unnamed => self.max_fields,
        };
        // The header's names, the field being read and the growth of vectors.
        let header = if self.has_header() { 4 * self.max_header } else { 0 };
        let rejects = crate::stage::MAX_REJECTS as u64 * 1024;
        let column = (size_of::<Rule>() + size_of::<String>() + MAX_NAME + 16) as u64;
        header + 2 * columns * column + rejects + 2 * self.rules.keep as u64
    }
}

/// Names the spec has rules for.
fn ruled(spec: &CsvSpec) -> impl Iterator<Item = &String> {
    spec.types.keys().chain(&spec.not_null)
}

fn table(spec: &CsvSpec, names: &[String]) -> Result<Table, String> {
    for ruled in ruled(spec) {
        match names.iter().filter(|name| *name == ruled).count() {
            1 => {}
            0 => return Err(format!("a rule for column {}, which the header does not have", quoted(ruled))),
            n => return Err(format!("a rule for column {}, and {n} columns have this name", quoted(ruled))),
        }
    }
    let not_null: HashSet<&String> = spec.not_null.iter().collect();
    let rule = |name| Rule {
        ty: spec.types.get(name).copied().unwrap_or(ColumnType::Text),
        not_null: not_null.contains(name),
    };
    Ok(Table {
        rules: names.iter().map(rule).collect(),
        names: names.iter().map(|name| cut(name).to_owned()).collect(),
    })
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

pub(super) fn quoted(name: &str) -> String {
    show(&name.as_bytes()[..name.len().min(MAX_NAME)], name.len() > MAX_NAME)
}

/// A list of names, cut.
pub(super) fn list(names: &[String]) -> String {
    const MAX_LISTED: usize = 20;
    let mut text: Vec<String> = names.iter().take(MAX_LISTED).map(|name| quoted(name)).collect();
    if names.len() > MAX_LISTED {
        text.push(format!("… {} in all", names.len()));
    }
    format!("[{}]", text.join(", "))
}

fn mismatch(expected: &[String], found: &[String]) -> String {
    let same = expected.iter().zip(found).take_while(|(expected, found)| expected == found).count();
    let name = |names: &[String]| names.get(same).map_or_else(|| "nothing".to_owned(), |name| quoted(name));
    format!(
        "expected {}, found {}; first difference in column {}: expected {}, found {}",
        list(expected),
        list(found),
        same + 1,
        name(expected),
        name(found),
    )
}
