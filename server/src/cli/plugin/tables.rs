//! Tables of a plugin under trial, read from files.

use std::path::PathBuf;
use std::str::FromStr;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Schema};
use millstream_engine::{MemoryTables, TableUse};
use millstream_formats::bind;

use crate::cli::exit::Failure;
use crate::cli::files::{Source, Wanted};

/// `NAME=FILE`.
#[derive(Debug, Clone)]
pub(super) struct FileTable {
    /// What the plugin calls the table.
    pub(super) name: String,
    pub(super) file: PathBuf,
}

impl FromStr for FileTable {
    type Err = String;

    fn from_str(text: &str) -> Result<FileTable, String> {
        pair(text).map(|(name, file)| FileTable { name, file: file.into() })
    }
}

/// `NAME=WHAT`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, what)) if !name.is_empty() && !what.is_empty() => Ok((name.to_owned(), what.to_owned())),
        _ => Err(format!("{text:?} is not two names with = between them")),
    }
}

/// The files that were given.
#[derive(Debug)]
pub(super) struct FileTables<'a> {
    tables: &'a [FileTable],
}

impl FileTables<'_> {
    pub(super) fn new(tables: &[FileTable]) -> FileTables<'_> {
        FileTables { tables }
    }

    /// As the settings of a plugin name them.
    pub(super) fn granted(&self) -> Vec<(String, String)> {
        self.tables.iter().map(|table| (table.name.clone(), table.name.clone())).collect()
    }

    /// Reads the tables that a plugin declares. A file that none is for is an error, too.
    pub(super) fn read(&self, declared: &[TableUse]) -> Result<MemoryTables, Failure> {
        if let Some(table) = self.tables.iter().find(|table| !declared.iter().any(|used| used.name == table.name)) {
            return Err(Failure::usage(format!("the plugin looks no rows up in a table {:?}", table.name)));
        }
        let rows = declared.iter().map(|used| {
            let table = self.tables.iter().find(|table| table.name == used.name).ok_or_else(|| {
                let name = &used.name;
                Failure::usage(format!(
                    "the plugin looks rows up in {name:?}: --table {name}=FILE gives its rows, or in a [[test]] of plugin.toml \
                     tables = {{ {name} = \"FILE\" }}"
                ))
            })?;
            table.rows(used)
        });
        let rows: Vec<Vec<RecordBatch>> = rows.collect::<Result<_, _>>()?;
        MemoryTables::new(declared, rows).map_err(Failure::failed)
    }
}

impl FileTable {
    /// The columns of the key, then the others.
    fn rows(&self, used: &TableUse) -> Result<Vec<RecordBatch>, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", self.file.display()));
        let fields: Vec<FieldRef> = used.key.fields().iter().chain(used.columns.fields()).cloned().collect();
        let source = Source::open(&self.file, Wanted::Among(&Schema::new(fields.clone()).into()), b',')?;
        let batches = source.batches(None)?;
        let convert = |batch: RecordBatch| {
            let columns = fields.iter().map(|field| {
                let name = field.name();
                let found = batch.column_by_name(name).ok_or_else(|| {
                    failed(&format!("the plugin looks up a column {name:?}, which the file does not have"))
                })?;
                bind(found, field.data_type()).map_err(|misfit| failed(&format!("column {name:?}: {misfit}")))
            });
            let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
            RecordBatch::try_new(Schema::new(fields.clone()).into(), columns).map_err(|error| failed(&error))
        };
        batches.map(|batch| batch.map_err(|error| failed(&error)).and_then(convert)).collect()
    }
}
