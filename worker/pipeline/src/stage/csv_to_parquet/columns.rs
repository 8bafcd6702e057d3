//! The values of a row group, column by column, until they are written.

use std::sync::Arc;

use bytes::Bytes;
use eft_domain::route::{ColumnType, CsvToParquetSpec, DecimalSize};
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{
        BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
        Int32Type, Int64Type,
    },
    errors::Result,
    file::writer::SerializedColumnWriter,
    schema::types::{Type, TypePtr},
};

use super::values;
use crate::stage::csv::records::{Row, show};
use crate::stage::csv_to_jsonl::is_true;

/// Values handed to the writer at once: a list of references to texts is made for so many, not for all.
const BATCH: usize = 1024;

/// Digits that fit 8 bytes.
const SHORT_DECIMAL: u8 = 18;

/// One column of the row group being read.
#[derive(Debug)]
pub(super) struct Column {
    name: String,
    form: Form,
    required: bool,
    values: Values,
    /// A 1 for each value and a 0 for each null; empty where there are no nulls.
    levels: Vec<i16>,
}

/// How a text is read.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain(ColumnType),
    Decimal(DecimalSize),
}

#[derive(Debug)]
enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    /// Texts one after the other, and where each ends.
    Text(Vec<u8>, Vec<usize>),
    /// Sixteen bytes each.
    Fixed(Vec<u8>),
}

impl Column {
    pub(super) fn new(name: &str, spec: &CsvToParquetSpec) -> Self {
        let ty = spec.input.types.get(name).copied().unwrap_or(ColumnType::Text);
        let form = match spec.decimals.get(name) {
            Some(size) => Form::Decimal(*size),
            None => Form::Plain(ty),
        };
        let values = match form {
            Form::Decimal(size) if size.precision <= SHORT_DECIMAL => Values::Int64(Vec::new()),
            Form::Decimal(_) | Form::Plain(ColumnType::Uuid) => Values::Fixed(Vec::new()),
            Form::Plain(ColumnType::Integer | ColumnType::Timestamp) => Values::Int64(Vec::new()),
            Form::Plain(ColumnType::Float) => Values::Double(Vec::new()),
            Form::Plain(ColumnType::Boolean) => Values::Boolean(Vec::new()),
            Form::Plain(ColumnType::Date) => Values::Int32(Vec::new()),
            // A decimal without a size is refused with the route.
            Form::Plain(ColumnType::Text | ColumnType::Decimal) => Values::Text(Vec::new(), Vec::new()),
        };
        let required = spec.input.not_null.iter().any(|other| other == name);
        Self { name: name.to_owned(), form, required, values, levels: Vec::new() }
    }

    /// The column in the schema of the file.
    pub(super) fn field(&self) -> Result<TypePtr> {
        let (physical, logical) = match self.form {
            Form::Decimal(size) => {
                let logical = LogicalType::decimal(size.scale.into(), size.precision.into());
                let short = size.precision <= SHORT_DECIMAL;
                (if short { Physical::INT64 } else { Physical::FIXED_LEN_BYTE_ARRAY }, Some(logical))
            }
            Form::Plain(ty) => match ty {
                ColumnType::Text | ColumnType::Decimal => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                ColumnType::Integer => (Physical::INT64, None),
                ColumnType::Float => (Physical::DOUBLE, None),
                ColumnType::Boolean => (Physical::BOOLEAN, None),
                ColumnType::Date => (Physical::INT32, Some(LogicalType::Date)),
                ColumnType::Timestamp => {
                    (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
                }
                ColumnType::Uuid => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)),
            },
        };
        let mut builder = Type::primitive_type_builder(&self.name, physical)
            .with_repetition(if self.required { Repetition::REQUIRED } else { Repetition::OPTIONAL })
            .with_logical_type(logical);
        if let Form::Decimal(size) = self.form {
            builder = builder.with_precision(size.precision.into()).with_scale(size.scale.into());
        }
        if physical == Physical::FIXED_LEN_BYTE_ARRAY {
            builder = builder.with_length(16);
        }
        Ok(Arc::new(builder.build()?))
    }

    /// Add the value of a row; returns the bytes it takes.
    pub(super) fn push(&mut self, row: &Row<'_>, at: usize, room: &mut Vec<u8>) -> Result<usize, String> {
        let level = if self.required { 0 } else { size_of::<i16>() };
        if row.is_null(at) && !self.required {
            self.levels.push(0);
            return Ok(level);
        }
        let text = row.text(at, room);
        let bytes = match (&mut self.values, self.form) {
            (Values::Boolean(all), _) => push(all, is_true(text)),
            (Values::Int32(all), _) => {
                push(all, values::date(text).ok_or_else(|| wrong("not a date", text))?)
            }
            (Values::Int64(all), Form::Decimal(size)) => {
                let value = values::decimal(text, size).map_err(|why| wrong(&why, text))?;
                push(all, i64::try_from(value).map_err(|_| wrong("out of range", text))?)
            }
            (Values::Int64(all), Form::Plain(ColumnType::Timestamp)) => {
                push(all, values::timestamp(text).map_err(|why| wrong(why, text))?)
            }
            (Values::Int64(all), _) => {
                push(all, values::integer(text).ok_or_else(|| wrong("not an integer", text))?)
            }
            (Values::Double(all), _) => {
                push(all, values::double(text).ok_or_else(|| wrong("out of the range of a double", text))?)
            }
            (Values::Text(all, ends), _) => {
                all.extend_from_slice(text);
                text.len() + push(ends, all.len())
            }
            (Values::Fixed(all), form) => {
                let bytes = match form {
                    Form::Decimal(size) => {
                        values::decimal(text, size).map_err(|why| wrong(&why, text))?.to_be_bytes()
                    }
                    Form::Plain(_) => values::uuid(text).ok_or_else(|| wrong("not a UUID", text))?,
                };
                all.extend_from_slice(&bytes);
                bytes.len()
            }
        };
        if !self.required {
            self.levels.push(1);
        }
        Ok(level + bytes)
    }

    /// Take back what was pushed last.
    pub(super) fn undo(&mut self) {
        if !self.required && self.levels.pop() == Some(0) {
            return;
        }
        match &mut self.values {
            Values::Boolean(all) => drop(all.pop()),
            Values::Int32(all) => drop(all.pop()),
            Values::Int64(all) => drop(all.pop()),
            Values::Double(all) => drop(all.pop()),
            Values::Text(all, ends) => {
                ends.pop();
                all.truncate(ends.last().copied().unwrap_or(0));
            }
            Values::Fixed(all) => all.truncate(all.len().saturating_sub(16)),
        }
    }

    /// Write all values, and forget them.
    pub(super) fn write(&mut self, mut writer: SerializedColumnWriter<'_>) -> Result<()> {
        let levels = if self.required { None } else { Some(&self.levels[..]) };
        match &mut self.values {
            Values::Boolean(all) => write::<BoolType>(&mut writer, all, levels)?,
            Values::Int32(all) => write::<Int32Type>(&mut writer, all, levels)?,
            Values::Int64(all) => write::<Int64Type>(&mut writer, all, levels)?,
            Values::Double(all) => write::<DoubleType>(&mut writer, all, levels)?,
            Values::Text(all, ends) => {
                let all = Bytes::from(std::mem::take(all));
                let text = |at: usize| {
                    let from = if at == 0 { 0 } else { ends[at - 1] };
                    ByteArray::from(all.slice(from..ends[at]))
                };
                write_made::<ByteArrayType>(&mut writer, ends.len(), levels, text)?;
                ends.clear();
            }
            Values::Fixed(all) => {
                let all = Bytes::from(std::mem::take(all));
                let value =
                    |at: usize| FixedLenByteArray::from(ByteArray::from(all.slice(16 * at..16 * at + 16)));
                write_made::<FixedLenByteArrayType>(&mut writer, all.len() / 16, levels, value)?;
            }
        }
        self.levels.clear();
        writer.close()
    }
}

fn push<T>(all: &mut Vec<T>, value: T) -> usize {
    all.push(value);
    size_of::<T>()
}

fn wrong(why: &str, text: &[u8]) -> String {
    format!("{why}: {}", show(text, false))
}

fn write<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    levels: Option<&[i16]>,
) -> Result<()> {
    writer.typed::<T>().write_batch(values, levels, None)?;
    values.clear();
    Ok(())
}

/// Write `count` values that are made a batch at a time.
fn write_made<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    count: usize,
    levels: Option<&[i16]>,
    value: impl Fn(usize) -> T::T,
) -> Result<()> {
    let mut batch = Vec::with_capacity(BATCH.min(count));
    let mut next = 0;
    let Some(levels) = levels else {
        while next < count {
            batch.clear();
            batch.extend((next..count.min(next + BATCH)).map(&value));
            next += batch.len();
            writer.typed::<T>().write_batch(&batch, None, None)?;
        }
        return Ok(());
    };
    for levels in levels.chunks(BATCH) {
        let present = levels.iter().filter(|level| **level > 0).count();
        batch.clear();
        batch.extend((next..next + present).map(&value));
        next += present;
        writer.typed::<T>().write_batch(&batch, Some(levels), None)?;
    }
    Ok(())
}
