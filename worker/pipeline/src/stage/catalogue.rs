//! The catalogue: every stage there is, with its page, and what a plan says of it.
//!
//! # Overview
//! The pages in `stages/` are the one place where a stage is described. An [`Entry`] is made from its page: the name
//! and the summary stand at the top, the limits are the failure codes of the section `Limits`, and what the planner
//! knows ([`StageInfo`]) comes from a plan of the page's own example. So a page whose example does not work, or that
//! names a code that does not exist, is no entry; a test reads all of them.
//!
//! To add a stage: write `stages/<name>.md`, list it in [`PAGES`], and make the table of `stages/README.md` anew.

use std::sync::Arc;

use eft_domain::{
    ByteSize, Code, Route,
    route::{Profile, StageSpec},
};
use serde_json::{Value, json};

use super::StageInfo;
use crate::{
    given::Given,
    keys::Keyring,
    plan::{Plan, Request},
    port::SinkLimits,
    scanner::NoScanner,
    secrets::{HeldSecrets, named},
    sidecar::{Expected, wanted},
    zip::{Method, Packed, Unpacked},
};

macro_rules! pages {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../stages/", $name, ".md")))),*]
    };
}

/// The name and the page of every stage, in the order of the alphabet.
pub const PAGES: &[(&str, &str)] = pages![
    "charset",
    "compress",
    "compress.zip",
    "concat",
    "csv_project",
    "csv_to_jsonl",
    "csv_to_parquet",
    "decompress",
    "decompress.zip",
    "digest.sha256",
    "drop",
    "ebcdic",
    "head",
    "newline",
    "pgp_decrypt",
    "pgp_encrypt",
    "pgp_sign",
    "pgp_verify",
    "scan",
    "split",
    "strip_bom",
    "validate.csv",
    "validate.edi",
    "validate.fixed_width",
    "validate.jsonl",
    "validate.magic",
    "validate.sidecar",
    "validate.trailer",
    "validate.unique",
    "validate.utf8",
    "validate.xml",
];

/// The sections of a page, in their order.
pub const SECTIONS: [&str; 5] = ["Route", "What it does", "Limits", "Resume", "Failures"];

/// Most characters of a summary: with the other columns it fits a wide terminal. None, reasonable default.
pub const MAX_SUMMARY: usize = 110;

/// A stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name in routes, plans and receipts.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// The whole page, in Markdown.
    pub page: &'static str,
    /// The route of the page, in YAML.
    pub example: &'static str,
    /// What the planner knows of it in that route.
    pub info: StageInfo,
    /// The limits it enforces.
    pub limits: Vec<Code>,
}

/// What is wrong with a page: a defect of ours, found by the tests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page of {name}: {why}")]
pub struct PageError {
    name: &'static str,
    why: String,
}

/// Every stage, in the order of the alphabet.
///
/// # Errors
/// The first page that is not as it should be.
pub fn entries() -> Result<Vec<Entry>, PageError> {
    PAGES.iter().map(|(name, page)| Entry::read(name, page)).collect()
}

impl Entry {
    /// An entry from its page.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub fn read(name: &'static str, page: &'static str) -> Result<Self, PageError> {
        Self::try_read(name, page).map_err(|why| PageError { name, why })
    }

    fn try_read(name: &'static str, page: &'static str) -> Result<Self, String> {
        let top = page.strip_prefix("# ").and_then(|rest| rest.strip_prefix(name));
        let top = top.and_then(|rest| rest.strip_prefix("\n\n"));
        let top = top.ok_or_else(|| format!("must begin with `# {name}` and an empty line"))?;
        let (summary, body) = top.split_once("\n\n").unwrap_or((top, ""));
        let sentence = summary.ends_with('.') && !summary.contains('\n') && !summary.contains('|');
        if !sentence || summary.chars().count() > MAX_SUMMARY {
            return Err(format!(
                "the summary must be one sentence of at most {MAX_SUMMARY} characters on a line"
            ));
        }
        let [route, _, limits, _, failures] = sections(body)?;
        let example = example(route)?;
        codes(failures, |_| true)?;
        Ok(Self {
            name,
            summary,
            page,
            example,
            info: planned(name, example)?,
            limits: codes(limits, |code| code.as_str().starts_with("limit."))?,
        })
    }

    /// Whether it has to see the bytes in order, as it is written in tables.
    pub fn order(&self) -> &'static str {
        if self.info.ordered { "in order" } else { "any" }
    }

    /// Its memory, rounded up to a whole unit: the exact sizes of our own types are nobody's business.
    pub fn memory(&self) -> ByteSize {
        let unit = if self.info.memory < 1 << 20 { 1 << 10 } else { 1 << 20 };
        ByteSize(self.info.memory.next_multiple_of(unit))
    }

    /// The entry for a program: everything but the page.
    pub fn to_value(&self) -> Value {
        json!({
            "name": self.name,
            "summary": self.summary,
            "kind": self.info.kind.as_str(),
            "ordered": self.info.ordered,
            "resume": self.info.resume.as_str(),
            "memory": self.info.memory,
            "limits": self.limits,
            "example": self.example,
        })
    }
}

/// The table of the documentation.
pub fn markdown_table(entries: &[Entry]) -> String {
    let mut table = "| stage | what it does | kind | order | resume | memory | limits |\n".to_owned();
    table.push_str("|---|---|---|---|---|---|---|\n");
    for entry in entries {
        let Entry { name, summary, info, .. } = entry;
        let limits: Vec<_> = entry.limits.iter().map(|code| format!("`{code}`")).collect();
        let (kind, resume) = (info.kind.as_str(), info.resume.as_str());
        table.push_str(&format!(
            "| [{name}]({name}.md) | {summary} | {kind} | {} | {resume} | {} | {} |\n",
            entry.order(),
            entry.memory(),
            limits.join(", "),
        ));
    }
    table
}

/// The texts of the sections, which must be [`SECTIONS`].
fn sections(body: &str) -> Result<[&str; SECTIONS.len()], String> {
    let body = body.strip_prefix("## ").unwrap_or(body);
    let mut found = [""; SECTIONS.len()];
    let mut parts = body.split("\n## ");
    for (title, text) in SECTIONS.iter().zip(&mut found) {
        let part = parts.next().and_then(|part| part.strip_prefix(title)?.strip_prefix("\n\n"));
        let part = part.filter(|part| !part.trim().is_empty());
        *text = part.ok_or_else(|| {
            format!("the sections must be {}; `{title}` is not in its place", SECTIONS.join(", "))
        })?;
    }
    match parts.next() {
        None => Ok(found),
        Some(part) => Err(format!("a section too many: `{}`", part.lines().next().unwrap_or_default())),
    }
}

/// The YAML block of the section `Route`.
fn example(route: &str) -> Result<&str, String> {
    let block = route.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("\n```\n"));
    match block {
        Some((yaml, rest)) if !rest.contains("```") => Ok(yaml),
        _ => Err("the section Route must have one block of YAML".to_owned()),
    }
}

/// What a plan of the example says of the stage.
fn planned(name: &str, example: &str) -> Result<StageInfo, String> {
    let route =
        Route::parse_yaml(example, Profile::Cli).map_err(|errors| format!("its example: {errors}"))?;
    // Secrets and keys are of no account here: any will do.
    let secrets = named(&route.stages).map(|name| (name.to_owned(), vec![0; 32]));
    // Some entry: what is planned does not depend on which.
    let entries = [Packed {
        name: String::new(),
        method: Method::Deflate,
        compressed: 1 << 30,
        size: 1 << 30,
        crc32: 0,
        nameless: false,
    }];
    let archive = Unpacked { entries: entries.into(), apart: false };
    let unzips = matches!(route.stages.first(), Some(StageSpec::Unzip(_)));
    let request = Request {
        given: Given {
            secrets: Arc::new(HeldSecrets::new(secrets)),
            keys: Keyring::unread(),
            expected: wanted(&route.stages).map(Expected::placeholder),
            entry_name: Some("orders.csv".to_owned()),
            scanner: Some(Arc::new(NoScanner)),
        },
        size: None,
        stages: &route.stages,
        archive: unzips.then_some(&archive),
        limits: &route.limits,
        sha256: !route.digests.is_empty(),
        sink: SinkLimits::S3,
        memory: crate::plan::DEFAULT_MEMORY,
        concurrency: 8,
        part_size: None,
        threads: 1,
        near: false,
        refuse_empty: false,
    };
    let plan = Plan::with_memory_to_suit(&request).map_err(|failure| format!("its example: {failure}"))?;
    let info = plan.infos.iter().find(|info| info.name == name);
    info.copied().ok_or_else(|| "its example does not use the stage".to_owned())
}

/// The failure codes a text names in backquotes, each once, in its order. A text in backquotes that looks like a code
/// and is none is an error.
fn codes(text: &str, wanted: impl Fn(&Code) -> bool) -> Result<Vec<Code>, String> {
    let mut found = Vec::new();
    for quoted in text.split('`').skip(1).step_by(2) {
        let mut first = quoted.split('.');
        let family = first.next().unwrap_or_default();
        let known =
            Code::ALL.iter().any(|code| code.as_str().split_once('.').is_some_and(|(of, _)| of == family));
        let name = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let looks = first.next().is_some_and(name) && first.next().is_none() && known;
        match quoted.parse::<Code>() {
            Ok(code) if wanted(&code) && !found.contains(&code) => found.push(code),
            Ok(_) => {}
            Err(error) if looks => return Err(error.to_string()),
            Err(_) => {}
        }
    }
    Ok(found)
}
