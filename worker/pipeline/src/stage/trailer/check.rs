//! What the records say, and what is wrong with it.

use eft_domain::route::{Counted, TrailerSpec};

use super::{
    Seen,
    exact::{Exact, NotExact},
};
use crate::stage::{
    csv::rules::show,
    records::{at, column_name, content, find, shown},
};

/// What is wrong with a record: where in it, and why.
type Wrong = (Option<String>, String);

impl Seen {
    /// A record that is not the trailer.
    pub(super) fn pass(&mut self, spec: &TrailerSpec, record: &[u8]) -> Result<(), Wrong> {
        let content = content(record, self.start == 0);
        if spec.header && !self.header {
            self.name(spec, content)?;
            self.header = true;
        } else {
            if let Some(prefix) = spec.prefix.as_ref().filter(|prefix| content.starts_with(prefix.as_bytes()))
            {
                let prefix = show(prefix.as_bytes(), false);
                return Err((
                    None,
                    format!("begins with {prefix} as a trailer does, and is not the last record"),
                ));
            }
            self.add(spec, content)?;
            self.data += 1;
        }
        self.start += record.len() as u64;
        Ok(())
    }

    /// The number of the record that is looked at; 0 is the header.
    pub(super) fn header_or_data(&self, spec: &TrailerSpec) -> u64 {
        if spec.header && !self.header { 0 } else { self.data + 1 }
    }

    /// Find the column that is added up in the header.
    fn name(&mut self, spec: &TrailerSpec, header: &[u8]) -> Result<(), Wrong> {
        let Some(sum) = &spec.sum else { return Ok(()) };
        self.column = Some(find(spec.records, header, &sum.column).map_err(|why| (None, why))?);
        Ok(())
    }

    /// Add what a data record has in the column. Nothing but spaces counts as nothing.
    fn add(&mut self, spec: &TrailerSpec, record: &[u8]) -> Result<(), Wrong> {
        let (Some(sum), Some(column)) = (&spec.sum, self.column) else { return Ok(()) };
        let name = || Some(column_name(&sum.column));
        let Some(value) = at(spec.records, record, column) else {
            return Err((name(), "the record has none".to_owned()));
        };
        let value = value.trim_ascii();
        if value.is_empty() {
            return Ok(());
        }
        let value = Exact::parse(value).map_err(|why| (name(), not_exact(why, value)))?;
        let sum = self.sum.plus(value);
        self.sum = sum.ok_or_else(|| (name(), "the sum has more than 38 digits".to_owned()))?;
        Ok(())
    }

    /// Everything that is wrong with the trailer; `read` counts all records.
    pub(super) fn compare(
        &self,
        spec: &TrailerSpec,
        trailer: Option<&[u8]>,
        read: u64,
    ) -> Result<(), String> {
        let Some(trailer) = trailer else { return Err("there is none, the file has no record".to_owned()) };
        if spec.header && !self.header {
            return Err("there is none, the file has a header only".to_owned());
        }
        let trailer = content(trailer, self.start == 0);
        if let Some(prefix) = spec.prefix.as_ref().filter(|prefix| !trailer.starts_with(prefix.as_bytes())) {
            let (prefix, shown) = (show(prefix.as_bytes(), false), shown(trailer));
            return Err(format!("the last record does not begin with {prefix}: {shown}"));
        }
        let wrong = [self.compare_count(spec, trailer, read), self.compare_sum(spec, trailer)];
        let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn compare_count(&self, spec: &TrailerSpec, trailer: &[u8], read: u64) -> Result<(), String> {
        let Some(count) = spec.count else { return Ok(()) };
        let (has, what) = match count.of {
            Counted::Data => (self.data, "records"),
            Counted::All => (read, "records, header and trailer included"),
        };
        let found = at(spec.records, trailer, count.field);
        let value =
            found.as_deref().ok_or_else(|| format!("it has no {}, the count", count.field))?.trim_ascii();
        let digits = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse::<u64>().ok()) {
            Some(says) if says == has => Ok(()),
            Some(says) => Err(format!("it says {says} {what}, the file has {has}")),
            None => Err(format!("{}, the count, is not a whole number: {}", count.field, shown(value))),
        }
    }

    fn compare_sum(&self, spec: &TrailerSpec, trailer: &[u8]) -> Result<(), String> {
        let Some(sum) = &spec.sum else { return Ok(()) };
        let column = column_name(&sum.column);
        let found = at(spec.records, trailer, sum.field);
        let value = found.as_deref().ok_or_else(|| format!("it has no {}, the sum", sum.field))?.trim_ascii();
        match Exact::parse(value) {
            Ok(says) if says.same(self.sum) => Ok(()),
            Ok(says) => Err(format!("it says that {column} adds up to {says}, it adds up to {}", self.sum)),
            Err(why) => Err(format!("{}, the sum, is {}", sum.field, not_exact(why, value))),
        }
    }
}

fn not_exact(why: NotExact, value: &[u8]) -> String {
    match why {
        NotExact::NotDecimal => format!("not a decimal number: {}", shown(value)),
        NotExact::TooLong => format!("a number of more than 38 digits: {}", shown(value)),
    }
}
