//! `validate.csv` again, written to be obviously right: the whole input at once, one record after the other, every
//! field cut out and unquoted, types by the standard library. Knows nothing of chunks and blocks.
#![allow(clippy::unwrap_used, reason = "only tests ask it, and a test may panic")]

use eft_domain::route::{ColumnType, Columns, CsvSpec, Limits, RecordTerminator};
use eft_domain::{Code, Failure};
use eft_pipeline::stage::{MAX_REJECTS, Reject, StageReport};

/// The verdict on `input`, and what was counted on the way to it.
pub fn judge(spec: &CsvSpec, limits: &Limits, input: &[u8]) -> (Result<(), Failure>, StageReport) {
    let mut report = StageReport { records: Some(0), ..StageReport::default() };
    let verdict =
        Oracle { spec, limits, input, bad_utf8: if spec.utf8 { bad_utf8(input) } else { Vec::new() } }
            .run(&mut report);
    (verdict, report)
}

struct Oracle<'a> {
    spec: &'a CsvSpec,
    limits: &'a Limits,
    input: &'a [u8],
    bad_utf8: Vec<(usize, String)>,
}

#[derive(Debug, Default)]
struct Field {
    start: usize,
    end: usize,
    /// Offset and text of what is wrong, in no order.
    wrong: Vec<(usize, String)>,
}

#[derive(Debug, Default)]
struct Record {
    fields: Vec<Field>,
    /// Behind the terminator.
    end: usize,
    unclosed: bool,
}

impl Oracle<'_> {
    fn run(&self, report: &mut StageReport) -> Result<(), Failure> {
        let limits = self.limits;
        let mut at = if self.input.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut names: Option<Vec<String>> = match &self.spec.columns {
            Columns::Named(names) => Some(names.clone()),
            _ => None,
        };
        let mut header = matches!(self.spec.columns, Columns::Header(_) | Columns::FromFile);
        if header && at == self.input.len() {
            let reason = match &self.spec.columns {
                Columns::Header(names) => format!("no header, the file is empty; expected {names:?}"),
                _ => "no header, the file is empty".to_owned(),
            };
            return Err(fatal(report, at, None, reason));
        }
        while at < self.input.len() {
            let record = self.record(at, self.input.len());
            let number = if header { 0 } else { report.records.unwrap() + 1 };
            let max = if header {
                limits.max_record_bytes.bytes().min(1 << 20)
            } else {
                limits.max_record_bytes.bytes()
            };
            self.limits(number, at, &record, max as usize)?;
            let first_wrong = |field: &Field| {
                // A broken sequence is seen after everything that can be said of its first byte.
                let utf8 = self.bad_utf8.iter().filter(|(bad, _)| (field.start..field.end).contains(bad));
                let all = field
                    .wrong
                    .iter()
                    .map(|(at, what)| (*at, 0, what))
                    .chain(utf8.map(|(at, what)| (*at, 1, what)));
                all.min().map(|(_, _, what)| what.clone())
            };
            let blank =
                record.end > at && record.fields.len() == 1 && record.fields[0].end == at && !record.unclosed;
            if header {
                header = false;
                let wrong = record.fields.iter().enumerate().find_map(|(i, f)| Some((i, first_wrong(f)?)));
                if let Some((i, what)) = wrong {
                    return Err(fatal(report, at, Some(format!("#{}", i + 1)), what));
                }
                if blank {
                    return Err(fatal(report, at, None, "blank line where the header should be".to_owned()));
                }
                let found: Vec<String> = record.fields.iter().map(|f| self.text(f).unwrap()).collect();
                if let Some(why) = self.header_mismatch(&found) {
                    return Err(fatal(report, at, None, why));
                }
                names = Some(found);
                at = record.end;
                continue;
            }

            let mut wrong: Vec<(Option<String>, String)> = Vec::new();
            let width = names.as_ref().map(|names| names.len());
            if blank && width.is_some_and(|width| width > 1) {
                wrong.push((None, "blank line".to_owned()));
            } else {
                for (i, field) in record.fields.iter().enumerate() {
                    let name = names.as_ref().and_then(|names| names.get(i));
                    let what = first_wrong(field).or_else(|| self.rule(name?, field));
                    let column = match name {
                        Some(name) if !name.is_empty() => cut(name),
                        _ => format!("#{}", i + 1),
                    };
                    wrong.extend(what.map(|what| (Some(column), what)));
                }
                let n = record.fields.len();
                if !record.unclosed && width.is_some_and(|width| width != n) {
                    let s = if n == 1 { "" } else { "s" };
                    wrong.push((None, format!("{n} field{s}, expected {}", width.unwrap())));
                }
            }
            names.get_or_insert_with(|| vec![String::new(); record.fields.len()]);
            report.records = Some(number);
            if !wrong.is_empty() {
                report.errors += 1;
                let rows = wrong.into_iter().take(10).map(|(column, reason)| Reject {
                    record: number,
                    offset: at as u64,
                    column,
                    reason,
                });
                report.rejects.extend(rows);
                report.rejects.truncate(MAX_REJECTS);
                if report.errors > limits.max_errors {
                    let s = if report.errors == 1 { " breaks" } else { "s break" };
                    let first = describe(&report.rejects[0]);
                    let message = format!(
                        "{} record{s} the rules, the route allows {}; first: {first}",
                        report.errors, limits.max_errors
                    );
                    return Err(Failure::new(Code::Validation, message));
                }
            }
            at = record.end;
        }
        Ok(())
    }

    /// Cut the record at `at` into fields, as if the input ended at `eof`.
    fn record(&self, at: usize, eof: usize) -> Record {
        let byte = |i: usize| (i < eof).then(|| self.input[i]);
        let terminator = |i: usize| match (self.spec.terminator, byte(i)) {
            (RecordTerminator::Any | RecordTerminator::Lf, Some(b'\n')) => Some(1),
            (RecordTerminator::Any | RecordTerminator::CrLf, Some(b'\r')) if byte(i + 1) == Some(b'\n') => {
                Some(2)
            }
            _ => None,
        };
        let quote = |i: usize| byte(i).is_some() && byte(i) == self.spec.quote;
        let escape = |i: usize| byte(i).is_some() && byte(i) == self.spec.escape;
        let mut record = Record::default();
        let mut i = at;
        loop {
            let mut field = Field { start: i, ..Field::default() };
            if quote(i) {
                i += 1;
                loop {
                    if quote(i) && quote(i + 1) {
                        i += 2;
                    } else if quote(i) {
                        i += 1;
                        let ends =
                            i >= eof || byte(i) == Some(self.spec.delimiter) || terminator(i).is_some();
                        if !ends {
                            field.wrong.push((i, format!("text after the closing quote at byte {i}")));
                        }
                        break;
                    } else if i >= eof {
                        record.unclosed = true;
                        field.wrong.push((
                            usize::MAX,
                            format!("quote opened at byte {} is not closed", field.start),
                        ));
                        break;
                    } else {
                        if escape(i) {
                            i += 1;
                        }
                        if byte(i) == Some(0) {
                            field.wrong.push((i, format!("NUL at byte {i}")));
                        }
                        i += usize::from(i < eof);
                    }
                }
            }
            while i < eof && byte(i) != Some(self.spec.delimiter) && terminator(i).is_none() {
                match byte(i) {
                    Some(0) => field.wrong.push((i, format!("NUL at byte {i}"))),
                    Some(b'\r') if self.spec.terminator != RecordTerminator::Lf => {
                        field.wrong.push((i, format!("carriage return without a line feed at byte {i}")));
                    }
                    Some(b'\n') => {
                        field.wrong.push((i, format!("line feed without a carriage return at byte {i}")))
                    }
                    _ if quote(i) => {
                        field.wrong.push((i, format!("quote inside an unquoted field at byte {i}")))
                    }
                    _ => {}
                }
                i += 1;
            }
            // Equal offsets: what was said first stays first.
            field.wrong.sort_by_key(|(at, _)| *at);
            field.wrong.dedup_by_key(|(at, _)| *at);
            field.end = i;
            record.fields.push(field);
            if i < eof && byte(i) == Some(self.spec.delimiter) {
                i += 1;
                continue;
            }
            record.end = i + terminator(i).unwrap_or(0);
            return record;
        }
    }

    fn limits(&self, number: u64, at: usize, record: &Record, max: usize) -> Result<(), Failure> {
        let max_fields = self.limits.max_fields as usize;
        let too_many =
            record.fields.get(max_fields.wrapping_sub(1)).filter(|_| record.fields.len() > max_fields);
        if let Some(last) = too_many
            && last.end < at + max
        {
            let observed = format!("{} fields and more in record {number} at byte {at}", max_fields + 1);
            return Err(Failure::limit(Code::LimitFields, observed, max_fields));
        }
        if record.end - at <= max {
            return Ok(());
        }
        let mut observed = format!("{} bytes and more in record {number} at byte {at}", max + 1);
        // What had been seen when the limit was reached.
        let eof = at + max;
        let seen = self.record(at, eof);
        if seen.unclosed {
            observed += &format!(" (inside the quote opened at byte {})", seen.fields.last().unwrap().start);
        }
        let hint = seen.fields.iter().flat_map(|field| &field.wrong).find(|(wrong, _)| {
            // A carriage return is lone once the byte behind it is read.
            *wrong < eof && !(self.input[*wrong] == b'\r' && *wrong + 1 == eof)
        });
        if let Some((_, hint)) = hint {
            observed += &format!(" ({hint})");
        }
        Err(Failure::limit(Code::LimitRecordBytes, observed, max))
    }

    fn raw(&self, field: &Field) -> &[u8] {
        &self.input[field.start..field.end]
    }

    fn text(&self, field: &Field) -> Option<String> {
        String::from_utf8(self.bytes(field))
            .ok()
            .or(Some(String::from_utf8_lossy(&self.bytes(field)).into_owned()))
    }

    fn bytes(&self, field: &Field) -> Vec<u8> {
        let raw = self.raw(field);
        if raw.is_empty() || Some(raw[0]) != self.spec.quote {
            return raw.to_vec();
        }
        let mut text = Vec::new();
        let mut i = 1;
        while i < raw.len() - 1 {
            if Some(raw[i]) == self.spec.quote || Some(raw[i]) == self.spec.escape {
                i += 1;
            }
            text.push(raw[i]);
            i += 1;
        }
        text
    }

    fn rule(&self, name: &str, field: &Field) -> Option<String> {
        let text = self.bytes(field);
        let raw = self.raw(field);
        let quoted = !raw.is_empty() && Some(raw[0]) == self.spec.quote;
        if !quoted && self.spec.null_values.iter().any(|null| null.as_bytes() == text) {
            let not_null = self.spec.not_null.iter().any(|column| column == name);
            return not_null.then(|| format!("null ({}), the column may not be", show(&text)));
        }
        let ty = self.spec.types.get(name).copied().unwrap_or(ColumnType::Text);
        let (fits, what) = match (ty, std::str::from_utf8(&text)) {
            (ColumnType::Text, _) => return None,
            (_, Err(_)) => (false, ""),
            (_, Ok(text)) => (text.len() <= 64 && is(ty, text), ""),
        };
        let what = match ty {
            ColumnType::Integer => "an integer",
            ColumnType::Decimal => "a decimal",
            ColumnType::Float => "a number",
            ColumnType::Boolean => "a boolean",
            ColumnType::Date => "a date",
            ColumnType::Timestamp => "a timestamp",
            ColumnType::Uuid => "a UUID",
            ColumnType::Text => what,
        };
        (!fits).then(|| format!("not {what}: {}", show(&text)))
    }

    fn header_mismatch(&self, found: &[String]) -> Option<String> {
        if let Columns::Header(expected) = &self.spec.columns
            && expected != found
        {
            let at = (0..).find(|&i| expected.get(i) != found.get(i)).unwrap();
            let list = |names: &[String]| {
                let shown: Vec<String> = names.iter().take(20).map(|name| show(name.as_bytes())).collect();
                let more =
                    if names.len() > 20 { format!(", … {} in all", names.len()) } else { String::new() };
                format!("[{}{more}]", shown.join(", "))
            };
            let name =
                |names: &[String]| names.get(at).map_or("nothing".to_owned(), |name| show(name.as_bytes()));
            let (want, have) = (list(expected), list(found));
            return Some(format!(
                "expected {want}, found {have}; first difference in column {}: expected {}, found {}",
                at + 1,
                name(expected),
                name(found)
            ));
        }
        let ruled = self.spec.types.keys().chain(&self.spec.not_null);
        for ruled in ruled {
            match found.iter().filter(|name| *name == ruled).count() {
                0 => return Some(format!("a rule for column {ruled:?}, which the header does not have")),
                1 => {}
                n => return Some(format!("a rule for column {ruled:?}, and {n} columns have this name")),
            }
        }
        None
    }
}

fn fatal(report: &mut StageReport, offset: usize, column: Option<String>, reason: String) -> Failure {
    report.errors = 1;
    report.rejects.push(Reject { record: 0, offset: offset as u64, column, reason });
    Failure::new(Code::Validation, describe(&report.rejects[0]))
}

/// As much of a name as fits into 64 bytes.
fn cut(name: &str) -> String {
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= 64;
    name.char_indices().take_while(fits).map(|(_, c)| c).collect()
}

fn describe(reject: &Reject) -> String {
    let record = if reject.record == 0 { "header".to_owned() } else { format!("record {}", reject.record) };
    let column = reject.column.as_ref().map_or(String::new(), |column| {
        let quoted = format!("{column:?}");
        format!(", column {}", &quoted[1..quoted.len() - 1])
    });
    format!("{record} at byte {}{column}: {}", reject.offset, reject.reason)
}

fn show(text: &[u8]) -> String {
    let cut = text.len() > 64;
    let text = &text[..text.len().min(64)];
    let mut chunks = text.utf8_chunks().peekable();
    let mut shown = String::new();
    while let Some(chunk) = chunks.next() {
        let quoted = format!("{:?}", chunk.valid());
        shown += &quoted[1..quoted.len() - 1];
        let half =
            cut && chunks.peek().is_none() && chunk.invalid().first().is_some_and(|lead| *lead >= 0xc2);
        if !half {
            shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
        }
    }
    format!("\"{shown}\"{}", if cut { "…" } else { "" })
}

/// Every broken UTF-8 sequence of `input`: its offset and what is said of it.
pub fn bad_utf8(input: &[u8]) -> Vec<(usize, String)> {
    let mut bad = Vec::new();
    let mut at = 0;
    while let Err(error) = std::str::from_utf8(&input[at..]) {
        let start = at + error.valid_up_to();
        let second = input.get(start + 1).copied();
        let (what, len) = match (input[start], second, error.error_len()) {
            (_, _, None) => ("truncated sequence at the end of the file", input.len() - start),
            (0x80..=0xbf, ..) => ("stray continuation byte", 1),
            (0xc0 | 0xc1, ..) => ("overlong sequence", 1),
            (0xe0, Some(0x80..=0x9f), _) | (0xf0, Some(0x80..=0x8f), _) => ("overlong sequence", 2),
            (0xed, Some(0xa0..=0xbf), _) => ("surrogate", 2),
            (0xf4, Some(0x90..=0xbf), _) => ("beyond U+10FFFF", 2),
            (0xf5..=0xf7, ..) => ("beyond U+10FFFF", 1),
            (0xf8.., ..) => ("byte that never occurs in UTF-8", 1),
            (_, _, Some(len)) => ("truncated sequence", len),
        };
        let hex: Vec<String> = input[start..start + len].iter().map(|byte| format!("{byte:02x}")).collect();
        bad.push((start, format!("not UTF-8 at byte {start}: {what} ({})", hex.join(" "))));
        match error.error_len() {
            Some(len) => at = start + len,
            None => break,
        }
    }
    bad
}

fn is(ty: ColumnType, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let unsigned = |text: &str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
    match ty {
        ColumnType::Text => true,
        ColumnType::Integer => text.parse::<i64>().is_ok(),
        ColumnType::Decimal => match unsigned(text).split_once('.') {
            Some((whole, fraction)) => digits(whole) && digits(fraction),
            None => digits(&unsigned(text)),
        },
        ColumnType::Float => match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => is(ColumnType::Decimal, mantissa) && digits(&unsigned(exponent)),
            None => is(ColumnType::Decimal, text),
        },
        ColumnType::Boolean => {
            let words = ["true", "false", "0", "1", "t", "f", "yes", "no", "y", "n"];
            words.contains(&text.to_ascii_lowercase().as_str())
        }
        ColumnType::Date => is_date(text),
        ColumnType::Timestamp => is_timestamp(text),
        ColumnType::Uuid => {
            let lengths: Vec<usize> = text.split('-').map(str::len).collect();
            lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
        }
    }
}

fn number(text: &str, width: usize) -> Option<u32> {
    (text.len() == width && text.chars().all(|c| c.is_ascii_digit())).then(|| text.parse().ok())?
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    (1..=12).contains(&month) && (1..=days[month as usize - 1]).contains(&day)
}

fn is_timestamp(text: &str) -> bool {
    let Some(at) = text.find(['T', 't', ' ']) else { return false };
    let (date, space, time) = (&text[..at], text[at..].starts_with(' '), &text[at + 1..]);
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else { return false };
    let (Some(hour), Some(minute), Some(second)) = (number(hour, 2), number(minute, 2), number(second, 2))
    else {
        return false;
    };
    let east = match zone {
        "" if space => 0,
        "Z" | "z" => 0,
        _ => {
            let Some((h, m)) = zone.get(1..).and_then(|zone| zone.split_once(':')) else { return false };
            match (number(h, 2), number(m, 2)) {
                (Some(h), Some(m)) if h < 24 && m < 60 => {
                    (h * 60 + m) as i64 * if zone.starts_with('-') { -1 } else { 1 }
                }
                _ => return false,
            }
        }
    };
    let last_minute = ((hour * 60 + minute) as i64 - east + 2 * 1440) % 1440 == 1439;
    let seconds = if last_minute { 60 } else { 59 };
    let fraction_fits = !fraction.is_empty() && fraction.chars().all(|c| c.is_ascii_digit());
    is_date(date) && hour < 24 && minute < 60 && second <= seconds && fraction_fits
}
