//! `ebcdic`: records of a mainframe become text.

use serde_json::{Value, json};

use super::layout::{self, Placed};
use crate::{
    route::{
        Limits,
        cursor::{At, Fields},
        decode::only,
        errors::{Report, did_you_mean, join, quoted},
        names::word,
    },
    text::Word,
};

pub(in crate::route) const EBCDIC: &[&str] = &["from", "records", "layout", "header", "trim"];
pub(in crate::route) const RECORDS: &[&str] = &["fixed"];
pub(in crate::route) const FIELD: &[&str] = &["name", "start", "length", "type", "scale", "signed"];

/// Parameters of `ebcdic`. The output is UTF-8: a line for each record, and with a layout a CSV record (RFC 4180, LF).
#[derive(Clone, Debug, PartialEq)]
pub struct EbcdicSpec {
    /// The code page of its text.
    pub from: CodePage,
    /// How its records are told apart.
    pub records: EbcdicRecords,
    /// The fields of a record. Without one a record is text and becomes a line.
    pub layout: Option<Vec<Placed<EbcdicType>>>,
    /// With a layout: the first line names the fields. Default true.
    pub header: bool,
    /// Blanks at the end of a text field, or of a line, are dropped. Default false.
    pub trim: bool,
}

words! {
    /// An EBCDIC code page.
    pub enum CodePage {
        /// United States, Canada, Netherlands, Portugal, Brazil.
        Cp037 = "cp037",
        /// Austria, Germany.
        Cp273 = "cp273",
        /// Belgium, Switzerland, international.
        Cp500 = "cp500",
        /// Open systems: z/OS UNIX.
        Cp1047 = "cp1047",
        /// Cp037 with the euro sign.
        Cp1140 = "cp1140",
    }
}

/// How records are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EbcdicRecords {
    /// Each has this many bytes (RECFM=F).
    Fixed(u32),
    /// Each begins with a record descriptor word (RECFM=V): two bytes of length, itself included, and two of zero.
    Rdw,
    /// Each ends with NEL (15) or LF (25); a CR (0d) before that belongs to it.
    Nel,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EbcdicType {
    /// Text in the code page (PIC X).
    Text,
    /// Two digits a byte, the sign in the last half byte (COMP-3).
    Packed(Decimal),
    /// A digit a byte, the sign in the zone of the last (DISPLAY).
    Zoned(Decimal),
    /// A big-endian integer of 1, 2, 4 or 8 bytes, two's complement where it is signed (COMP).
    Binary(Decimal),
}

/// How a number is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Digits behind the point. Default 0.
    pub scale: u8,
    /// It may be negative. Default true.
    pub signed: bool,
}

/// The words for [`EbcdicType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::route) enum Kind {
    Text,
    Packed,
    Zoned,
    Binary,
}

impl Word for Kind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("text", Self::Text), ("packed", Self::Packed), ("zoned", Self::Zoned), ("binary", Self::Binary)];
}

impl Kind {
    /// The lengths a field of this type may have. COBOL's numbers have at most 31 digits.
    fn fits(self, length: u32) -> bool {
        match self {
            Self::Text => true,
            Self::Packed => (1..=16).contains(&length),
            Self::Zoned => (1..=31).contains(&length),
            Self::Binary => [1, 2, 4, 8].contains(&length),
        }
    }

    fn lengths(self) -> &'static str {
        match self {
            Self::Text => "1 byte or more",
            Self::Packed => "1 to 16 bytes",
            Self::Zoned => "1 to 31 bytes",
            Self::Binary => "1, 2, 4 or 8 bytes",
        }
    }

    /// Digits that fit in a field.
    fn digits(self, length: u32) -> u64 {
        match self {
            Self::Text => 0,
            Self::Packed => u64::from(length) * 2 - 1,
            Self::Zoned => length.into(),
            // As many as COBOL takes for a field of this size.
            Self::Binary => [0, 2, 4, 0, 9, 0, 0, 0, 18].get(length as usize).copied().unwrap_or(0),
        }
    }
}

impl EbcdicType {
    fn kind(self) -> (Kind, Option<Decimal>) {
        match self {
            Self::Text => (Kind::Text, None),
            Self::Packed(decimal) => (Kind::Packed, Some(decimal)),
            Self::Zoned(decimal) => (Kind::Zoned, Some(decimal)),
            Self::Binary(decimal) => (Kind::Binary, Some(decimal)),
        }
    }
}

pub(in crate::route) fn decode(at: &At<'_>, report: &mut Report) -> Option<EbcdicSpec> {
    let fields = at.fields(report, EBCDIC)?;
    let from = fields.need(report, "from").and_then(|at| at.word(report));
    let records = fields.need(report, "records").and_then(|at| records(at, report));
    let layout = fields.get("layout").map(|at| layout::decode(at, report, FIELD, field));
    let header = fields.or("header", true, |at| {
        if layout.is_none() {
            return at.fault(report, "names the fields of a layout, and there is none; leave it out");
        }
        at.boolean(report)
    });
    let trim = fields.or("trim", false, |at| at.boolean(report));
    let layout = match layout {
        Some(layout) => Some(layout?),
        None => None,
    };
    Some(EbcdicSpec { from: from?, records: records?, layout, header: header?, trim: trim? })
}

fn records(at: &At<'_>, report: &mut Report) -> Option<EbcdicRecords> {
    if let Some(name) = at.as_text() {
        return match name {
            "rdw" => Some(EbcdicRecords::Rdw),
            "nel" => Some(EbcdicRecords::Nel),
            "fixed" => at.fault(report, "fixed records need a length: write `records: { fixed: 80 }`"),
            _ => {
                let hint = did_you_mean(name, ["rdw", "nel"]);
                at.fault(report, format!("{} is not rdw, nel or {{ fixed: <bytes> }}{hint}", quoted(name)))
            }
        };
    }
    let (_, inner) = only(at, report, "kind of records", RECORDS)?;
    let length = inner.integer(report, 1..=u64::from(u32::MAX >> 1))?;
    u32::try_from(length).ok().map(EbcdicRecords::Fixed)
}

fn field(fields: &Fields<'_>, at: &At<'_>, length: u32, report: &mut Report) -> Option<EbcdicType> {
    let kind = fields.or("type", Kind::Text, |at| at.word(report));
    let scale = fields.or("scale", 0, |at| at.integer(report, 0..=31));
    let signed = fields.or("signed", true, |at| at.boolean(report));
    let (kind, scale) = (kind?, scale?);
    if kind == Kind::Text {
        let told = ["scale", "signed"].into_iter().find_map(|name| fields.get(name));
        return match told {
            Some(told) => told.fault(report, "is for numbers, and this field is text; leave it out"),
            None => Some(EbcdicType::Text),
        };
    }
    if !kind.fits(length) {
        let at = fields.get("length").unwrap_or(at);
        return at.fault(report, format!("a {} number has {}, not {length}", word(kind), kind.lengths()));
    }
    let digits = kind.digits(length);
    if scale > digits {
        let at = fields.get("scale").unwrap_or(at);
        return at.fault(
            report,
            format!("is {scale}, but a {} number of {length} bytes has {digits} digits", word(kind)),
        );
    }
    let decimal = Decimal { scale: u8::try_from(scale).ok()?, signed: signed? };
    Some(match kind {
        Kind::Packed => EbcdicType::Packed(decimal),
        Kind::Zoned => EbcdicType::Zoned(decimal),
        Kind::Text | Kind::Binary => EbcdicType::Binary(decimal),
    })
}

pub(in crate::route) fn encode(spec: &EbcdicSpec) -> Value {
    let mut value = json!({
        "from": spec.from,
        "records": match spec.records {
            EbcdicRecords::Fixed(bytes) => json!({ "fixed": bytes }),
            EbcdicRecords::Rdw => json!("rdw"),
            EbcdicRecords::Nel => json!("nel"),
        },
        "trim": spec.trim,
    });
    if let Some(layout) = &spec.layout {
        value["header"] = spec.header.into();
        value["layout"] = layout.iter().map(encode_field).collect();
    }
    value
}

fn encode_field(field: &Placed<EbcdicType>) -> Value {
    let mut map = layout::encode(field);
    let (kind, decimal) = field.kind.kind();
    map.insert("type".to_owned(), word(kind).into());
    if let Some(Decimal { scale, signed }) = decimal {
        map.insert("scale".to_owned(), scale.into());
        map.insert("signed".to_owned(), signed.into());
    }
    map.into()
}

/// Contradictions.
pub(in crate::route) fn check(spec: &EbcdicSpec, limits: &Limits, path: &str, report: &mut Report) {
    let record = match spec.records {
        EbcdicRecords::Fixed(bytes) => Some(bytes.into()),
        EbcdicRecords::Rdw | EbcdicRecords::Nel => None,
    };
    let Some(layout) = &spec.layout else {
        layout::check_record(record.unwrap_or(0), limits, &join(path, "records"), report);
        return;
    };
    let path_of = join(path, "layout");
    layout::check(layout, record, limits, &path_of, report);
    layout::check_record(
        record.unwrap_or_else(|| layout::width(layout)),
        limits,
        &join(path, "records"),
        report,
    );
    if spec.records != EbcdicRecords::Nel {
        return;
    }
    for (at, field) in layout.iter().enumerate() {
        if matches!(field.kind, EbcdicType::Packed(_) | EbcdicType::Binary(_)) {
            report.add(
                format!("{path_of}/{at}/type"),
                "its bytes may be those of a line end; records with such numbers are `fixed` or `rdw`",
            );
        }
    }
}
