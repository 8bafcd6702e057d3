//! A route: which files, what is done to them, where they go. Data, versioned, pinned by a run.

mod check;
mod cursor;
mod decode;
mod decode_stage;
mod destination;
mod encode;
mod errors;
mod names;
mod options;
mod runner;
mod select;
mod stage;
mod template;

#[cfg(test)]
mod any_stage;
#[cfg(test)]
mod schema_test;
#[cfg(test)]
mod tests;

pub use destination::{Destination, Encryption, OnExisting, S3Destination, StorageClass, StorageOptions};
pub use errors::{RouteError, RouteErrors, did_you_mean};
pub use names::stage_names;
pub use options::{
    Archive, CompleteWhen, Digest, Executor, HeadOfLine, Match, OnEmpty, Ordering, ParseCompleteWhenError,
    Rpo, SMALL_MAX, glob_matches,
};
pub use runner::STEPS_COPY_MAX;
pub use select::{RouteTable, Tie, globs_meet};
pub use stage::{
    BlankLines, Change, Charset, CharsetSpec, CodePage, Codec, ColumnRef, ColumnSource, ColumnType, Columns,
    CompressSpec, ConcatSpec, CountSpec, Counted, CsvOutput, CsvProjectSpec, CsvSpec, CsvToJsonlSpec,
    CsvToParquetSpec, Decimal, DecimalSize, DecompressSpec, DialectSpec, DropSpec, EbcdicRecords, EbcdicSpec,
    EbcdicType, EdiSpec, EdiStandard, FixedColumn, FixedWidthSpec, HeadSpec, Invalid, JsonSchema, JsonlSpec,
    Larger, LineEnd, LineTerminator, LoneCr, MAX_HELD, MAX_LAST, MagicSpec, Malformed, ManifestForm,
    MediaType, NewlineSpec, OnError, OutputColumn, ParquetCompression, PgpCipher, PgpCompression,
    PgpDecryptSpec, PgpEncryptSpec, PgpIntegrity, PgpSignSpec, PgpVerify, PgpVerifySpec, Place, Placed,
    QuoteStyle, RecordTerminator, RecordsSpec, ScanSpec, SchemaFault, SidecarDigest, SidecarSpec, SplitSpec,
    StageSpec, SumSpec, TrailerSpec, UniqueSpec, UnknownCharset, UnzipSpec, ValidateSpec, XmlSpec, ZipSpec,
    entry_fault, made_entry_fault, width,
};
pub use template::{KeyTemplate, ParseTemplateError, Placeholder, RenderError, TemplateValues};

use self::{cursor::At, errors::Report};
use crate::{
    ByteSize, RouteId, RouteRevision, TenantId,
    receipt::canonical,
    tree::{Node, SyntaxError},
};

/// A route. On the command line `stages` alone is enough; the platform asks for the rest ([`Profile`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name, stable over revisions. Needed on the platform.
    pub id: Option<RouteId>,
    /// Whose it is. Needed on the platform.
    pub tenant: Option<TenantId>,
    /// Which keys it takes. Needed on the platform.
    pub matches: Option<Match>,
    /// When a file counts as whole.
    pub complete_when: CompleteWhen,
    /// What happens to an empty object.
    pub on_empty: OnEmpty,
    /// What a file may cost at most.
    pub limits: Limits,
    /// What is done to the bytes, in order. Empty: they are delivered as they are.
    pub stages: Vec<StageSpec>,
    /// Digests besides CRC-64/NVME, which is always computed. In the order of [`Digest::ALL`], each once.
    pub digests: Vec<Digest>,
    /// Where it goes. Needed on the platform; the command line names its own.
    pub destinations: Vec<Destination>,
    /// Whether and how the original is archived.
    pub archive: Option<Archive>,
    /// Which executor runs it.
    pub executor: Executor,
    /// The largest object that still counts as small. At most, and by default, [`SMALL_MAX`].
    pub small: ByteSize,
    /// Order across files.
    pub ordering: Ordering,
    /// When a file is acknowledged.
    pub rpo: Rpo,
}

impl Default for Route {
    fn default() -> Self {
        Self::identity()
    }
}

impl Route {
    /// The route that delivers bytes as they are, with every default: no id, no destination.
    pub fn identity() -> Self {
        Self {
            id: None,
            tenant: None,
            matches: None,
            complete_when: CompleteWhen::default(),
            on_empty: OnEmpty::default(),
            limits: Limits::default(),
            stages: Vec::new(),
            digests: Vec::new(),
            destinations: Vec::new(),
            archive: None,
            executor: Executor::default(),
            small: SMALL_MAX,
            ordering: Ordering::default(),
            rpo: Rpo::default(),
        }
    }

    /// Reads and checks a route written in YAML (of which JSON is a part; YAML errors carry lines).
    ///
    /// # Errors
    /// Every fault of the text; contradictions only once the text itself has none.
    pub fn parse_yaml(text: &str, profile: Profile) -> Result<Self, RouteErrors> {
        Self::from_node(Node::parse_yaml(text), profile)
    }

    /// Reads and checks a route written in JSON.
    ///
    /// # Errors
    /// As [`Route::parse_yaml`].
    pub fn parse_json(text: &str, profile: Profile) -> Result<Self, RouteErrors> {
        Self::from_node(Node::parse_json(text), profile)
    }

    fn from_node(node: Result<Node, SyntaxError>, profile: Profile) -> Result<Self, RouteErrors> {
        let node = node.map_err(|SyntaxError { line, problem }| {
            RouteErrors(vec![RouteError { path: String::new(), line, problem }])
        })?;
        let mut report = Report::default();
        let route = decode::route(&At::root(&node), profile, &mut report);
        if let (Some(route), true) = (&route, report.is_empty()) {
            check::route(route, &mut report);
        }
        // A decoder that gave nothing has said why; were that ever not so, an identity route would be wrong.
        if route.is_none() && report.is_empty() {
            report.add("", "cannot be read");
        }
        let line = |path: &str| node.line_of(path);
        report.finish(route.unwrap_or_default(), line)
    }

    /// Checks a route that was built in code for contradictions, as parsing does.
    ///
    /// # Errors
    /// Every contradiction.
    pub fn check(&self) -> Result<(), RouteErrors> {
        let mut report = Report::default();
        check::route(self, &mut report);
        report.finish((), |_| None)
    }

    /// The route as a JSON value, every default said.
    pub fn to_value(&self) -> serde_json::Value {
        encode::route(self)
    }

    /// The canonical text: JSON without white space, keys sorted, every default said (but `max_entries`, which is newer
    /// than revisions are), sizes in bytes. Parses back to
    /// an equal route, as JSON and (control characters in its texts, and names over a thousand characters, aside) as
    /// YAML.
    pub fn to_json(&self) -> String {
        canonical::text(&self.to_value())
    }

    /// Which text of the route this is; see [`RouteRevision`].
    pub fn revision(&self) -> RouteRevision {
        RouteRevision::of_canonical(&self.to_json())
    }

    /// Its id, or the one of a route that was given none; see [`RouteId::of_revision`].
    pub fn effective_id(&self) -> RouteId {
        self.id.clone().unwrap_or_else(|| RouteId::of_revision(self.revision()))
    }

    /// Whether no stage reads the bytes, so that S3 can copy them itself.
    pub fn is_identity(&self) -> bool {
        self.stages.is_empty() && self.digests.is_empty()
    }

    /// The manifest's form, where the source is a manifest of what is to be joined.
    pub fn joins(&self) -> Option<&ConcatSpec> {
        match self.stages.first() {
            Some(StageSpec::Concat(spec)) => Some(spec),
            _ => None,
        }
    }

    /// Whether nothing but a join is asked for, if that: no byte is looked at.
    pub fn only_joins(&self) -> bool {
        self.digests.is_empty() && self.stages.iter().all(|stage| matches!(stage, StageSpec::Concat(_)))
    }

    /// Whether it takes all files of an archive that match.
    pub fn unpacks_several(&self) -> bool {
        matches!(self.stages.first(), Some(StageSpec::Unzip(UnzipSpec { entries: Some(_), .. })))
    }

    /// Whether it makes several objects of one.
    pub fn splits(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage, StageSpec::Split(_)))
    }
}

/// The JSON Schema (2020-12) of a route.
pub const SCHEMA: &str = include_str!("../../route.schema.json");

/// How much a route has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// A route file on the command line: everything is optional.
    Cli,
    /// A route that is saved by somebody who says elsewhere what it is called and whose it is: `match` and `destinations`
    /// are needed.
    Named,
    /// A route that is saved: `id`, `tenant`, `match` and `destinations` are needed.
    #[default]
    Platform,
}

impl Profile {
    const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Cli => &[],
            Self::Named => &["match", "destinations"],
            Self::Platform => &["id", "tenant", "match", "destinations"],
        }
    }
}

/// What a file may cost at most. Every limit is enforced while bytes stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Largest object accepted, in bytes. Default 50 TB: S3's own object limit.
    pub max_input_bytes: ByteSize,
    /// Largest output, and largest intermediate stream, in bytes. Default 50 TB.
    pub max_output_bytes: ByteSize,
    /// Most bytes a decompressor may make per byte it reads, counted over the whole stream once it has made
    /// 1 MiB (below that a ratio says nothing). Default 200.
    pub max_ratio: u32,
    /// Longest record (terminator included), in bytes. Default 1 MiB.
    pub max_record_bytes: ByteSize,
    /// Most fields of a record. Default 4,096.
    pub max_fields: u32,
    /// Most entries of an archive. Default 10,000.
    pub max_entries: u32,
    /// Deepest nesting of objects, arrays or elements; a scalar has depth 0. Default 64.
    pub max_depth: u32,
    /// Most records that may break a rule before the file is rejected. Default 0.
    pub max_errors: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_input_bytes: ByteSize(50_000_000_000_000),
            max_output_bytes: ByteSize(50_000_000_000_000),
            max_ratio: 200,
            max_record_bytes: ByteSize::mib(1),
            max_fields: 4_096,
            max_entries: 10_000,
            max_depth: 64,
            max_errors: 0,
        }
    }
}
