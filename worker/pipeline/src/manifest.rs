//! The manifest of a `concat`: the objects it names, and where they may be. Over bytes in memory, no IO.
//!
//! | form | what it is |
//! |---|---|
//! | lines | a name a line, in UTF-8; empty lines are passed over |
//! | redshift | `{ "entries": [ { "url": …, "meta": { "content_length": … } } ] }`, as UNLOAD of Amazon Redshift writes it; `mandatory` is not heeded: every object has to be there |
//!
//! A name is a whole URI (`s3://bucket/key`, with a version or without), or stands in the folder of the manifest. Who
//! may write a manifest need not be allowed to read what he names in it, so what lies outside `within` is refused.

use std::{
    collections::HashSet,
    path::{Component, Path},
};

use eft_domain::{
    Code, Failure, ObjectUri,
    route::{ConcatSpec, ManifestForm},
};
use serde::Deserialize;

use crate::stage::records::shown;

/// Largest manifest that is read, in bytes: 10,000 names of 400 bytes. It is held in memory. None, reasonable default.
pub const MAX_MANIFEST: u64 = 4 << 20;

/// An object that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Where it is.
    pub uri: ObjectUri,
    /// Its size in bytes, where the manifest says it.
    pub size: Option<u64>,
}

#[derive(Deserialize)]
struct Redshift {
    entries: Vec<RedshiftEntry>,
}

#[derive(Deserialize)]
struct RedshiftEntry {
    url: String,
    #[serde(default)]
    meta: Option<RedshiftMeta>,
}

#[derive(Deserialize)]
struct RedshiftMeta {
    #[serde(default)]
    content_length: Option<u64>,
}

/// What `text`, the content of `manifest`, names, in its order.
///
/// # Errors
/// `manifest.invalid`: it is not of this form, names nothing, something twice or outside the folder. `limit.max_objects`.
pub fn named(text: &[u8], manifest: &ObjectUri, spec: &ConcatSpec) -> Result<Vec<Named>, Failure> {
    let refused = |what: String| Failure::new(Code::ManifestInvalid, format!("{manifest}: {what}"));
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = std::str::from_utf8(text)
        .map_err(|error| refused(format!("byte {} is not UTF-8", error.valid_up_to())))?;
    let entries: Vec<(usize, String, Option<u64>)> = match spec.manifest {
        ManifestForm::Lines => {
            let lines =
                (1..).zip(text.split('\n')).map(|(at, line)| (at, line.strip_suffix('\r').unwrap_or(line)));
            lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| (at, line.to_owned(), None)).collect()
        }
        ManifestForm::Redshift => {
            let read: Redshift = serde_json::from_str(text)
                .map_err(|error| refused(format!("is no manifest of this form: {}", short(&error))))?;
            let size = |entry: &RedshiftEntry| entry.meta.as_ref().and_then(|meta| meta.content_length);
            (1..)
                .zip(read.entries)
                .map(|(at, entry)| (at, size(&entry), entry.url))
                .map(|(at, size, url)| (at, url, size))
                .collect()
        }
    };
    if entries.is_empty() {
        return Err(refused("names no object".to_owned()));
    }
    if entries.len() as u64 > spec.max_objects {
        let observed = format!("{} objects in {manifest}", entries.len());
        return Err(Failure::limit(Code::LimitObjects, observed, spec.max_objects));
    }
    let folder = Folder::of(manifest, spec.within.as_deref())
        .ok_or_else(|| refused("has no folder whose objects it could name: say `within`".to_owned()))?;
    let (mut seen, mut named) = (HashSet::new(), Vec::with_capacity(entries.len()));
    let what = if spec.manifest == ManifestForm::Lines { "line" } else { "entry" };
    for (at, name, size) in entries {
        let wrong = |why: &str| refused(format!("{what} {at}, {}, {why}", shown(name.as_bytes())));
        let uri = resolve(&name, manifest).map_err(|why| wrong(&why))?;
        if !folder.holds(&uri) {
            return Err(wrong(&format!("is not in {folder}")));
        }
        if uri == *manifest {
            return Err(wrong("is the manifest itself"));
        }
        if !seen.insert(uri.clone()) {
            return Err(wrong("is named twice"));
        }
        named.push(Named { uri, size });
    }
    Ok(named)
}

/// An error of the parser, which may repeat any text it was given.
fn short(error: &serde_json::Error) -> String {
    let (text, place) = (error.to_string(), (error.line(), error.column()));
    match text.len() {
        0..=160 => text.escape_debug().to_string(),
        _ => format!("what stands before line {} column {} is not what belongs there", place.0, place.1),
    }
}

fn resolve(name: &str, manifest: &ObjectUri) -> Result<ObjectUri, String> {
    let is_whole = name.starts_with("s3://") || name.starts_with("file:") || name.starts_with('/');
    let uri = match is_whole {
        true => name.parse::<ObjectUri>().map_err(|error| error.to_string())?,
        false => manifest.beside(name).ok_or("is no name for an object")?,
    };
    match &uri {
        ObjectUri::Local(path) if path.components().any(|step| step == Component::ParentDir) => {
            Err("leads out of its folder (`..`)".to_owned())
        }
        ObjectUri::Std => Err("is no name for an object".to_owned()),
        _ => Ok(uri),
    }
}

/// Where the objects may be.
enum Folder {
    S3(String),
    Local(String),
}

impl Folder {
    fn of(manifest: &ObjectUri, within: Option<&str>) -> Option<Self> {
        match (within, manifest) {
            (Some(within), _) if within.starts_with("s3://") => Some(Self::S3(within.to_owned())),
            (Some(within), _) => Some(Self::Local(within.to_owned())),
            (None, ObjectUri::S3 { bucket, key, .. }) => {
                let folder = key.as_str().rfind('/').map_or("", |at| &key.as_str()[..=at]);
                Some(Self::S3(format!("s3://{bucket}/{folder}")))
            }
            (None, ObjectUri::Local(path)) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                Some(Self::Local(folder.to_string_lossy().into_owned()))
            }
            (None, ObjectUri::Std) => None,
        }
    }

    fn holds(&self, uri: &ObjectUri) -> bool {
        match (self, uri) {
            (Self::S3(folder), ObjectUri::S3 { bucket, key, .. }) => {
                let place = format!("s3://{bucket}/{key}");
                place.len() > folder.len() && place.starts_with(folder)
            }
            // Where the program stands; any path begins with nothing.
            (Self::Local(folder), ObjectUri::Local(path)) if folder.is_empty() => path.is_relative(),
            (Self::Local(folder), ObjectUri::Local(path)) => path.starts_with(folder),
            _ => false,
        }
    }
}

impl std::fmt::Display for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(folder) if folder.is_empty() => f.write_str("the folder of the manifest"),
            Self::S3(folder) | Self::Local(folder) => f.write_str(folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, manifest: &str, spec: &ConcatSpec) -> Result<Vec<String>, String> {
        let named = named(text.as_bytes(), &manifest.parse().unwrap(), spec);
        named
            .map(|named| named.iter().map(|named| named.uri.to_string()).collect())
            .map_err(|failure| failure.message)
    }

    fn lines(text: &str, manifest: &str) -> Result<Vec<String>, String> {
        names(text, manifest, &ConcatSpec::default())
    }

    #[test]
    fn names_stand_in_the_folder_of_the_manifest() {
        let text =
            "\u{feff}a.csv\r\n\nsub/b c.csv\ns3://acme-in/day/ü.csv\ns3://acme-in/day/a.csv?versionId=v1\n";
        let found = ["a.csv", "sub/b c.csv", "ü.csv", "a.csv?versionId=v1"]
            .map(|name| format!("s3://acme-in/day/{name}"));
        assert_eq!(lines(text, "s3://acme-in/day/manifest.txt").unwrap(), found);
        assert_eq!(lines("a\nb/c", "m.txt").unwrap(), ["a", "b/c"]);
        assert_eq!(lines("/data/in/a\nb", "/data/in/m.txt").unwrap(), ["/data/in/a", "/data/in/b"]);
        let top = lines("a\nx/b", "s3://acme-in/m.txt").unwrap();
        assert_eq!(top, ["s3://acme-in/a", "s3://acme-in/x/b"]);
    }

    #[test]
    fn what_lies_elsewhere_is_refused() {
        for (text, manifest) in [
            ("s3://acme-in/other/a.csv", "s3://acme-in/day/m.txt"),
            ("s3://acme-in/daylight/a.csv", "s3://acme-in/day/m.txt"),
            ("s3://acme-in/day/", "s3://acme-in/day/m.txt"),
            ("s3://acme-out/day/a.csv", "s3://acme-in/day/m.txt"),
            ("/etc/passwd", "s3://acme-in/day/m.txt"),
            ("/etc/passwd", "m.txt"),
            ("/etc/passwd", "/data/in/m.txt"),
            ("file:/etc/passwd", "/data/in/m.txt"),
            ("s3://acme-in/day/a.csv", "/data/in/m.txt"),
        ] {
            let message = lines(text, manifest).unwrap_err();
            assert!(message.contains("is not in"), "{text} in {manifest}: {message}");
        }
        for text in ["../a", "b/../../a", "/data/in/../a"] {
            let message = lines(text, "/data/in/m.txt").unwrap_err();
            assert!(message.contains("leads out of its folder"), "{text}: {message}");
        }
        let within = |within: &str| ConcatSpec { within: Some(within.to_owned()), ..ConcatSpec::default() };
        assert!(names("s3://acme-in/data/a", "s3://acme-in/m/m.txt", &within("s3://acme-in/data/")).is_ok());
        assert!(names("a", "s3://acme-in/m/m.txt", &within("s3://acme-in/data/")).is_err());
        assert!(names("/data/a", "-", &within("/data/")).is_ok());
        assert!(lines("a", "-").unwrap_err().contains("say `within`"));
    }

    #[test]
    fn the_form_of_redshift() {
        let spec = ConcatSpec { manifest: ManifestForm::Redshift, ..ConcatSpec::default() };
        let text = r#"{ "entries": [
            { "url": "s3://acme-in/day/a", "mandatory": true, "meta": { "content_length": 5956875 } },
            { "url": "b" } ], "schema": {} }"#;
        let found = named(text.as_bytes(), &"s3://acme-in/day/m".parse().unwrap(), &spec).unwrap();
        assert_eq!(found[0], Named { uri: "s3://acme-in/day/a".parse().unwrap(), size: Some(5_956_875) });
        assert_eq!(found[1], Named { uri: "s3://acme-in/day/b".parse().unwrap(), size: None });
        let message = names("{\"entries\": [", "s3://acme-in/m", &spec).unwrap_err();
        assert!(message.contains("is no manifest of this form: EOF"), "{message}");
        assert!(
            names(r#"{ "entries": [] }"#, "s3://acme-in/m", &spec).unwrap_err().contains("names no object")
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_its_place() {
        for (text, why) in [
            ("", "names no object"),
            ("\n\r\n", "names no object"),
            ("a\nb\na", "line 3, \"a\", is named twice"),
            ("a\nm.txt", "line 2, \"m.txt\", is the manifest itself"),
            ("s3://", "line 1, \"s3://\", "),
            ("s3://acme-in/day/a\nsub/", ""),
        ] {
            let found = lines(text, "s3://acme-in/day/m.txt");
            match why {
                "" => assert!(found.is_ok(), "a key may end with `/`: {found:?}"),
                why => assert!(found.clone().unwrap_err().contains(why), "{text:?}: {found:?}"),
            }
        }
        let bytes =
            named(b"a\n\xff", &"s3://acme-in/m".parse().unwrap(), &ConcatSpec::default()).unwrap_err();
        assert!(bytes.message.contains("byte 2 is not UTF-8"), "{bytes}");
        let two = ConcatSpec { max_objects: 2, ..ConcatSpec::default() };
        let many = named(b"a\nb\nc", &"s3://acme-in/m".parse().unwrap(), &two).unwrap_err();
        assert_eq!(many.code, Code::LimitObjects);
        assert!(many.message.contains("3 objects") && many.message.contains('2'), "{many}");
    }
}
