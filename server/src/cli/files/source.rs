//! Reads batches from a file.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_csv::reader::Format as CsvFormat;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{BATCH_ROWS, FileFormat};
use crate::cli::Failure;

/// A file of rows.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    format: FileFormat,
    /// The file's own columns; for CSV and JSON lines what all its rows have in common.
    schema: SchemaRef,
    /// Known before reading for Parquet only.
    rows: Option<u64>,
}

/// Batches of a file.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

impl Source {
    /// Opens a file and finds its columns. With `wanted`, the columns of the table it is meant for, text formats take the
    /// types from there and read the file only once.
    pub(crate) fn open(path: &Path, wanted: Option<&SchemaRef>) -> Result<Source, Failure> {
        let format = FileFormat::of(path)?;
        let failed = |error: String| Failure::failed(format!("{}: {error}", path.display()));
        let mut rows = None;
        let schema = match format {
            FileFormat::Parquet => {
                let builder =
                    ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|error| failed(error.to_string()))?;
                rows = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
                Arc::clone(builder.schema())
            }
            FileFormat::Csv => csv_schema(path, wanted).map_err(|error| failed(error.to_string()))?,
            FileFormat::JsonLines => match wanted {
                Some(wanted) => Arc::clone(wanted),
                None => {
                    let inferred = arrow_json::reader::infer_json_schema(BufReader::new(open(path)?), None);
                    let (schema, _) = inferred.map_err(|error| failed(error.to_string()))?;
                    Arc::new(with_times(path, &schema).map_err(|error| failed(error.to_string()))?)
                }
            },
            FileFormat::Arrow => {
                let reader = arrow_ipc::reader::StreamReader::try_new(BufReader::new(open(path)?), None);
                reader.map_err(|error| failed(error.to_string()))?.schema()
            }
        };
        if schema.fields().is_empty() {
            return Err(failed("it has no columns".to_owned()));
        }
        Ok(Source { path: path.to_owned(), format, schema, rows })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Reads the file from its beginning; `columns` by position, all if not given.
    pub(crate) fn batches(&self, columns: Option<Vec<usize>>) -> Result<Batches, Failure> {
        self.read(columns).map_err(|error| Failure::failed(format!("{}: {error}", self.path.display())))
    }

    fn read(&self, columns: Option<Vec<usize>>) -> Result<Batches, ArrowError> {
        let file = File::open(&self.path).map_err(ArrowError::from)?;
        Ok(match self.format {
            FileFormat::Parquet => {
                let mut builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS);
                if let Some(columns) = columns {
                    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
                    builder = builder.with_projection(mask);
                }
                Box::new(builder.build()?)
            }
            FileFormat::Csv => {
                let mut builder = arrow_csv::ReaderBuilder::new(Arc::clone(&self.schema))
                    .with_header(true)
                    .with_batch_size(BATCH_ROWS);
                if let Some(columns) = columns {
                    builder = builder.with_projection(columns);
                }
                Box::new(builder.build(file)?)
            }
            FileFormat::JsonLines => {
                let schema = match columns {
                    Some(columns) => Arc::new(self.schema.project(&columns)?),
                    None => Arc::clone(&self.schema),
                };
                let builder = arrow_json::ReaderBuilder::new(schema).with_batch_size(BATCH_ROWS);
                Box::new(builder.build(BufReader::new(file))?)
            }
            FileFormat::Arrow => Box::new(arrow_ipc::reader::StreamReader::try_new(BufReader::new(file), columns)?),
        })
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// The columns of the header, with the types of `wanted` where it has a column of that name.
fn csv_schema(path: &Path, wanted: Option<&SchemaRef>) -> Result<SchemaRef, ArrowError> {
    let mut file = File::open(path).map_err(ArrowError::from)?;
    // With types given, the header alone is read.
    let sample = wanted.map(|_| 1);
    let (inferred, _) = CsvFormat::default().with_header(true).infer_schema(&mut file, sample)?;
    file.rewind().map_err(ArrowError::from)?;
    let fields: Vec<Field> = inferred
        .fields()
        .iter()
        .map(|field| {
            let known = wanted.and_then(|wanted| wanted.field_with_name(field.name()).ok());
            let data_type = known.map_or_else(|| storable(field.data_type()), |known| known.data_type().clone());
            Field::new(field.name(), data_type, true)
        })
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// What a column that is nothing but nulls is taken as.
fn storable(data_type: &DataType) -> DataType {
    if data_type.is_null() { DataType::Utf8 } else { data_type.clone() }
}

/// JSON has no times: a text column in which every value is an RFC 3339 time with its zone becomes a timestamp in UTC.
fn with_times(path: &Path, schema: &Schema) -> Result<Schema, ArrowError> {
    let timestamp = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields: Vec<Field> =
        schema.fields().iter().map(|field| Field::new(field.name(), storable(field.data_type()), true)).collect();
    let texts: Vec<usize> = (0..fields.len()).filter(|index| is_text(&fields, *index)).collect();
    let mut times: Vec<(usize, bool, bool)> = texts.iter().map(|index| (*index, true, false)).collect();
    let columns = Arc::new(Schema::new(fields.clone()).project(&texts)?);
    let file = BufReader::new(File::open(path).map_err(ArrowError::from)?);
    for batch in arrow_json::ReaderBuilder::new(columns).with_batch_size(BATCH_ROWS).build(file)? {
        let batch = batch?;
        for ((_, all, some), column) in times.iter_mut().zip(batch.columns()) {
            let texts = arrow::array::AsArray::as_string::<i32>(column.as_ref());
            let mut found = texts.iter().flatten().peekable();
            *some |= found.peek().is_some();
            *all = *all && found.all(is_time);
        }
    }
    for (index, all, some) in times {
        if let (true, true, Some(field)) = (all, some, fields.get_mut(index)) {
            field.set_data_type(timestamp.clone());
        }
    }
    Ok(Schema::new(fields))
}

fn is_text(fields: &[Field], index: usize) -> bool {
    fields.get(index).is_some_and(|field| field.data_type() == &DataType::Utf8)
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let zoned = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    zoned
        && bytes.get(10) == Some(&b'T')
        && arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn types(source: &Source) -> Vec<String> {
        source.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    }

    #[test]
    fn json_lines_are_understood() {
        let text = "{\"at\":\"2013-01-01T10:00:00Z\",\"n\":1,\"note\":\"x\"}\n{\"at\":\"2013-01-01T10:00:00.5+01:00\",\"n\":null,\"note\":\"2013-01-01T10:00:00Z\"}\n";
        let (_dir, path) = file("a.jsonl", text);
        let source = Source::open(&path, None).unwrap();
        assert_eq!(types(&source), ["at Timestamp(µs, \"UTC\")", "n Int64", "note Utf8"]);
        let rows: usize = source.batches(None).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows, 2);
    }

    #[test]
    fn csv_takes_types_from_its_rows_or_from_the_table() {
        let (_dir, path) = file("a.csv", "id,price,word\n1,1.5,a\n2,,b\n");
        assert_eq!(types(&Source::open(&path, None).unwrap()), ["id Int64", "price Float64", "word Utf8"]);
        let wanted = Arc::new(Schema::new(vec![Field::new("id", DataType::UInt8, false)]));
        assert_eq!(types(&Source::open(&path, Some(&wanted)).unwrap())[0], "id UInt8");
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let (_dir, path) = file("a.txt", "");
        assert!(Source::open(&path, None).unwrap_err().to_string().contains("must end in .parquet"));
        let (_dir, path) = file("a.parquet", "no");
        assert!(Source::open(&path, None).unwrap_err().to_string().contains("a.parquet: "));
        let (_dir, path) = file("a.jsonl", "{\"a\":1}\n{\"a\":\n");
        assert!(Source::open(&path, None).is_err());
    }
}
