//! Sidecars: what is read of one is the digest it holds.

use eft_domain::{Code, route::SidecarDigest};
use eft_pipeline::sidecar::expected;

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
