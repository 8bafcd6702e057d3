//! `validate: { sidecar: … }`: a file beside the object says which digest it has.

use serde_json::{Value, json};

use super::super::{
    StageSpec, ValidateSpec,
    cursor::At,
    errors::{Report, quoted},
};

/// Stands for the source's own name in the sidecar's.
const NAME: &str = "{name}";

/// Longest name of a sidecar: as long as an S3 key may be.
const MAX_OBJECT: usize = 1024;

/// Parameters of `validate.sidecar`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarSpec {
    /// The sidecar's name, in the folder of the source; `{name}` stands for the source's own. Default `{name}.sha256`.
    pub object: String,
    /// Which digest it holds. Default: what `object` ends with.
    pub digest: SidecarDigest,
}

words! {
    /// A digest of a sidecar.
    pub enum SidecarDigest {
        /// MD5 (RFC 1321). Finds a damaged file, not a forged one.
        Md5 = "md5",
        /// SHA-1 (FIPS 180-4). Finds a damaged file, not a forged one.
        Sha1 = "sha1",
        /// SHA-256 (FIPS 180-4).
        Sha256 = "sha256",
        /// SHA-512 (FIPS 180-4).
        Sha512 = "sha512",
    }
}

impl SidecarDigest {
    /// Its length in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// As `a.csv.sha256`, `SHA256SUMS` and `sha256sum.txt` say it.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL.iter().copied().find(|digest| name.contains(digest.as_str()))
    }
}

impl Default for SidecarSpec {
    fn default() -> Self {
        Self { object: format!("{NAME}.sha256"), digest: SidecarDigest::Sha256 }
    }
}

impl SidecarSpec {
    /// The name of the sidecar of a source with this name.
    pub fn object_of(&self, name: &str) -> String {
        self.object.replace(NAME, name)
    }
}

pub(in super::super) const FIELDS: &[&str] = &["object", "digest"];

pub(in super::super) fn decode(at: &At<'_>, report: &mut Report) -> Option<SidecarSpec> {
    let fields = at.fields(report, FIELDS)?;
    let object = match fields.get("object") {
        None => Some(SidecarSpec::default().object),
        Some(at) => at.text(report).and_then(|text| object(at, text, report)),
    };
    let digest = match (fields.get("digest"), &object) {
        (Some(at), _) => at.word(report),
        (None, Some(object)) => SidecarDigest::of_name(object).or_else(|| {
            at.fault(
                report,
                format!("which digest {} holds is not clear from its name: add `digest`", quoted(object)),
            )
        }),
        (None, None) => None,
    };
    Some(SidecarSpec { object: object?, digest: digest? })
}

fn object(at: &At<'_>, text: &str, report: &mut Report) -> Option<String> {
    let rest = text.replace(NAME, "x");
    if rest.contains(['{', '}']) {
        return at.fault(report, format!("the only placeholder of {} is {NAME}", quoted(text)));
    }
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    if text.len() > MAX_OBJECT || rest.contains('\\') || !rest.split('/').all(plain) {
        return at.fault(
            report,
            "must be a name in the folder of the source, or of a folder in it, such as `{name}.sha256`",
        );
    }
    if text == NAME {
        return at.fault(report, "is the source itself: name the file beside it, such as `{name}.sha256`");
    }
    Some(text.to_owned())
}

pub(in super::super) fn encode(spec: &SidecarSpec) -> Value {
    json!({ "object": spec.object, "digest": spec.digest })
}

/// A sidecar speaks of the file as it came, and there is one.
pub(in super::super) fn check(stages: &[StageSpec], report: &mut Report) {
    let (mut made, mut first) = (None, None);
    for (at, stage) in stages.iter().enumerate() {
        let path = || format!("/stages/{at}/validate/sidecar");
        match (stage, made, first) {
            (StageSpec::Validate(ValidateSpec::Sidecar(_)), Some(by), _) => report.add(
                path(),
                format!(
                    "speaks of the file as it came, and stage {by} has changed it; move it before stage {by}"
                ),
            ),
            (StageSpec::Validate(ValidateSpec::Sidecar(_)), None, Some(by)) => {
                report.add(path(), format!("stage {by} checks a sidecar already; remove one of them"));
            }
            (StageSpec::Validate(ValidateSpec::Sidecar(_)), None, None) => first = Some(at),
            // What is joined is no file that came; its own check says so.
            (StageSpec::Validate(_) | StageSpec::Concat(_) | StageSpec::Scan(_), ..) => {}
            _ => made = made.or(Some(at)),
        }
    }
}
