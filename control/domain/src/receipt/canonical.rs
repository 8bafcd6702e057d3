//! The canonical form of a JSON value: the bytes a signature covers.
//!
//! - no white space; object members sorted by key, compared as UTF-8 bytes;
//! - integers in decimal, no sign but `-`; a number with a point or exponent has no canonical form and is refused;
//! - strings as UTF-8; escaped are only `"`, `\` and the characters below U+0020 (`\b \t \n \f \r`, else `\u00xx`).
//!
//! `jq -jcS .receipt signed.json` prints the same bytes (jq also escapes U+007F; receipts do not hold it).
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
    let mut out = Vec::new();
    write(value, &mut String::new(), &mut out)?;
    Ok(out)
}

fn write(value: &Value, path: &mut String, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                nested(path, &at.to_string(), |path| write(item, path, out))?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_bytes());
            out.push(b'{');
            for (at, (key, item)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                scalar(&Value::from(key.as_str()), out);
                out.push(b':');
                nested(path, key, |path| write(item, path, out))?;
            }
            out.push(b'}');
        }
        Value::Number(number) if number.is_f64() => {
            return Err(CanonicalError { path: format!("{path:?}"), number: number.to_string() });
        }
        other => scalar(other, out),
    }
    Ok(())
}

/// serde_json writes scalars in exactly the form above.
fn scalar(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}

fn nested<T>(path: &mut String, step: &str, run: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push('/');
    path.push_str(step);
    let result = run(path);
    path.truncate(length);
    result
}
