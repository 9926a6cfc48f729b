//! A guest under trial, whatever its kind: rows of a file in, rows out.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use millstream_engine::{
    BatchConsumer, BatchTransform, CheckVerdict, CheckbackHandler, FailureKind, LoadedPlugin, OperatorError,
    PluginHost as _, PluginKind, PluginSettings, RowMap, ScalarFunction,
};
use millstream_formats::bind;
use millstream_plugin_host::{HostOptions, Networks, WasmHost};

use super::module::read;
use super::tables::FileTables;
use crate::cli::exit::Failure;

/// A loaded component.
pub(super) enum Loaded {
    Rows(Guest),
    Consumer(ConsumerGuest),
}

/// Loads a component; its compiled code is kept in `cache`. The tables that it looks rows up in are read from files.
pub(super) fn load(
    module: &Path,
    settings: &PluginSettings,
    files: &FileTables<'_>,
    cache: &Path,
) -> Result<Loaded, Failure> {
    let bytes = read(module)?;
    let failed = |error: millstream_engine::Error| Failure::failed(error).within(module.display());
    let mut options = HostOptions::new(cache);
    // Whoever names a host here has named one of their own network, if they like.
    options.http_allow = Networks::everywhere();
    let host = WasmHost::new(options).map_err(Failure::failed)?;
    let started = Instant::now();
    let mut settings = settings.clone();
    let description = host.inspect(&bytes, &settings.limits).map_err(failed)?;
    // Nobody else's operator is asked here.
    settings.grants.clone_from(&description.capabilities);
    settings.tables = files.granted();
    let tables = Arc::new(files.read(&description.tables)?);
    let loaded = host.load_alone(&bytes, &settings, tables).map_err(failed)?;
    let loading = started.elapsed();
    let parameters = description.parameters;
    let is_filter = description.kind == PluginKind::Filter;
    let (called, fields) = match loaded {
        LoadedPlugin::Function(function) => {
            let mut fields = fields_of(&parameters);
            if !is_filter {
                fields.push(Field::new("result", function.signature().returns.clone(), true));
            }
            (if is_filter { Called::Filter(function) } else { Called::Function(function) }, fields)
        }
        LoadedPlugin::Transform(transform) => {
            let fields = transform.output_schema().fields().iter().map(|field| field.as_ref().clone()).collect();
            (Called::Transform(transform), fields)
        }
        LoadedPlugin::Checkback(handler) => {
            let mut fields = fields_of(&parameters);
            fields.push(Field::new("verdict", DataType::Utf8, false));
            (Called::Checkback(handler), fields)
        }
        LoadedPlugin::Consumer(consumer) => return Ok(Loaded::Consumer(ConsumerGuest { consumer, loading })),
    };
    let given = numbered(fields);
    Ok(Loaded::Rows(Guest { called, parameters, given, loading }))
}

/// A loaded consumer.
pub(super) struct ConsumerGuest {
    pub(super) consumer: Arc<dyn BatchConsumer>,
    /// How long it took to compile and to start.
    pub(super) loading: Duration,
}

/// A loaded guest of another kind.
pub(super) struct Guest {
    called: Called,
    parameters: Vec<(String, DataType)>,
    given: SchemaRef,
    /// How long it took to compile and to start.
    pub(super) loading: Duration,
}

enum Called {
    Filter(Arc<dyn ScalarFunction>),
    Function(Arc<dyn ScalarFunction>),
    Transform(Arc<dyn BatchTransform>),
    Checkback(Arc<dyn CheckbackHandler>),
}

impl Guest {
    /// The columns that it reads.
    pub(super) fn wanted(&self) -> SchemaRef {
        Arc::new(Schema::new(fields_of(&self.parameters)))
    }

    /// What comes out: the number of the row it comes from, and the columns. A filter gives the columns that it reads, a
    /// function these and its `result`, a checkback handler these and its `verdict`, a transform its own.
    pub(super) fn given(&self) -> &SchemaRef {
        &self.given
    }

    /// What it did to the rows that came out.
    pub(super) fn verb(&self) -> &'static str {
        match self.called {
            Called::Filter(_) => "kept",
            Called::Function(_) => "computed",
            Called::Transform(_) => "gave",
            Called::Checkback(_) => "answered",
        }
    }

    /// The parameters' columns of a batch of the file, in their declared types.
    pub(super) fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, String> {
        self.parameters.iter().map(|(name, data_type)| column(batch, name, data_type)).collect()
    }

    /// One call about `rows` rows, the first of which is row `first` of the file, counted from 0; with the time that the
    /// guest took.
    pub(super) fn call(
        &self,
        columns: Vec<ArrayRef>,
        rows: usize,
        first: usize,
    ) -> (Duration, Result<RecordBatch, OperatorError>) {
        let started = Instant::now();
        let number = |row: usize| i64::try_from(first + row + 1).unwrap_or(i64::MAX);
        match &self.called {
            Called::Filter(filter) => {
                let answer = filter.call(&columns, rows);
                let time = started.elapsed();
                (
                    time,
                    answer.and_then(|kept| {
                        let all = self.numbered_rows((0..rows).map(number), columns)?;
                        filter_record_batch(&all, kept.as_boolean()).map_err(broken)
                    }),
                )
            }
            Called::Function(function) => {
                let answer = function.call(&columns, rows);
                let time = started.elapsed();
                let columns = |result| columns.into_iter().chain([result]).collect();
                (time, answer.and_then(|result| self.numbered_rows((0..rows).map(number), columns(result))))
            }
            Called::Checkback(handler) => {
                let answer = self.arguments(&columns, rows).and_then(|rows| handler.check(&rows));
                let time = started.elapsed();
                (
                    time,
                    answer.and_then(|verdicts| {
                        let verdicts = verdicts.into_iter().map(CheckVerdict::name);
                        let verdicts: ArrayRef = Arc::new(StringArray::from_iter_values(verdicts));
                        self.numbered_rows((0..rows).map(number), columns.into_iter().chain([verdicts]).collect())
                    }),
                )
            }
            Called::Transform(transform) => {
                let answer = transform.transform(&columns, rows);
                let time = started.elapsed();
                (
                    time,
                    answer.and_then(|evaluated| {
                        let columns = evaluated.batch.columns().to_vec();
                        match evaluated.rows {
                            RowMap::Every => self.numbered_rows((0..rows).map(number), columns),
                            RowMap::Indices(rows) => {
                                self.numbered_rows(rows.into_iter().map(|row| number(row as usize)), columns)
                            }
                        }
                    }),
                )
            }
        }
    }

    fn arguments(&self, columns: &[ArrayRef], rows: usize) -> Result<RecordBatch, OperatorError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.wanted(), columns.to_vec(), &options).map_err(broken)
    }

    fn numbered_rows(
        &self,
        numbers: impl Iterator<Item = i64>,
        columns: Vec<ArrayRef>,
    ) -> Result<RecordBatch, OperatorError> {
        let mut all: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(numbers))];
        all.extend(columns);
        RecordBatch::try_new(self.given.clone(), all).map_err(broken)
    }
}

/// A column of a batch of the file, in the type that the plugin declares.
pub(super) fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, String> {
    let found = batch.column_by_name(name).ok_or_else(|| {
        let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        format!("the plugin reads a column {name:?}, and the file has {}", names.join(", "))
    })?;
    bind(found, data_type).map_err(|misfit| format!("column {name:?} is not {data_type}: {misfit}"))
}

pub(super) fn fields_of(parameters: &[(String, DataType)]) -> Vec<Field> {
    parameters.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true)).collect()
}

fn numbered(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new([vec![Field::new("row", DataType::Int64, false)], fields].concat()))
}

fn broken(error: ArrowError) -> OperatorError {
    OperatorError::new(FailureKind::Host, error.to_string())
}
