//! What is wrong with a route: every fault at once, each with its place.

use std::fmt;

use serde::Serialize;

/// One fault of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteError {
    /// Where, as a JSON Pointer (RFC 6901); empty for the whole route.
    pub path: String,
    /// The line, from 1, where the text was YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

/// Every fault of a route, in the order of its text; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteErrors(pub Vec<RouteError>);

impl fmt::Display for RouteErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if at > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for RouteErrors {}

impl From<RouteErrors> for crate::Failure {
    fn from(errors: RouteErrors) -> Self {
        Self::new(crate::Code::RouteInvalid, errors.to_string())
    }
}

/// Collects faults.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<RouteError>);

impl Report {
    pub(super) fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.add_at(path, None, problem);
    }

    pub(super) fn add_at(&mut self, path: impl Into<String>, line: Option<u64>, problem: impl Into<String>) {
        self.0.push(RouteError { path: path.into(), line, problem: problem.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value`, if nothing was reported. Lines that are not known yet are looked up by path.
    pub(super) fn finish<T>(
        mut self,
        value: T,
        line: impl Fn(&str) -> Option<u64>,
    ) -> Result<T, RouteErrors> {
        if self.0.is_empty() {
            return Ok(value);
        }
        for error in &mut self.0 {
            error.line = error.line.or_else(|| line(&error.path));
        }
        self.0.sort_by_key(|error| error.line);
        Err(RouteErrors(self.0))
    }
}

/// A JSON Pointer one step longer.
pub(super) fn join(path: &str, step: impl fmt::Display) -> String {
    format!("{path}/{}", step.to_string().replace('~', "~0").replace('/', "~1"))
}

/// Text of a user in a message: short, no control characters.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(64).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", cut.escape_debug())
}

/// `; did you mean …?`, where one of the known words is at most two edits away.
pub fn did_you_mean<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // Every known word is short: a long text is no misspelling of one, and costs no table.
    if text.chars().count() > 40 {
        return String::new();
    }
    let lower = text.to_lowercase();
    let nearest = known.into_iter().map(|word| (distance(&lower, &word.to_lowercase()), word)).min();
    match nearest {
        Some((edits, word)) if edits <= 2 && edits < word.len() / 2 + 1 => {
            format!("; did you mean `{word}`?")
        }
        _ => String::new(),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
