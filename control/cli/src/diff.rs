//! What a document would change.

use serde_json::Value;

use crate::show::text;

/// Every place where two documents differ, in order: `-` what was, `+` what will be.
pub(crate) fn diff(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    walk("", Some(before), Some(after), &mut lines);
    lines
}

fn walk(at: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<String>) {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for (name, value) in before {
                walk(&place(at, name), Some(value), after.get(name), lines);
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                walk(&place(at, name), None, Some(value), lines);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                walk(&format!("{at}/{index}"), before.get(index), after.get(index), lines);
            }
        }
        (before, after) if before == after => {}
        (before, after) => {
            let mut say = |sign: char, value: Option<&Value>| {
                if let Some(value) = value {
                    lines.push(format!(
                        "  {sign} {}: {}",
                        if at.is_empty() { "/" } else { at },
                        shown(value)
                    ));
                }
            };
            say('-', before);
            say('+', after);
        }
    }
}

/// A JSON Pointer's next token (RFC 6901).
fn place(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => text(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_said() {
        let before = json!({ "a": 1, "b": { "x/y": [1, 2], "same": true }, "gone": [1] });
        let after = json!({ "a": 2, "b": { "x/y": [1, 3, { "z": 4 }], "same": true }, "new": "n" });
        let said = [
            "  - /a: 1",
            "  + /a: 2",
            "  - /b/x~1y/1: 2",
            "  + /b/x~1y/1: 3",
            "  + /b/x~1y/2: {\"z\":4}",
            "  - /gone: [1]",
            "  + /new: n",
        ];
        assert_eq!(diff(&before, &after), said);
        assert!(diff(&before, &before).is_empty());
    }
}
