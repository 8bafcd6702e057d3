//! Makes a line of a record.

use std::ops::Range;

use eft_domain::route::{Decimal, EbcdicRecords, EbcdicSpec, EbcdicType, width};

use super::page::Page;

/// A blank in every code page.
const BLANK: u8 = 0x40;

/// Bytes of a field shown in a message: the longest number there is has 31.
const SHOWN: usize = 31;

/// How the records of a file become lines.
#[derive(Debug)]
pub(super) struct Lines {
    page: Page,
    trim: bool,
    header: bool,
    /// Bytes a record must have, where it is not given.
    length: Option<u64>,
    /// Empty: the record is text.
    columns: Vec<Column>,
    /// The digits of a number.
    digits: Vec<u8>,
}

#[derive(Debug)]
struct Column {
    name: String,
    place: Range<usize>,
    kind: EbcdicType,
}

impl Lines {
    pub(super) fn new(spec: EbcdicSpec) -> Self {
        let fixed = matches!(spec.records, EbcdicRecords::Fixed(_));
        let layout = spec.layout.unwrap_or_default();
        let length = (!fixed && !layout.is_empty()).then(|| width(&layout));
        let columns = layout.into_iter().map(|field| {
            let end = usize::try_from(field.end()).unwrap_or(usize::MAX);
            let place = (field.start as usize).saturating_sub(1)..end;
            Column { name: field.name, place, kind: field.kind }
        });
        Self {
            page: Page::new(spec.from),
            trim: spec.trim,
            header: spec.header,
            length,
            columns: columns.collect(),
            digits: Vec::new(),
        }
    }

    /// The first line; empty where there is none.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        if self.columns.is_empty() || !self.header {
            return line;
        }
        for (at, column) in self.columns.iter().enumerate() {
            separate(at, &mut line);
            let start = line.len();
            line.extend_from_slice(column.name.as_bytes());
            self.quote(start, &mut line);
        }
        end_record(&mut line);
        line
    }

    /// Memory held, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.columns.iter().map(|column| (size_of::<Column>() + column.name.len()) as u64).sum()
    }

    /// Most bytes of a line for a byte of a record: three of UTF-8 (the euro sign); in a field of one byte, two quotes, a
    /// comma, and the text doubled; a binary number of one byte has four characters, a point and a comma.
    pub(super) fn growth(&self) -> u64 {
        if self.columns.is_empty() { 3 } else { 6 }
    }

    /// Append the line of a record; what is wrong with it goes to `fault`, with the column it is in.
    pub(super) fn write(
        &mut self,
        record: &[u8],
        line: &mut Vec<u8>,
        mut fault: impl FnMut(Option<&str>, &str),
    ) {
        if self.columns.is_empty() {
            return self.write_text(record, line, fault);
        }
        if let Some(length) = self.length.filter(|length| *length != record.len() as u64) {
            return fault(None, &format!("has {} bytes, the layout {length}", record.len()));
        }
        let mut digits = std::mem::take(&mut self.digits);
        for (at, column) in self.columns.iter().enumerate() {
            separate(at, line);
            let bytes = record.get(column.place.clone()).unwrap_or_default();
            digits.clear();
            let number = match column.kind {
                EbcdicType::Text => {
                    self.write_field(bytes, line);
                    continue;
                }
                EbcdicType::Packed(decimal) => packed(bytes, &mut digits).map(|minus| (decimal, minus)),
                EbcdicType::Zoned(decimal) => zoned(bytes, &mut digits).map(|minus| (decimal, minus)),
                EbcdicType::Binary(decimal) => Ok((decimal, binary(bytes, decimal.signed, &mut digits))),
            };
            let written = number.and_then(|(decimal, minus)| write_number(decimal, minus, &digits, line));
            if let Err(why) = written {
                fault(Some(&column.name), &format!("{why} ({})", hex(bytes)));
            }
        }
        end_record(line);
        self.digits = digits;
    }

    /// The record is text.
    fn write_text(&self, record: &[u8], line: &mut Vec<u8>, mut fault: impl FnMut(Option<&str>, &str)) {
        if let Some(at) = record.iter().position(|byte| self.page.ends_a_line(*byte)) {
            let byte = record[at];
            return fault(None, &format!("holds a line end at its byte {} ({byte:02x})", at + 1));
        }
        self.page.write(self.trimmed(record), line);
        line.push(b'\n');
    }

    fn write_field(&self, bytes: &[u8], line: &mut Vec<u8>) {
        let start = line.len();
        self.page.write(self.trimmed(bytes), line);
        self.quote(start, line);
    }

    /// Quote what stands behind `start`, where it has to be.
    fn quote(&self, start: usize, line: &mut Vec<u8>) {
        let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\r' | b'\n');
        if !line[start..].iter().any(special) {
            return;
        }
        let text = line.split_off(start);
        line.push(b'"');
        for byte in text {
            if byte == b'"' {
                line.push(byte);
            }
            line.push(byte);
        }
        line.push(b'"');
    }

    fn trimmed<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        if !self.trim {
            return bytes;
        }
        let end = bytes.iter().rposition(|byte| *byte != BLANK).map_or(0, |last| last + 1);
        &bytes[..end]
    }
}

fn separate(at: usize, line: &mut Vec<u8>) {
    if at > 0 {
        line.push(b',');
    }
}

fn end_record(line: &mut Vec<u8>) {
    // One empty field alone would be a blank line.
    if line.is_empty() {
        line.extend_from_slice(b"\"\"");
    }
    line.push(b'\n');
}

/// The digits of a packed number, and whether it is negative.
fn packed(bytes: &[u8], digits: &mut Vec<u8>) -> Result<bool, String> {
    for (at, byte) in bytes.iter().enumerate() {
        let (high, low) = (byte >> 4, byte & 0xf);
        let last = at + 1 == bytes.len();
        for nibble in [Some(high), (!last).then_some(low)].into_iter().flatten() {
            if nibble > 9 {
                return Err(format!("not a packed number: {nibble:x} is no digit"));
            }
            digits.push(b'0' + nibble);
        }
    }
    let sign = bytes.last().map_or(0, |byte| byte & 0xf);
    minus(sign).ok_or_else(|| format!("not a packed number: {sign:x} is no sign"))
}

/// The digits of a zoned number, and whether it is negative.
fn zoned(bytes: &[u8], digits: &mut Vec<u8>) -> Result<bool, String> {
    let mut negative = Some(false);
    for (at, byte) in bytes.iter().enumerate() {
        let (zone, digit) = (byte >> 4, byte & 0xf);
        let last = at + 1 == bytes.len();
        if last {
            negative = minus(zone);
        }
        if digit > 9 || negative.is_none() || (!last && zone != 0xf) {
            return Err(format!("not a zoned number: {byte:02x} is no digit"));
        }
        digits.push(b'0' + digit);
    }
    Ok(negative.unwrap_or_default())
}

/// The sign that a half byte is: d and b are minus; c, a, e and f are plus.
fn minus(sign: u8) -> Option<bool> {
    match sign {
        0xb | 0xd => Some(true),
        0xa | 0xc | 0xe | 0xf => Some(false),
        _ => None,
    }
}

/// The digits of a big-endian integer of at most eight bytes, and whether it is negative.
fn binary(bytes: &[u8], signed: bool, digits: &mut Vec<u8>) -> bool {
    let negative = signed && bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let mut wide = [fill; 16];
    let from = wide.len() - bytes.len().min(8);
    wide[from..].copy_from_slice(&bytes[..bytes.len().min(8)]);
    let value = i128::from_be_bytes(wide);
    digits.extend_from_slice(value.unsigned_abs().to_string().as_bytes());
    negative
}

/// Append a number: no leading zeros, and as many decimals as its scale.
fn write_number(decimal: Decimal, minus: bool, digits: &[u8], line: &mut Vec<u8>) -> Result<(), String> {
    let zero = digits.iter().all(|digit| *digit == b'0');
    if minus && !zero {
        if !decimal.signed {
            return Err("negative, and the field is not signed".to_owned());
        }
        line.push(b'-');
    }
    let scale = usize::from(decimal.scale);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    let from = whole.iter().position(|digit| *digit != b'0').unwrap_or(whole.len());
    match &whole[from..] {
        [] => line.push(b'0'),
        whole => line.extend_from_slice(whole),
    }
    if scale > 0 {
        line.push(b'.');
        line.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
        line.extend_from_slice(fraction);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    shown.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
