//! The log: one JSON object a line.
//!
//! Always there: `ts` (RFC 3339), `level`, `event`. Of a job also `job`, `run`, `fence`, `tenant`, `route`, `trace_id`,
//! `span_id`; `code` where something failed. `ERROR` means that a person must look.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::time::Instant;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is so.
    Info,
    /// It was not so, and is tried again or left to others.
    Warn,
    /// A person must look.
    Error,
}

impl Level {
    /// The word of the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// Lines of one event that are no mere information, within [`WINDOW`]: what fails again and again says so and no more.
const LINES: u32 = 30;

const WINDOW: Duration = Duration::from_secs(60);

/// Characters of a field. Errors of the SDK repeat whole answers.
const CHARS: usize = 2_000;

static LIMITS: Limits = Limits(Mutex::new(BTreeMap::new()));

/// Write a line to standard error. Of one event only so many a minute are written: the next one says how many were not.
pub fn log(level: Level, event: &'static str, fields: &[(&str, &dyn Display)]) {
    if let Some(kept_back) = LIMITS.admit(level, event) {
        write(&line(level, event, fields, kept_back));
    }
}

/// Write a line to standard error however many there are: what is said once of each run.
pub fn record(level: Level, event: &'static str, fields: &[(&str, &dyn Display)]) {
    write(&line(level, event, fields, 0));
}

fn write(line: &Value) {
    // Where it cannot be written nobody can be told of it.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Write a line of a Lambda function, which takes its log from standard output.
pub fn print(line: Value) {
    drop(writeln!(std::io::stdout().lock(), "{}", stamped(line)));
}

fn stamped(line: Value) -> Value {
    match line {
        Value::Object(mut fields) if !fields.contains_key("_aws") => {
            fields.insert("ts".to_owned(), jiff::Timestamp::now().to_string().into());
            Value::Object(fields)
        }
        other => other,
    }
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    lines: u32,
    /// Lines that were not written.
    kept_back: u64,
}

#[derive(Debug)]
struct Limits(Mutex<BTreeMap<&'static str, Window>>);

impl Limits {
    /// How many lines of this event were not written before this one, unless this one is not to be written either.
    fn admit(&self, level: Level, event: &'static str) -> Option<u64> {
        if level == Level::Info {
            return Some(0);
        }
        let now = Instant::now();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(event).or_insert(Window { begun: now, lines: 0, kept_back: 0 });
        if now.duration_since(window.begun) >= WINDOW {
            (window.begun, window.lines) = (now, 0);
        }
        if window.lines >= LINES {
            window.kept_back += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.kept_back))
    }
}

fn line(level: Level, event: &str, fields: &[(&str, &dyn Display)], kept_back: u64) -> Value {
    let mut line = Map::new();
    line.insert("level".to_owned(), level.as_str().into());
    line.insert("event".to_owned(), event.into());
    for (name, value) in fields {
        let text = value.to_string();
        let cut = text.char_indices().nth(CHARS).map_or(text.as_str(), |(end, _)| &text[..end]);
        line.insert((*name).to_owned(), cut.into());
    }
    if kept_back > 0 {
        line.insert("kept_back".to_owned(), kept_back.into());
    }
    stamped(Value::Object(line))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_again_and_again_is_said_so_often_and_then_counted() {
        let limits = Limits(Mutex::default());
        let admitted = |level| (0..100).filter_map(|_| limits.admit(level, "e")).count();
        assert_eq!(admitted(Level::Warn), LINES as usize);
        assert_eq!(admitted(Level::Info), 100, "what is so is not kept back");
        assert_eq!(limits.admit(Level::Error, "other"), Some(0), "another event has its own");
        tokio::time::advance(WINDOW).await;
        assert_eq!(limits.admit(Level::Warn, "e"), Some(70));
        assert_eq!(limits.admit(Level::Warn, "e"), Some(0));
        assert_eq!(line(Level::Warn, "e", &[], 70)["kept_back"], 70);
    }

    #[test]
    fn a_line_is_one_object_whatever_stands_in_it() {
        let nasty = "a\"b\\\n\u{1b}[31m\u{0}\u{2028}é";
        let text = line(Level::Info, "e", &[("error", &nasty), ("long", &"é".repeat(9_999))], 0).to_string();
        assert!(!text.contains(['\n', '\u{1b}', '\u{0}']), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["error"], &read["level"]), (&json!(nasty), &json!("INFO")));
        assert_eq!(read["long"].as_str().unwrap().chars().count(), CHARS);
        assert!(read["ts"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        assert_eq!(read.get("kept_back"), None);
    }

    #[test]
    fn lines_of_metrics_stay_as_they_are() {
        let emf = json!({ "_aws": {} });
        assert_eq!(stamped(emf.clone()), emf);
        assert!(stamped(json!({ "event": "x" }))["ts"].is_string());
    }
}
