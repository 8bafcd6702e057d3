//! Contradictions: routes that are well formed and can never do what they say. Refused on save, all at once.
//!
//! The bytes are followed through the stages as far as the route knows them: what it compressed itself, and what the
//! glob of its match says of the source. A source nobody described is taken as it comes.

use std::collections::{BTreeMap, HashSet};

use super::{
    Charset, Codec, Columns, CompressSpec, CsvSpec, Destination, KeyTemplate, Limits, Placeholder, Route,
    StageSpec, ValidateSpec,
    decode_stage::level_range,
    errors::{Report, join, quoted},
    stage::{
        concat, csv_project, csv_to_jsonl, csv_to_parquet, ebcdic, fixed_width, jsonl, magic, records, scan,
        sidecar, split, trailer, unique, zip,
    },
};
use crate::ByteSize;

/// Every contradiction of a route.
pub(super) fn route(route: &Route, report: &mut Report) {
    limits(&route.limits, report);
    encodings(route, report);
    charsets(route, report);
    sidecar::check(&route.stages, report);
    for (at, stage) in route.stages.iter().enumerate() {
        let path = format!("/stages/{at}");
        match stage {
            StageSpec::Validate(ValidateSpec::Csv(spec)) => {
                csv(spec, "columns", &route.limits, &format!("{path}/validate/csv"), report);
            }
            StageSpec::CsvProject(spec) => {
                csv_project::check(spec, &route.limits, &format!("{path}/csv_project"), report);
            }
            StageSpec::CsvToJsonl(spec) => {
                csv_to_jsonl::check(spec, &route.limits, &format!("{path}/csv_to_jsonl"), report);
            }
            StageSpec::CsvToParquet(spec) => {
                csv_to_parquet::check(spec, &route.limits, &format!("{path}/csv_to_parquet"), report);
            }
            StageSpec::Validate(ValidateSpec::Unique(spec)) => {
                unique::check(spec, &format!("{path}/validate/unique"), report);
            }
            StageSpec::Validate(ValidateSpec::FixedWidth(spec)) => {
                fixed_width::check(spec, &route.limits, &format!("{path}/validate/fixed_width"), report);
            }
            StageSpec::Validate(ValidateSpec::Trailer(spec)) => {
                trailer::check(spec, &format!("{path}/validate/trailer"), report);
            }
            StageSpec::Drop(spec) => {
                records::check_drop(spec, &route.limits, &format!("{path}/drop"), report)
            }
            StageSpec::Split(spec) => split::check(spec, &format!("{path}/split"), report),
            StageSpec::Head(spec) => records::check_records(&spec.records, &format!("{path}/head"), report),
            StageSpec::Ebcdic(spec) => ebcdic::check(spec, &route.limits, &format!("{path}/ebcdic"), report),
            StageSpec::Validate(ValidateSpec::Jsonl(spec)) => {
                jsonl::check(spec, route.limits.max_depth, &format!("{path}/validate/jsonl"), report);
            }
            StageSpec::Compress(CompressSpec { codec, level }) => {
                let range = level_range(*codec);
                if !u64::try_from(*level).is_ok_and(|level| range.contains(&level)) {
                    let (low, high) = (range.start(), range.end());
                    report.add(
                        format!("{path}/compress/level"),
                        format!("must be from {low} to {high}, is {level}"),
                    );
                }
            }
            _ => {}
        }
    }
    concat::check_place(&route.stages, report);
    scan::check_place(&route.stages, report);
    split::check_place(&route.stages, report);
    destinations(route, report);
}

fn limits(limits: &Limits, report: &mut Report) {
    let record = limits.max_record_bytes;
    let larger = limits.max_input_bytes.max(limits.max_output_bytes);
    // The default may be larger than a small file: nobody wrote it.
    if record > larger && record != Limits::default().max_record_bytes {
        report.add(
            "/limits/max_record_bytes",
            format!("a record of {record} never fits a file of at most {larger}; lower it or raise the file's limit"),
        );
    }
}

/// What is known of the bytes between two stages.
#[derive(Clone, Copy, PartialEq)]
enum Bytes {
    /// Nothing.
    Unknown,
    /// The glob says the source has this codec.
    Source(&'static str),
    /// The stage with this number made it.
    Made(&'static str, usize),
    /// The stage with this number made an OpenPGP message of it.
    Message(usize),
    /// The stage with this number made a Parquet file.
    Parquet(usize),
}

impl Bytes {
    /// The codec they are in, and whose word that is.
    fn codec(self) -> Option<(&'static str, String)> {
        match self {
            Self::Unknown | Self::Parquet(_) | Self::Message(_) => None,
            Self::Source(codec) => Some((codec, "`match.glob` says the files are".to_owned())),
            Self::Made(codec, by) => Some((codec, format!("stage {by} has just written"))),
        }
    }
}

fn source(route: &Route) -> Bytes {
    if route.joins().is_some() {
        // The glob speaks of the manifest.
        return Bytes::Unknown;
    }
    let glob = route.matches.as_ref().and_then(|matches| matches.glob.as_deref()).unwrap_or_default();
    match glob.rsplit_once('.').map(|(_, extension)| extension) {
        Some("bz2") => Bytes::Source(Codec::Bzip2.as_str()),
        Some("gz") => Bytes::Source(Codec::Gzip.as_str()),
        Some("xz") => Bytes::Source(Codec::Xz.as_str()),
        Some("zip") => Bytes::Source(zip::WORD),
        Some("zst") => Bytes::Source(Codec::Zstd.as_str()),
        _ => Bytes::Unknown,
    }
}

/// What a stage that needs text does with it; `None` for one that takes any bytes.
fn verb(stage: &StageSpec) -> Option<&'static str> {
    match stage {
        StageSpec::Compress(_) | StageSpec::Decompress(_) | StageSpec::Unzip(_) | StageSpec::Zip(_) => None,
        StageSpec::Concat(_) | StageSpec::Scan(_) => None,
        StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_) => None,
        StageSpec::PgpEncrypt(_) | StageSpec::PgpSign(_) => None,
        StageSpec::CsvProject(_) | StageSpec::CsvToJsonl(_) | StageSpec::CsvToParquet(_) => Some("reads"),
        // Its own check knows which types are no text.
        StageSpec::Validate(ValidateSpec::Magic(_) | ValidateSpec::Sidecar(_)) => None,
        StageSpec::Validate(_) => Some("checks"),
        StageSpec::Drop(_) | StageSpec::Head(_) | StageSpec::Split(_) => Some("cuts"),
        StageSpec::Charset(_) | StageSpec::Ebcdic(_) | StageSpec::Newline(_) | StageSpec::StripBom => {
            Some("rewrites")
        }
    }
}

/// Why text cannot be read from such bytes.
fn unreadable(verb: &str, bytes: Bytes) -> Option<String> {
    match bytes {
        Bytes::Unknown => None,
        Bytes::Source(codec) => Some(format!(
            "{verb} the content of files that `match.glob` says are {codec}; decompress them first \
             (`- decompress: {{ codec: {codec} }}`) or correct the glob"
        )),
        Bytes::Made(codec, by) => Some(format!(
            "{verb} the content of what stage {by} has compressed with {codec}; move it before stage {by}"
        )),
        Bytes::Message(by) => {
            Some(format!("{verb} what stage {by} has made an OpenPGP message of; move it before stage {by}"))
        }
        Bytes::Parquet(by) => {
            Some(format!("{verb} text, and stage {by} has written Parquet; move it before stage {by}"))
        }
    }
}

fn encodings(route: &Route, report: &mut Report) {
    let mut bytes = source(route);
    for (at, stage) in route.stages.iter().enumerate() {
        let path = format!("/stages/{at}");
        if let Some(problem) = verb(stage).and_then(|verb| unreadable(verb, bytes)) {
            report.add(path.clone(), problem);
        }
        match (stage, bytes) {
            (StageSpec::Validate(ValidateSpec::Magic(spec)), bytes) => {
                magic::check(spec, bytes.codec(), &format!("{path}/validate/magic"), report);
            }
            (StageSpec::Compress(_) | StageSpec::Zip(_), Bytes::Message(by)) if is_encrypted(&route.stages[by]) => report.add(
                path,
                format!(
                    "compresses what stage {by} has encrypted, which gains nothing; move it before stage {by}"
                ),
            ),
            (StageSpec::PgpEncrypt(_) | StageSpec::PgpSign(_), Bytes::Message(by)) => report.add(
                path,
                format!(
                    "makes a message of the message of stage {by}; use one `pgp_encrypt` with `sign_with`"
                ),
            ),
            (
                StageSpec::Decompress(_) | StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_),
                Bytes::Message(by),
            ) => report.add(
                path,
                format!("reads what stage {by} has made an OpenPGP message of; move it before stage {by}"),
            ),
            (StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_), Bytes::Made(codec, by)) => report.add(
                path,
                format!("reads a message, but stage {by} has just written {codec}; remove one of them"),
            ),
            (StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_), Bytes::Parquet(by)) => report.add(
                path,
                format!("reads a message, but stage {by} has just written Parquet; remove one of them"),
            ),
            (StageSpec::Decompress(spec), Bytes::Parquet(by)) => report.add(
                path,
                format!(
                    "reads {}, but stage {by} has just written Parquet; remove one of them",
                    spec.codec.as_str()
                ),
            ),
            (StageSpec::Decompress(spec), Bytes::Made(codec, by)) if spec.codec.as_str() == codec => {
                report.add(path, format!("undoes what stage {by} has just done; remove both"));
            }
            (StageSpec::Decompress(spec), Bytes::Made(codec, by)) => report.add(
                path,
                format!(
                    "reads {}, but stage {by} has just written {codec}; remove one of them",
                    spec.codec.as_str()
                ),
            ),
            (StageSpec::Decompress(spec), Bytes::Source(codec)) if spec.codec.as_str() != codec => {
                report.add(path, mismatch(spec.codec.as_str(), codec));
            }
            (StageSpec::Unzip(_), _) if at > 0 => report.add(
                path,
                "reads an archive by the directory at its end, which only the source has; make it the first stage",
            ),
            (StageSpec::Unzip(_), Bytes::Source(codec)) if codec != zip::WORD => {
                report.add(path, mismatch(zip::WORD, codec));
            }
            (StageSpec::Compress(_) | StageSpec::Zip(_), Bytes::Made(codec, by)) if made(stage) == codec => {
                report.add(
                    path,
                    format!("compresses with {codec} what stage {by} has just compressed with it; remove one"),
                );
            }
            _ => {}
        }
        bytes = match stage {
            StageSpec::CsvProject(_)
            | StageSpec::CsvToJsonl(_)
            | StageSpec::Decompress(_)
            | StageSpec::Unzip(_) => Bytes::Unknown,
            StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_) => Bytes::Unknown,
            StageSpec::PgpEncrypt(_) | StageSpec::PgpSign(_) => Bytes::Message(at),
            StageSpec::CsvToParquet(_) => Bytes::Parquet(at),
            StageSpec::Compress(_) | StageSpec::Zip(_) => Bytes::Made(made(stage), at),
            _ => bytes,
        };
    }
}

fn mismatch(reads: &str, glob: &str) -> String {
    format!("reads {reads}, but `match.glob` says the files are {glob}; correct one of them")
}

/// The codec a stage compresses with.
fn made(stage: &StageSpec) -> &'static str {
    match stage {
        StageSpec::Compress(spec) => spec.codec.as_str(),
        _ => zip::WORD,
    }
}

fn is_encrypted(stage: &StageSpec) -> bool {
    matches!(stage, StageSpec::PgpEncrypt(_))
}

/// Text that was made UTF-8 is that from there on.
fn charsets(route: &Route, report: &mut Report) {
    let (mut made, mut lines) = (None, None);
    for (at, stage) in route.stages.iter().enumerate() {
        match (stage, made) {
            (StageSpec::Charset(spec), Some(by)) if spec.from != Charset::UTF_8 => report.add(
                format!("/stages/{at}/charset/from"),
                format!("is {}, but stage {by} has made UTF-8; remove one of them", spec.from.name()),
            ),
            (StageSpec::Ebcdic(_), Some(by)) => report.add(
                format!("/stages/{at}/ebcdic"),
                format!("reads EBCDIC, but stage {by} has made UTF-8; remove one of them"),
            ),
            (StageSpec::Ebcdic(_), _) => made = Some(at),
            (StageSpec::Charset(spec), _) => {
                if let (Some(by), true) = (lines, spec.from.is_wide()) {
                    report.add(
                        format!("/stages/{by}"),
                        format!("looks for single bytes in {}; move it behind stage {at}", spec.from.name()),
                    );
                }
                made = Some(at);
            }
            (StageSpec::Newline(_), None) => lines = Some(at),
            (StageSpec::Decompress(_) | StageSpec::Compress(_) | StageSpec::Zip(_), _) => {
                (made, lines) = (None, None)
            }
            (StageSpec::PgpDecrypt(_) | StageSpec::PgpVerify(_), _) => (made, lines) = (None, None),
            (StageSpec::PgpEncrypt(_) | StageSpec::PgpSign(_), _) => (made, lines) = (None, None),
            _ => {}
        }
    }
}

/// A dialect, its columns and its rules; `named` is the field with the names of a file without a header.
pub(super) fn csv(spec: &CsvSpec, named: &str, limits: &Limits, path: &str, report: &mut Report) {
    if spec.quote == Some(spec.delimiter) {
        report.add(join(path, "quote"), "is the delimiter as well; choose another, or `quote: false`");
    }
    if spec.escape == Some(spec.delimiter) {
        report.add(join(path, "escape"), "is the delimiter as well; choose another");
    }
    if spec.escape.is_some() && spec.quote.is_none() {
        report.add(
            join(path, "escape"),
            "has a meaning inside quotes only, and `quote` is false; leave it out",
        );
    }
    if spec.escape.is_some() && spec.escape == spec.quote {
        report.add(join(path, "escape"), "a doubled quote is always read as one; leave `escape` out");
    }
    let (field, names) = match &spec.columns {
        Columns::Header(names) => ("header", Some(names)),
        Columns::Named(names) => (named, Some(names)),
        Columns::FromFile | Columns::Unnamed => ("header", None),
    };
    if let Some(names) = names {
        for (at, name) in repeated(names) {
            report.add(format!("{path}/{field}/{at}"), format!("column {} is named twice", quoted(name)));
        }
        if names.len() > limits.max_fields as usize {
            report.add(
                join(path, field),
                format!("names {} columns, but `limits.max_fields` is {}", names.len(), limits.max_fields),
            );
        }
    }
    for (at, name) in repeated(&spec.not_null) {
        report.add(format!("{path}/not_null/{at}"), format!("column {} is named twice", quoted(name)));
    }
    let uses = spec.types.keys().map(|name| (name, join(&join(path, "types"), name)));
    let not_null = spec.not_null.iter().enumerate().map(|(at, name)| (name, format!("{path}/not_null/{at}")));
    for (name, at) in uses.chain(not_null) {
        match (&spec.columns, names) {
            (_, Some(names)) if !names.contains(name) => {
                let known = names.iter().map(String::as_str);
                let hint = super::errors::did_you_mean(name, known);
                report.add(at, format!("column {} is not in `{field}`{hint}", quoted(name)));
            }
            (Columns::Unnamed, _) => report.add(
                at,
                format!("column {} has no name: say `header: true` or name the `{named}`", quoted(name)),
            ),
            _ => {}
        }
    }
}

/// Names that stood before, with their places.
pub(super) fn repeated(names: &[String]) -> impl Iterator<Item = (usize, &String)> {
    let mut seen = HashSet::new();
    names.iter().enumerate().filter(move |(_, name)| !seen.insert(name.as_str()))
}

fn destinations(route: &Route, report: &mut Report) {
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (at, destination) in route.destinations.iter().enumerate() {
        let Destination::S3(s3) = destination;
        let path = format!("/destinations/{at}/s3");
        match places.entry((s3.bucket.to_string(), s3.key.to_string())) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(at);
            }
            std::collections::btree_map::Entry::Occupied(first) => report.add(
                path.clone(),
                format!(
                    "writes the same object as destination {}; remove one or change its key",
                    first.get()
                ),
            ),
        }
        if route.tenant.is_none() && s3.key.placeholders().any(|used| used == Placeholder::Tenant) {
            report.add(join(&path, "key"), "uses {tenant}, but the route has no `tenant`");
        }
        if let Some(problem) = several(route, &s3.key) {
            report.add(join(&path, "key"), problem);
        }
        storage(&s3.storage, &path, report);
    }
}

/// What is wrong with a key of several objects, or with one of a single object.
fn several(route: &Route, key: &KeyTemplate) -> Option<&'static str> {
    let uses = |placeholder| key.placeholders().any(|used| used == placeholder);
    let (splits, unpacks) = (route.splits(), route.unpacks_several());
    let each = |used: &Placeholder| matches!(used, Placeholder::Number | Placeholder::Entry);
    if key.placeholders().filter(each).count() > 1 {
        return Some("uses {n} or {entry} more than once; keep one of them");
    }
    match (uses(Placeholder::Number), uses(Placeholder::Entry)) {
        (_, true) if splits => Some("uses {entry}, but `split` numbers its objects: use {n}"),
        (_, true) if !unpacks => {
            Some("uses {entry}, but the route takes no entries of an archive by `entries`")
        }
        (true, false) if !splits && !unpacks => Some("uses {n}, but the route makes one object"),
        (false, false) if splits && !key.names_each(Placeholder::Number) => {
            Some("`split` makes several objects: put {n}, their number, into the key")
        }
        _ => None,
    }
}

fn storage(storage: &super::StorageOptions, path: &str, report: &mut Report) {
    let total: usize = storage.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > 1024 {
        let total = ByteSize(total as u64);
        report.add(
            join(path, "metadata"),
            format!("is {total} in all; S3 takes 2 KB, of which EFT keeps half for itself"),
        );
    }
    for (name, value) in &storage.metadata {
        let at = join(&join(path, "metadata"), name);
        let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            report.add(at, "a metadata name is made of a-z, 0-9, `-`, `_` and `.`");
        } else if name.starts_with("eft-") {
            report.add(at, "metadata names with `eft-` are EFT's own; choose another");
        } else if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            report.add(at, "a metadata value is visible ASCII: S3 would store it in another form");
        }
    }
    if storage.tags.len() > 10 {
        report.add(join(path, "tags"), format!("{} tags; S3 takes at most 10", storage.tags.len()));
    }
    for (name, value) in &storage.tags {
        if name.is_empty() || name.chars().count() > 128 || value.chars().count() > 256 {
            report.add(
                join(&join(path, "tags"), name),
                "a tag has a name of 1 to 128 characters and a value of at most 256",
            );
        }
    }
}
