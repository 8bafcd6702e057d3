//! `csv_to_parquet`: records as an Apache Parquet file.
//!
//! # Overview
//! A rewrite. Records are read as `validate.csv` reads them (see `csv/records.rs`), types included, and kept column by
//! column until they are a row group: [`CsvToParquetSpec::row_group_rows`] of them, or
//! [`CsvToParquetSpec::row_group_bytes`]. The group is then encoded whole, by the `parquet` crate without Arrow, into
//! memory, and handed on as there is room. The footer, which tells where everything is, comes last.
//!
//! # Resuming
//! Not (R3): the footer describes every row group of the file, and the crate neither gives that description away nor
//! takes one.
//!
//! # Memory
//! A row group's values, the same encoded, and the description of all groups so far, which is why their number is
//! bounded.

mod columns;
mod values;

use std::sync::Arc;

use eft_domain::route::{CsvToParquetSpec, Limits, ParquetCompression};
use eft_domain::{Code, Failure};
use parquet::{
    basic::{Compression, ZstdLevel},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::types::Type,
};

use self::columns::Column;
use super::csv::records::{self, Records, Row, Rows, Stop};
use super::csv_rewrite::Pending;
use super::{Flow, Input, Kind, Output, ResumeClass, Stage, StageInfo, StageReport, State};

const NAME: &str = "csv_to_parquet";

/// Memory for the description of the row groups, in bytes, and what one column of one group takes of it: 580 bytes
/// measured with statistics of 64 bytes each, and the encoded footer besides.
const FOOTER: u64 = 16 << 20;
const PER_CHUNK: u64 = 1 << 10;

/// What the encoder of one column holds besides the column's pages: a dictionary and a page of 1 MiB each (the crate's
/// defaults), what they are compressed into, and the compressor.
const ENCODER: u64 = 8 << 20;

/// The stage `csv_to_parquet`.
#[derive(Debug)]
pub struct CsvToParquet {
    records: Records,
    rows: Group,
    memory: u64,
    pending: Pending,
    done: bool,
}

impl CsvToParquet {
    /// A converter at the start of a file.
    ///
    /// # Errors
    /// [`Code::RouteInvalid`] when the spec contradicts itself, as [`CsvValidate::new`](super::CsvValidate::new).
    pub fn new(mut spec: CsvToParquetSpec, limits: &Limits) -> Result<Self, Failure> {
        spec.input.utf8 = true;
        let mut records = Records::new(NAME, &spec.input, spec.on_error, limits)?;
        records.never_saved();
        let group = spec.row_group_bytes.bytes() + records.max_record() + 64 * u64::from(limits.max_fields);
        // Values, in vectors that grew; the pages of a column; the group encoded, in a vector that grew.
        let memory = records.memory() + 5 * group + FOOTER + ENCODER;
        Ok(Self { records, rows: Group::new(spec)?, memory, pending: Pending::default(), done: false })
    }

    fn take_over(&mut self) {
        if let Some(writer) = &mut self.rows.writer {
            self.pending.bytes.append(writer.inner_mut());
        }
    }
}

impl Stage for CsvToParquet {
    fn info(&self) -> StageInfo {
        StageInfo {
            name: NAME,
            kind: Kind::Rewrite,
            ordered: true,
            resume: ResumeClass::R3,
            memory: self.memory,
        }
    }

    fn step(&mut self, input: &mut Input, output: &mut Output) -> Result<Flow, Failure> {
        loop {
            if !self.pending.drain(output) {
                return Ok(Flow::Full);
            }
            if self.done {
                return Ok(Flow::Done);
            }
            match self.records.read(input, &mut self.rows)? {
                Stop::Full => self.rows.write()?,
                Stop::Hungry | Stop::Boundary => return Ok(Flow::Hungry),
                Stop::End => {
                    self.rows.finish()?;
                    self.done = true;
                }
            }
            self.take_over();
        }
    }

    fn report(&self) -> StageReport {
        StageReport { frames: Some(self.rows.groups), ..self.records.report() }
    }

    fn save(&self) -> Option<State> {
        None
    }

    fn restore(&mut self, _: State) -> Result<(), Failure> {
        Err(super::bad_state(NAME, "it is never saved"))
    }
}

/// The row group being read, and the file it will be in.
struct Group {
    spec: CsvToParquetSpec,
    properties: WriterPropertiesPtr,
    /// `None` until the columns are known.
    writer: Option<SerializedFileWriter<Vec<u8>>>,
    columns: Vec<Column>,
    rows: u64,
    bytes: u64,
    /// Row groups written.
    groups: u64,
    max_groups: u64,
    /// A field put together.
    text: Vec<u8>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("rows", &self.rows).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Group {
    fn new(spec: CsvToParquetSpec) -> Result<Self, Failure> {
        let compression = match spec.compression {
            ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::try_new(3).map_err(internal)?),
            ParquetCompression::Snappy => Compression::SNAPPY,
            ParquetCompression::None => Compression::UNCOMPRESSED,
        };
        let properties = WriterProperties::builder()
            .set_compression(compression)
            // Page indexes are held until the end of the file, and grow with it.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("eft ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Self {
            spec,
            properties: Arc::new(properties),
            writer: None,
            columns: Vec::new(),
            rows: 0,
            bytes: 0,
            groups: 0,
            max_groups: 0,
            text: Vec::new(),
        })
    }

    fn open(&mut self, names: &[String]) -> ParquetResult<()> {
        self.columns = names.iter().map(|name| Column::new(name, &self.spec)).collect();
        let fields = self.columns.iter().map(Column::field).collect::<ParquetResult<Vec<_>>>()?;
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::clone(&self.properties))?;
        self.max_groups = (FOOTER / PER_CHUNK / names.len().max(1) as u64).max(1);
        self.writer = Some(writer);
        Ok(())
    }

    /// Write the rows there are as a row group.
    fn write(&mut self) -> Result<(), Failure> {
        if self.rows == 0 {
            return Ok(());
        }
        if self.groups == self.max_groups {
            let observed =
                format!("{} row groups and more of {} columns", self.groups + 1, self.columns.len());
            return Err(Failure::limit(Code::LimitRowGroups, observed, self.max_groups));
        }
        if let Some(writer) = &mut self.writer {
            write(writer, &mut self.columns).map_err(internal)?;
        }
        self.groups += 1;
        self.rows = 0;
        self.bytes = 0;
        Ok(())
    }

    /// Write what is left, and the footer.
    fn finish(&mut self) -> Result<(), Failure> {
        self.write()?;
        if let Some(writer) = &mut self.writer {
            writer.finish().map_err(internal)?;
        }
        Ok(())
    }
}

fn write(writer: &mut SerializedFileWriter<Vec<u8>>, columns: &mut [Column]) -> ParquetResult<()> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        let Some(writer) = group.next_column()? else { break };
        column.write(writer)?;
    }
    group.close()?;
    writer.flush()?;
    Ok(())
}

fn internal(error: ParquetError) -> Failure {
    Failure::new(Code::Internal, format!("{NAME}: {error}"))
}

impl Rows for Group {
    fn start(&mut self, names: &[String]) -> Result<(), String> {
        records::distinct(names, "Parquet")?;
        self.open(names).map_err(|error| format!("no Parquet file of these columns: {error}"))
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), (usize, String)> {
        let mut bytes = 0;
        for at in 0..self.columns.len() {
            match self.columns[at].push(row, at, &mut self.text) {
                Ok(value) => bytes += value as u64,
                Err(why) => {
                    self.columns[..at].iter_mut().for_each(Column::undo);
                    return Err((at, why));
                }
            }
        }
        self.rows += 1;
        self.bytes += bytes;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= self.spec.row_group_rows || self.bytes >= self.spec.row_group_bytes.bytes()
    }
}
