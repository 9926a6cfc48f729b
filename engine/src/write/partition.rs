//! Which rows go to which partition.

use std::collections::HashMap;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use parking_lot::Mutex;

use super::hash::key_hashes;
use crate::model::{Error, PartitionId, Result, TableId, TableInfo};

/// Whose turn it is in tables without a key. Not durable: after opening, every table begins at partition 0.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    next: Mutex<HashMap<TableId, PartitionId>>,
}

impl RoundRobin {
    fn next(&self, table: &TableInfo) -> PartitionId {
        let partitions = table.options.partitions.max(1);
        if partitions == 1 {
            return 0;
        }
        let mut turns = self.next.lock();
        let turn = turns.entry(table.id).or_default();
        let partition = *turn % partitions;
        *turn = (partition + 1) % partitions;
        partition
    }

    /// The table was dropped.
    pub(crate) fn forget(&self, table: TableId) {
        self.next.lock().remove(&table);
    }
}

/// The rows by partition, in partition order, each partition's in their order.
pub(super) fn place(
    table: &TableInfo,
    batch: RecordBatch,
    turn: &RoundRobin,
) -> Result<Vec<(PartitionId, RecordBatch)>> {
    if table.options.partition_key.is_empty() || table.options.partitions <= 1 {
        return Ok(vec![(turn.next(table), batch)]);
    }
    let missing = |name: &String| Error::Internal(format!("table {:?} lacks its key column {name:?}", table.name));
    let key = table.options.partition_key.iter();
    let key = key.map(|name| batch.column_by_name(name).cloned().ok_or_else(|| missing(name)));
    let key = key.collect::<Result<Vec<_>>>()?;
    if table.options.messages.is_none() {
        return by_hash(&batch, &key, table.options.partitions, None);
    }
    // Messages without a group have no order to keep.
    let ungrouped = || key.first().is_none_or(|group| group.null_count() > 0).then(|| turn.next(table));
    by_hash(&batch, &key, table.options.partitions, ungrouped())
}

/// One pass of `take` puts the rows in partition order; the parts are slices of that. Rows without a value in the first column
/// of the key go to `without`, if that is given.
fn by_hash(
    batch: &RecordBatch,
    key: &[ArrayRef],
    partitions: u32,
    without: Option<PartitionId>,
) -> Result<Vec<(PartitionId, RecordBatch)>> {
    let hashes = key_hashes(key, batch.num_rows())?;
    let mut rows: Vec<(PartitionId, u32)> = Vec::with_capacity(hashes.len());
    for (row, hash) in (0..).zip(&hashes) {
        rows.push((PartitionId::try_from(hash % u64::from(partitions)).unwrap_or_default(), row));
    }
    if let (Some(without), Some(first)) = (without, key.first()) {
        let unset = rows.iter_mut().enumerate().filter(|(row, _)| first.is_null(*row));
        unset.for_each(|(_, (partition, _))| *partition = without);
    }
    let mixed = rows.windows(2).any(|pair| matches!(pair, [a, b] if a.0 != b.0));
    let Some((first, _)) = rows.first().copied() else { return Ok(Vec::new()) };
    if !mixed {
        return Ok(vec![(first, batch.clone())]);
    }
    // Row numbers break ties, so that each partition keeps the batch's order.
    rows.sort_unstable();
    let indices = UInt32Array::from_iter_values(rows.iter().map(|(_, row)| *row));
    let sorted = take_record_batch(batch, &indices)
        .map_err(|error| Error::Internal(format!("rows could not be spread over partitions: {error}")))?;
    let mut placed = Vec::new();
    let mut start = 0;
    for run in rows.chunk_by(|a, b| a.0 == b.0) {
        if let Some((partition, _)) = run.first() {
            placed.push((*partition, sorted.slice(start, run.len())));
        }
        start += run.len();
    }
    Ok(placed)
}
