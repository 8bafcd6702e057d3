//! How fast `validate.csv` is on a file, beside a parser and a newline counter: GB/s of CPU time, medians of
//! alternating runs.
//!
//! `cargo run --release -p eft-pipeline --example csv_speed -- FILE [--crlf|--lf] [--any-bytes] [name=type ...] [null=NA]`
//!
//! Types are `integer`, `decimal`, `float`, `boolean`, `date`, `timestamp`, `uuid`; the first record is the header.

use std::collections::BTreeMap;
use std::error::Error;

use bytes::Bytes;
use eft_domain::route::{ColumnType, Columns, CsvSpec, Limits, RecordTerminator};
use eft_pipeline::stage::csv::CsvValidate;
use eft_pipeline::stage::{Input, Output, Stage};

const RUNS: usize = 15;
/// What an S3 GET delivers after coalescing.
const CHUNK: usize = 1 << 20;

/// CPU time of this thread so far, in seconds. Not from `/proc`: what stands there moves with the scheduler's tick, and
/// one run takes a few of those.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn ours(chunks: &[Bytes], spec: &CsvSpec) -> Result<u64, Box<dyn Error>> {
    let mut stage = CsvValidate::new(spec.clone(), &Limits::default())?;
    let mut input = Input::default();
    let mut output = Output::with_room(0);
    for chunk in chunks {
        input.push(chunk.clone());
        stage.step(&mut input, &mut output)?;
        output.take();
    }
    input.end();
    stage.step(&mut input, &mut output)?;
    Ok(stage.report().records.unwrap_or(0))
}

fn csv_core(chunks: &[Bytes]) -> u64 {
    let mut reader = csv_core::Reader::new();
    let (mut fields, mut ends, mut records) = (vec![0; 1 << 16], vec![0; 4096], 0);
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (result, read, _, _) = reader.read_record(rest, &mut fields, &mut ends);
            rest = &rest[read..];
            records += u64::from(result == csv_core::ReadRecordResult::Record);
        }
    }
    records
}

fn newlines(chunks: &[Bytes]) -> u64 {
    chunks.iter().map(|chunk| memchr::memchr_iter(b'\n', chunk).count() as u64).sum()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let data = Bytes::from(std::fs::read(args.next().ok_or("a file, please")?)?);
    let chunks: Vec<Bytes> =
        (0..data.len()).step_by(CHUNK).map(|at| data.slice(at..data.len().min(at + CHUNK))).collect();
    let mut spec = CsvSpec {
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        terminator: RecordTerminator::Any,
        columns: Columns::FromFile,
        types: BTreeMap::new(),
        not_null: Vec::new(),
        null_values: vec![String::new()],
        utf8: true,
    };
    for arg in args {
        match arg.split_once('=') {
            None if arg == "--crlf" => spec.terminator = RecordTerminator::CrLf,
            None if arg == "--any-bytes" => spec.utf8 = false,
            None if arg == "--lf" => spec.terminator = RecordTerminator::Lf,
            Some(("null", text)) => spec.null_values.push(text.to_owned()),
            Some((name, ty)) => {
                let ty = match ty {
                    "integer" => ColumnType::Integer,
                    "decimal" => ColumnType::Decimal,
                    "float" => ColumnType::Float,
                    "boolean" => ColumnType::Boolean,
                    "date" => ColumnType::Date,
                    "timestamp" => ColumnType::Timestamp,
                    "uuid" => ColumnType::Uuid,
                    _ => return Err(format!("type {ty}?").into()),
                };
                spec.types.insert(name.to_owned(), ty);
            }
            None => return Err(format!("{arg}?").into()),
        }
    }

    let names = ["validate.csv", "csv-core", "memchr newlines"];
    let mut times = [const { Vec::new() }; 3];
    let mut counts = [0; 3];
    for _ in 0..RUNS {
        for (i, times) in times.iter_mut().enumerate() {
            let start = cpu();
            counts[i] = match i {
                0 => ours(&chunks, &spec)?,
                1 => csv_core(&chunks),
                _ => newlines(&chunks),
            };
            times.push(cpu() - start);
        }
    }
    for ((name, times), count) in names.iter().zip(&mut times).zip(counts) {
        times.sort_by(f64::total_cmp);
        let rate = |time: f64| data.len() as f64 / 1e9 / time;
        let (median, slowest, fastest) = (rate(times[RUNS / 2]), rate(times[RUNS - 1]), rate(times[0]));
        println!("{name:16} {median:7.3} GB/s ({slowest:.3} to {fastest:.3}), {count} records");
    }
    Ok(())
}
