//! COPY table FROM 'file'.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use millstream_engine::TableInfo;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::define::writable;
use super::files::{self, Format};
use super::{Appender, Scene};
use crate::listing::missing;
use crate::names::fold;
use crate::parse::CopyFrom;
use crate::query::Relation;
use crate::{Error, Outcome, Result};

const BATCH_ROWS: usize = 8192;

/// Reads a file into a table: columns by name, or by the order in which the statement lists them.
pub(super) fn copy_from(scene: &Scene, copy: CopyFrom) -> Result<Outcome> {
    let name = writable(scene, &copy.table)?;
    let Some(Relation::Table(table)) = scene.reader.relation(&name)? else { return Err(missing("table", &name)) };
    let mut options = copy.options;
    let format = Format::of(&copy.path, options.text("format")?.as_deref())?;
    let header = options.boolean("header")?.unwrap_or(true);
    let delimiter = delimiter(options.text("delimiter")?)?;
    options.finish("COPY … FROM", &["format", "header", "delimiter"])?;
    let columns: Vec<String> = copy.columns.iter().map(fold).collect();
    let (file, path) = files::open(&scene.options, &copy.path)?;
    let mut appender = Appender::new(scene, Arc::clone(&table));
    let target = Target { table: &table, columns: &columns, path: &path };
    match format {
        Format::Parquet => target.parquet(file, &mut appender)?,
        Format::Csv => target.csv(file, header, delimiter, &mut appender)?,
        Format::Json => target.json(file, &mut appender)?,
    }
    let rows = appender.finish()?;
    Ok(Outcome::Done { rows, message: format!("{rows} rows copied into {:?}", name.name) })
}

/// The one byte between fields.
pub(super) fn delimiter(option: Option<String>) -> Result<u8> {
    match option.as_deref().map(str::as_bytes) {
        None => Ok(b','),
        Some([byte]) => Ok(*byte),
        Some(_) => Err(Error::Invalid { message: "delimiter is one ASCII character".to_owned(), position: None }),
    }
}

struct Target<'a> {
    table: &'a TableInfo,
    columns: &'a [String],
    path: &'a Path,
}

impl Target<'_> {
    fn parquet(&self, file: File, appender: &mut Appender) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| files::failed(self.path, error);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(&error))?;
        let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let targets = self.match_columns(&names)?;
        let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| failed(&error))?;
        for batch in reader {
            appender.push(self.cast(&batch.map_err(|error| failed(&error))?, &targets)?)?;
        }
        Ok(())
    }

    fn csv(&self, file: File, header: bool, delimiter: u8, appender: &mut Appender) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| files::failed(self.path, error);
        let mut file = BufReader::new(file);
        let names = match header {
            true => {
                let format = arrow_csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
                let (schema, _) = format.infer_schema(&mut file, Some(0)).map_err(|error| failed(&error))?;
                file.rewind().map_err(|error| failed(&error))?;
                schema.fields().iter().map(|field| field.name().clone()).collect()
            }
            false if self.columns.is_empty() => self.field_names(),
            false => self.columns.to_vec(),
        };
        let targets = self.match_columns(&names)?;
        let schema = Arc::new(Schema::new(targets.clone()));
        let reader = arrow_csv::ReaderBuilder::new(Arc::clone(&schema))
            .with_header(header)
            .with_delimiter(delimiter)
            .with_batch_size(BATCH_ROWS)
            .build_buffered(file)
            .map_err(|error| failed(&error))?;
        for batch in reader {
            appender.push(batch.map_err(|error| failed(&error))?)?;
        }
        Ok(())
    }

    fn json(&self, file: File, appender: &mut Appender) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| files::failed(self.path, error);
        let mut file = BufReader::new(file);
        let fields: Vec<Field> = match self.columns {
            [] => self.table.schema().fields().iter().map(|field| nullable(field)).collect(),
            columns => self.match_columns(columns)?,
        };
        if file.fill_buf().map_err(|error| failed(&error))?.is_empty() {
            return Ok(());
        }
        let reader = arrow_json::ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_batch_size(BATCH_ROWS)
            .with_strict_mode(true)
            .build(file)
            .map_err(|error| failed(&error))?;
        for batch in reader {
            appender.push(batch.map_err(|error| failed(&error))?)?;
        }
        Ok(())
    }

    /// For each column of the file the table's field: by name, or by place where the statement lists columns.
    fn match_columns(&self, file_columns: &[String]) -> Result<Vec<Field>> {
        let wanted = match self.columns {
            [] => file_columns,
            listed if listed.len() == file_columns.len() => listed,
            listed => {
                let message = format!("the file has {} columns, {} are listed", file_columns.len(), listed.len());
                return Err(Error::Invalid { message, position: None });
            }
        };
        let mut seen = HashSet::new();
        let field = |name: &String| {
            if !seen.insert(name.clone()) {
                let message = format!("column {name:?} is there twice");
                return Err(Error::Invalid { message, position: None });
            }
            match self.table.schema().field_with_name(name) {
                Ok(field) => Ok(nullable(field)),
                Err(_) => Err(Error::Invalid {
                    message: format!(
                        "table {:?} has no column {name:?}; its columns are {}",
                        self.table.name,
                        self.field_names().join(", ")
                    ),
                    position: None,
                }),
            }
        };
        wanted.iter().map(field).collect()
    }

    fn cast(&self, batch: &RecordBatch, targets: &[Field]) -> Result<RecordBatch> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let columns = batch
            .columns()
            .iter()
            .zip(targets)
            .map(|(column, field)| {
                cast_with_options(column, field.data_type(), &strict)
                    .map_err(|error| files::failed(self.path, &format!("column {:?}: {error}", field.name())))
            })
            .collect::<Result<Vec<_>>>()?;
        let schema: SchemaRef = Arc::new(Schema::new(targets.to_vec()));
        RecordBatch::try_new(schema, columns).map_err(|error| files::failed(self.path, &error))
    }

    fn field_names(&self) -> Vec<String> {
        self.table.schema().fields().iter().map(|field| field.name().clone()).collect()
    }
}

/// A missing value is read as null; the engine says which column may not be.
fn nullable(field: &Field) -> Field {
    field.clone().with_nullable(true).with_metadata(Default::default())
}
