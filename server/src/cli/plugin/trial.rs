//! `millstream plugin test`: a guest against the rows of a file, without a server.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use clap::Args;
use millstream_engine::{FailureKind, OperatorError, PluginLimits, PluginSettings, ScalarFunction};
use millstream_plugin_host::{HostOptions, WasmHost};

use super::super::Failure;
use super::super::client::{output, unwritable};
use super::super::files::Source;
use super::bisect::{Fault, faults};
use super::read;
use crate::format::{Format, RowSink};

#[derive(Debug, Args)]
#[command(after_help = "\
The guest runs in the same sandbox, under the same limits, as in a server. Columns are taken by the names of its \
parameters. A batch that fails is halved down to the rows at fault; rows are numbered from 1. It exits with 1 if a row \
failed.

Examples:
  millstream plugin test late.wasm --data examples/data/flights.parquet
  millstream plugin test late.wasm --data flights.csv --config 90 --limit 10000 --show 20")]
pub(crate) struct TestArguments {
    /// The component, a .wasm file
    module: PathBuf,
    /// A file whose name ends in .parquet, .csv, .jsonl or .arrow
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Text handed to the guest when it is opened
    #[arg(long, value_name = "TEXT", default_value = "")]
    config: String,
    /// Rows of the file to take; all if not given
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// Kept rows to print, and rows at fault to look for
    #[arg(long, value_name = "ROWS", default_value_t = 5)]
    show: usize,
    /// Memory of one instance
    #[arg(long, value_name = "BYTES")]
    memory_bytes: Option<u64>,
    /// Time of one call
    #[arg(long, value_name = "MS")]
    call_timeout_ms: Option<u64>,
}

pub(super) fn run(arguments: &TestArguments) -> Result<(), Failure> {
    let mut limits = PluginLimits::default();
    limits.memory_bytes = arguments.memory_bytes.unwrap_or(limits.memory_bytes);
    limits.call_timeout_ms = arguments.call_timeout_ms.unwrap_or(limits.call_timeout_ms);
    let settings = PluginSettings { limits, config: arguments.config.clone(), ..PluginSettings::default() };
    let module = read(&arguments.module)?;
    let cache = tempfile::tempdir().map_err(|error| Failure::failed(format!("cannot make a directory: {error}")))?;
    let host = WasmHost::new(HostOptions::new(cache.path())).map_err(Failure::failed)?;
    let started = Instant::now();
    let filter = host
        .filter_alone(&module, &settings)
        .map_err(|error| Failure::failed(error).within(arguments.module.display()))?;
    let loading = started.elapsed();
    let mut trial = Trial::new(filter, arguments.show);
    trial.read_all(arguments)?;
    trial.report(loading)
}

/// What came of the rows so far.
struct Trial {
    filter: Arc<dyn ScalarFunction>,
    /// The file's row number, then the parameters.
    schema: SchemaRef,
    show: usize,
    rows: usize,
    kept: usize,
    shown: Vec<RecordBatch>,
    faults: Vec<Fault<OperatorError>>,
    calls: u32,
    answered: usize,
    time: Duration,
    longest: Duration,
}

impl Trial {
    fn new(filter: Arc<dyn ScalarFunction>, show: usize) -> Trial {
        let parameters = &filter.signature().parameters;
        let mut fields = vec![Field::new("row", DataType::Int64, false)];
        fields.extend(parameters.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true)));
        Trial {
            schema: Arc::new(Schema::new(fields)),
            filter,
            show,
            rows: 0,
            kept: 0,
            shown: Vec::new(),
            faults: Vec::new(),
            calls: 0,
            answered: 0,
            time: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    fn read_all(&mut self, arguments: &TestArguments) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", arguments.data.display()));
        let wanted = Arc::new(Schema::new(self.schema.fields().iter().skip(1).cloned().collect::<Vec<_>>()));
        let source = Source::open(&arguments.data, Some(&wanted))?;
        let mut left = arguments.limit.unwrap_or(usize::MAX);
        for batch in source.batches(None)? {
            let batch = batch.map_err(|error| failed(&error))?;
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            let columns = self.columns(&batch).map_err(|error| failed(&error))?;
            self.take(&columns, batch.num_rows())?;
            if left == 0 || self.faults.len() > self.show {
                break;
            }
        }
        Ok(())
    }

    /// The parameters' columns of a batch of the file, in their declared types.
    fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, String> {
        let convert = |(name, data_type): &(String, DataType)| {
            let found = batch.column_by_name(name).ok_or_else(|| {
                let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
                format!("the plugin reads a column {name:?}, and the file has {}", names.join(", "))
            })?;
            cast(found, data_type).map_err(|error| format!("column {name:?} is not {data_type}: {error}"))
        };
        self.filter.signature().parameters.iter().map(convert).collect()
    }

    fn take(&mut self, columns: &[ArrayRef], rows: usize) -> Result<(), Failure> {
        let first = self.rows;
        self.rows += rows;
        let mut broken = None;
        let room = (self.show + 1).saturating_sub(self.faults.len());
        let mut call = |part: Range<usize>| self.call(columns, part, first);
        if let Err(error) = call(0..rows) {
            if error.kind == FailureKind::Host {
                broken = Some(error);
            } else {
                let found = faults(0..rows, error, room, &mut call);
                broken = found.iter().find(|fault| fault.error.kind == FailureKind::Host).map(|f| f.error.clone());
                let number =
                    |fault: Fault<_>| Fault { rows: fault.rows.start + first..fault.rows.end + first, ..fault };
                self.faults.extend(found.into_iter().map(number));
            }
        }
        broken.map_or(Ok(()), |error| Err(Failure::failed(error)))
    }

    fn call(&mut self, columns: &[ArrayRef], part: Range<usize>, first: usize) -> Result<(), OperatorError> {
        let columns: Vec<ArrayRef> = columns.iter().map(|column| column.slice(part.start, part.len())).collect();
        let started = Instant::now();
        let answer = self.filter.call(&columns, part.len());
        let time = started.elapsed();
        self.calls += 1;
        self.time += time;
        self.longest = self.longest.max(time);
        let answer = answer?;
        let kept = answer.as_boolean();
        self.answered += part.len();
        self.kept += kept.true_count();
        let room = self.show - self.shown.iter().map(RecordBatch::num_rows).sum::<usize>().min(self.show);
        if room > 0 && kept.true_count() > 0 {
            let numbers = (part.start + first + 1..=part.end + first).map(|row| i64::try_from(row).unwrap_or(i64::MAX));
            let mut all: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(numbers))];
            all.extend(columns);
            let rows = RecordBatch::try_new(self.schema.clone(), all).and_then(|all| filter_record_batch(&all, kept));
            let rows = rows.map_err(|error| OperatorError::new(FailureKind::Host, error.to_string()))?;
            self.shown.push(rows.slice(0, rows.num_rows().min(room)));
        }
        Ok(())
    }

    fn report(self, loading: Duration) -> Result<(), Failure> {
        if !self.shown.is_empty() {
            let mut sink = RowSink::new(output(), Format::Table, &self.schema).map_err(unwritable)?;
            self.shown.iter().try_for_each(|batch| sink.write(batch)).map_err(unwritable)?;
            sink.finish().map_err(unwritable)?;
        }
        let seconds = self.time.as_secs_f64().max(1e-9);
        let mut text = format!("\nkept       {} of {} rows answered\n", self.kept, self.answered);
        let _ = writeln!(text, "calls      {}, {:.0?} each, the longest {:.0?}", self.calls, self.mean(), self.longest);
        let _ = writeln!(text, "speed      {:.0} rows/s", self.answered as f64 / seconds);
        let _ = writeln!(text, "loading    {loading:.0?}, compilation included");
        for fault in self.faults.iter().take(self.show) {
            let _ = writeln!(text, "failed     {}: {} ({:?})", rows(&fault.rows), fault.error, fault.error.kind);
        }
        super::super::say(&text)?;
        match self.faults.len() {
            0 => Ok(()),
            found if found > self.show => Err(Failure::failed(format!(
                "the first {} rows were looked at: more than {} fail",
                self.rows, self.show
            ))),
            _ => {
                let failed: usize = self.faults.iter().map(|fault| fault.rows.len()).sum();
                Err(Failure::failed(format!("{failed} of {} rows failed", self.rows)))
            }
        }
    }

    fn mean(&self) -> Duration {
        self.time / self.calls.max(1)
    }
}

/// Row numbers for people: from 1, the header of a text file not counted.
fn rows(range: &Range<usize>) -> String {
    match range.len() {
        1 => format!("row {}", range.end),
        _ => format!("rows {} to {}, which fail only together", range.start + 1, range.end),
    }
}
