//! The small parsers: ids, sizes, templates, names of objects.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use eft_domain::{
    BucketName, ByteSize, Code, DeliveryId, JobId, ObjectKey, ObjectUri, RouteId, RouteRevision, RunId,
    TenantId, VersionId,
    route::{CompleteWhen, KeyTemplate, Match, StorageClass, TemplateValues},
};
use eft_pipeline::scanner::{Verdict, of_clamd};

/// Longest error text: one screen's lines, whatever was parsed.
const MAX_MESSAGE: usize = 1_000;

/// What a text says, if it says something: it is read back from what it is printed as.
fn round_trip<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq,
{
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            match printed.parse::<T>() {
                Ok(again) => assert_eq!(again, value, "{text:?} is printed as {printed:?}"),
                Err(error) => panic!("{text:?} is printed as {printed:?}: {error}"),
            }
            Some(value)
        }
        Err(error) => {
            refusal(&error);
            None
        }
    }
}

/// Messages go to terminals, logs and receipts.
fn refusal(error: &dyn Display) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.len() <= MAX_MESSAGE, "{} bytes: {message:.200}", message.len());
    assert!(!message.chars().any(char::is_control), "control characters: {message:?}");
}

/// [`ObjectUri`].
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(uri) = round_trip::<ObjectUri>(text) else { return };
    let printed = uri.to_string();
    assert_eq!(uri.is_s3(), printed.starts_with("s3://"));
    assert_eq!(uri.is_s3() || uri.path().is_some(), printed != "-");
    assert!(printed.contains(uri.name()));
    if let ObjectUri::S3 { bucket, key, version_id } = &uri {
        assert_eq!(round_trip(bucket.as_str()).as_ref(), Some(bucket));
        assert_eq!(round_trip(key.as_str()).as_ref(), Some(key));
        let version = version_id.as_ref();
        assert_eq!(version.and_then(|version| round_trip(version.as_str())).as_ref(), version);
    }
}

/// Ids, names, sizes, templates, conditions, globs and the answers of a scanner.
pub fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    round_trip::<BucketName>(text);
    round_trip::<ObjectKey>(text);
    round_trip::<VersionId>(text);
    round_trip::<RouteId>(text);
    round_trip::<TenantId>(text);
    round_trip::<JobId>(text);
    round_trip::<RunId>(text);
    round_trip::<DeliveryId>(text);
    round_trip::<RouteRevision>(text);
    round_trip::<StorageClass>(text);
    round_trip::<Code>(text);
    round_trip::<CompleteWhen>(text);
    size(text);
    template(text);
    answer(text);
    let (glob, key) = text.split_once('\n').unwrap_or((text, text));
    if glob.len() <= 12 && key.len() <= 24 {
        let route = Match { prefix: String::new(), glob: Some(glob.to_owned()) };
        assert_eq!(route.takes(key), matches(glob, key), "{glob:?} {key:?}");
    }
}

/// What clamd may answer: one answer alone means that a file is clean.
fn answer(text: &str) {
    match of_clamd(text.as_bytes()) {
        Ok(Verdict::Clean) => assert_eq!(text, "stream: OK"),
        Ok(Verdict::Infected(said) | Verdict::TooLarge(said)) => refusal(&said),
        Err(said) => {
            assert!(text.is_empty() == said.is_empty() && !said.chars().any(char::is_control), "{said}")
        }
    }
}

/// A size is printed rounded where no unit divides it, and what is rounded is not read.
fn size(text: &str) {
    match text.parse::<ByteSize>() {
        Ok(size) => {
            let printed = size.to_string();
            match printed.parse::<ByteSize>() {
                Ok(again) => assert_eq!(again, size, "{text:?} is printed as {printed:?}"),
                Err(_) => assert!(printed.contains('.'), "{text:?} is printed as {printed:?}"),
            }
            assert_eq!(size.0.to_string().parse(), Ok(size));
        }
        Err(error) => refusal(&error),
    }
}

fn template(text: &str) {
    let Some(template) = round_trip::<KeyTemplate>(text) else { return };
    let some = TemplateValues {
        key: "in/a.csv.gz",
        prefix: "in/",
        arrived: "2026-11-23T09:18:28Z",
        tenant: Some("acme"),
        route: Some("orders"),
        job_id: Some("job"),
        run_id: Some("job.1"),
        version_id: Some("v1"),
    };
    let none = TemplateValues::default();
    // The text as a value: names and dates are cut out of it.
    let odd = TemplateValues { key: text, prefix: "{", arrived: text, ..TemplateValues::default() };
    for values in [some, none, odd] {
        match template.render(&values) {
            Ok(key) => assert!(!key.as_str().is_empty()),
            Err(error) => refusal(&error),
        }
    }
}

/// A glob by definition, and by trying everything.
fn matches(glob: &str, text: &str) -> bool {
    let tail = |text: &str| {
        let mut chars = text.chars();
        chars.next().map(|first| (first, chars.as_str().to_owned()))
    };
    if let Some(rest) = glob.strip_prefix("**") {
        return matches(rest, text) || tail(text).is_some_and(|(_, text)| matches(glob, &text));
    }
    if let Some(rest) = glob.strip_prefix('*') {
        let one_more = tail(text).filter(|(first, _)| *first != '/');
        return matches(rest, text) || one_more.is_some_and(|(_, text)| matches(glob, &text));
    }
    match (tail(glob), tail(text)) {
        (None, None) => true,
        (Some(('?', glob)), Some((first, text))) => first != '/' && matches(&glob, &text),
        (Some((wanted, glob)), Some((first, text))) => wanted == first && matches(&glob, &text),
        _ => false,
    }
}
