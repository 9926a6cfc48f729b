//! Compares what came out of the server with what the source file says.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use millstream_client::protocol::AutoOffsetReset;
use millstream_client::{Batch, Consumer, ConsumerOptions};

use super::process::ServerProcess;
use super::source::{Distances, Source};
use super::told::tell;
use crate::cli::exit::Failure;

const POLL: Duration = Duration::from_millis(200);

/// Says a number, and fails if it is not the expected one.
pub(super) fn same(what: &str, found: u64, expected: u64) -> Result<(), Failure> {
    let (found, expected) = (grouped(found), grouped(expected));
    if found == expected {
        return tell(&format!("{what}: {found}, as in the source file"));
    }
    Err(Failure::failed(format!("{what}: {found} came out, and the source file has {expected}")))
}

/// `336,776`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows that came out, by partition and offset.
#[derive(Default)]
pub(super) struct Seen {
    distances: BTreeMap<(u32, u64), i64>,
    doubled: u64,
}

impl Seen {
    /// Reads a topic from its beginning to its present end, as a member of a group.
    pub(super) async fn consume(server: &ServerProcess, topic: &str, group: &str) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        let mut consumer = join(server, topic, group).await?;
        while let Some(batch) = next(&mut consumer).await? {
            seen.add(batch.partition, &batch.offsets(), &distances(&batch)?);
        }
        consumer.close().await?;
        Ok(seen)
    }

    /// Adds rows; one that was there already is counted as doubled.
    pub(super) fn add(&mut self, partition: u32, offsets: &[u64], distances: &[i64]) {
        for (offset, distance) in offsets.iter().zip(distances) {
            if self.distances.insert((partition, *offset), *distance).is_some() {
                self.doubled += 1;
            }
        }
    }

    /// Fails unless these rows, each once, are the expected ones.
    pub(super) fn is_exactly(&self, what: &str, expected: &Distances) -> Result<(), Failure> {
        if self.doubled > 0 {
            return Err(Failure::failed(format!("{what}: {} rows came twice", self.doubled)));
        }
        same(&format!("{what}, rows"), self.distances.len() as u64, expected.len() as u64)?;
        same(&format!("{what}, sum of distance"), miles(self.distances.values()), miles(expected.values()))?;
        let keyed = expected.iter().map(|(offset, distance)| ((0, *offset), *distance));
        match self.distances.iter().map(|(key, distance)| (*key, *distance)).eq(keyed) {
            true => tell(&format!("{what}: each row once, by (partition, offset)")),
            false => Err(Failure::failed(format!("{what}: as many rows as expected, but others"))),
        }
    }
}

fn miles<'a>(distances: impl Iterator<Item = &'a i64>) -> u64 {
    distances.map(|distance| distance.unsigned_abs()).sum()
}

/// Reads a whole table back and fails unless row by row it is the source file, each offset once.
pub(super) async fn is_the_source(server: &ServerProcess, table: &str, source: &Source) -> Result<(), Failure> {
    let mut consumer = join(server, table, "check").await?;
    let mut next_offset = 0;
    while let Some(batch) = next(&mut consumer).await? {
        let offsets = batch.offsets();
        let expected_offsets = (next_offset..).take(offsets.len());
        if batch.partition != 0 || !offsets.iter().copied().eq(expected_offsets) {
            return Err(Failure::failed(format!("{table}: after offset {next_offset} a row is missing or doubled")));
        }
        let expected = source.rows_from(next_offset, offsets.len()).unwrap_or_default();
        if !equal(&batch, &expected) {
            return Err(Failure::failed(format!(
                "{table}: rows at offset {next_offset} are not those of the source file"
            )));
        }
        next_offset += offsets.len() as u64;
    }
    consumer.close().await?;
    same(&format!("{table}, rows by (partition, offset), each compared"), next_offset, source.rows())
}

async fn join(server: &ServerProcess, topic: &str, group: &str) -> Result<Consumer, Failure> {
    let options = ConsumerOptions { auto_offset_reset: AutoOffsetReset::Earliest, ..ConsumerOptions::group(group) };
    Ok(server.client().await?.consumer(options, &[topic]).await?)
}

/// The next batch; nothing when every partition has been read to its end.
pub(super) async fn next(consumer: &mut Consumer) -> Result<Option<Batch>, Failure> {
    loop {
        if let Some(batch) = consumer.poll(POLL).await? {
            return Ok(Some(batch));
        }
        let offsets = consumer.offsets().await?;
        if !offsets.is_empty() && offsets.values().all(|partition| partition.position >= partition.end) {
            return Ok(None);
        }
    }
}

/// The distances of a batch's rows.
pub(super) fn distances(batch: &Batch) -> Result<Vec<i64>, Failure> {
    let column = batch.data.column_by_name("distance").ok_or_else(|| Failure::failed("there is no column distance"))?;
    let column = cast(column, &DataType::Int64).map_err(Failure::failed)?;
    Ok(column.as_primitive::<Int64Type>().values().to_vec())
}

fn equal(batch: &Batch, expected: &[arrow::array::RecordBatch]) -> bool {
    let mut at = 0;
    expected.iter().all(|expected| {
        let found = batch.data.slice(at, expected.num_rows());
        at += expected.num_rows();
        let same = |(found, expected): (&ArrayRef, &ArrayRef)| {
            cast(expected, found.data_type()).is_ok_and(|expected| expected.as_ref() == found.as_ref())
        };
        found.num_columns() == expected.num_columns() && found.columns().iter().zip(expected.columns()).all(same)
    }) && at == batch.data.num_rows()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (25_212_207, "25,212,207")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_missing_a_doubled_and_another_row_are_seen() {
        let expected: Distances = [(1, 10), (2, 20)].into();
        let seen = |rows: &[(u64, i64)]| {
            let mut seen = Seen::default();
            rows.iter().for_each(|(offset, distance)| seen.add(0, &[*offset], &[*distance]));
            seen.is_exactly("rows", &expected).is_ok()
        };
        assert!(seen(&[(1, 10), (2, 20)]));
        assert!(!seen(&[(1, 10)]));
        assert!(!seen(&[(1, 10), (2, 20), (2, 20)]));
        assert!(!seen(&[(1, 10), (3, 20)]));
        assert!(!seen(&[(1, 20), (2, 10)]));
    }
}
