//! A YAML or JSON text as a tree that keeps what `serde_json::Value` loses: lines and repeated keys.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Number, Value};

/// The longest text read as a route. The longest sensible one is a few kilobytes.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Deeper than any route nests, shallower than any stack.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// From 1; `None` where the syntax gives none.
    pub(crate) line: Option<u64>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: Option<u64>,
    pub(crate) node: Node,
}

/// Why a text is no tree.
pub(crate) struct SyntaxError {
    pub(crate) line: Option<u64>,
    pub(crate) problem: String,
}

impl Node {
    pub(crate) fn parse_yaml(text: &str) -> Result<Self, SyntaxError> {
        check_length(text)?;
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
                flow_nesting_limit: MAX_DEPTH,
                max_documents: 1,
                max_nodes: 20_000,
                max_events: 50_000,
                max_aliases: 100,
                max_anchors: 100,
                max_total_scalar_bytes: MAX_TEXT_BYTES,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: 10_000,
                max_replay_stack_depth: 8,
            },
            duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
            // `header: [no, yes]` names columns.
            strict_booleans: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Located<true>>(text, options) {
            Ok(Located(node)) => Ok(node),
            Err(error) => Err(SyntaxError {
                line: error.location().map(|at| at.line()).filter(|line| *line > 0),
                problem: format!("not YAML: {}", without_place(&error.to_string())),
            }),
        }
    }

    pub(crate) fn parse_json(text: &str) -> Result<Self, SyntaxError> {
        check_length(text)?;
        Self::read_json(text)
    }

    /// JSON of any length, at most 128 deep (serde_json's bound).
    pub(crate) fn read_json(text: &str) -> Result<Self, SyntaxError> {
        serde_json::from_str::<Located<false>>(text).map(|Located(node)| node).map_err(|error| SyntaxError {
            line: u64::try_from(error.line()).ok().filter(|line| *line > 0),
            problem: format!("not JSON: {}", without_place(&error.to_string())),
        })
    }

    /// The plain value; the key that stands twice in one mapping, if one does.
    pub(crate) fn into_value(self) -> Result<Value, String> {
        Ok(match self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => value.into(),
            Kind::Number(number) => number.into(),
            Kind::Text(text) => text.into(),
            Kind::List(items) => {
                Value::Array(items.into_iter().map(Self::into_value).collect::<Result<_, _>>()?)
            }
            Kind::Map(entries) => {
                let mut map = Map::new();
                for Entry { key, node, .. } in entries {
                    if map.insert(key.clone(), node.into_value()?).is_some() {
                        return Err(key);
                    }
                }
                map.into()
            }
        })
    }

    /// What it is, for a message.
    pub(crate) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The line of what a JSON Pointer names, or of the last thing on the way to it.
    pub(crate) fn line_of(&self, pointer: &str) -> Option<u64> {
        let mut node = self;
        let mut line = self.line;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                Kind::Map(entries) => entries.iter().find(|entry| entry.key == step).map(|entry| {
                    line = entry.line.or(line);
                    &entry.node
                }),
                Kind::List(items) => step.parse().ok().and_then(|at: usize| items.get(at)).inspect(|item| {
                    line = item.line.or(line);
                }),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        line
    }
}

fn check_length(text: &str) -> Result<(), SyntaxError> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(());
    }
    let problem = format!(
        "{} bytes long; a route is at most {MAX_TEXT_BYTES} bytes, is this the right file?",
        text.len()
    );
    Err(SyntaxError { line: None, problem })
}

/// The first line of a parser's message, without the place: the line is told apart.
fn without_place(text: &str) -> &str {
    let first = text.lines().next().unwrap_or_default();
    first.find(" at line ").map_or(first, |at| &first[..at])
}

/// A node with (`YAML`) or without its line.
struct Located<const YAML: bool>(Node);

struct Plain<const YAML: bool>(Kind);

impl<'de, const YAML: bool> Deserialize<'de> for Located<YAML> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if YAML {
            let spanned = serde_saphyr::Spanned::<Plain<YAML>>::deserialize(deserializer)?;
            let line = Some(spanned.referenced.line()).filter(|line| *line > 0);
            Ok(Self(Node { line, kind: spanned.value.0 }))
        } else {
            Ok(Self(Node { line: None, kind: Plain::<YAML>::deserialize(deserializer)?.0 }))
        }
    }
}

impl<'de, const YAML: bool> Deserialize<'de> for Plain<YAML> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree::<YAML>).map(Self)
    }
}

struct Tree<const YAML: bool>;

impl<'de, const YAML: bool> de::Visitor<'de> for Tree<YAML> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Number::from_f64(value).map_or_else(|| Kind::Text(value.to_string()), Kind::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(Located::<YAML>(node)) = seq.next_element()? {
            items.push(node);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((Located::<YAML>(key), Located::<YAML>(node))) = map.next_entry()? {
            let line = key.line;
            let key = match key.kind {
                Kind::Text(text) => text,
                Kind::Bool(value) => value.to_string(),
                Kind::Number(value) => value.to_string(),
                Kind::Null => "null".to_owned(),
                Kind::List(_) | Kind::Map(_) => return Err(de::Error::custom("a key must be text")),
            };
            entries.push(Entry { key, line, node });
        }
        Ok(Kind::Map(entries))
    }
}
