//! Files that say something of others: the digest of one, the names of several.

use std::collections::HashSet;

use eft_domain::{
    Code, ObjectUri,
    route::{ConcatSpec, ManifestForm, SidecarDigest},
};
use eft_pipeline::{manifest::named, sidecar::expected};

/// A sidecar of `a`. What is found stands in it, and a line alone that says the same is read the same.
pub fn sidecar(data: &[u8]) {
    for digest in SidecarDigest::ALL.iter().copied() {
        match expected(data, "s", "a", digest) {
            Ok(found) => {
                let hex = found.to_hex();
                assert_eq!(hex.len(), 2 * digest.bytes());
                let text = data.to_ascii_lowercase();
                assert!(text.windows(hex.len()).any(|window| window == hex.as_bytes()), "{hex} is made up");
                for line in [hex.clone(), format!("{hex}  a\n"), format!("MD5 (x/a) = {hex}\r\n")] {
                    assert_eq!(expected(line.as_bytes(), "s", "a", digest), Ok(found.clone()));
                }
            }
            Err(failure) => {
                assert_eq!(failure.code, Code::SidecarInvalid);
                assert!(failure.message.len() < 1_000 && failure.message.starts_with("s: "));
            }
        }
    }
}

/// A manifest in a folder, of S3 or of files. Whatever it says, nothing outside that folder is named, and nothing twice.
pub fn manifest(data: &[u8]) {
    const MOST: u64 = 4;
    for form in [ManifestForm::Lines, ManifestForm::Redshift] {
        for place in ["s3://acme/f/m", "f/m"] {
            let manifest: ObjectUri = place.parse().expect("a place");
            let spec = ConcatSpec { manifest: form, max_objects: MOST, ..ConcatSpec::default() };
            match named(data, &manifest, &spec) {
                Ok(found) => {
                    assert!((1..=MOST).contains(&(found.len() as u64)));
                    let uris: Vec<_> = found.iter().map(|named| named.uri.clone()).collect();
                    assert_eq!(uris.iter().collect::<HashSet<_>>().len(), uris.len(), "named twice");
                    for uri in &uris {
                        match uri {
                            ObjectUri::S3 { bucket, key, .. } => {
                                assert!(bucket.as_str() == "acme" && key.as_str().starts_with("f/"), "{uri}");
                            }
                            ObjectUri::Local(path) => {
                                assert!(
                                    path.starts_with("f") && !path.iter().any(|step| step == ".."),
                                    "{uri}"
                                );
                            }
                            ObjectUri::Std => panic!("no object"),
                        }
                    }
                    // Whole names say the same.
                    if manifest.is_s3() && uris.iter().all(|uri| !uri.to_string().contains(['\r', '\n'])) {
                        let lines: String = uris.iter().map(|uri| format!("{uri}\n")).collect();
                        let spec = ConcatSpec { manifest: ManifestForm::Lines, ..spec };
                        let again = named(lines.as_bytes(), &manifest, &spec).expect("the same names");
                        assert!(again.iter().map(|named| &named.uri).eq(&uris));
                    }
                }
                Err(failure) => {
                    assert!(matches!(failure.code, Code::ManifestInvalid | Code::LimitObjects), "{failure}");
                    let message = &failure.message;
                    // A name and a reason that repeats it, both cut; a character takes up to ten when it is escaped.
                    assert!(message.len() < 2_500 && !message.chars().any(char::is_control), "{message:?}");
                }
            }
        }
    }
}
