//! Destination keys with placeholders: `orders/{date}/{stem}.zst`.

use std::{fmt, str::FromStr};

use crate::{ObjectKey, object::ParseObjectError, text::shown};

words! {
    /// What a placeholder stands for.
    pub enum Placeholder {
        /// `{key}`: the source key, whole (a local source: its file name).
        Key = "key",
        /// `{name}`: the last segment of the source key, `a.csv.gz`.
        Name = "name",
        /// `{stem}`: the name without its last extension, or without two when the last is `.gz` or `.zst`: `a`.
        Stem = "stem",
        /// `{ext}`: the last extension of the name without the dot, `gz`; empty where there is none.
        Ext = "ext",
        /// `{rest}`: the source key after the prefix of `match`.
        Rest = "rest",
        /// `{date}`: the day of arrival in UTC, `2026-11-23`.
        Date = "date",
        /// `{year}`: of the day of arrival, `2026`.
        Year = "year",
        /// `{month}`: `01` to `12`.
        Month = "month",
        /// `{day}`: `01` to `31`.
        Day = "day",
        /// `{hour}`: `00` to `23`.
        Hour = "hour",
        /// `{tenant}`: the tenant id.
        Tenant = "tenant",
        /// `{route}`: the route id.
        Route = "route",
        /// `{job_id}`: the job.
        JobId = "job_id",
        /// `{run_id}`: the run; a replay then writes under another name.
        RunId = "run_id",
        /// `{version_id}`: the source's version.
        VersionId = "version_id",
        /// `{n}`: the number of each object that `split` makes, or of each entry of an archive, `00001`.
        Number = "n",
        /// `{entry}`: the name of each entry of an archive, with its folders.
        Entry = "entry",
    }
}

/// A key with placeholders. `{{` and `}}` are literal braces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Literal(String),
    Value(Placeholder),
}

/// Why a text is not a key template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTemplateError {
    /// A placeholder nobody knows.
    #[error("unknown placeholder `{{{name}}}`, known are {}", known())]
    Unknown {
        /// What stands between the braces.
        name: String,
    },
    /// A brace without its partner.
    #[error("a lone `{0}`; write `{0}{0}` for the character itself")]
    LoneBrace(char),
    /// Nothing at all.
    #[error("a key template must not be empty")]
    Empty,
}

fn known() -> String {
    Placeholder::ALL.iter().map(|p| format!("{{{p}}}")).collect::<Vec<_>>().join(" ")
}

/// The values of one run. All of them are fixed at arrival, so that a resumed run finds the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateValues<'a> {
    /// The source key.
    pub key: &'a str,
    /// The prefix of the route's match, or empty.
    pub prefix: &'a str,
    /// When the object arrived, in RFC 3339 and UTC: `2026-11-23T09:18:28Z`. Its first 13 characters are read.
    pub arrived: &'a str,
    /// The tenant, where there is one.
    pub tenant: Option<&'a str>,
    /// The route.
    pub route: Option<&'a str>,
    /// The job.
    pub job_id: Option<&'a str>,
    /// The run.
    pub run_id: Option<&'a str>,
    /// The source's version.
    pub version_id: Option<&'a str>,
}

/// Why a template gave no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The run has no such value (a local file has no tenant).
    #[error("`{{{0}}}` has no value here")]
    Missing(Placeholder),
    /// The result is no key.
    #[error(transparent)]
    Key(#[from] ParseObjectError),
}

impl KeyTemplate {
    /// What every key starts with: the text before the first placeholder.
    pub fn literal_start(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// The placeholders used, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(placeholder) => Some(*placeholder),
            Piece::Literal(_) => None,
        })
    }

    /// Whether each of several objects gets a name of its own by this, also where its braces are written as literal ones.
    pub fn names_each(&self, placeholder: Placeholder) -> bool {
        let text = format!("{{{placeholder}}}");
        self.pieces.iter().any(|piece| match piece {
            Piece::Literal(literal) => literal.contains(&text),
            Piece::Value(value) => *value == placeholder,
        })
    }

    /// The key for one run.
    ///
    /// # Errors
    /// A value is missing, or the result is empty or longer than S3 allows.
    pub fn render(&self, values: &TemplateValues<'_>) -> Result<ObjectKey, RenderError> {
        let mut key = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => key.push_str(text),
                Piece::Value(placeholder) => {
                    key.push_str(values.get(*placeholder).ok_or(RenderError::Missing(*placeholder))?);
                }
            }
        }
        Ok(key.parse()?)
    }
}

impl<'a> TemplateValues<'a> {
    fn get(&self, placeholder: Placeholder) -> Option<&'a str> {
        let name = self.key.rsplit('/').next().unwrap_or_default();
        match placeholder {
            Placeholder::Key => Some(self.key),
            Placeholder::Name => Some(name),
            Placeholder::Stem => Some(stem(name)),
            Placeholder::Ext => Some(split_extension(name).map_or("", |(_, extension)| extension)),
            Placeholder::Rest => Some(self.key.strip_prefix(self.prefix).unwrap_or(self.key)),
            Placeholder::Date => self.arrived.get(..10),
            Placeholder::Year => self.arrived.get(..4),
            Placeholder::Month => self.arrived.get(5..7),
            Placeholder::Day => self.arrived.get(8..10),
            Placeholder::Hour => self.arrived.get(11..13),
            Placeholder::Tenant => self.tenant,
            Placeholder::Route => self.route,
            Placeholder::JobId => self.job_id,
            Placeholder::RunId => self.run_id,
            Placeholder::VersionId => self.version_id,
            // Of each object, when it is made: what the run has until then is one place for all of them.
            Placeholder::Number => Some("{n}"),
            Placeholder::Entry => Some("{entry}"),
        }
    }
}

/// `a.tar` and `gz` of `a.tar.gz`; `None` for `a`, `.hidden` and `a.`.
fn split_extension(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.').filter(|(stem, extension)| !stem.is_empty() && !extension.is_empty())
}

fn stem(name: &str) -> &str {
    match split_extension(name) {
        Some((inner, "gz" | "zst")) => split_extension(inner).map_or(inner, |(stem, _)| stem),
        Some((stem, _)) => stem,
        None => name,
    }
}

impl FromStr for KeyTemplate {
    type Err = ParseTemplateError;

    fn from_str(text: &str) -> Result<Self, ParseTemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                literal.push_str(&rest[..1]);
                rest = after;
                continue;
            }
            let Some(inside) = rest.strip_prefix('{') else { return Err(ParseTemplateError::LoneBrace('}')) };
            let (name, after) = inside.split_once('}').ok_or(ParseTemplateError::LoneBrace('{'))?;
            let placeholder =
                name.parse().map_err(|_| ParseTemplateError::Unknown { name: shown(name, 64) })?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Value(placeholder));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        if pieces.is_empty() { Err(ParseTemplateError::Empty) } else { Ok(Self { pieces }) }
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Piece::Value(placeholder) => write!(f, "{{{placeholder}}}")?,
            }
        }
        Ok(())
    }
}
