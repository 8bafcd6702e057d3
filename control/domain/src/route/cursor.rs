//! A place in the tree of a route, and how values are read from it. Every reader reports and goes on: `None` means
//! that the fault is in the report.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::errors::{Report, did_you_mean, join, quoted};
use crate::{
    ByteSize,
    text::Word,
    tree::{Entry, Kind, Node},
};

pub(super) struct At<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> At<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    fn child(&self, step: impl fmt::Display, node: &'a Node) -> Self {
        Self { node, path: join(&self.path, step) }
    }

    pub(super) fn fault<T>(&self, report: &mut Report, problem: impl Into<String>) -> Option<T> {
        report.add_at(self.path.clone(), self.node.line, problem);
        None
    }

    fn expected<T>(&self, report: &mut Report, wanted: &str) -> Option<T> {
        let hint = match &self.node.kind {
            Kind::Number(_) | Kind::Bool(_) if wanted.starts_with("text") => "; put it in quotes",
            _ => "",
        };
        self.fault(report, format!("must be {wanted}, is {}{hint}", self.node.what()))
    }

    pub(super) fn is_null(&self) -> bool {
        self.node.kind == Kind::Null
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    pub(super) fn as_text(&self) -> Option<&'a str> {
        if let Kind::Text(text) = &self.node.kind { Some(text) } else { None }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        if let Kind::Bool(value) = self.node.kind { Some(value) } else { None }
    }

    pub(super) fn text(&self, report: &mut Report) -> Option<&'a str> {
        self.as_text().or_else(|| self.expected(report, "text"))
    }

    pub(super) fn boolean(&self, report: &mut Report) -> Option<bool> {
        self.as_bool().or_else(|| self.expected(report, "true or false"))
    }

    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&self, report: &mut Report) -> Option<T> {
        match self.text(report)?.parse() {
            Ok(value) => Some(value),
            Err(error) => self.fault(report, error.to_string()),
        }
    }

    /// One of a few words, with a suggestion for a misspelt one.
    pub(super) fn word<T: Word>(&self, report: &mut Report) -> Option<T> {
        let words = T::WORDS;
        let known = || words.iter().map(|(word, _)| *word);
        let list = known().collect::<Vec<_>>().join(", ");
        let Some(text) = self.as_text() else {
            return self.expected(report, &format!("text: one of {list}"));
        };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Some(*value),
            None => self.fault(
                report,
                format!("{} is not one of {list}{}", quoted(text), did_you_mean(text, known())),
            ),
        }
    }

    pub(super) fn integer(&self, report: &mut Report, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = match (*range.start(), *range.end()) {
            (low, u64::MAX) => format!("a whole number from {low}"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        let Kind::Number(number) = &self.node.kind else { return self.expected(report, &wanted) };
        match number.as_u64() {
            Some(value) if range.contains(&value) => Some(value),
            _ => self.fault(report, format!("must be {wanted}, is {number}")),
        }
    }

    /// A size: a number of bytes, or a text with a unit.
    pub(super) fn size(&self, report: &mut Report, range: RangeInclusive<ByteSize>) -> Option<ByteSize> {
        let size = match &self.node.kind {
            Kind::Number(number) => match number.as_u64() {
                Some(bytes) => ByteSize(bytes),
                None => return self.fault(report, format!("must be a size, is {number}")),
            },
            Kind::Text(text) => match text.parse::<ByteSize>() {
                Ok(size) => size,
                Err(error) => return self.fault(report, error.to_string()),
            },
            _ => return self.expected(report, "a size such as 64MiB"),
        };
        if range.contains(&size) {
            return Some(size);
        }
        let upper = match *range.end() {
            ByteSize(u64::MAX) => String::new(),
            end => format!(" and at most {end}"),
        };
        self.fault(report, format!("must be at least {}{upper}, is {size}", range.start()))
    }

    pub(super) fn list(&self, report: &mut Report) -> Option<Vec<At<'a>>> {
        match &self.node.kind {
            Kind::List(items) => {
                Some(items.iter().enumerate().map(|(at, item)| self.child(at, item)).collect())
            }
            _ => self.expected(report, "a list (each entry starts with `- `)"),
        }
    }

    pub(super) fn texts(&self, report: &mut Report) -> Option<Vec<String>> {
        let items = self.list(report)?;
        // Each item is read before the first fault ends the list: all of them are reported.
        let texts: Vec<_> = items.iter().map(|item| item.text(report)).collect();
        texts.into_iter().map(|text| text.map(str::to_owned)).collect()
    }

    /// The entries of a mapping, repeated keys reported.
    pub(super) fn entries(&self, report: &mut Report) -> Option<Vec<(&'a str, At<'a>)>> {
        let Kind::Map(entries) = &self.node.kind else { return self.expected(report, "a mapping") };
        let mut seen: Vec<(&'a str, At<'a>)> = Vec::new();
        let mut keys = std::collections::HashSet::new();
        for Entry { key, line, node } in entries {
            if keys.insert(key.as_str()) {
                seen.push((key, self.child(key, node)));
            } else {
                report.add_at(join(&self.path, key), *line, "stands here a second time; keep one of them");
            }
        }
        Some(seen)
    }

    /// The fields of a mapping of known shape; unknown ones are reported.
    pub(super) fn fields(&self, report: &mut Report, known: &'static [&'static str]) -> Option<Fields<'a>> {
        let mut entries = self.entries(report)?;
        entries.retain(|(key, at)| {
            let ours = known.contains(key);
            if !ours {
                let list = match known.join(", ") {
                    list if list.is_empty() => "it takes none".to_owned(),
                    list => format!("known are {list}"),
                };
                let hint = did_you_mean(key, known.iter().copied());
                report.add(at.path.clone(), format!("unknown field {}, {list}{hint}", quoted(key)));
            }
            ours
        });
        Some(Fields { path: self.path.clone(), known, entries })
    }
}

/// The known fields of a mapping.
pub(super) struct Fields<'a> {
    path: String,
    known: &'static [&'static str],
    entries: Vec<(&'a str, At<'a>)>,
}

impl<'a> Fields<'a> {
    /// The field, if it is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&At<'a>> {
        debug_assert!(self.known.contains(&name), "`{name}` is read but not listed as known");
        self.entries.iter().find(|(key, at)| *key == name && !at.is_null()).map(|(_, at)| at)
    }

    /// The mapping may have the field.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.contains(&name)
    }

    /// A fault of the mapping itself.
    pub(super) fn fault<T>(&self, report: &mut Report, problem: impl Into<String>) -> Option<T> {
        report.add(self.path.clone(), problem);
        None
    }

    /// The field; a fault if it is not there.
    pub(super) fn need(&self, report: &mut Report, name: &str) -> Option<&At<'a>> {
        let found = self.get(name);
        if found.is_none() {
            report.add(self.path.clone(), format!("`{name}` is missing"));
        }
        found
    }

    /// What `read` makes of the field, or `default` if it is not there.
    pub(super) fn or<T>(&self, name: &str, default: T, read: impl FnOnce(&At<'a>) -> Option<T>) -> Option<T> {
        self.get(name).map_or(Some(default), read)
    }
}
