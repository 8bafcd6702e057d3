//! How answers look.

use std::io::Write;

use serde_json::Value;

use crate::fault::Fault;

/// A text longer than this is cut in a table; nothing is cut in JSON.
const WIDEST: usize = 60;

/// How answers are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// As they came.
    pub(crate) json: bool,
}

/// A column: what it is called, and where in an item it stands (a JSON Pointer).
pub(crate) type Column = (&'static str, &'static str);

/// Prints text. Whoever reads no further changes nothing about what is done, nor how it ends.
pub(crate) fn print(text: &str) -> Result<(), Fault> {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Fault::usage(format!("standard output: {error}"))),
    }
}

/// A document with lines.
pub(crate) fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_else(|_| document.to_string())
}

impl Shown {
    /// A document: as it is, or what `lines` makes of it.
    pub(crate) fn document(self, document: &Value, lines: &[Column]) -> Result<(), Fault> {
        if self.json {
            return print(&pretty(document));
        }
        let rows = lines.iter().filter_map(|(name, pointer)| {
            let text = text(document.pointer(pointer)?);
            (!text.is_empty()).then(|| vec![(*name).to_owned(), text])
        });
        print(&aligned(&rows.collect::<Vec<_>>()))
    }

    /// A list: as it is, or as a table.
    pub(crate) fn list(self, list: &Value, columns: &[Column]) -> Result<(), Fault> {
        if self.json {
            return print(&pretty(list));
        }
        let items = list.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if items.is_empty() {
            return print("none");
        }
        let mut rows = vec![columns.iter().map(|(name, _)| name.to_uppercase()).collect::<Vec<_>>()];
        for item in items {
            let cell = |(_, pointer): &Column| cut(&item.pointer(pointer).map(text).unwrap_or_default());
            rows.push(columns.iter().map(cell).collect());
        }
        print(&aligned(&rows))?;
        if list.get("more") == Some(&Value::Bool(true)) {
            eprintln!("eft: there are more: --limit shows them");
        }
        Ok(())
    }
}

/// A value in words.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(_) | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// What a sender has called a file must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(WIDEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Columns as wide as their widest cell, the last as it is.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(ToOwned::to_owned).to_vec();
        assert_eq!(aligned(&[row(["a", "b"]), row(["äöü", ""]), row(["", "c"])]), "a    b\näöü\n     c");
    }

    #[test]
    fn a_file_name_does_not_steer_the_terminal() {
        assert_eq!(text(&Value::from("a\u{1b}[2J\n")), "a\u{fffd}[2J\u{fffd}");
        assert_eq!(cut(&"x".repeat(WIDEST + 1)).chars().count(), WIDEST + 1);
    }
}
