//! A JSON Schema of a route: compiled when the route is read, so that one that cannot work is refused then.
//!
//! # Security
//! A schema is written by a tenant and runs on a shared machine. It names nothing outside itself (a reference that could
//! reach the network or the file system is refused, and the library is built without either), its patterns run in time
//! linear in the text, and applying it to one place of a record takes a bounded number of steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::{
    route::errors::{join, quoted},
    text::shown,
};

/// Most subschemas that may apply to one place of a record; the largest published schemas (FHIR, OpenAPI) have a few
/// hundred.
const MAX_AT_ONE_PLACE: u64 = 10_000;

/// Longest chain of subschemas that apply each other to one place: with the deepest record, what a thread's stack holds.
const MAX_CHAIN: usize = 24;

/// Most steps to find reasons, where they may multiply: about a tenth of a second.
const MAX_REASONING: u64 = 1_000_000;

/// Longest text of a schema's author in a reason, in characters.
const MAX_REASON: usize = 200;

/// A schema that stands alone and compiles. Drafts 4 to 2020-12, as `$schema` says; without it 2020-12.
#[derive(Clone)]
pub struct JsonSchema {
    value: Value,
    validator: Arc<Validator>,
    /// Most subschemas at one place, where references may apply them again at every level.
    branching: Option<u64>,
}

/// Why a value is no usable schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// Where, as a JSON Pointer into the schema.
    pub path: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Why a record is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where, as a JSON Pointer into the record; empty for the whole record.
    pub path: String,
    /// What rule it breaks; of the record's own text only short scalars are shown.
    pub reason: String,
}

impl JsonSchema {
    /// Compile a schema.
    ///
    /// # Errors
    /// The first fault: a reference out of the schema, one that leads back to itself or nowhere, an unknown format, a
    /// pattern that needs backtracking, a keyword of the wrong shape.
    pub fn new(value: Value) -> Result<Self, SchemaFault> {
        let fault = |path: String, problem: String| SchemaFault { path, problem };
        stays_inside(&value, "")?;
        let mut anchors = BTreeMap::new();
        find_anchors(&value, "", &mut anchors);
        let most = Places::of(&value, anchors).check(&value)?;
        let refers = REFERENCES.iter().any(|keyword| value.to_string().contains(&format!("\"{keyword}\":")));
        let built = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .build(&value);
        match built {
            Ok(validator) => {
                Ok(Self { value, validator: Arc::new(validator), branching: refers.then_some(most) })
            }
            Err(error) => {
                let path = error.instance_path().to_string();
                Err(fault(path, format!("is no JSON Schema: {}", short(&error.to_string()))))
            }
        }
    }

    /// The schema as it was written.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Why a record is not valid: at most `most` reasons, none when it is.
    pub fn faults(&self, record: &Value, most: usize) -> Vec<Invalid> {
        if self.validator.is_valid(record) {
            return Vec::new();
        }
        // The verdict is remembered place by place, the reasons are not: they multiply from level to level.
        let deepest = u32::try_from(depth(record)).unwrap_or(u32::MAX);
        if self.branching.is_some_and(|most| most.saturating_pow(deepest) > MAX_REASONING) {
            let reason = "is not valid against the schema; too deep to say where".to_owned();
            return vec![Invalid { path: String::new(), reason }];
        }
        let faults = self.validator.iter_errors(record).take(most).map(|error| {
            let mut reason = short(&error.masked().to_string());
            if let Value::String(_) | Value::Number(_) | Value::Bool(_) = &**error.instance() {
                reason = format!("{reason}, is {}", shown_scalar(error.instance()));
            }
            Invalid { path: error.instance_path().to_string(), reason }
        });
        faults.collect()
    }
}

impl PartialEq for JsonSchema {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonSchema({})", self.value)
    }
}

/// How deep a record is nested; at most as deep as serde_json reads.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn short(text: &str) -> String {
    let dots = if text.chars().count() > MAX_REASON { "…" } else { "" };
    shown(text, MAX_REASON).replace("\\\"", "\"").replace("\\'", "'") + dots
}

fn shown_scalar(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// Keywords whose values are data, whatever they look like.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "example"];

/// Every reference is a fragment of this schema, which is one resource: a schema inside with an identity of its own would
/// give its references another base.
fn stays_inside(schema: &Value, path: &str) -> Result<(), SchemaFault> {
    let Value::Object(members) = schema else {
        return subvalues(schema, path).try_for_each(|(path, value)| stays_inside(value, &path));
    };
    for (key, value) in members {
        let fault = |problem: String| Err(SchemaFault { path: join(path, key), problem });
        match (key.as_str(), value.as_str()) {
            (key, Some(target)) if REFERENCES.contains(&key) && !target.starts_with('#') => {
                return fault(format!(
                    "refers to {}, which is outside this schema and is never fetched; put it into `$defs` here and \
                     refer to `#/$defs/…`",
                    quoted(target)
                ));
            }
            (key, Some(target)) if REFERENCES.contains(&key) && target.contains('%') => {
                return fault("refers to a name that has to be escaped; choose a plain name".to_owned());
            }
            ("$id", Some(_)) if !path.is_empty() => {
                return fault("gives a part of the schema an identity of its own; leave it out".to_owned());
            }
            _ => {}
        }
    }
    subvalues(schema, path).try_for_each(|(path, value)| stays_inside(value, &path))
}

/// The values of a value, with their places; not those that are data of a schema.
fn subvalues<'a>(value: &'a Value, path: &'a str) -> Box<dyn Iterator<Item = (String, &'a Value)> + 'a> {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(key, _)| !DATA.contains(&key.as_str()));
            Box::new(members.map(move |(key, value)| (join(path, key), value)))
        }
        Value::Array(items) => {
            Box::new(items.iter().enumerate().map(move |(at, item)| (join(path, at), item)))
        }
        _ => Box::new(std::iter::empty()),
    }
}

fn find_anchors(schema: &Value, path: &str, anchors: &mut BTreeMap<String, String>) {
    for keyword in ["$anchor", "$dynamicAnchor"] {
        if let Some(name) = schema.get(keyword).and_then(Value::as_str) {
            anchors.insert(name.to_owned(), path.to_owned());
        }
    }
    for (path, value) in subvalues(schema, path) {
        find_anchors(value, &path, anchors);
    }
}

/// Counts what applies to one place of a record.
struct Places<'a> {
    root: &'a Value,
    /// The place of each named one.
    anchors: BTreeMap<String, String>,
    known: BTreeMap<String, u64>,
    /// Being counted: one of these again is a schema that applies itself to the same place for ever.
    open: BTreeSet<String>,
    /// Apply further inside, or only where something refers to them: counted when nothing is open.
    inside: Vec<(String, &'a Value)>,
}

impl<'a> Places<'a> {
    fn of(root: &'a Value, anchors: BTreeMap<String, String>) -> Self {
        Self { root, anchors, known: BTreeMap::new(), open: BTreeSet::new(), inside: Vec::new() }
    }

    /// The most that apply to one place.
    fn check(mut self, root: &'a Value) -> Result<u64, SchemaFault> {
        self.inside.push((String::new(), root));
        while let Some((path, schema)) = self.inside.pop() {
            self.count(&path, schema)?;
        }
        Ok(self.known.values().copied().max().unwrap_or(1))
    }

    /// How many subschemas `schema`, at `path`, applies to the place it is itself applied to.
    fn count(&mut self, path: &str, schema: &'a Value) -> Result<u64, SchemaFault> {
        let fault = |problem: String| SchemaFault { path: path.to_owned(), problem };
        let Value::Object(members) = schema else { return Ok(1) };
        if let Some(count) = self.known.get(path) {
            return Ok(*count);
        }
        if self.open.len() >= MAX_CHAIN {
            return Err(fault(format!(
                "applies subschemas to one place of a record over more than {MAX_CHAIN} steps; simplify it"
            )));
        }
        if !self.open.insert(path.to_owned()) {
            return Err(fault("applies itself to the same place of a record without end".to_owned()));
        }
        let mut count = 1u64;
        for (key, value) in members {
            let at = join(path, key);
            match (key.as_str(), value) {
                (key, Value::String(target)) if REFERENCES.contains(&key) => {
                    count = count.saturating_add(self.follow(&at, target)?);
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        count = count.saturating_add(self.count(&join(&at, index), item)?);
                    }
                }
                ("not" | "if" | "then" | "else", value) => {
                    count = count.saturating_add(self.count(&at, value)?)
                }
                ("dependentSchemas" | "dependencies", Value::Object(members)) => {
                    for (name, value) in members {
                        count = count.saturating_add(self.count(&join(&at, name), value)?);
                    }
                }
                _ => {}
            }
        }
        if count > MAX_AT_ONE_PLACE {
            return Err(fault(format!(
                "applies more than {MAX_AT_ONE_PLACE} subschemas to one place of a record; simplify it"
            )));
        }
        self.open.remove(path);
        self.known.insert(path.to_owned(), count);
        for (key, value) in members {
            self.note_inside(&join(path, key), key, value);
        }
        Ok(count)
    }

    fn note_inside(&mut self, at: &str, key: &str, value: &'a Value) {
        match (key, value) {
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(members)) => {
                self.inside.extend(members.iter().map(|(name, value)| (join(at, name), value)));
            }
            ("prefixItems" | "items", Value::Array(items)) => {
                self.inside.extend(items.iter().enumerate().map(|(index, item)| (join(at, index), item)));
            }
            ("dependentSchemas" | "dependencies", _) => {}
            (_, Value::Object(_)) if !DATA.contains(&key) => self.inside.push((at.to_owned(), value)),
            _ => {}
        }
    }

    fn follow(&mut self, from: &str, target: &str) -> Result<u64, SchemaFault> {
        let fragment = target.trim_start_matches('#');
        let pointer = match fragment {
            "" => String::new(),
            _ if fragment.starts_with('/') => fragment.to_owned(),
            anchor => self.anchors.get(anchor).cloned().unwrap_or_else(|| format!("/{anchor}")),
        };
        match self.root.pointer(&pointer) {
            Some(schema) => self.count(&pointer, schema),
            None => Err(SchemaFault {
                path: from.to_owned(),
                problem: format!("refers to {}, which is not in this schema", quoted(target)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(schema: Value) -> String {
        let SchemaFault { path, problem } = JsonSchema::new(schema).unwrap_err();
        format!("{path}: {problem}")
    }

    fn is_valid(schema: Value, record: Value) -> bool {
        JsonSchema::new(schema).unwrap().faults(&record, 10).is_empty()
    }

    #[test]
    fn nothing_outside_is_referred_to() {
        for target in [
            "http://127.0.0.1:1/a.json",
            "https://example.com/a#/b",
            "file:///etc/passwd",
            "other.json",
            "//host/x",
            "urn:x",
        ] {
            for keyword in REFERENCES {
                let found = refusal(json!({ "properties": { "a": { keyword: target } } }));
                assert!(
                    found.starts_with(&format!(
                        "/properties/a/{keyword}: refers to `{target}`, which is outside"
                    )),
                    "{found}"
                );
            }
            // As data it is only text.
            assert!(is_valid(json!({ "enum": [{ "$ref": target }] }), json!({ "$ref": target })));
            assert!(is_valid(
                json!({ "properties": { "$ref": { "type": "string" } } }),
                json!({ "$ref": target })
            ));
        }
        let found = refusal(json!({ "$schema": "http://127.0.0.1:1/meta.json", "type": "object" }));
        assert!(found.contains("is no JSON Schema"), "{found}");
        assert!(
            refusal(json!({ "$defs": { "a": { "$id": "http://x/" } } }))
                .starts_with("/$defs/a/$id: gives a part")
        );
        assert!(refusal(json!({ "$ref": "#/$defs/a%20b" })).contains("plain name"));
        assert!(is_valid(
            json!({ "$id": "https://example.com/order", "$ref": "#/$defs/a", "$defs": { "a": { "minimum": 1 } } }),
            json!(1)
        ));
    }

    #[test]
    fn references_lead_somewhere_and_not_in_a_circle() {
        assert_eq!(
            refusal(json!({ "items": { "$ref": "#/$defs/a" } })),
            "/items/$ref: refers to `#/$defs/a`, which is not in this schema"
        );
        assert_eq!(
            refusal(json!({ "$ref": "#" })),
            ": applies itself to the same place of a record without end"
        );
        assert!(refusal(json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/a" }] } } })).contains("without end"));
        assert!(
            refusal(json!({ "$ref": "#x", "$defs": { "a": { "$anchor": "x", "not": { "$ref": "#x" } } } }))
                .contains("without end")
        );
        assert!(refusal(json!({ "$dynamicRef": "#x", "$dynamicAnchor": "x" })).contains("without end"));
        assert!(
            refusal(json!({ "items": { "if": true, "then": { "$ref": "#/items" } } }))
                .contains("without end")
        );
        // A tree goes further inside with every step.
        let tree = json!({ "properties": { "children": { "type": "array", "items": { "$ref": "#" } } }, "required": ["name"] });
        let wrapped =
            json!({ "allOf": [{ "properties": { "next": { "$ref": "#" } } }, { "type": "object" }] });
        assert!(!is_valid(wrapped, json!({ "next": { "next": 1 } })));
        assert!(is_valid(tree.clone(), json!({ "name": 1, "children": [{ "name": 2 }] })));
        assert!(!is_valid(tree, json!({ "name": 1, "children": [{}] })));
    }

    #[test]
    fn no_place_takes_too_many_steps() {
        let mut defs = serde_json::Map::new();
        for at in 0..20 {
            let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
            defs.insert(format!("d{at}"), json!({ "allOf": [next.clone(), next] }));
        }
        defs.insert("d20".to_owned(), json!(true));
        let found = refusal(json!({ "$ref": "#/$defs/d0", "$defs": defs }));
        assert!(found.contains("more than"), "{found}");
        let many: Vec<_> = (0..=MAX_AT_ONE_PLACE).map(|at| json!({ "const": at })).collect();
        assert!(refusal(json!({ "anyOf": many })).contains("more than 10000 subschemas"));
        let chain = (0..MAX_CHAIN).fold(json!({}), |inner, _| json!({ "not": inner }));
        assert!(refusal(chain).contains("more than 24 steps"));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(
            refusal(json!({ "properties": { "a": { "type": "integr" } } }))
                .starts_with("/properties/a/type: is no JSON Schema")
        );
        assert!(refusal(json!({ "format": "dat" })).contains("is no JSON Schema"));
        // Needs backtracking, which a text can make take for ever.
        assert!(refusal(json!({ "pattern": "(?=a)b" })).contains("is no JSON Schema"));
        assert!(refusal(json!({ "pattern": "(a)\\1" })).contains("is no JSON Schema"));
    }

    #[test]
    fn formats_and_drafts_are_known() {
        for (format, good, bad) in [
            ("date", "2026-02-28", "2026-02-30"),
            ("date-time", "2026-02-28T10:00:00Z", "2026-02-28"),
            ("time", "10:00:00Z", "25:00:00Z"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e"),
            ("email", "a@b.example", "a"),
            ("ipv4", "127.0.0.1", "256.0.0.1"),
            ("uri", "https://example.com", "::"),
        ] {
            assert!(is_valid(json!({ "format": format }), json!(good)), "{format}");
            assert!(!is_valid(json!({ "format": format }), json!(bad)), "{format}");
        }
        for draft in [
            "http://json-schema.org/draft-04/schema#",
            "http://json-schema.org/draft-06/schema#",
            "http://json-schema.org/draft-07/schema#",
            "https://json-schema.org/draft/2019-09/schema",
            "https://json-schema.org/draft/2020-12/schema",
        ] {
            assert!(
                !is_valid(json!({ "$schema": draft, "type": "object", "required": ["a"] }), json!({})),
                "{draft}"
            );
        }
    }

    /// Reasons would double with every level.
    #[test]
    fn reasons_do_not_multiply() {
        let twice = json!({ "properties": { "a": { "anyOf": [{ "$ref": "#" }, { "$ref": "#/$defs/b" }] } }, "not": { "const": 1 },
            "$defs": { "b": { "properties": { "a": { "allOf": [{ "$ref": "#/$defs/b" }, { "$ref": "#" }] } }, "not": { "const": 1 } } } });
        let schema = JsonSchema::new(twice).unwrap();
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert_eq!(schema.faults(&nested(2), 10)[0].path, "/a");
        assert!(schema.faults(&nested(60), 10)[0].reason.contains("too deep to say where"));
    }

    /// The deepest record through the longest chain at every level, on a stack of a worker's thread.
    #[test]
    fn the_stack_suffices() {
        let deepest = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
            let chain = |end: Value| (0..(MAX_CHAIN - 2) / 2).fold(end, |inner, _| json!({ "allOf": [{ "anyOf": [inner] }] }));
            let inner = json!({ "items": { "$ref": "#" }, "additionalProperties": { "$ref": "#" } });
            let schema = JsonSchema::new(chain(inner)).unwrap();
            let record = (0..127).fold(json!(1), |inner, at| if at % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) });
            let refuses = JsonSchema::new(chain(json!({ "type": ["array", "object"], "items": { "$ref": "#" }, "additionalProperties": { "$ref": "#" } }))).unwrap();
            (schema.faults(&record, 10).len(), refuses.faults(&record, 10).len())
        });
        let (none, some) = deepest.unwrap().join().unwrap();
        assert_eq!(none, 0);
        assert!(some > 0);
    }
}
