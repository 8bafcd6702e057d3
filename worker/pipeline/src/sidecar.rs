//! The file beside an object that says its digest, as `sha256sum` and its like write it.
//!
//! | form | written by |
//! |---|---|
//! | `<hex>  name`, `<hex> *name` | GNU coreutils; a `\\` before it: line ends and backslashes in the name are escaped |
//! | `SHA256 (name) = <hex>` | BSD, `sha256sum --tag`, `openssl dgst` |
//! | `<hex>` | by hand; only where nothing else stands in the file |
//!
//! Empty lines and lines after `#` are passed over, and so are lines of other files. A name may stand with a folder
//! before it. What is not understood is refused: a sidecar is read to be sure.

use eft_domain::{
    Code, Failure,
    route::{SidecarDigest, SidecarSpec, StageSpec, ValidateSpec},
};

use crate::stage::records::shown;

/// Largest sidecar that is read, in bytes: a list of 10,000 files. A sidecar is held in memory. None, reasonable default.
pub const MAX_SIDECAR: u64 = 1 << 20;

/// What an object's sidecar says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which digest.
    pub digest: SidecarDigest,
    /// Its bytes, as many as it has.
    pub bytes: Vec<u8>,
    /// The sidecar, for messages.
    pub sidecar: String,
}

impl Expected {
    /// Something to plan with where no source is at hand.
    pub fn placeholder(spec: &SidecarSpec) -> Self {
        Self { digest: spec.digest, bytes: vec![0; spec.digest.bytes()], sidecar: spec.object.clone() }
    }

    /// The digest in hexadecimal.
    pub fn to_hex(&self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The sidecar that a route asks for.
pub fn wanted(stages: &[StageSpec]) -> Option<&SidecarSpec> {
    stages.iter().find_map(|stage| match stage {
        StageSpec::Validate(ValidateSpec::Sidecar(spec)) => Some(spec),
        _ => None,
    })
}

/// A line of a sidecar.
struct Line<'a> {
    digest: &'a [u8],
    /// `None`: the digest stands alone.
    name: Option<Vec<u8>>,
}

/// Read what `text`, the content of `sidecar`, says of the file with this name.
///
/// # Errors
/// `sidecar.invalid`: it is no list of digests, has no digest of this kind for this name, or two that differ.
pub fn expected(text: &[u8], sidecar: &str, name: &str, digest: SidecarDigest) -> Result<Expected, Failure> {
    let refused = |what: String| Failure::new(Code::SidecarInvalid, format!("{sidecar}: {what}"));
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut found, mut others, mut alone) = (None::<Vec<u8>>, 0_u64, false);
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let read = read(line)
            .ok_or_else(|| refused(format!("line {number} is no digest with a name: {}", shown(line))))?;
        if alone || (read.name.is_none() && (found.is_some() || others > 0)) {
            return Err(refused(format!(
                "line {number} is not alone, and a digest without a name has to be"
            )));
        }
        alone = read.name.is_none();
        if read.name.as_ref().is_some_and(|read| !names(read, name.as_bytes())) {
            others += 1;
            continue;
        }
        let bytes = hex(read.digest, digest.bytes()).ok_or_else(|| {
            let (word, len) = (digest.as_str(), 2 * digest.bytes());
            refused(format!(
                "line {number} has {} digits, a {word} has {len}, all hexadecimal",
                read.digest.len()
            ))
        })?;
        match &found {
            Some(first) if *first != bytes => {
                return Err(refused(format!(
                    "line {number} names the file a second time, with another digest"
                )));
            }
            _ => found = Some(bytes),
        }
    }
    match found {
        Some(bytes) => Ok(Expected { digest, bytes, sidecar: sidecar.to_owned() }),
        None if others == 0 => Err(refused("it is empty".to_owned())),
        None => Err(refused(format!("it has the digests of {others} other files and none of `{name}`"))),
    }
}

/// A name in a sidecar, with or without a folder.
fn names(read: &[u8], name: &[u8]) -> bool {
    let is = |read: &[u8]| {
        read.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    };
    is(read) || is(read.trim_ascii_start())
}

fn read(line: &[u8]) -> Option<Line<'_>> {
    tagged(line).or_else(|| plain(line))
}

/// `SHA256 (name) = hex`, and as openssl writes it, `SHA2-256(name)= hex`.
fn tagged(line: &[u8]) -> Option<Line<'_>> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')').filter(|close| open < *close)?;
    let digest = line[close + 1..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
    let (tag, name) = (line[..open].trim_ascii_end(), &line[open + 1..close]);
    let (tag, name) = match tag.strip_prefix(b"\\") {
        Some(tag) => (tag, unescaped(name)?),
        None => (tag, name.to_vec()),
    };
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (!tag.is_empty() && tag.iter().all(word) && is_hex(digest)).then_some(Line { digest, name: Some(name) })
}

/// `hex  name`, `hex *name` or `hex`.
fn plain(line: &[u8]) -> Option<Line<'_>> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(line) => (true, line),
        None => (false, line),
    };
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (digest, name) = line.split_at(end);
    // Between them stand a space and how the file was read, ` ` or `*`; by hand, any white space.
    let read = name.strip_prefix(b"  ").or_else(|| name.strip_prefix(b" *"));
    let name = read.unwrap_or_else(|| name.trim_ascii_start());
    let name = match (name.trim_ascii().is_empty(), escaped) {
        (true, true) => return None,
        (true, false) => None,
        (false, true) => Some(unescaped(name)?),
        (false, false) => Some(name.to_vec()),
    };
    is_hex(digest).then_some(Line { digest, name })
}

fn is_hex(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit)
}

/// As coreutils escapes a name: `\\`, `\n` and `\r`.
fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = name.iter();
    let mut plain = Vec::with_capacity(name.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(plain)
}

fn hex(text: &[u8], len: usize) -> Option<Vec<u8>> {
    if text.len() != 2 * len {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.chunks_exact(2).map(|pair| u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(text: &str) -> Result<String, String> {
        let found = expected(text.as_bytes(), "s", "a b.csv", SidecarDigest::Sha256);
        let found = found.map_err(|failure| {
            assert_eq!(failure.code, Code::SidecarInvalid);
            failure.message
        })?;
        Ok(found.bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    #[test]
    fn every_form_is_read() {
        let other = HEX.replace('b', "c");
        for text in [
            HEX.to_owned(),
            format!("{HEX}\r\n"),
            format!("\u{feff}# by hand\n\n {HEX}\n"),
            format!("{HEX}  a b.csv\n"),
            format!("{HEX} *a b.csv"),
            format!("{}\ta b.csv", HEX.to_uppercase()),
            format!("{HEX}     a b.csv"),
            format!("{HEX}  ./out/a b.csv"),
            format!("SHA256 (a b.csv) = {HEX}\n"),
            format!("SHA2-256(out/a b.csv)= {HEX}\n"),
            format!("\\SHA256 (a b.csv) = {HEX}\n"),
            format!("{other}  a.csv\n{HEX}  a b.csv\n{other}  xa b.csv\nbeef  (old).csv\n"),
            format!("{HEX}  a b.csv\n{HEX}  x/a b.csv\n"),
        ] {
            assert_eq!(read(&text).as_deref(), Ok(HEX), "{text}");
        }
    }

    #[test]
    fn what_is_not_sure_is_refused() {
        let other = HEX.replace('b', "c");
        for (text, says) in [
            (String::new(), "it is empty"),
            ("# nothing\n".to_owned(), "it is empty"),
            (format!("{HEX}  b.csv"), "the digests of 1 other files and none of `a b.csv`"),
            (format!("{HEX}\n{HEX}\n"), "line 2 is not alone"),
            (format!("{HEX}\n{HEX}  a b.csv\n"), "line 2 is not alone"),
            (format!("{HEX}  b.csv\n{HEX}\n"), "line 2 is not alone"),
            (format!("{HEX}  a b.csv\n{other}  a b.csv\n"), "line 2 names the file a second time"),
            (format!("{}  a b.csv\n", &HEX[1..]), "line 1 has 63 digits, a sha256 has 64"),
            ("<html>".to_owned(), "line 1 is no digest"),
            (format!("\\{HEX}"), "line 1 is no digest"),
            (format!("\\{HEX}  a\\tb"), "line 1 is no digest"),
            (format!("SHA256 (a b.csv) {HEX}\n"), "line 1 is no digest"),
        ] {
            let said = read(&text).unwrap_err();
            assert!(said.starts_with("s: ") && said.contains(says), "{text:?}: {said}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        /// Whatever a name has in it, what coreutils makes of it is found again, among others.
        #[test]
        fn names_come_back(name in "[^/\0]{1,20}", others in proptest::collection::vec("[^/\0]{1,20}", 0..4), how in " |\\*", folder in "(x/)?") {
            prop_assume!(others.iter().chain([&name]).all(|name| !name.trim().is_empty()));
            prop_assume!(!others.iter().any(|other| other.trim_start() == name.trim_start()));
            let line = |name: &str, hex: &str| {
                let escaped = name.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r");
                let mark = if escaped == name { "" } else { "\\" };
                format!("{mark}{hex} {how}{folder}{escaped}\n")
            };
            let wrong = HEX.replace('b', "c");
            let mut text: String = others.iter().map(|name| line(name, &wrong)).collect();
            text.push_str(&line(&name, HEX));
            let found = expected(text.as_bytes(), "s", &name, SidecarDigest::Sha256).unwrap();
            prop_assert_eq!(found.bytes[0], 0xba);
        }

        #[test]
        fn anything_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(found) = expected(&text, "s", "a", SidecarDigest::Md5) {
                prop_assert_eq!(found.bytes.len(), 16);
            }
        }
    }
}
