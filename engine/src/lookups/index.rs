//! Newest rows by key, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::budget::Budget;
use super::{FoundRows, LookupUnavailable, TableUse};
use crate::model::{Offset, PartitionId};

/// What a key counts beside its bytes and its row's: the memory that holds them.
const ENTRY_BYTES: u64 = 128;

/// The newest row of each key and partition. Keys and rows are kept in arrow's row format.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    keys: RowConverter,
    columns: RowConverter,
    schema: SchemaRef,
    partitions: Vec<HashMap<Box<[u8]>, Newest>>,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Newest {
    append_us: i64,
    offset: Offset,
    row: Box<[u8]>,
}

/// Rows of one partition, in the order of their offsets, which are dense.
pub(crate) struct Added<'a> {
    pub(crate) partition: PartitionId,
    pub(crate) first: Offset,
    pub(crate) keys: &'a [ArrayRef],
    pub(crate) columns: &'a [ArrayRef],
    pub(crate) append_us: &'a [i64],
}

impl KeyIndex {
    pub(crate) fn new(used: &TableUse, budget: Arc<Budget>) -> Result<KeyIndex, ArrowError> {
        Ok(KeyIndex {
            keys: converter(&used.key)?,
            columns: converter(&used.columns)?,
            schema: used.columns.clone(),
            partitions: Vec::new(),
            budget,
        })
    }

    /// Takes rows in; gives how many, which are fewer than there are where the limit is met.
    pub(crate) fn add(&mut self, added: &Added<'_>) -> Result<usize, ArrowError> {
        let partition = usize::try_from(added.partition).unwrap_or(usize::MAX);
        if self.partitions.len() <= partition {
            self.partitions.resize_with(partition + 1, HashMap::new);
        }
        let Some(newest) = self.partitions.get_mut(partition) else { return Ok(0) };
        let (keys, rows) = (self.keys.convert_columns(added.keys)?, self.columns.convert_columns(added.columns)?);
        for (at, append_us) in added.append_us.iter().enumerate() {
            if has_null(added.keys, at) {
                continue;
            }
            let (key, row) = (keys.row(at).data(), rows.row(at).data());
            let offset = added.first.saturating_add(at as Offset);
            let fresh = || Newest { append_us: *append_us, offset, row: row.into() };
            match newest.get_mut(key) {
                Some(old) if self.budget.change(row.len() as u64, old.row.len() as u64) => *old = fresh(),
                None if self.budget.change(bytes_of(key, row), 0) => {
                    newest.insert(key.into(), fresh());
                }
                _ => return Ok(at),
            }
        }
        Ok(added.append_us.len())
    }

    /// Forgets rows below a partition's start offset.
    pub(crate) fn forget_below(&mut self, partition: PartitionId, start: Offset) {
        let partition = usize::try_from(partition).ok().and_then(|at| self.partitions.get_mut(at));
        let Some(newest) = partition else { return };
        let mut less = 0;
        newest.retain(|key, row| {
            let stays = row.offset >= start;
            less += if stays { 0 } else { bytes_of(key, &row.row) };
            stays
        });
        if newest.len() < newest.capacity() / 4 {
            newest.shrink_to_fit();
        }
        self.budget.change(0, less);
    }

    /// As [`super::TableLookup::lookup`].
    pub(crate) fn newest(&self, keys: &RecordBatch, max_bytes: usize) -> Result<FoundRows, LookupUnavailable> {
        let broken = |error: ArrowError| LookupUnavailable(error.to_string());
        let encoded = self.keys.convert_columns(keys.columns()).map_err(broken)?;
        let (mut rows, mut found, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        for (at, number) in (0..keys.num_rows()).zip(0_u32..) {
            let key = encoded.row(at);
            if has_null(keys.columns(), at) {
                continue;
            }
            let of_partitions = self.partitions.iter().filter_map(|newest| newest.get(key.data()));
            // Of equal ones the last: that of the highest partition.
            let Some(newest) = of_partitions.max_by_key(|newest| newest.append_us) else { continue };
            bytes = bytes.saturating_add(newest.row.len());
            if bytes > max_bytes {
                let why =
                    format!("the rows of {} keys have more than {max_bytes} bytes: look up fewer", keys.num_rows());
                return Err(LookupUnavailable(why));
            }
            rows.push(number);
            found.push(&newest.row);
        }
        if found.is_empty() {
            return Ok(FoundRows { batch: RecordBatch::new_empty(self.schema.clone()), rows });
        }
        let parser = self.columns.parser();
        let columns = self.columns.convert_rows(found.into_iter().map(|row| parser.parse(row))).map_err(broken)?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(broken)?;
        Ok(FoundRows { batch, rows })
    }
}

fn converter(schema: &Schema) -> Result<RowConverter, ArrowError> {
    RowConverter::new(schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect())
}

fn has_null(columns: &[ArrayRef], row: usize) -> bool {
    columns.iter().any(|column| column.is_null(row))
}

fn bytes_of(key: &[u8], row: &[u8]) -> u64 {
    (key.len() as u64).saturating_add(row.len() as u64).saturating_add(ENTRY_BYTES)
}
