//! `csv_to_jsonl`: one JSON object a record, keys in the order of the columns.
//!
//! # Overview
//! A rewrite. Records are read as `validate.csv` reads them (see `csv/records.rs`), types included; what passes its types
//! always has a JSON form. Numbers keep their digits: the text is taken over, without a plus and without leading zeros,
//! and never goes through a binary number.

use eft_domain::Failure;
use eft_domain::route::{ColumnType, CsvToJsonlSpec, Limits};

use super::csv::records::{self, Records, Row, Rows};
use super::csv_rewrite::{self, Pending, Text};
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State};

const NAME: &str = "csv_to_jsonl";

/// Most bytes JSON makes of one: a control character is `\u00XX`.
const GROWTH: u64 = 6;

/// The stage `csv_to_jsonl`.
#[derive(Debug)]
pub struct CsvToJsonl {
    records: Records,
    rows: Objects,
    memory: u64,
}

impl CsvToJsonl {
    /// A converter at the start of a file.
    ///
    /// # Errors
    /// [`Code::RouteInvalid`](eft_domain::Code::RouteInvalid) when the spec contradicts itself, as
    /// [`CsvValidate::new`](super::CsvValidate::new).
    pub fn new(spec: CsvToJsonlSpec, limits: &Limits) -> Result<Self, Failure> {
        let mut input = spec.input;
        input.utf8 = true;
        let records = Records::new(NAME, &input, spec.on_error, limits)?;
        let keys = GROWTH * records.max_names() + 8 * u64::from(limits.max_fields);
        let row = GROWTH * records.max_record() + keys;
        let memory = records.memory() + Pending::memory(row) + 2 * keys + 2 * records.max_record();
        let rows = Objects {
            types: input.types,
            omit_null: spec.omit_null,
            members: Vec::new(),
            pending: Pending::default(),
            text: Vec::new(),
        };
        Ok(Self { records, rows, memory })
    }
}

impl Stage for CsvToJsonl {
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
        self.rows.start(&names).map_err(|why| super::bad_state(NAME, why))
    }
}

/// Writes objects.
#[derive(Debug)]
struct Objects {
    types: std::collections::BTreeMap<String, ColumnType>,
    omit_null: bool,
    members: Vec<Member>,
    pending: Pending,
    /// A field put together.
    text: Vec<u8>,
}

/// One column.
#[derive(Debug)]
struct Member {
    /// `"name":`
    key: Vec<u8>,
    form: Form,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    Number,
    Boolean,
}

impl Rows for Objects {
    fn start(&mut self, names: &[String]) -> Result<(), String> {
        records::distinct(names, "an object")?;
        let member = |name: &String| {
            let mut key = Vec::with_capacity(name.len() + 3);
            put_text(name.as_bytes(), &mut key);
            key.push(b':');
            let form = match self.types.get(name).copied().unwrap_or(ColumnType::Text) {
                ColumnType::Integer | ColumnType::Decimal | ColumnType::Float => Form::Number,
                ColumnType::Boolean => Form::Boolean,
                ColumnType::Text | ColumnType::Date | ColumnType::Timestamp | ColumnType::Uuid => Form::Text,
            };
            Member { key, form }
        };
        self.members = names.iter().map(member).collect();
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), (usize, String)> {
        let to = &mut self.pending.bytes;
        let mut before = b'{';
        for (at, member) in self.members.iter().enumerate() {
            let null = row.is_null(at);
            if null && self.omit_null {
                continue;
            }
            to.push(before);
            before = b',';
            to.extend_from_slice(&member.key);
            if null {
                to.extend_from_slice(b"null");
                continue;
            }
            let text = row.text(at, &mut self.text);
            match member.form {
                Form::Text => put_text(text, to),
                Form::Number => put_number(text, to),
                Form::Boolean => to.extend_from_slice(if is_true(text) { b"true" } else { b"false" }),
            }
        }
        if before == b'{' {
            to.push(before);
        }
        to.extend_from_slice(b"}\n");
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.pending.is_full()
    }
}

impl Text for Objects {
    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }
}

/// Bytes that cannot stand in a JSON string as they are (RFC 8259 §7).
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};

/// Append a JSON string.
fn put_text(mut text: &[u8], to: &mut Vec<u8>) {
    to.push(b'"');
    while let Some(at) = text.iter().position(|byte| SPECIAL[usize::from(*byte)]) {
        to.extend_from_slice(&text[..at]);
        let short = match text[at] {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            byte => byte,
        };
        if short >= b' ' {
            to.extend_from_slice(&[b'\\', short]);
        } else {
            let digit = |n: u8| b"0123456789abcdef"[usize::from(n)];
            to.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(short >> 4), digit(short & 15)]);
        }
        text = &text[at + 1..];
    }
    to.extend_from_slice(text);
    to.push(b'"');
}

/// Append a number of the types as one of JSON (RFC 8259 §6): no plus, no leading zeros.
fn put_number(text: &[u8], to: &mut Vec<u8>) {
    let digits = match text {
        [b'-', digits @ ..] => {
            to.push(b'-');
            digits
        }
        [b'+', digits @ ..] => digits,
        digits => digits,
    };
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    // One stays where no other digit stands before the point, the exponent or the end.
    let needed = digits.get(zeros).is_none_or(|byte| !byte.is_ascii_digit());
    to.extend_from_slice(&digits[zeros - usize::from(needed && zeros > 0)..]);
}

/// Of the words that are a boolean, those that are true.
pub(super) fn is_true(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'1' | b't' | b'T' | b'y' | b'Y'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "-0"),
            ("+007", "7"),
            ("-00", "-0"),
            ("00.10", "0.10"),
            ("0e5", "0e5"),
            ("+000E+07", "0E+07"),
            ("9007199254740993", "9007199254740993"),
            ("-123.4500", "-123.4500"),
        ] {
            let mut made = Vec::new();
            put_number(text.as_bytes(), &mut made);
            assert_eq!(String::from_utf8_lossy(&made), expected);
            serde_json::from_slice::<serde_json::Value>(&made).unwrap();
        }
    }
}
