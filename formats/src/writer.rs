//! Writes rows in the formats of files.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::csv::CsvOptions;
use crate::{Error, Result, csv, json};

/// A file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    Parquet,
    Csv,
    /// Objects, one a line when written.
    Json,
    /// An Arrow IPC stream.
    Arrow,
}

impl FileFormat {
    /// By the ending of a file's name.
    pub fn of(path: &Path) -> Option<FileFormat> {
        FileFormat::named(&path.extension()?.to_str()?.to_ascii_lowercase())
    }

    /// By its name.
    pub fn named(name: &str) -> Option<FileFormat> {
        match name {
            "parquet" => Some(FileFormat::Parquet),
            "csv" => Some(FileFormat::Csv),
            "json" | "jsonl" | "ndjson" => Some(FileFormat::Json),
            "arrow" | "arrows" => Some(FileFormat::Arrow),
            _ => None,
        }
    }
}

/// Writes batches of one schema. What is written is whole only after [`Writer::finish`].
pub struct Writer<W: Write + Send> {
    form: Form<W>,
}

enum Form<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(W, u8),
    Json(W),
    Arrow(Box<StreamWriter<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// Begins; formats with a header write it now. The options are for CSV.
    pub fn new(mut out: W, format: FileFormat, schema: &SchemaRef, options: CsvOptions) -> Result<Writer<W>> {
        if matches!(format, FileFormat::Csv | FileFormat::Json) {
            check_names(schema)?;
        }
        let form = match format {
            FileFormat::Parquet => {
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
                let writer = ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties));
                Form::Parquet(Box::new(writer.map_err(Error::invalid)?))
            }
            FileFormat::Csv => {
                if options.header {
                    let mut header = Vec::new();
                    csv::write_header(&mut header, schema, options.delimiter);
                    out.write_all(&header)?;
                }
                Form::Csv(out, options.delimiter)
            }
            FileFormat::Json => Form::Json(out),
            FileFormat::Arrow => Form::Arrow(Box::new(StreamWriter::try_new(out, schema).map_err(Error::invalid)?)),
        };
        Ok(Writer { form })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut bytes = Vec::new();
        match &mut self.form {
            Form::Parquet(writer) => return writer.write(batch).map_err(Error::invalid),
            Form::Arrow(writer) => return writer.write(batch).map_err(Error::invalid),
            Form::Csv(out, delimiter) => {
                csv::write_rows(&mut bytes, batch, *delimiter);
                out.write_all(&bytes)?;
            }
            Form::Json(out) => {
                json::write_rows(&mut bytes, batch);
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    /// Ends what was written and gives what it was written to.
    pub fn finish(self) -> Result<W> {
        let mut out = match self.form {
            Form::Parquet(writer) => writer.into_inner().map_err(Error::invalid)?,
            Form::Csv(out, _) | Form::Json(out) => out,
            Form::Arrow(mut writer) => {
                writer.finish().map_err(Error::invalid)?;
                writer.into_inner().map_err(Error::invalid)?
            }
        };
        out.flush()?;
        Ok(out)
    }
}

/// Text formats find columns by name, so that no reader could tell two of one name apart.
fn check_names(schema: &SchemaRef) -> Result<()> {
    let mut seen = HashSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name())) {
        Some(field) => Err(Error::Invalid(format!(
            "there are two columns {:?}; give one of them another name with AS",
            field.name()
        ))),
        None => Ok(()),
    }
}

impl<W: Write + Send> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
