//! Where a command's rows go: standard output in the chosen format.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::writer::StreamWriter;
use clap::ValueEnum;
use millstream_formats::{csv, json};

use super::table::TableWriter;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// One object a line
    Json,
    /// A header line, then one line a row
    Csv,
    /// An Arrow IPC stream
    Arrow,
}

/// Writes batches of one schema.
pub(crate) struct RowSink<W: Write> {
    out: W,
    form: Form,
}

enum Form {
    Table(TableWriter),
    Json,
    Csv,
    /// The writer encodes to memory, so that each batch goes out whole or not at all.
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl<W: Write> RowSink<W> {
    /// Starts the output; formats with a header write it now.
    pub(crate) fn new(out: W, format: Format, schema: &SchemaRef) -> io::Result<RowSink<W>> {
        let mut sink = RowSink { out, form: Form::Json };
        sink.form = match format {
            Format::Table => Form::Table(TableWriter::new(schema)),
            Format::Json => Form::Json,
            Format::Csv => {
                let mut header = Vec::new();
                csv::write_header(&mut header, schema, b',');
                sink.out.write_all(&header)?;
                Form::Csv
            }
            Format::Arrow => {
                let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(io::Error::other)?;
                sink.out.write_all(&std::mem::take(writer.get_mut()))?;
                Form::Arrow(Box::new(writer))
            }
        };
        Ok(sink)
    }

    /// Writes the rows of a batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let mut bytes = Vec::new();
        match &mut self.form {
            Form::Table(table) => {
                let mut text = String::new();
                table.write(&mut text, batch);
                bytes = text.into_bytes();
            }
            Form::Json => json::write_rows(&mut bytes, batch),
            Form::Csv => csv::write_rows(&mut bytes, batch, b','),
            Form::Arrow(writer) => {
                writer.write(batch).map_err(io::Error::other)?;
                bytes = std::mem::take(writer.get_mut());
            }
        }
        self.out.write_all(&bytes)
    }

    /// Hands everything written so far to the system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the output and flushes it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match self.form {
            Form::Table(table) => {
                let mut text = String::new();
                table.finish(&mut text);
                self.out.write_all(text.as_bytes())?;
            }
            Form::Arrow(mut writer) => {
                writer.finish().map_err(io::Error::other)?;
                self.out.write_all(&std::mem::take(writer.get_mut()))?;
            }
            Form::Json | Form::Csv => {}
        }
        self.out.flush()
    }
}
