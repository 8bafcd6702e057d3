//! What the environment says of traces, by the names that OpenTelemetry has given its variables.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::span::Sampler;

/// The collector, and how it is asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` and `/v1/traces`.
    pub url: Uri,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT` in milliseconds, 10,000 by default.
    pub timeout: Duration,
}

/// Everything the environment says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `OTEL_SERVICE_NAME`.
    pub service: String,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: Vec<(String, String)>,
    /// None where no endpoint is named, or `OTEL_SDK_DISABLED` is `true`.
    pub endpoint: Option<Endpoint>,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler: Sampler,
}

impl Settings {
    /// As `lookup` says; what is empty counts as missing.
    ///
    /// # Errors
    /// Every fault.
    pub fn parse(service: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let read = |name: &str| lookup(name).filter(|text| !text.trim().is_empty());
        let mut faults = Vec::new();
        let sampler = sampler(&read).unwrap_or_else(|fault| {
            faults.push(fault);
            Sampler::default()
        });
        let is_off = read("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let endpoint = if is_off { None } else { endpoint(&read, &mut faults) };
        let attributes =
            pairs(&read("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()).unwrap_or_else(|pair| {
                faults.push(format!("OTEL_RESOURCE_ATTRIBUTES: `{pair}` is not `name=value`"));
                Vec::new()
            });
        let named =
            attributes.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone());
        let service = read("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| service.to_owned());
        if faults.is_empty() { Ok(Self { service, attributes, endpoint, sampler }) } else { Err(faults) }
    }

    /// What all spans are of.
    pub(super) fn resource(&self) -> Value {
        let others = self.attributes.iter().filter(|(name, _)| name != "service.name");
        let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
        json!({ "attributes": attributes(std::iter::once(("service.name", self.service.as_str())).chain(others)) })
    }
}

/// Attributes in OTLP's JSON.
pub(super) fn attributes<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Value> {
    all.map(|(name, value)| json!({ "key": name, "value": { "stringValue": value } })).collect()
}

fn sampler(read: &dyn Fn(&str) -> Option<String>) -> Result<Sampler, String> {
    let share = || {
        let Some(text) = read("OTEL_TRACES_SAMPLER_ARG") else { return Ok(1.0) };
        let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| format!("OTEL_TRACES_SAMPLER_ARG: `{text}` is not a number from 0 to 1"))
    };
    let name = read("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
    let (by_parent, kind) =
        name.strip_prefix("parentbased_").map_or((false, name.as_str()), |kind| (true, kind));
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => share()?,
        _ => {
            return Err(format!(
                "OTEL_TRACES_SAMPLER: `{name}` is none of always_on, always_off, traceidratio, and these with \
                 `parentbased_` before them"
            ));
        }
    };
    Ok(Sampler { by_parent, ratio })
}

fn endpoint(read: &dyn Fn(&str) -> Option<String>, faults: &mut Vec<String>) -> Option<Endpoint> {
    let (base, own) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let (name, url) = match (read(own), read(base)) {
        (Some(url), _) => (own, url),
        (None, Some(url)) => (base, format!("{}/v1/traces", url.trim_end_matches('/'))),
        (None, None) => return None,
    };
    let parsed = url.parse::<Uri>().ok();
    let parsed =
        parsed.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if parsed.is_none() {
        faults.push(format!("{name}: `{url}` is no address with http:// or https://"));
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        if let Some(text) = read(name).filter(|text| text != "http/json") {
            faults.push(format!(
                "{name}: `{text}` is not spoken here; leave it out or set `http/json`, which every collector takes at \
                 its HTTP port"
            ));
        }
    }
    let millis = read("OTEL_EXPORTER_OTLP_TIMEOUT").map_or(Ok(10_000), |text| {
        text.trim().parse().map_err(|_| format!("OTEL_EXPORTER_OTLP_TIMEOUT: `{text}` are no milliseconds"))
    });
    let millis = millis.unwrap_or_else(|fault| {
        faults.push(fault);
        10_000
    });
    let headers = headers(&read("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default());
    let headers = headers.unwrap_or_else(|| {
        // The text may hold a token.
        faults.push("OTEL_EXPORTER_OTLP_HEADERS is not `name=value,name=value`".to_owned());
        Vec::new()
    });
    Some(Endpoint { url: parsed?, headers, timeout: Duration::from_millis(millis) })
}

fn headers(text: &str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let all = pairs(text).ok()?;
    all.iter().map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?))).collect()
}

/// `name=value,name=value`, values percent-encoded (W3C Baggage); the first that is none.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| pair.to_owned())?;
            let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| pair.to_owned())?;
            Ok((name.trim().to_owned(), value.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(all: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        Settings::parse("eft-worker", &|name| {
            all.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_is_read_as_opentelemetry_names_it() {
        let all = parse(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other, deployment.environment=te%20st"),
        ])
        .unwrap();
        assert_eq!(all.endpoint.as_ref().unwrap().url, "http://collector:4318/v1/traces");
        assert_eq!(all.sampler, Sampler { by_parent: true, ratio: 0.25 });
        assert_eq!(all.service, "other");
        assert_eq!(all.attributes[1], ("deployment.environment".to_owned(), "te st".to_owned()));
        let own = parse(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://b/x"),
            ("OTEL_SERVICE_NAME", "named"),
        ])
        .unwrap();
        assert_eq!(
            (own.endpoint.unwrap().url.to_string().as_str(), own.service.as_str()),
            ("https://b/x", "named")
        );
        let off = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"), ("OTEL_SDK_DISABLED", "true")];
        assert!(parse(&off).unwrap().endpoint.is_none());
    }

    #[test]
    fn every_fault_is_said_and_no_token_is() {
        let faults = parse(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization secret"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_RESOURCE_ATTRIBUTES", "alone"),
        ])
        .unwrap_err();
        assert_eq!(faults.len(), 6, "{faults:?}");
        assert!(!faults.join("").contains("secret"));
        assert!(parse(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")]).is_err());
    }
}
