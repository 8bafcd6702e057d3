//! Why a transfer did not succeed: one closed list of codes, each with its owner.
//!
//! The code is a contract: it stands in receipts, events, exit codes and the APIs.

use std::fmt;

use crate::text::shown;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The sender's fault: the file is not what was agreed.
    Rejected,
    /// Ours or the destination's: retries are spent, or retrying cannot help.
    Failed,
    /// Waits for somebody to restore access; resumes on request.
    Held,
    /// The request itself is wrong: route, flags or environment.
    Usage,
    /// Stopped by its user.
    Interrupted,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $class:ident, $remedy:literal;)*) => {
        /// A stable failure code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it is written in receipts and messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// Who has to act.
            pub const fn class(self) -> Class {
                match self { $(Code::$name => Class::$class,)* }
            }

            /// Who does what about it, in one sentence.
            pub const fn remedy(self) -> &'static str {
                match self { $(Code::$name => $remedy,)* }
            }
        }
    };
}

codes! {
    /// Records broke the rules of the route more often than it allows.
    Validation = "validation", Rejected,
        "the sender corrects the records in the reject report and sends the file again";
    /// The bytes are not the format they should be.
    FormatCorrupt = "format.corrupt", Rejected,
        "the sender makes the file again and sends it; if it opens elsewhere, report its first kilobyte";
    /// The file ends in the middle of its format.
    FormatTruncated = "format.truncated", Rejected,
        "the sender finishes the upload or makes the file again; check `complete_when` if this recurs";
    /// Bytes follow the end of the format.
    FormatTrailing = "format.trailing", Rejected,
        "the sender removes what follows the end of the format and sends the file again";
    /// The archive has not the entry the route asks for, or not exactly one.
    ArchiveEntry = "archive.entry", Rejected,
        "the sender puts the agreed file into the archive, or the route's owner corrects `entry`";
    /// An entry of the archive could write where it must not, or is not what it seems.
    ArchiveUnsafe = "archive.unsafe", Rejected,
        "the sender makes the archive again with an ordinary tool, from plain files with relative names";
    /// The archive is made in a way that is not read.
    ArchiveUnsupported = "archive.unsupported", Rejected,
        "the sender makes the archive again in one piece, with deflate, no password, and no archive inside";
    /// The file is of a type the route does not take.
    FormatUnexpected = "format.unexpected", Rejected,
        "the sender sends a file of the type that was agreed, or the route's owner adds its type to `types`";
    /// The file uses a part of its format that is not accepted (a DTD, another encoding).
    FormatRefused = "format.refused", Rejected,
        "the sender makes the file without what the message names and sends it again";
    /// The file that holds the digest is not beside the object.
    SidecarMissing = "sidecar.missing", Rejected,
        "the sender puts the sidecar beside the file, before the file itself, and sends the file again";
    /// The file that holds the digest cannot be read as one, or does not name the object.
    SidecarInvalid = "sidecar.invalid", Rejected,
        "the sender makes the sidecar again, as sha256sum writes it, and sends both again";
    /// The object does not have the digest its sidecar holds.
    SidecarMismatch = "sidecar.mismatch", Rejected,
        "the sender sends the file and its sidecar again: one of them was changed, cut or mixed up on the way";
    /// The manifest cannot be read as one, names what it must not, or what it says of an object is not so.
    ManifestInvalid = "manifest.invalid", Rejected,
        "the sender makes the manifest again, of objects in the agreed folder, and sends it when all of them are there";
    /// An object that the manifest names is not there.
    ManifestMissing = "manifest.missing", Rejected,
        "the sender uploads what is missing, and then the manifest again";
    /// An encrypted or signed message is not what it claims to be, or not from who may send it.
    CryptoRefused = "crypto.refused", Rejected,
        "the sender encrypts and signs the file again with the keys agreed and sends it; ask whether it was changed on its way";
    /// A message is not encrypted to any of the keys of the route.
    CryptoNoKey = "crypto.no_key", Rejected,
        "the sender encrypts to the key of the route, or the route's owner adds the key the file is encrypted to";
    /// The object is empty and the route refuses empty objects.
    SourceEmpty = "source.empty", Rejected,
        "the sender sends a file with content, or the route's owner sets `on_empty: accept`";
    /// Larger than `limits.max_input_bytes`.
    LimitInputBytes = "limit.max_input_bytes", Rejected,
        "the sender splits the file, or the route's owner raises `limits.max_input_bytes`";
    /// The output grew over `limits.max_output_bytes`.
    LimitOutputBytes = "limit.max_output_bytes", Rejected,
        "the route's owner raises `limits.max_output_bytes` if such an output is expected";
    /// Decompression grew the input by more than `limits.max_ratio`.
    LimitRatio = "limit.max_ratio", Rejected,
        "the sender checks the file, or the route's owner raises `limits.max_ratio` if it is meant to be that dense";
    /// A record is longer than `limits.max_record_bytes`.
    LimitRecordBytes = "limit.max_record_bytes", Rejected,
        "the sender checks quotes and line ends, or the route's owner raises `limits.max_record_bytes`";
    /// A record has more fields than `limits.max_fields`.
    LimitFields = "limit.max_fields", Rejected,
        "the sender checks the delimiter, or the route's owner raises `limits.max_fields`";
    /// An archive has more entries than `limits.max_entries`.
    LimitEntries = "limit.max_entries", Rejected,
        "the sender sends fewer files in one archive, or the route's owner raises `limits.max_entries`";
    /// Objects, arrays or elements are nested deeper than `limits.max_depth`, or compressed packets deeper than any
    /// program nests them.
    LimitDepth = "limit.max_depth", Rejected,
        "the sender nests the data less, or the route's owner raises `limits.max_depth` if it is that, and meant to be that deep";
    /// A Parquet file would have more row groups than its description may hold.
    LimitRowGroups = "limit.max_row_groups", Rejected,
        "the route's owner raises `row_group_bytes`, or the sender splits the file";
    /// A file has more keys than `validate.unique` has memory for.
    LimitUniqueKeys = "limit.max_unique_keys", Rejected,
        "the sender splits the file, or the route's owner raises `memory` of `unique`, which takes 64 bytes a key";
    /// The format asks for more memory than a stage may use (a zstd window, an xz dictionary).
    LimitWindow = "limit.max_window", Rejected,
        "the sender compresses with a smaller window (zstd without `--long` or `--ultra`, xz at most at level 9)";
    /// A file makes more objects than `split` may make of it.
    LimitOutputs = "limit.max_outputs", Rejected,
        "the route's owner raises `max_outputs` of `split` or cuts less often, or the sender splits the file";
    /// A manifest names more objects than `concat` may join.
    LimitObjects = "limit.max_objects", Rejected,
        "the route's owner raises `max_objects` of `concat`, or the sender makes several manifests";
    /// A file is larger than the scanner is given, or than it takes.
    LimitScanBytes = "limit.max_scan_bytes", Rejected,
        "the sender splits the file, or the route's owner raises `max_bytes` of `scan` and the scanner's limits";
    /// The scanner has found something.
    ScanInfected = "scan.infected", Rejected,
        "the sender looks where the file was made and sends it clean; whoever opened it elsewhere is told";
    /// The object, version or bucket is not there.
    SourceGone = "source.gone", Failed,
        "the sender uploads the file again; check who deletes objects or expires versions";
    /// The object was replaced while it was read and its version could not be pinned.
    SourceChanged = "source.changed", Failed,
        "run it again; turn on versioning of the source bucket so that the version can be pinned";
    /// The source could not be read, retries spent.
    SourceUnavailable = "source.unavailable", Failed,
        "run it again when the source answers; raise the retry time if it is known to be slow";
    /// The bytes read do not have the checksum the source promises.
    IntegritySource = "integrity.source", Failed,
        "run it again; if it recurs, the stored object is damaged: the sender uploads it again";
    /// The bytes written do not have the checksum we sent.
    IntegrityDestination = "integrity.destination", Failed,
        "run it again; if it recurs, do not use the destination endpoint and report it";
    /// Something else stands under the destination name.
    DestinationExists = "destination.exists", Failed,
        "remove or rename what stands there, or set `on_existing` to `replace` or `version`";
    /// The destination bucket or folder is not there.
    DestinationMissing = "destination.missing", Failed,
        "create the bucket or folder, or correct its name in the route";
    /// No room left at the destination.
    DestinationFull = "destination.full", Failed,
        "make room at the destination and run it again";
    /// The destination could not be written, retries spent.
    DestinationUnavailable = "destination.unavailable", Failed,
        "run it again when the destination answers; nothing is visible there";
    /// The scanner was not reached, or gave no verdict.
    ScanUnavailable = "scan.unavailable", Failed,
        "run it again when the scanner answers; nothing is visible at the destination";
    /// A commit was sent, its answer lost, and what stands there could not be established.
    DestinationIndeterminate = "destination.indeterminate", Failed,
        "look at the destination: if an object with this delivery id is there it is complete, otherwise run it again";
    /// The source may not be read with these credentials or keys.
    SourceAccess = "source.access", Held,
        "grant read access to the object, its version and its key, then resume the run";
    /// The destination may not be written with these credentials or keys.
    DestinationAccess = "destination.access", Held,
        "grant write access to the bucket, prefix and key, then resume the run";
    /// A place of the route was taken from its tenant after the file was accepted.
    DestinationWithdrawn = "destination.withdrawn", Held,
        "give the tenant its place back and resume the run, or cancel it, which can be done as long as nothing may stand there";
    /// The route is not well formed.
    RouteInvalid = "route.invalid", Usage,
        "correct the route at the paths named and save it again";
    /// The checkpoint cannot be written, retries spent.
    CheckpointUnavailable = "checkpoint.unavailable", Failed,
        "make the place of the checkpoint writable and run it again; what was done is kept";
    /// The checkpoint is not of this source, route or plan, or is damaged.
    CheckpointRefused = "checkpoint.refused", Usage,
        "continue with the source and route the checkpoint was made with, or discard it and start over";
    /// The plan cannot work: refused before the first byte.
    PlanRefused = "plan.refused", Usage,
        "change the route or the request as the message says; no byte was moved";
    /// A key or secret that the route names is not there, cannot be opened, or is not good for what it is named for.
    KeysUnusable = "keys.unusable", Usage,
        "put a key or secret that is good for it where the worker keeps them, or correct the route, and resume or run it again";
    /// A flag, file or environment value is wrong.
    Configuration = "configuration", Usage,
        "correct the flag, file or environment value named and start again";
    /// Worker after worker died on it.
    RunCrashed = "run.crashed", Failed,
        "look into the logs of the workers that died (memory, a defect of ours) and replay the job when it is mended";
    /// It does not end within the time that a message can be held, and another run would come no further.
    RunTooLong = "run.too_long", Failed,
        "give it a larger worker, or a route whose stages can be resumed or that makes one object, and replay the job";
    /// Stopped by its user; nothing is left behind.
    Interrupted = "interrupted", Interrupted,
        "start it again when wanted";
    /// A defect of EFT.
    Internal = "internal", Failed,
        "report it with the receipt and the log of the run; run it again meanwhile";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The table of the documentation: every code, who has to act, and what they do.
pub fn markdown_table() -> String {
    let mut table = "| code | outcome | what to do |\n|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let class = format!("{:?}", code.class()).to_lowercase();
        table.push_str(&format!("| `{code}` | {class} | {} |\n", code.remedy()));
    }
    table
}

/// A text that is no failure code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a failure code of this version")]
pub struct UnknownCode(String);

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| UnknownCode(shown(text, 64)))
    }
}

serde_as_text!(Code);

/// A failure: what happened, in a stable code and in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// What, where and what to do; lower case, no full stop.
    pub message: String,
}

impl Failure {
    /// A failure with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A broken limit, with the observed value and the bound.
    pub fn limit(code: Code, observed: impl fmt::Display, bound: impl fmt::Display) -> Self {
        Self::new(code, format!("observed {observed}, the route allows {bound}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }

    #[test]
    fn codes_read_back() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert_eq!(
            "validatio".parse::<Code>().unwrap_err().to_string(),
            "`validatio` is not a failure code of this version"
        );
    }

    #[test]
    fn remedies_are_one_sentence_in_our_style() {
        for code in Code::ALL {
            let remedy = code.remedy();
            assert!(remedy.len() > 20 && !remedy.ends_with('.') && !remedy.contains('|'), "{code}: {remedy}");
            assert!(remedy.starts_with(|c: char| c.is_lowercase()), "{code}: {remedy}");
        }
        let remedies: HashSet<_> = Code::ALL.iter().map(|code| code.remedy()).collect();
        assert_eq!(remedies.len(), Code::ALL.len(), "two codes with one remedy");
        assert_eq!(markdown_table().lines().count(), Code::ALL.len() + 2);
    }
}
