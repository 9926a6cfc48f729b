//! A file that goes through a consumer, in batches, with state kept in memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array as _, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use millstream_engine::{ConsumerTrial, PluginConsumerSettings, TrialFault, TrialOutcome};

use super::guest::{ConsumerGuest, column, fields_of};
use crate::cli::exit::Failure;
use crate::cli::files::{Source, Wanted};

/// Partitions at most; more values share those that there are.
const MAX_PARTITIONS: usize = 256;

/// How rows are given.
#[derive(Debug)]
pub(super) struct Feeding {
    /// The column whose values are partitions of their own.
    partition_by: Option<String>,
    settings: PluginConsumerSettings,
}

impl Feeding {
    /// `batch_rows` is what one call gets at most.
    pub(super) fn new(partition_by: Option<String>, batch_rows: Option<u32>) -> Feeding {
        let default = PluginConsumerSettings::default();
        // What fails for the rows of a file fails again: one more try shows what only seems to.
        let settings =
            PluginConsumerSettings { retries: 1, batch_rows: batch_rows.unwrap_or(default.batch_rows), ..default };
        Feeding { partition_by, settings }
    }
}

/// What came of the rows so far. Rows of the file are numbered from 1.
pub(super) struct Fed<'a> {
    guest: &'a ConsumerGuest,
    feeding: Feeding,
    partitions: Vec<ConsumerTrial>,
    /// Which partition a value of the column has.
    values: HashMap<Option<String>, usize>,
    /// Rows of each output that are kept, at most.
    keep: usize,
    /// Rows of the batches before.
    read: usize,
    /// Rows that were given, to whatever end.
    pub(super) rows: usize,
    pub(super) outputs: Vec<Gathered>,
    pub(super) given_up: Vec<(usize, String)>,
    pub(super) failed: Vec<(usize, TrialFault)>,
    pub(super) rows_again: usize,
    pub(super) calls: u32,
    pub(super) time: Duration,
    pub(super) longest: Duration,
}

/// Rows of an output.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered {
    pub(super) rows: usize,
    /// The first of them.
    pub(super) kept: Vec<RecordBatch>,
}

impl<'a> Fed<'a> {
    pub(super) fn new(guest: &'a ConsumerGuest, feeding: Feeding, keep: usize) -> Fed<'a> {
        Fed {
            guest,
            feeding,
            partitions: Vec::new(),
            values: HashMap::new(),
            keep,
            read: 0,
            rows: 0,
            outputs: vec![Gathered::default(); guest.consumer.outputs().len()],
            given_up: Vec::new(),
            failed: Vec::new(),
            rows_again: 0,
            calls: 0,
            time: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    /// Gives it the rows of a file, `limit` at most, until `most` of them have failed.
    pub(super) fn read_all(&mut self, data: &Path, limit: Option<usize>, most: usize) -> Result<(), Failure> {
        let failed = |why: &dyn std::fmt::Display| Failure::failed(format!("{}: {why}", data.display()));
        let source = self.source(data)?;
        let mut left = limit.unwrap_or(usize::MAX);
        for batch in source.batches(None)? {
            let batch = batch.map_err(|error| failed(&error))?;
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            let parts = self.parts(&batch).map_err(|why| failed(&why))?;
            let columns = self.columns(&batch).map_err(|why| failed(&why))?;
            for (partition, rows) in parts {
                self.give(partition, &columns, &rows, most)?;
            }
            self.read += batch.num_rows();
            if left == 0 || self.failed.len() >= most {
                break;
            }
        }
        Ok(())
    }

    /// Entries of all partitions, and their bytes.
    pub(super) fn state(&self) -> (usize, usize) {
        let entries = self.partitions.iter().flat_map(ConsumerTrial::state);
        entries.fold((0, 0), |(count, bytes), (key, value)| (count + 1, bytes + key.len() + value.len()))
    }

    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Text files take the types that the plugin declares; one with another column to split by, its own.
    fn source(&self, data: &Path) -> Result<Source, Failure> {
        let parameters = self.guest.consumer.parameters();
        let fields: Vec<Field> = fields_of(parameters).into_iter().filter(|field| !is_pseudo(field.name())).collect();
        let by = self.feeding.partition_by.as_ref();
        let is_whole = !fields.is_empty() && by.is_none_or(|by| fields.iter().any(|field| field.name() == by));
        let wanted = is_whole.then(|| Arc::new(Schema::new(fields)));
        Source::open(data, wanted.as_ref().map_or(Wanted::Inferred, Wanted::Among), b',')
    }

    /// What the plugin reads, but for pseudo-columns that the file does not have.
    fn columns(&self, batch: &RecordBatch) -> Result<RecordBatch, String> {
        let parameters = self.guest.consumer.parameters().iter();
        let there = parameters.filter(|(name, _)| !is_pseudo(name) || batch.column_by_name(name).is_some());
        let columns = there.map(|(name, data_type)| Ok((name, column(batch, name, data_type)?)));
        let columns: Vec<(&String, ArrayRef)> = columns.collect::<Result<_, String>>()?;
        if columns.is_empty() {
            return Ok(batch.clone());
        }
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .map_err(|error| error.to_string())
    }

    /// The rows of each partition, in the order of the file.
    fn parts(&mut self, batch: &RecordBatch) -> Result<Vec<(usize, Vec<u32>)>, String> {
        let rows = 0..u32::try_from(batch.num_rows()).map_err(|_| "a batch is too large".to_owned())?;
        let Some(by) = &self.feeding.partition_by else { return Ok(vec![(self.partition(None), rows.collect())]) };
        let found = batch.column_by_name(by).ok_or_else(|| format!("it has no column {by:?} to partition by"))?;
        let texts = cast(found, &DataType::Utf8).map_err(|error| format!("column {by:?} has no keys: {error}"))?;
        let texts = texts.as_string::<i32>().clone();
        let mut parts: Vec<(usize, Vec<u32>)> = Vec::new();
        for (row, at) in rows.zip(0..) {
            let value = texts.is_valid(at).then(|| texts.value(at).to_owned());
            let partition = self.partition(value);
            match parts.iter_mut().find(|(other, _)| *other == partition) {
                Some((_, rows)) => rows.push(row),
                None => parts.push((partition, vec![row])),
            }
        }
        Ok(parts)
    }

    fn partition(&mut self, value: Option<String>) -> usize {
        let next = self.values.len() % MAX_PARTITIONS;
        let partition = *self.values.entry(value).or_insert(next);
        if partition == self.partitions.len() {
            let (consumer, number) = (self.guest.consumer.clone(), u32::try_from(partition).unwrap_or(u32::MAX));
            self.partitions.push(ConsumerTrial::new(consumer, self.feeding.settings, "file", number));
        }
        partition
    }

    fn give(&mut self, partition: usize, batch: &RecordBatch, rows: &[u32], most: usize) -> Result<(), Failure> {
        let Some(trial) = self.partitions.get_mut(partition) else { return Ok(()) };
        let part = match rows.len() == batch.num_rows() {
            true => batch.clone(),
            false => take_record_batch(batch, &UInt32Array::from(rows.to_vec())).map_err(Failure::failed)?,
        };
        let (first, before) = (trial.next(), self.read);
        let outcome = trial.give(&part, most.saturating_sub(self.failed.len())).map_err(Failure::failed)?;
        let TrialOutcome { outputs, given_up, failed, rows_again, calls, time, longest } = outcome;
        let place = |offset: u64| usize::try_from(offset.saturating_sub(first)).unwrap_or(usize::MAX);
        let number = |offset: u64| {
            let row = rows.get(place(offset));
            before + row.map_or(0, |row| *row as usize) + 1
        };
        self.given_up.extend(given_up.into_iter().map(|(offset, why)| (number(offset), why)));
        self.failed.extend(failed.into_iter().map(|fault| (number(fault.offset), fault)));
        for (output, batch) in outputs {
            if let Some(gathered) = self.outputs.get_mut(output) {
                let room = self.keep.saturating_sub(gathered.rows);
                gathered.rows += batch.num_rows();
                if room > 0 && batch.num_rows() > 0 {
                    gathered.kept.push(batch.slice(0, batch.num_rows().min(room)));
                }
            }
        }
        self.rows += place(trial.next());
        self.rows_again += rows_again;
        self.calls += calls;
        self.time += time;
        self.longest = self.longest.max(longest);
        Ok(())
    }
}

/// What every topic has beside its columns.
fn is_pseudo(name: &str) -> bool {
    ["_partition", "_offset", "_append_ts"].contains(&name)
}
