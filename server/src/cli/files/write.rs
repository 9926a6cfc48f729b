//! Writes batches to a file that appears whole under its name, or not at all.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::FileFormat;
use crate::format::{Format, RowSink};

/// A file being written, under a name of its own until it is whole.
pub(crate) struct FileSink {
    form: Option<Form>,
    temporary: PathBuf,
    path: PathBuf,
}

enum Form {
    Parquet(Box<ArrowWriter<File>>),
    Rows(Box<RowSink<BufWriter<File>>>),
}

impl FileSink {
    pub(crate) fn create(path: &Path, format: FileFormat, schema: &SchemaRef) -> io::Result<FileSink> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create_new(&temporary)?;
        let rows =
            |file, format| RowSink::new(BufWriter::new(file), format, schema).map(|sink| Form::Rows(Box::new(sink)));
        let form = match format {
            FileFormat::Parquet => {
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
                let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(io::Error::other)?;
                Form::Parquet(Box::new(writer))
            }
            FileFormat::Csv => rows(file, Format::Csv)?,
            FileFormat::JsonLines => rows(file, Format::Json)?,
            FileFormat::Arrow => rows(file, Format::Arrow)?,
        };
        Ok(FileSink { form: Some(form), temporary, path: path.to_owned() })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match &mut self.form {
            Some(Form::Parquet(writer)) => writer.write(batch).map_err(io::Error::other),
            Some(Form::Rows(sink)) => sink.write(batch),
            None => Ok(()),
        }
    }

    /// Ends the file, syncs it, and gives it its name.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match self.form.take() {
            Some(Form::Parquet(writer)) => drop(writer.into_inner().map_err(io::Error::other)?),
            Some(Form::Rows(sink)) => sink.finish()?,
            None => {}
        }
        File::open(&self.temporary)?.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // After a finish nothing is left under this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}
