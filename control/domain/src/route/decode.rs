//! From the tree to a [`Route`]. Nothing stops at the first fault.

use super::{
    Archive, CompleteWhen, Destination, Digest, Encryption, HeadOfLine, Limits, Match, Ordering, Profile,
    Route, S3Destination, SMALL_MAX, StorageOptions,
    cursor::{At, Fields},
    decode_stage,
    errors::{Report, quoted},
    names,
};
use crate::{ByteSize, object::MAX_KEY_BYTES};

const ANY_SIZE: std::ops::RangeInclusive<ByteSize> = ByteSize(1)..=ByteSize(u64::MAX);

/// None, reasonable default: no file has more columns, and a count per column stays small.
const MAX_FIELDS: u64 = 1 << 20;
/// Most entries of an archive a route may allow: their places are held in memory (24 bytes each).
const MAX_ENTRIES: u64 = 100_000;

/// Deeper than any document people exchange; a checker keeps a bit a level, a parser of ours none of them on its stack.
const MAX_DEPTH: u64 = 1_000;

/// Gzip reaches 1,032, zstd far more; above a million the limit says nothing.
const MAX_RATIO: u64 = 1_000_000;

pub(super) fn route(root: &At<'_>, profile: Profile, report: &mut Report) -> Option<Route> {
    let fields = root.fields(report, names::ROUTE)?;
    for name in profile.needs() {
        if fields.get(name).is_none() {
            report.add("", format!("`{name}` is missing: a saved route needs it"));
        }
    }
    let default = Route::identity();
    // All fields are read before the first `?`: every fault is in the report by then.
    let id = fields.get("id").map(|at| at.parse(report));
    let tenant = fields.get("tenant").map(|at| at.parse(report));
    let matches = fields.get("match").map(|at| matching(at, report));
    let complete_when = fields.or("complete_when", CompleteWhen::Immediate, |at| at.parse(report));
    let on_empty = fields.or("on_empty", default.on_empty, |at| at.word(report));
    let limits = fields.or("limits", default.limits, |at| limits(at, report));
    let stages = fields.or("stages", Vec::new(), |at| each(at, report, decode_stage::stage));
    let digests = fields.or("digests", Vec::new(), |at| digests(at, report));
    let destinations = fields.or("destinations", Vec::new(), |at| each(at, report, destination));
    if destinations.as_ref().is_some_and(Vec::is_empty)
        && profile != Profile::Cli
        && let Some(at) = fields.get("destinations")
    {
        report.add(at.path.clone(), "is empty: a saved route needs a destination");
    }
    let archive = fields.get("archive").map(|at| archive(at, report));
    let executor = fields.or("executor", default.executor, |at| at.word(report));
    let small = fields.or("small", SMALL_MAX, |at| at.size(report, ByteSize(0)..=SMALL_MAX));
    let ordering = fields.or("ordering", Ordering::None, |at| ordering(at, report));
    let rpo = fields.or("rpo", default.rpo, |at| at.word(report));
    Some(Route {
        id: flat(id)?,
        tenant: flat(tenant)?,
        matches: flat(matches)?,
        complete_when: complete_when?,
        on_empty: on_empty?,
        limits: limits?,
        stages: stages?,
        digests: digests?,
        destinations: destinations?,
        archive: flat(archive)?,
        executor: executor?,
        small: small?,
        ordering: ordering?,
        rpo: rpo?,
    })
}

/// An optional field that was read: absent, faulty (`None`), or there.
fn flat<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

fn each<T>(
    at: &At<'_>,
    report: &mut Report,
    read: impl Fn(&At<'_>, &mut Report) -> Option<T>,
) -> Option<Vec<T>> {
    let items: Vec<_> = at.list(report)?.iter().map(|item| read(item, report)).collect();
    items.into_iter().collect()
}

fn matching(at: &At<'_>, report: &mut Report) -> Option<Match> {
    let fields = at.fields(report, names::MATCH)?;
    let bounded = |at: &At<'_>, report: &mut Report| match at.text(report)? {
        "" => at.fault(report, "must not be empty"),
        text if text.len() > MAX_KEY_BYTES => at.fault(report, "is longer than a key can be (1,024 bytes)"),
        text => Some(text.to_owned()),
    };
    let prefix = fields.need(report, "prefix").map(|at| bounded(at, report));
    let glob = fields.get("glob").map(|at| bounded(at, report));
    Some(Match { prefix: prefix.flatten()?, glob: flat(glob)? })
}

fn limits(at: &At<'_>, report: &mut Report) -> Option<Limits> {
    let fields = at.fields(report, names::LIMITS)?;
    let default = Limits::default();
    let small = |at: &At<'_>, report: &mut Report, high| {
        at.integer(report, 1..=high).and_then(|value| u32::try_from(value).ok())
    };
    let input = fields.or("max_input_bytes", default.max_input_bytes, |at| at.size(report, ANY_SIZE));
    let output = fields.or("max_output_bytes", default.max_output_bytes, |at| at.size(report, ANY_SIZE));
    let ratio = fields.or("max_ratio", default.max_ratio, |at| small(at, report, MAX_RATIO));
    let record = fields.or("max_record_bytes", default.max_record_bytes, |at| at.size(report, ANY_SIZE));
    let columns = fields.or("max_fields", default.max_fields, |at| small(at, report, MAX_FIELDS));
    let entries = fields.or("max_entries", default.max_entries, |at| small(at, report, MAX_ENTRIES));
    let depth = fields.or("max_depth", default.max_depth, |at| small(at, report, MAX_DEPTH));
    let errors = fields.or("max_errors", default.max_errors, |at| at.integer(report, 0..=u64::MAX));
    Some(Limits {
        max_input_bytes: input?,
        max_output_bytes: output?,
        max_ratio: ratio?,
        max_record_bytes: record?,
        max_fields: columns?,
        max_entries: entries?,
        max_depth: depth?,
        max_errors: errors?,
    })
}

fn digests(at: &At<'_>, report: &mut Report) -> Option<Vec<Digest>> {
    let mut found: Vec<Digest> = Vec::new();
    for item in at.list(report)? {
        if item.as_text() == Some("crc64nvme") {
            report.add(item.path, "`crc64nvme` is always computed: leave it out");
            continue;
        }
        match item.word(report) {
            Some(digest) if found.contains(&digest) => {
                report.add(item.path, format!("`{digest}` stands here a second time"));
            }
            Some(digest) => found.push(digest),
            None => {}
        }
    }
    found.sort();
    Some(found)
}

fn archive(at: &At<'_>, report: &mut Report) -> Option<Archive> {
    let fields = at.fields(report, names::ARCHIVE)?;
    let default = Archive::default();
    let storage_class = fields.or("storage_class", default.storage_class, |at| at.word(report));
    let original = fields.or("original", default.original, |at| at.boolean(report));
    Some(Archive { storage_class: storage_class?, original: original? })
}

fn ordering(at: &At<'_>, report: &mut Report) -> Option<Ordering> {
    match at.as_text() {
        Some("none") => Some(Ordering::None),
        Some("strict") => Some(Ordering::Strict(HeadOfLine::Block)),
        Some(other) => at.fault(
            report,
            format!("{} is not one of none, strict, {{ strict: block | hold_and_continue }}", quoted(other)),
        ),
        None => {
            let fields = at.fields(report, names::ORDERING)?;
            fields.need(report, "strict")?.word(report).map(Ordering::Strict)
        }
    }
}

/// The one field of a mapping such as `{ s3: … }`: its name and its value.
pub(super) fn only<'a>(
    at: &At<'a>,
    report: &mut Report,
    what: &str,
    known: &'static [&'static str],
) -> Option<(&'a str, At<'a>)> {
    let list = known.join(", ");
    let mut entries = at.entries(report)?;
    if entries.len() != 1 {
        return at.fault(report, format!("must name one {what}, names {}; known are {list}", entries.len()));
    }
    let (name, inner) = entries.swap_remove(0);
    if known.contains(&name) {
        return Some((name, inner));
    }
    let hint = super::errors::did_you_mean(name, known.iter().copied());
    report.add(inner.path, format!("unknown {what} {}, known are {list}{hint}", quoted(name)));
    None
}

fn destination(at: &At<'_>, report: &mut Report) -> Option<Destination> {
    let (_, inner) = only(at, report, "destination", names::DESTINATIONS)?;
    let fields = inner.fields(report, names::S3)?;
    let bucket = fields.need(report, "bucket").map(|at| at.parse(report));
    let key = fields.need(report, "key").map(|at| at.parse(report));
    let region = fields.get("region").map(|at| pattern(at, report, "a region such as eu-west-1", is_region));
    let on_existing = fields.or("on_existing", super::OnExisting::Fail, |at| at.word(report));
    let storage = storage(&fields, report);
    Some(Destination::S3(S3Destination {
        bucket: bucket.flatten()?,
        key: key.flatten()?,
        region: flat(region)?,
        on_existing: on_existing?,
        storage: storage?,
    }))
}

fn storage(fields: &Fields<'_>, report: &mut Report) -> Option<StorageOptions> {
    let storage_class = fields.get("storage_class").map(|at| at.word(report));
    let encryption = fields.get("encryption").map(|at| encryption(at, report));
    let content_type = fields
        .get("content_type")
        .map(|at| pattern(at, report, "a content type such as text/csv", is_header));
    let metadata = fields.or("metadata", Default::default(), |at| texts_by_name(at, report));
    let tags = fields.or("tags", Default::default(), |at| texts_by_name(at, report));
    let owner = fields
        .get("expected_owner")
        .map(|at| pattern(at, report, "an account number of 12 digits, in quotes", is_account));
    Some(StorageOptions {
        storage_class: flat(storage_class)?,
        encryption: flat(encryption)?,
        content_type: flat(content_type)?,
        metadata: metadata?,
        tags: tags?,
        expected_owner: flat(owner)?,
    })
}

fn encryption(at: &At<'_>, report: &mut Report) -> Option<Encryption> {
    match at.as_text() {
        Some("s3") => Some(Encryption::S3),
        Some(other) => at.fault(report, format!("{} is not s3 or {{ kms: <key> }}", quoted(other))),
        None => {
            let fields = at.fields(report, names::ENCRYPTION)?;
            let key = fields.need(report, "kms")?;
            pattern(key, report, "a KMS key id, alias or ARN", is_header).map(Encryption::Kms)
        }
    }
}

fn texts_by_name(at: &At<'_>, report: &mut Report) -> Option<std::collections::BTreeMap<String, String>> {
    let values: Vec<_> = at
        .entries(report)?
        .iter()
        .map(|(name, at)| Some(((*name).to_owned(), at.text(report)?.to_owned())))
        .collect();
    values.into_iter().collect()
}

fn pattern(at: &At<'_>, report: &mut Report, what: &str, fits: fn(&str) -> bool) -> Option<String> {
    match at.text(report)? {
        text if fits(text) => Some(text.to_owned()),
        text => at.fault(report, format!("{} is not {what}", quoted(text))),
    }
}

fn is_region(text: &str) -> bool {
    (4..=32).contains(&text.len())
        && text.contains('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Fits into a header: visible ASCII and inner spaces.
fn is_header(text: &str) -> bool {
    (1..=2048).contains(&text.len())
        && text.trim() == text
        && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}
