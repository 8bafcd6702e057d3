//! `concat`: the objects that a manifest names, one behind the other, instead of the manifest.

use serde_json::{Value, json};

use super::{
    super::{cursor::At, errors::Report, names::word},
    StageSpec, ValidateSpec,
};
use crate::{ObjectUri, text::Word};

pub(in super::super) const FIELDS: &[&str] = &["manifest", "within", "max_objects"];

/// Most objects that one run may join: each is looked at before the first byte moves, and all stand in the receipt.
/// Reasonable default.
pub(in super::super) const MAX_OBJECTS: u64 = 10_000;

/// Objects a run joins at most where the route does not say. Reasonable default.
pub(in super::super) const DEFAULT_OBJECTS: u64 = 1_000;

/// Parameters of `concat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcatSpec {
    /// How the manifest is written. Default [`ManifestForm::Lines`].
    pub manifest: ManifestForm,
    /// Where the objects may be: what stands below this, such as `s3://bucket/folder/`. `None`: in the manifest's own
    /// folder and below. Who writes a manifest must not name what he may not read.
    pub within: Option<String>,
    /// Most objects; more are refused. Default [`DEFAULT_OBJECTS`].
    pub max_objects: u64,
}

/// How a manifest is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestForm {
    /// A name a line.
    #[default]
    Lines,
    /// `{ "entries": [ { "url": … } ] }`, as Amazon Redshift reads and writes it.
    Redshift,
}

impl Word for ManifestForm {
    const WORDS: &'static [(&'static str, Self)] = &[("lines", Self::Lines), ("redshift", Self::Redshift)];
}

impl Default for ConcatSpec {
    fn default() -> Self {
        Self { manifest: ManifestForm::default(), within: None, max_objects: DEFAULT_OBJECTS }
    }
}

pub(in super::super) fn decode(at: &At<'_>, report: &mut Report) -> Option<ConcatSpec> {
    let fields = at.fields(report, FIELDS)?;
    let manifest = fields.or("manifest", ManifestForm::default(), |at| at.word(report));
    let within = fields.or("within", None, |at| within(at, report).map(Some));
    let max_objects = fields.or("max_objects", DEFAULT_OBJECTS, |at| at.integer(report, 1..=MAX_OBJECTS));
    Some(ConcatSpec { manifest: manifest?, within: within?, max_objects: max_objects? })
}

fn within(at: &At<'_>, report: &mut Report) -> Option<String> {
    let text = at.text(report)?;
    let is_folder = match text.strip_prefix("s3://") {
        // With a name in it, a folder of S3 is an object's place.
        Some(_) => text.ends_with('/') && format!("{text}a").parse::<ObjectUri>().is_ok(),
        None => text.starts_with('/') && text.ends_with('/') && !text.split('/').any(|step| step == ".."),
    };
    match is_folder {
        true => Some(text.to_owned()),
        false => at.fault(
            report,
            "must be a folder: `s3://bucket/folder/`, or an absolute path, with a `/` at its end",
        ),
    }
}

pub(in super::super) fn encode(spec: &ConcatSpec) -> Value {
    let mut value = json!({ "manifest": word(spec.manifest), "max_objects": spec.max_objects });
    if let Some(within) = &spec.within {
        value["within"] = within.as_str().into();
    }
    value
}

/// What is joined is named by the source, and by nothing else.
pub(in super::super) fn check_place(stages: &[StageSpec], report: &mut Report) {
    for (at, stage) in stages.iter().enumerate() {
        match stage {
            StageSpec::Concat(_) if at > 0 => report.add(
                format!("/stages/{at}"),
                "joins the objects that the source names; make it the first stage",
            ),
            StageSpec::Validate(ValidateSpec::Sidecar(_)) if matches!(stages[0], StageSpec::Concat(_)) => report
                .add(
                    format!("/stages/{at}/validate/sidecar"),
                    "is of the file it stands beside, which is the manifest and not what is joined; leave it out",
                ),
            _ => {}
        }
    }
}
