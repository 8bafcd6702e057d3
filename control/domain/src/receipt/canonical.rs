//! The canonical form of a JSON value: the bytes a signature covers.
//!
//! - no white space; object members sorted by key, compared as UTF-8 bytes;
//! - integers in decimal, no sign but `-`; a number with a point or exponent has no canonical form and is refused;
//! - strings as UTF-8; escaped are only `"`, `\` and the control characters up to U+001F
//!   and U+007F (`\b \t \n \f \r`, else `\u00xx`).
//!
//! `jq -jcS .receipt signed.json` prints the same bytes.
//! Sorting is done here, not left to serde_json's map, whose order another crate's feature flag can change.

use serde_json::Value;

/// Why a value has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{number}` at {path} is no integer; signed values hold integers only")]
pub struct CanonicalError {
    path: String,
    number: String,
}

/// The canonical bytes of a value.
///
/// # Errors
/// The value holds a number that is not an integer.
pub fn to_bytes(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    refuse_floats(value, &mut String::new())?;
    Ok(text(value).into_bytes())
}

/// The canonical text of a value whose numbers are integers by construction; a float would be written as
/// serde_json writes it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_bytes());
            let members = members
                .into_iter()
                .map(|(key, item)| format!("{}:{}", scalar(&key.as_str().into()), text(item)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        other => scalar(other),
    }
}

/// serde_json writes scalars in the form above, but for U+007F, which can only stand in a string.
fn scalar(value: &Value) -> String {
    value.to_string().replace('\u{7f}', "\\u007f")
}

fn refuse_floats(value: &Value, path: &mut String) -> Result<(), CanonicalError> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(at, item)| step(path, &at.to_string(), item))
        }
        Value::Object(members) => members.iter().try_for_each(|(key, item)| step(path, key, item)),
        Value::Number(number) if number.is_f64() => {
            Err(CanonicalError { path: path.clone(), number: number.to_string() })
        }
        _ => Ok(()),
    }
}

fn step(path: &mut String, step: &str, item: &Value) -> Result<(), CanonicalError> {
    let length = path.len();
    path.push('/');
    path.push_str(step);
    refuse_floats(item, path)?;
    path.truncate(length);
    Ok(())
}
