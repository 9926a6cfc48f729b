//! COPY table FROM 'file'.

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Fields, Schema};
use millstream_engine::{Misfit, TableInfo, convert_column};
use millstream_formats::csv::CsvOptions;
use millstream_formats::parquet::ParquetFile;
use millstream_formats::{Decoder, batches};

use super::define::writable;
use super::files::{self, Format};
use super::{Appender, Scene};
use crate::listing::missing;
use crate::names::fold;
use crate::parse::CopyFrom;
use crate::query::Relation;
use crate::{Error, Outcome, Result};

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
    scene.engine().check_files(scene.who())?;
    let (file, path) = files::open(&scene.reader.options, &copy.path)?;
    let mut appender = Appender::new(scene, Arc::clone(&table));
    let target = Target { table, columns, path };
    match format {
        Format::Parquet => target.parquet(file, &mut appender)?,
        Format::Csv => target.csv(file, CsvOptions { header, delimiter }, &mut appender)?,
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

/// What a file is read into.
#[derive(Clone)]
struct Target {
    table: Arc<TableInfo>,
    /// The columns that the statement lists, in the file's order.
    columns: Vec<String>,
    path: PathBuf,
}

impl Target {
    fn parquet(&self, file: File, appender: &mut Appender) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| files::failed(&self.path, error);
        let file = ParquetFile::open(file).map_err(|error| failed(&error))?;
        let names: Vec<String> = file.schema().fields().iter().map(|field| field.name().clone()).collect();
        let targets = self.match_columns(&names).map_err(invalid)?;
        let mut rows = 0;
        for batch in file.batches(None).map_err(|error| failed(&error))? {
            let batch = batch.map_err(|error| failed(&error))?;
            appender.push(self.convert(&batch, &targets, rows)?)?;
            rows += batch.num_rows();
        }
        Ok(())
    }

    fn csv(&self, file: File, options: CsvOptions, appender: &mut Appender) -> Result<()> {
        let target = self.clone();
        let resolve = move |names: &[String]| match (options.header, target.columns.is_empty()) {
            (true, _) => target.match_columns(names),
            (false, true) => target.match_columns(&target.field_names()),
            (false, false) => target.match_columns(&target.columns),
        };
        self.text(file, Decoder::csv(options, Box::new(resolve)), appender)
    }

    fn json(&self, file: File, appender: &mut Appender) -> Result<()> {
        let fields = match self.columns.is_empty() {
            true => self.table.schema().fields().clone(),
            false => self.match_columns(&self.columns).map_err(invalid)?,
        };
        self.text(file, Decoder::json(fields), appender)
    }

    fn text(&self, file: File, decoder: millstream_formats::Result<Decoder>, appender: &mut Appender) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| files::failed(&self.path, error);
        let decoder = decoder.map_err(|error| failed(&error))?;
        for batch in batches(file, decoder) {
            appender.push(batch.map_err(|error| failed(&error))?)?;
        }
        Ok(())
    }

    /// For each column of the file the table's field: by name, or by place where the statement lists columns.
    fn match_columns(&self, file_columns: &[String]) -> Result<Fields, String> {
        let wanted = match self.columns.as_slice() {
            [] => file_columns,
            listed if listed.len() == file_columns.len() => listed,
            listed => return Err(format!("the file has {} columns, {} are listed", file_columns.len(), listed.len())),
        };
        let mut seen = HashSet::new();
        let field = |name: &String| {
            if !seen.insert(name.clone()) {
                return Err(format!("column {name:?} is there twice"));
            }
            let schema = self.table.schema();
            schema.field_with_name(name).cloned().map_err(|_| {
                let columns = self.field_names().join(", ");
                format!("table {:?} has no column {name:?}; its columns are {columns}", self.table.name)
            })
        };
        wanted.iter().map(field).collect::<Result<Vec<_>, _>>().map(Fields::from)
    }

    /// The columns as the table has them; `before` rows of the file came before.
    fn convert(&self, batch: &RecordBatch, targets: &Fields, before: usize) -> Result<RecordBatch> {
        let column = |(column, field): (&ArrayRef, &FieldRef)| {
            convert_column(column, field.data_type()).map_err(|Misfit { row, reason }| {
                let row = row.map_or_else(String::new, |row| format!(" in row {}", before + row + 1));
                files::failed(&self.path, &format!("column {:?}{row} {reason}", field.name()))
            })
        };
        let columns = batch.columns().iter().zip(targets).map(column).collect::<Result<Vec<_>>>()?;
        // The engine says which column may not be null.
        let fields: Vec<FieldRef> =
            targets.iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| files::failed(&self.path, &error))
    }

    fn field_names(&self) -> Vec<String> {
        self.table.schema().fields().iter().map(|field| field.name().clone()).collect()
    }
}

fn invalid(message: String) -> Error {
    Error::Invalid { message, position: None }
}
