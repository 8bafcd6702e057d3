//! The fields of a record that is there as a whole.

use std::borrow::Cow;

use eft_domain::route::{ColumnRef, DialectSpec, Place, RecordsSpec};

use crate::stage::csv::rules::show;

/// Bytes of a text that are shown in a reason.
const SHOWN: usize = 64;

const BOM: &[u8] = &[0xef, 0xbb, 0xbf];

/// A record without its line end and, at the start of a file, without a byte-order mark.
pub(crate) fn content(record: &[u8], first: bool) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    let record = record.strip_suffix(b"\r").unwrap_or(record);
    if first { record.strip_prefix(BOM).unwrap_or(record) } else { record }
}

/// The fields of a record's content as they stand there, quotes included. An empty record has one empty field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: Option<&'a [u8]>,
    dialect: DialectSpec,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(content: &'a [u8], dialect: DialectSpec) -> Self {
        Self { rest: Some(content), dialect }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let quoted = quoted(rest, &self.dialect).map_or(0, |inside| inside + 2);
        let from = quoted.min(rest.len());
        match memchr::memchr(self.dialect.delimiter, &rest[from..]) {
            Some(at) => {
                self.rest = Some(&rest[from + at + 1..]);
                Some(&rest[..from + at])
            }
            None => self.rest.take(),
        }
    }
}

/// How many bytes stand in the quotes that `text` opens with; all the rest where they are not closed. `None`: it opens
/// with none.
fn quoted(text: &[u8], dialect: &DialectSpec) -> Option<usize> {
    let quote = dialect.quote.filter(|quote| text.first() == Some(quote))?;
    let mut at = 1;
    while let Some(found) = memchr::memchr2(quote, dialect.escape.unwrap_or(quote), text.get(at..)?) {
        at += found;
        let pair = text[at] != quote || text.get(at + 1) == Some(&quote);
        if !pair {
            return Some(at - 1);
        }
        at += 2;
        if at > text.len() {
            break;
        }
    }
    Some(text.len() - 1)
}

/// The text of a field, quotes undone.
pub(crate) fn text<'a>(raw: &'a [u8], dialect: &DialectSpec) -> Cow<'a, [u8]> {
    let Some(inside) = quoted(raw, dialect) else { return Cow::Borrowed(raw) };
    let body = &raw[1..][..inside.min(raw.len() - 1)];
    let special = |byte: &u8| Some(*byte) == dialect.quote || Some(*byte) == dialect.escape;
    let behind = raw.get(inside + 2..).unwrap_or_default();
    if behind.is_empty() && !body.iter().any(special) {
        return Cow::Borrowed(body);
    }
    let mut made = Vec::with_capacity(raw.len());
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        // A quote is doubled here, and an escape makes the next byte ordinary.
        made.extend(if special(byte) { bytes.next() } else { Some(byte) });
    }
    made.extend(behind);
    Cow::Owned(made)
}

/// What stands at a place of a record's content.
pub(crate) fn at(records: RecordsSpec, content: &[u8], place: Place) -> Option<Cow<'_, [u8]>> {
    match (place, records) {
        (Place::Bytes(from, to), _) => content.get(from as usize - 1..to as usize).map(Cow::Borrowed),
        (Place::Field(number), RecordsSpec::Csv(dialect)) => {
            let raw = Fields::new(content, dialect).nth(number as usize - 1)?;
            Some(text(raw, &dialect))
        }
        (Place::Field(_), RecordsSpec::Lines) => None,
    }
}

/// Where the header has a column; the reason where it has none, or several of the name.
pub(crate) fn find(records: RecordsSpec, header: &[u8], column: &ColumnRef) -> Result<Place, String> {
    let (name, dialect) = match (column, records) {
        (ColumnRef::At(place), _) => return Ok(*place),
        (ColumnRef::Name(name), RecordsSpec::Csv(dialect)) => (name, dialect),
        (ColumnRef::Name(_), RecordsSpec::Lines) => return Err("lines have no columns with names".to_owned()),
    };
    let mut found =
        (1..).zip(Fields::new(header, dialect)).filter(|(_, raw)| *text(raw, &dialect) == *name.as_bytes());
    let name = show(name.as_bytes(), false);
    match (found.next(), found.next()) {
        (Some((number, _)), None) => Ok(Place::Field(number)),
        (None, _) => Err(format!("there is no column {name}")),
        (Some(_), Some(_)) => Err(format!("several columns are named {name}")),
    }
}

/// A column as messages call it.
pub(crate) fn column_name(column: &ColumnRef) -> String {
    match column {
        ColumnRef::Name(name) => {
            let shown = show(name.as_bytes(), false);
            format!("column {}", &shown[1..shown.len() - 1])
        }
        ColumnRef::At(place) => place.to_string(),
    }
}

/// Text of the file in a message: short, and escaped.
pub(crate) fn shown(text: &[u8]) -> String {
    show(&text[..text.len().min(SHOWN)], text.len() > SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(record: &str, quote: Option<u8>, escape: Option<u8>) -> Vec<String> {
        let dialect = DialectSpec { delimiter: b',', quote, escape };
        let texts = Fields::new(content(record.as_bytes(), true), dialect)
            .map(|raw| String::from_utf8(text(raw, &dialect).into_owned()).unwrap());
        texts.collect()
    }

    #[test]
    fn fields_are_unquoted() {
        let quote = Some(b'"');
        assert_eq!(fields("", quote, None), [""]);
        assert_eq!(fields("\u{feff}a,,b\r\n", quote, None), ["a", "", "b"]);
        assert_eq!(fields("\"a,b\",\"\",\"c\"\"d\"\"\"\n", quote, None), ["a,b", "", "c\"d\""]);
        assert_eq!(fields("\"a\"x,\"b\",", quote, None), ["ax", "b", ""]);
        assert_eq!(fields("x\"a,b\"", quote, None), ["x\"a", "b\""]);
        assert_eq!(fields("\"a,b", quote, None), ["a,b"]);
        assert_eq!(fields("\"", quote, None), [""]);
        assert_eq!(fields("\"\"\"", quote, None), ["\""]);
        assert_eq!(fields("\"a\\\",b\\\\\",c", quote, Some(b'\\')), ["a\",b\\", "c"]);
        assert_eq!(fields("\"a\\", quote, Some(b'\\')), ["a"]);
        assert_eq!(fields("\"a,b\"", None, None), ["\"a", "b\""]);
    }
}
