//! Writes batches to a file that appears whole under its name, or not at all.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millstream_formats::csv::CsvOptions;
use millstream_formats::{FileFormat, Result, Writer};

/// A file being written, under a name of its own until it is whole.
pub(crate) struct FileSink {
    /// `None` only while it ends.
    writer: Option<Writer<BufWriter<File>>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl FileSink {
    pub(crate) fn create(path: &Path, format: FileFormat, schema: &SchemaRef) -> Result<FileSink> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = BufWriter::new(File::create_new(&temporary)?);
        let mut sink = FileSink { writer: None, temporary, path: path.to_owned() };
        sink.writer = Some(Writer::new(file, format, schema, CsvOptions::default())?);
        Ok(sink)
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.iter_mut().try_for_each(|writer| writer.write(batch))
    }

    /// Ends the file, syncs it, and gives it its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            let file = writer.finish()?.into_inner().map_err(|error| error.into_error())?;
            file.sync_all()?;
        }
        Ok(std::fs::rename(&self.temporary, &self.path)?)
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // After a finish nothing is left under this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}
