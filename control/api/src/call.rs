//! A request on its way to its handler: path and query taken apart, and who asks.

use bytes::Bytes;
use eft_domain::{Millis, TenantId};
use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use crate::{
    principal::Principal,
    problem::{Code, Problem},
    table::Parameter,
};

/// The longest body: a route's text may have 256 KiB (`eft_domain`), and a draft that is simulated stands in JSON.
pub const MAX_BODY_BYTES: usize = 512 * 1024;

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// As it was sent.
    pub path: String,
    /// As it was sent; empty where there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When it came.
    pub now: Millis,
    /// The values of the pattern's names, in their order.
    pub values: Vec<String>,
    /// The query's parameters, of which the endpoint knows all.
    parameters: Vec<(String, String)>,
    principal: Option<Principal>,
}

impl Call {
    pub(crate) fn new(
        request: http::Request<Bytes>,
        known: &[Parameter],
        values: Vec<String>,
        principal: Option<Principal>,
        now: Millis,
    ) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if body.len() > MAX_BODY_BYTES {
            let detail = format!("{} bytes are more than {MAX_BODY_BYTES}", body.len());
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let parameters = parameters(&query, known)?;
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query,
            headers: parts.headers,
            body,
            now,
            values,
            parameters,
            principal,
        })
    }

    /// Who asks; every endpoint with a scope has somebody.
    ///
    /// # Errors
    /// The endpoint has none: a fault of ours.
    pub fn principal(&self) -> Result<&Principal, Problem> {
        self.principal
            .as_ref()
            .ok_or_else(|| Problem::internal("an endpoint without a scope asks who calls it"))
    }

    /// Whose things it is about.
    ///
    /// # Errors
    /// As [`Call::principal`].
    pub fn tenant(&self) -> Result<&TenantId, Problem> {
        Ok(&self.principal()?.tenant)
    }

    /// A value of the path, from 0.
    pub fn value(&self, at: usize) -> &str {
        self.values.get(at).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How many items a page has.
    ///
    /// # Errors
    /// It is no number, or more than a page may have.
    pub fn limit(&self) -> Result<u16, Problem> {
        let Some(text) = self.parameter("limit") else { return Ok(50) };
        let limit = text.parse().ok().filter(|limit| (1..=200).contains(limit));
        limit.ok_or_else(|| Problem::new(Code::ParameterInvalid, "`limit` is a number from 1 to 200"))
    }

    /// The type of the body, without its parameters, in lower case.
    pub fn media_type(&self) -> Option<String> {
        let text = self.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(text.split(';').next()?.trim().to_ascii_lowercase())
    }

    /// The body as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Problem::new(Code::BodyInvalid, format!("the body is not UTF-8: {error}")))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not called so, or is none.
    pub fn json(&self) -> Result<serde_json::Value, Problem> {
        if self.media_type().as_deref() != Some("application/json") {
            return Err(Problem::new(Code::MediaType, "the body is to be application/json"));
        }
        serde_json::from_str(self.text()?)
            .map_err(|error| Problem::new(Code::BodyInvalid, format!("the body is not JSON: {error}")))
    }
}

/// A whole number of JSON, in which `4.0` is one as well (JSON Schema, 6.1.1); as far as such a one is exact.
pub fn whole(value: &serde_json::Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=EXACT).contains(number));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, and within")]
    value.as_u64().or_else(|| float().map(|number| number as u64))
}

/// A name that somebody else has chosen, so that it can stand in a sentence.
pub fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

fn parameters(query: &str, known: &[Parameter]) -> Result<Vec<(String, String)>, Problem> {
    let wrong = |detail: String| Problem::new(Code::ParameterInvalid, detail);
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text)
            .decode_utf8()
            .map(String::from)
            .map_err(|_| wrong("the query is not UTF-8".into()))
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let shown = shown(&name);
        if known.iter().all(|known| known.name != name) {
            let known: Vec<_> = known.iter().map(|known| known.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(wrong(format!("`{shown}` is not a parameter here, known are: {known}")));
        }
        if found.iter().any(|(other, _)| *other == name) {
            return Err(wrong(format!("`{shown}` stands there a second time")));
        }
        found.push((name, value));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::whole;

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
        assert_eq!((whole(&json!(7)), whole(&json!(7.0)), whole(&json!(0.0))), (Some(7), Some(7), Some(0)));
        assert_eq!(whole(&json!(u64::MAX)), Some(u64::MAX));
        for other in [json!(7.5), json!(-1), json!(-1.0), json!(1e300), json!("7"), json!(null)] {
            assert_eq!(whole(&other), None, "{other}");
        }
    }
}
