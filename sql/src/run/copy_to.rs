//! COPY … TO 'file'. The file appears under its name only when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::copy_from::delimiter;
use super::files::{self, Format};
use crate::parse::Options;
use crate::threads::blocking;
use crate::{BatchStream, Error, Outcome, Result, SqlOptions};

/// Writes rows to a file.
pub(crate) async fn copy_to(
    sql: &SqlOptions,
    path: &str,
    mut options: Options,
    schema: SchemaRef,
    mut rows: BatchStream,
) -> Result<Outcome> {
    let format = Format::of(path, options.text("format")?.as_deref())?;
    let header = options.boolean("header")?.unwrap_or(true);
    let delimiter = delimiter(options.text("delimiter")?)?;
    options.finish("COPY … TO", &["format", "header", "delimiter"])?;
    let target = files::target(sql, path)?;
    let unfinished = Unfinished::new(&target);
    let mut writer = Some(Writer::open(&unfinished.path, format, &schema, header, delimiter)?);
    let mut count = 0_u64;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        count += u64::try_from(batch.num_rows()).unwrap_or(0);
        let at = unfinished.path.clone();
        let mut taken = writer.take().ok_or_else(|| Error::Internal("the file's writer is gone".to_owned()))?;
        let write = move || taken.write(&batch).map(|()| taken).map_err(|message| files::failed(&at, &message));
        writer = Some(blocking(write).await?);
    }
    let at = unfinished.path.clone();
    if let Some(writer) = writer {
        blocking(move || writer.finish().map_err(|message| files::failed(&at, &message))).await?;
    }
    unfinished.publish(&target)?;
    Ok(Outcome::Done { rows: count, message: format!("{count} rows copied to {}", target.display()) })
}

/// A file under a name that shows that it is not done; removed unless it is published.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    fn new(target: &Path) -> Unfinished {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.unfinished", std::process::id()));
        Unfinished { path: target.with_file_name(name) }
    }

    fn publish(self, target: &Path) -> Result<()> {
        std::fs::rename(&self.path, target).map_err(|error| files::failed(target, &error))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is gone if it was published; what can't be removed stays under its telling name.
        let _ = std::fs::remove_file(&self.path);
    }
}

enum Writer {
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
    Csv(Box<arrow_csv::Writer<BufWriter<File>>>),
    Json(arrow_json::LineDelimitedWriter<BufWriter<File>>),
}

impl Writer {
    fn open(path: &Path, format: Format, schema: &SchemaRef, header: bool, delimiter: u8) -> Result<Writer> {
        let failed = |error: &dyn std::fmt::Display| files::failed(path, error);
        let file = BufWriter::new(File::create(path).map_err(|error| failed(&error))?);
        Ok(match format {
            Format::Parquet => {
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
                let writer = ArrowWriter::try_new(file, SchemaRef::clone(schema), Some(properties));
                Writer::Parquet(Box::new(writer.map_err(|error| failed(&error))?))
            }
            Format::Csv => {
                let mut writer =
                    arrow_csv::WriterBuilder::new().with_header(header).with_delimiter(delimiter).build(file);
                writer.write(&RecordBatch::new_empty(SchemaRef::clone(schema))).map_err(|error| failed(&error))?;
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

    fn finish(self) -> Result<(), String> {
        let file = match self {
            Writer::Parquet(writer) => writer.into_inner().map_err(|error| error.to_string())?,
            Writer::Csv(writer) => writer.into_inner(),
            Writer::Json(mut writer) => {
                writer.finish().map_err(|error| error.to_string())?;
                writer.into_inner()
            }
        };
        let mut file = file.into_inner().map_err(|error| error.to_string())?;
        file.flush().and_then(|()| file.sync_all()).map_err(|error| error.to_string())
    }
}
