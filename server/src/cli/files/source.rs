//! Reads batches from a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use millstream_formats::csv::{CsvOptions, header_fields};
use millstream_formats::ipc::ArrowFile;
use millstream_formats::parquet::ParquetFile;
use millstream_formats::{Decoder, Error, FileFormat, Resolve, columns_named, infer_csv, infer_json};

use super::ending::format_of;
use crate::cli::exit::Failure;

/// A file of rows.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// The file's own columns; for CSV and JSON what all its rows have in common.
    schema: SchemaRef,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Parquet(ParquetFile),
    Csv(CsvOptions),
    /// Whether members that are no columns are passed over.
    Json {
        lenient: bool,
    },
    Arrow,
}

/// Which types the columns of text formats have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// Those that fit the file's values, all of which are read.
    Inferred,
    /// Those of a table; another column is an error.
    Table(&'a SchemaRef),
    /// Those of what is to be read; other columns are passed over.
    Among(&'a SchemaRef),
}

/// Batches of a file.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Error>> + Send>;

impl Source {
    /// Opens a file and finds its columns; a CSV file has this delimiter.
    pub(crate) fn open(path: &Path, wanted: Wanted<'_>, delimiter: u8) -> Result<Source, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
        let format = format_of(path)?;
        let file = File::open(path).map_err(|error| failed(&error))?;
        let (schema, form) = match format {
            FileFormat::Parquet => {
                let file = ParquetFile::open(file).map_err(|error| failed(&error))?;
                (Arc::clone(file.schema()), Form::Parquet(file))
            }
            FileFormat::Csv => {
                let fields = csv_fields(file, wanted, delimiter).map_err(|error| failed(&error))?;
                (Arc::new(Schema::new(fields)), Form::Csv(CsvOptions { header: true, delimiter }))
            }
            FileFormat::Json => {
                let schema = match wanted {
                    Wanted::Table(schema) | Wanted::Among(schema) => Arc::clone(schema),
                    Wanted::Inferred => Arc::new(Schema::new(infer_json(file).map_err(|error| failed(&error))?)),
                };
                (schema, Form::Json { lenient: matches!(wanted, Wanted::Among(_)) })
            }
            FileFormat::Arrow => {
                let file = ArrowFile::open(file, None).map_err(|error| failed(&error))?;
                (Arc::clone(file.schema()), Form::Arrow)
            }
        };
        if schema.fields().is_empty() {
            return Err(failed(&"it has no columns"));
        }
        Ok(Source { path: path.to_owned(), schema, form })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many rows there are, where that is known before they are read.
    pub(crate) fn rows(&self) -> Option<u64> {
        match &self.form {
            Form::Parquet(file) => Some(file.rows()),
            _ => None,
        }
    }

    /// Reads the file from its beginning; `columns` by position, all if not given.
    pub(crate) fn batches(&self, columns: Option<Vec<usize>>) -> Result<Batches, Failure> {
        self.read(columns).map_err(|error| Failure::failed(format!("{}: {error}", self.path.display())))
    }

    fn read(&self, columns: Option<Vec<usize>>) -> Result<Batches, Error> {
        let fields = self.schema.fields().clone();
        let decoder = match &self.form {
            Form::Parquet(file) => return Ok(Box::new(file.batches(columns)?)),
            Form::Arrow => return Ok(Box::new(ArrowFile::open(File::open(&self.path)?, columns)?)),
            Form::Csv(options) => Decoder::csv(*options, Box::new(move |_| Ok(fields)))?,
            Form::Json { lenient: false } => Decoder::json(fields)?,
            Form::Json { lenient: true } => Decoder::json_among(fields)?,
        };
        let rows = millstream_formats::batches(File::open(&self.path)?, decoder);
        Ok(match columns {
            None => Box::new(rows),
            Some(columns) => Box::new(rows.map(move |batch| {
                batch.and_then(|batch| batch.project(&columns).map_err(|error| Error::Invalid(error.to_string())))
            })),
        })
    }
}

/// The columns of the header, with the types that are wanted.
fn csv_fields(file: File, wanted: Wanted<'_>, delimiter: u8) -> Result<Fields, Error> {
    let resolve: Resolve = match wanted {
        Wanted::Inferred => return infer_csv(file, delimiter),
        Wanted::Table(schema) => {
            let fields = schema.fields().clone();
            Box::new(move |names| columns_named(names, &fields))
        }
        Wanted::Among(schema) => {
            let schema = Arc::clone(schema);
            let text = |name: &String| Field::new(name, DataType::Utf8, true);
            Box::new(move |names| {
                Ok(names
                    .iter()
                    .map(|name| schema.field_with_name(name).cloned().unwrap_or_else(|_| text(name)))
                    .collect())
            })
        }
    };
    header_fields(file, delimiter, resolve)
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

    fn open(path: &Path, wanted: Wanted<'_>) -> Result<Source, Failure> {
        Source::open(path, wanted, b',')
    }

    fn types(source: &Source) -> Vec<String> {
        source.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    }

    #[test]
    fn json_lines_are_understood() {
        let text = "{\"at\":\"2013-01-01T10:00:00Z\",\"n\":1,\"note\":\"x\"}\n{\"at\":\"2013-01-01T10:00:00.5+01:00\",\"n\":null,\"note\":\"2013-01-01T10:00:00Z\"}\n";
        let (_dir, path) = file("a.jsonl", text);
        let source = open(&path, Wanted::Inferred).unwrap();
        assert_eq!(types(&source), ["at Timestamp(µs, \"UTC\")", "n Int64", "note Utf8"]);
        let rows: usize = source.batches(None).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows, 2);
    }

    #[test]
    fn types_are_those_of_the_rows_or_those_that_are_wanted() {
        let (_dir, path) = file("a.csv", "id,price,word\n1,1.5,a\n2,,b\n");
        assert_eq!(types(&open(&path, Wanted::Inferred).unwrap()), ["id Int64", "price Float64", "word Utf8"]);
        let wanted = Arc::new(Schema::new(vec![Field::new("id", DataType::UInt8, false)]));
        assert_eq!(types(&open(&path, Wanted::Among(&wanted)).unwrap())[0], "id UInt8");
        let refused = open(&path, Wanted::Table(&wanted)).unwrap_err().to_string();
        assert!(refused.ends_with("line 1: there is no column \"price\"; there are id"), "{refused}");
        let (_dir, path) = file("a.jsonl", "{\"id\":1,\"word\":\"a\"}");
        let rows = |wanted| open(&path, wanted).unwrap().batches(None).unwrap().next().unwrap();
        assert_eq!(rows(Wanted::Among(&wanted)).unwrap().num_columns(), 1);
        let refused = rows(Wanted::Table(&wanted)).unwrap_err().to_string();
        assert_eq!(refused, "line 1: there is no column \"word\"; there are id");
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let (_dir, path) = file("a.txt", "");
        assert!(open(&path, Wanted::Inferred).unwrap_err().to_string().contains("must end in .parquet"));
        let (_dir, path) = file("a.parquet", "no");
        assert!(open(&path, Wanted::Inferred).unwrap_err().to_string().contains("a.parquet: "));
        let (_dir, path) = file("a.jsonl", "{\"a\":1}\n{\"a\":\n");
        assert!(open(&path, Wanted::Inferred).is_err());
        let (_dir, path) = file("a.csv", "id;word\n1;a\n");
        let wanted = Arc::new(Schema::new(vec![Field::new("id", DataType::UInt8, false)]));
        let hinted = open(&path, Wanted::Table(&wanted)).unwrap_err().to_string();
        assert!(hinted.ends_with("is the delimiter ';'?)"), "{hinted}");
    }
}
