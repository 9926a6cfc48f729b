//! `millstream plugin test`: a guest against the rows of a file, without a server.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use clap::Args;
use millstream_engine::{FailureKind, OperatorError, PluginSettings};

use super::bisect::{Fault, faults};
use super::consumer::{Fed, Feeding};
use super::guest::{Guest, Loaded, load};
use super::load::LimitArguments;
use super::tables::{FileTable, FileTables};
use super::{expect, project, report};
use crate::cli::exit::Failure;
use crate::cli::files::{Source, Wanted};
use crate::cli::output::{output, say, unwritable};
use crate::format::{Format, RowSink};

#[derive(Debug, Args)]
#[command(after_help = "\
A component is run against the rows of --data: what comes out is printed, and a batch that fails is halved down to the rows \
at fault; rows are numbered from 1. A project is built first; without --data the tests of its plugin.toml are run, which say \
what must come out, and what tables hold that the plugin looks rows up in. The guest runs in the same sandbox, under the same limits, as in a server. Columns are taken by the \
names of its parameters. It exits with 1 if a row or a test failed.

A consumer is given the file in batches, as a running one is given a topic; what it puts into state is kept in memory for as \
long. Rows that it gives up are counted and named.

Examples:
  millstream plugin test
  millstream plugin test late.wasm --data examples/data/flights.parquet
  millstream plugin test late.wasm --data flights.csv --config 90 --limit 10000 --show 20
  millstream plugin test hourly_delays.wasm --data examples/data/flights.parquet --partition-by origin
  millstream plugin test seat_orders.wasm --data half_messages.jsonl --table flights=examples/data/flights.parquet")]
pub(crate) struct TestArguments {
    /// The component, a .wasm file; or the directory of a project
    #[arg(default_value = ".")]
    path: PathBuf,
    /// A file whose name ends in .parquet, .csv, .jsonl or .arrow
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// A table that the plugin looks rows up in, by what the plugin calls it, and the file that has its rows, the newest
    /// last; repeated for several
    #[arg(long = "table", value_name = "NAME=FILE", requires = "data")]
    tables: Vec<FileTable>,
    /// A host that the plugin may send requests to, of whatever network; repeated, or with commas between. Requests to others
    /// are denied
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    http: Vec<String>,
    /// Text handed to the guest when it is opened
    #[arg(long, value_name = "TEXT", default_value = "")]
    config: String,
    /// Rows of the file to take; all if not given
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// Rows that come out to print, and rows at fault to look for
    #[arg(long, value_name = "ROWS", default_value_t = 5)]
    show: usize,
    /// Consumers: rows of one call
    #[arg(long, value_name = "ROWS", requires = "data")]
    batch_rows: Option<u32>,
    /// Consumers: the column whose values are partitions of their own; one partition if not given
    #[arg(long, value_name = "COLUMN", requires = "data")]
    partition_by: Option<String>,
    #[command(flatten)]
    limits: LimitArguments,
}

pub(super) fn run(arguments: &TestArguments) -> Result<(), Failure> {
    let limits = arguments.limits.limits();
    let (config, http_hosts) = (arguments.config.clone(), arguments.http.clone());
    let settings = PluginSettings { limits, config, http_hosts, ..PluginSettings::default() };
    let tables = FileTables::new(&arguments.tables);
    let module = match (arguments.path.is_dir(), &arguments.data) {
        (true, None) => return expect::run(&arguments.path, &settings),
        (true, Some(_)) => project::build_one(&arguments.path)?,
        (false, _) => arguments.path.clone(),
    };
    let data = arguments.data.as_deref().ok_or_else(|| {
        Failure::usage(format!("--data is missing: the file whose rows {} is run against", module.display()))
    })?;
    let cache = tempfile::tempdir().map_err(|error| Failure::failed(format!("cannot make a directory: {error}")))?;
    match load(&module, &settings, &tables, cache.path())? {
        Loaded::Rows(guest) if arguments.batch_rows.is_none() && arguments.partition_by.is_none() => {
            let mut trial = Trial::new(&guest, arguments.show);
            trial.read_all(data, arguments.limit)?;
            trial.report()
        }
        Loaded::Rows(_) => {
            Err(Failure::usage(format!("{}: --batch-rows and --partition-by are for consumers", module.display())))
        }
        Loaded::Consumer(guest) => {
            let feeding = Feeding::new(arguments.partition_by.clone(), arguments.batch_rows);
            let mut fed = Fed::new(&guest, feeding, arguments.show);
            fed.read_all(data, arguments.limit, arguments.show + 1)?;
            report::consumer(&guest, &fed, arguments.show)
        }
    }
}

/// What came of the rows so far.
struct Trial<'a> {
    guest: &'a Guest,
    show: usize,
    rows: usize,
    given: usize,
    shown: Vec<RecordBatch>,
    faults: Vec<Fault<OperatorError>>,
    calls: u32,
    answered: usize,
    time: Duration,
    longest: Duration,
}

impl<'a> Trial<'a> {
    fn new(guest: &'a Guest, show: usize) -> Trial<'a> {
        Trial {
            guest,
            show,
            rows: 0,
            given: 0,
            shown: Vec::new(),
            faults: Vec::new(),
            calls: 0,
            answered: 0,
            time: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    fn read_all(&mut self, data: &Path, limit: Option<usize>) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", data.display()));
        let source = Source::open(data, Wanted::Among(&self.guest.wanted()), b',')?;
        let mut left = limit.unwrap_or(usize::MAX);
        for batch in source.batches(None)? {
            let batch = batch.map_err(|error| failed(&error))?;
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            let columns = self.guest.columns(&batch).map_err(|error| failed(&error))?;
            self.take(&columns, batch.num_rows())?;
            if left == 0 || self.faults.len() > self.show {
                break;
            }
        }
        Ok(())
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
        let (time, answer) = self.guest.call(columns, part.len(), first + part.start);
        self.calls += 1;
        self.time += time;
        self.longest = self.longest.max(time);
        let given = answer?;
        self.answered += part.len();
        self.given += given.num_rows();
        let room = self.show - self.shown.iter().map(RecordBatch::num_rows).sum::<usize>().min(self.show);
        if room > 0 && given.num_rows() > 0 {
            self.shown.push(given.slice(0, given.num_rows().min(room)));
        }
        Ok(())
    }

    fn report(self) -> Result<(), Failure> {
        if !self.shown.is_empty() {
            let mut sink = RowSink::new(output(), Format::Table, self.guest.given()).map_err(unwritable)?;
            self.shown.iter().try_for_each(|batch| sink.write(batch)).map_err(unwritable)?;
            sink.finish().map_err(unwritable)?;
        }
        let seconds = self.time.as_secs_f64().max(1e-9);
        let mut text = match self.guest.verb() {
            "answered" => format!("\nanswered   {} rows\n", self.answered),
            "gave" => format!("\ngave       {} rows from {}\n", self.given, self.answered),
            verb => format!("\n{verb:<10} {} of {} rows answered\n", self.given, self.answered),
        };
        let _ = writeln!(text, "calls      {}, {:.0?} each, the longest {:.0?}", self.calls, self.mean(), self.longest);
        let _ = writeln!(text, "speed      {:.0} rows/s", self.answered as f64 / seconds);
        let _ = writeln!(text, "loading    {:.0?}, compilation included", self.guest.loading);
        for fault in self.faults.iter().take(self.show) {
            let _ = writeln!(text, "failed     {}: {} ({:?})", rows(&fault.rows), fault.error, fault.error.kind);
        }
        say(&text)?;
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
