//! What the source file says, read with the Parquet library alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::cli::exit::Failure;
use crate::cli::table::create_table;

/// A departure is late when it is delayed by more than this.
pub(super) const LATE_MINUTES: f64 = 60.0;
/// Rows in one batch: some hundreds of batches, so that a kill falls between.
const BATCH_ROWS: usize = 1_000;

/// Distances in miles by the offset that a row gets when all go into one partition in the file's order.
pub(super) type Distances = BTreeMap<u64, i64>;

/// The flights of the file.
pub(super) struct Source {
    batches: Vec<RecordBatch>,
    carriers: Vec<String>,
    pub(super) late: Distances,
}

impl Source {
    pub(super) fn read(path: &Path) -> Result<Source, Failure> {
        let failed = |error: String| Failure::failed(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(error.to_string()))?;
        let reader = reader.with_batch_size(BATCH_ROWS).build().map_err(|error| failed(error.to_string()))?;
        let mut source = Source { batches: Vec::new(), carriers: Vec::new(), late: Distances::new() };
        for batch in reader {
            let batch = batch.map_err(|error| failed(error.to_string()))?;
            source.add(batch).map_err(failed)?;
        }
        Ok(source)
    }

    fn add(&mut self, batch: RecordBatch) -> Result<(), String> {
        let column = |name: &str, data_type: &DataType| {
            let column = batch.column_by_name(name).ok_or_else(|| format!("there is no column {name}"))?;
            cast(column, data_type).map_err(|error| error.to_string())
        };
        let delays = column("dep_delay", &DataType::Float64)?;
        let distances = column("distance", &DataType::Int64)?;
        let carriers = column("carrier", &DataType::Utf8)?;
        let (delays, distances) = (delays.as_primitive::<Float64Type>(), distances.as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            let offset = self.carriers.len() as u64;
            self.carriers.push(carriers.as_string::<i32>().value(row).to_owned());
            if delays.is_valid(row) && delays.value(row) > LATE_MINUTES {
                self.late.insert(offset, distances.value(row));
            }
        }
        self.batches.push(batch);
        Ok(())
    }

    pub(super) fn rows(&self) -> u64 {
        self.carriers.len() as u64
    }

    pub(super) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The late departures of one carrier.
    pub(super) fn late_of(&self, carrier: &str) -> Distances {
        let is_his = |offset: u64| {
            usize::try_from(offset).ok().and_then(|row| self.carriers.get(row)).is_some_and(|found| found == carrier)
        };
        self.late.iter().filter(|(offset, _)| is_his(**offset)).map(|(offset, distance)| (*offset, *distance)).collect()
    }

    /// The row that gets an offset, as a batch of one row.
    pub(super) fn rows_from(&self, offset: u64, rows: usize) -> Option<Vec<RecordBatch>> {
        let mut at = usize::try_from(offset).ok()?;
        let mut left = rows;
        let mut found = Vec::new();
        while left > 0 {
            let batch = self.batches.get(at / BATCH_ROWS)?;
            let take = left.min(batch.num_rows().checked_sub(at % BATCH_ROWS)?);
            found.push(batch.slice(at % BATCH_ROWS, take));
            (at, left) = (at + take, left - take);
        }
        Some(found)
    }

    /// A table of one partition with the file's columns.
    pub(super) fn create_table(&self, table: &str) -> Result<String, Failure> {
        let schema =
            self.batches.first().map(RecordBatch::schema).ok_or_else(|| Failure::failed("the file is empty"))?;
        create_table(table, &schema, Some("ts")).map_err(Failure::failed)
    }
}
