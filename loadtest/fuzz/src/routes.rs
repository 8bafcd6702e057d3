//! Routes and receipts: what is read is written, and what is written is read as the same.

use std::sync::Arc;

use eft_domain::{
    Route,
    invariant::violations,
    receipt::SignedReceipt,
    route::{Destination, Profile, RouteErrors, StageSpec, ValidateSpec},
};
use eft_pipeline::{
    given::Given,
    keys::Keyring,
    sidecar::{Expected, wanted},
    stage::AnyStage,
};
use serde_json::Value;

use crate::stages::AnySecret;

type Parse = fn(&str, Profile) -> Result<Route, RouteErrors>;

/// A route in YAML.
pub fn route_yaml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        route(text, Route::parse_yaml);
    }
}

/// A route in JSON.
pub fn route_json(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        route(text, Route::parse_json);
    }
}

fn route(text: &str, parse: Parse) {
    let read = parse(text, Profile::Cli);
    match (&read, parse(text, Profile::Platform)) {
        (Ok(cli), Ok(platform)) => assert_eq!(*cli, platform),
        (Err(_), Ok(_)) => panic!("the platform takes what the command line refuses"),
        (_, Err(errors)) => sound(&errors, text),
    }
    let route = match read {
        Ok(route) => route,
        Err(errors) => return sound(&errors, text),
    };
    assert_eq!(route.check(), Ok(()));
    let json = route.to_json();
    let again = Route::parse_json(&json, Profile::Cli).expect("the canonical text is a route");
    assert_eq!(again, route);
    assert_eq!(again.to_json(), json);
    // YAML has no place for some characters that JSON takes as they are.
    let printable = |c: char| !c.is_control() && !"\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c);
    if json.chars().all(printable) && !json.contains("\\u") && !has_long_key(&route) {
        let yaml = Route::parse_yaml(&json, Profile::Cli).expect("the canonical text is YAML");
        assert_eq!(yaml, route);
    }
    assert_eq!(route.effective_id().as_str().parse(), Ok(route.effective_id()));
    // A route that was saved can be run.
    for spec in &route.stages {
        let given = Given {
            secrets: Arc::new(AnySecret),
            keys: Keyring::unread(),
            expected: wanted(&route.stages).map(Expected::placeholder),
            ..Given::default()
        };
        let stage = AnyStage::with(spec, &route.limits, &given).map(|stage| stage.is_some());
        let elsewhere = matches!(
            spec,
            StageSpec::Compress(_)
                | StageSpec::Zip(_)
                | StageSpec::Scan(_)
                | StageSpec::Split(_)
                | StageSpec::Concat(_)
                | StageSpec::Unzip(_)
        );
        assert_eq!(stage, Ok(!elsewhere), "{spec:?}");
    }
}

/// A name that as a key is longer than the 1,024 characters YAML readers look ahead.
fn has_long_key(route: &Route) -> bool {
    let long =
        |name: &String| name.chars().map(|c| if "\"\\".contains(c) { 2 } else { 1 }).sum::<usize>() > 1_000;
    let columns = route.stages.iter().any(|stage| match stage {
        StageSpec::Validate(ValidateSpec::Csv(csv)) => csv.types.keys().any(long),
        StageSpec::Validate(ValidateSpec::Jsonl(jsonl)) => {
            jsonl.schema.as_ref().is_some_and(|schema| any_key(schema.value(), &long))
        }
        _ => false,
    });
    columns || route.destinations.iter().any(|Destination::S3(s3)| s3.storage.metadata.keys().any(long))
}

fn any_key(value: &Value, test: &impl Fn(&String) -> bool) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| test(key) || any_key(value, test)),
        Value::Array(items) => items.iter().any(|item| any_key(item, test)),
        _ => false,
    }
}

/// There is an error, and its line is one of the text.
fn sound(errors: &RouteErrors, text: &str) {
    assert!(!errors.0.is_empty(), "refused without a reason");
    let lines = text.split(['\r', '\n']).count() as u64;
    for error in &errors.0 {
        assert!(!error.problem.is_empty());
        assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "{error} of {lines}");
    }
    assert!(!errors.to_string().is_empty());
}

/// A receipt file: survives being written, with the bytes that were signed.
pub fn receipt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let signed = match SignedReceipt::parse(text) {
        Ok(signed) => signed,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let again = SignedReceipt::parse(&signed.to_json()).expect("a receipt that was read can be written");
    assert_eq!((&again.receipt, &again.signature), (&signed.receipt, &signed.signature));
    match (signed.signed_bytes(), again.signed_bytes()) {
        (Ok(bytes), Ok(same)) => {
            assert_eq!(bytes, same, "writing it broke the signature");
            let value = std::str::from_utf8(&bytes).expect("text");
            let alone =
                SignedReceipt::parse(&format!("{{\"receipt\":{value}}}")).expect("canonical JSON is JSON");
            assert_eq!(alone.signed_bytes().ok(), Some(bytes), "not canonical");
        }
        (Err(_), Err(_)) => {}
        (one, two) => panic!("{one:?} but {two:?}"),
    }
    // What this version knows of it has a canonical form in any case: all its numbers are integers.
    let known = SignedReceipt::new(signed.receipt.clone(), None).expect("it is a value");
    let bytes = known.signed_bytes().expect("it has a canonical form");
    assert_eq!(Some(bytes), signed.receipt.canonical_bytes().ok());
    for violation in violations(&signed.receipt) {
        assert!(!violation.is_empty());
    }
}
