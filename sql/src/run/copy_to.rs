//! COPY … TO 'file'. The file appears under its name only when it is whole.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::copy_from::delimiter;
use super::files::{self, Format};
use super::new_file::NewFile;
use crate::parse::Options;
use crate::threads::blocking;
use crate::{BatchStream, Error, Outcome, Result, SqlOptions};

/// Writes rows to a file.
pub(crate) async fn copy_to(
    sql: &Arc<SqlOptions>,
    path: &str,
    mut options: Options,
    schema: SchemaRef,
    mut rows: BatchStream,
) -> Result<Outcome> {
    let format = Format::of(path, options.text("format")?.as_deref())?;
    let header = options.boolean("header")?.unwrap_or(true);
    let delimiter = delimiter(options.text("delimiter")?)?;
    let overwrite = options.boolean("overwrite")?.unwrap_or(false);
    options.finish("COPY … TO", &["format", "header", "delimiter", "overwrite"])?;
    let (sql, named) = (Arc::clone(sql), path.to_owned());
    let begin = move || -> Result<(NewFile, Writer)> {
        let (new, file) = NewFile::create(&sql, &named, overwrite)?;
        let writer = Writer::over(file, format, &schema, header, delimiter).map_err(|message| failed(&new, message))?;
        Ok((new, writer))
    };
    let (new, mut writer) = blocking(begin).await?;
    let new = Arc::new(new);
    let mut count = 0_u64;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        count += u64::try_from(batch.num_rows()).unwrap_or(0);
        let at = Arc::clone(&new);
        let write = move || writer.write(&batch).map(|()| writer).map_err(|message| failed(&at, message));
        writer = blocking(write).await?;
    }
    let target = new.path().to_owned();
    let finish = move || -> Result<()> {
        let file = writer.finish().map_err(|message| failed(&new, message))?;
        let new =
            Arc::into_inner(new).ok_or_else(|| Error::Internal("the new file is still being written".to_owned()))?;
        new.publish(&file)
    };
    blocking(finish).await?;
    Ok(Outcome::Done { rows: count, message: format!("{count} rows copied to {}", target.display()) })
}

fn failed(new: &NewFile, message: String) -> Error {
    files::failed(new.path(), &message)
}

enum Writer {
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
    Csv(Box<arrow_csv::Writer<BufWriter<File>>>),
    Json(arrow_json::LineDelimitedWriter<BufWriter<File>>),
}

impl Writer {
    fn over(file: File, format: Format, schema: &SchemaRef, header: bool, delimiter: u8) -> Result<Writer, String> {
        let file = BufWriter::new(file);
        Ok(match format {
            Format::Parquet => {
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
                let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties));
                Writer::Parquet(Box::new(writer.map_err(|error| error.to_string())?))
            }
            Format::Csv => {
                let mut writer =
                    arrow_csv::WriterBuilder::new().with_header(header).with_delimiter(delimiter).build(file);
                writer.write(&RecordBatch::new_empty(SchemaRef::clone(schema))).map_err(|error| error.to_string())?;
                Writer::Csv(Box::new(writer))
            }
            Format::Json => {
                let builder = arrow_json::WriterBuilder::new().with_explicit_nulls(true);
                Writer::Json(builder.build::<_, arrow_json::writer::LineDelimited>(file))
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), String> {
        match self {
            Writer::Parquet(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Writer::Csv(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Writer::Json(writer) => writer.write(batch).map_err(|error| error.to_string()),
        }
    }

    fn finish(self) -> Result<File, String> {
        let file = match self {
            Writer::Parquet(writer) => writer.into_inner().map_err(|error| error.to_string())?,
            Writer::Csv(writer) => writer.into_inner(),
            Writer::Json(mut writer) => {
                writer.finish().map_err(|error| error.to_string())?;
                writer.into_inner()
            }
        };
        file.into_inner().map_err(|error| error.to_string())
    }
}
