//! Indexes over tables of the engine, followed to the durable end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};
use parking_lot::{RwLock, RwLockWriteGuard};

use crate::chunks::{ChunkRows, Projection, append_ts_type};
use crate::contract::{InputColumn, PluginInfo};
use crate::cursor::OffsetRange;
use crate::cursor::Tables;
use crate::cursor::chunk_at;
use crate::lookups::budget::Budget;
use crate::lookups::index::{Added, KeyIndex};
use crate::lookups::{FoundRows, LookupUnavailable, TableLookup, TableUse};
use crate::model::{Error, Offset, PartitionId, Result, TableId, TableInfo};
use crate::platform::Patience;

/// The tables of one plugin version, as it declares them.
#[derive(Debug)]
pub(crate) struct PluginTables {
    /// Plugins are held by what the engine holds.
    engine: Weak<Tables>,
    tables: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    table: TableId,
    name: String,
    projection: Projection,
    /// How many of the projection's columns are the key; the last is the append time.
    key_columns: usize,
    budget: Arc<Budget>,
    read: RwLock<Read>,
}

/// What was read of a table so far.
#[derive(Debug)]
struct Read {
    index: KeyIndex,
    partitions: Vec<Position>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    /// Rows below are forgotten.
    start: Offset,
    /// Rows below are in the index.
    next: Offset,
}

impl PluginTables {
    /// Nothing is read yet. Fails if a table is gone or lacks a column.
    pub(crate) fn new(engine: &Arc<Tables>, plugin: &PluginInfo) -> Result<PluginTables> {
        let budget = Arc::new(Budget::new(plugin.limits.lookup_bytes));
        let uses = plugin.description.tables.iter().zip(&plugin.tables);
        let tables = uses.map(|(used, table)| {
            let info = engine.ledger.table(*table)?;
            let broken = |error| Error::Internal(format!("no index of table {:?}: {error}", info.name));
            Ok(Followed {
                table: *table,
                name: info.name.clone(),
                projection: Projection::new(&info, &bind(&info, used)?)?,
                key_columns: used.key.fields().len(),
                budget: budget.clone(),
                read: RwLock::new(Read {
                    index: KeyIndex::new(used, budget.clone()).map_err(broken)?,
                    partitions: Vec::new(),
                }),
            })
        });
        Ok(PluginTables { engine: Arc::downgrade(engine), tables: tables.collect::<Result<_>>()? })
    }
}

impl TableLookup for PluginTables {
    fn lookup(
        &self,
        table: usize,
        keys: &RecordBatch,
        patience: Duration,
        max_bytes: usize,
    ) -> std::result::Result<FoundRows, LookupUnavailable> {
        let engine = self.engine.upgrade().filter(|engine| engine.ledger.check_open().is_ok());
        let engine = engine.ok_or_else(|| LookupUnavailable("the engine is closed".to_owned()))?;
        let followed = self.tables.get(table);
        let followed = followed.ok_or_else(|| LookupUnavailable(format!("table {table} is not declared")))?;
        followed.lookup(&engine, keys, Patience::of(patience), max_bytes)
    }
}

/// The columns of a table that a use reads: the key's, then the others, then the append time.
pub(crate) fn bind(table: &TableInfo, used: &TableUse) -> Result<Vec<InputColumn>> {
    let wanted = used.key.fields().iter().chain(used.columns.fields());
    let bound = wanted.map(|field| bind_column(table, field));
    bound.chain([Ok(InputColumn::AppendTs)]).collect()
}

fn bind_column(table: &TableInfo, wanted: &Field) -> Result<InputColumn> {
    let name = wanted.name();
    let (column, found) = match (table.schema().index_of(name), name.as_str()) {
        (Ok(index), _) => (InputColumn::Field(index), table.schema().field(index).data_type().clone()),
        (_, "_partition") => (InputColumn::Partition, DataType::Int32),
        (_, "_offset") => (InputColumn::Offset, DataType::Int64),
        (_, "_append_ts") => (InputColumn::AppendTs, append_ts_type()),
        _ => {
            let table = &table.name;
            return Err(Error::InvalidInput(format!("table {table:?} has no column {name:?}, which the plugin reads")));
        }
    };
    if found == *wanted.data_type() {
        return Ok(column);
    }
    let (table, wanted) = (&table.name, wanted.data_type());
    Err(Error::InvalidInput(format!("column {name:?} of table {table:?} is {found}, and the plugin reads {wanted}")))
}

type Looked<T> = std::result::Result<T, LookupUnavailable>;

impl Followed {
    fn lookup(&self, engine: &Tables, keys: &RecordBatch, patience: Patience, max_bytes: usize) -> Looked<FoundRows> {
        let ranges = self.ranges(engine)?;
        {
            let read = self.read.try_read_for(patience.left()).ok_or_else(|| self.busy())?;
            if read.covers(&ranges) {
                return read.index.newest(keys, max_bytes);
            }
        }
        let mut read = self.read.try_write_for(patience.left()).ok_or_else(|| self.busy())?;
        self.follow(engine, &mut read, &ranges, patience)?;
        RwLockWriteGuard::downgrade(read).index.newest(keys, max_bytes)
    }

    /// Start and durable end of each partition, now.
    fn ranges(&self, engine: &Tables) -> Looked<Vec<OffsetRange>> {
        let state = engine.ledger.state.read();
        let partitions = state.catalog().partitions(self.table);
        let partitions = partitions.ok_or_else(|| self.unavailable("was dropped"))?;
        Ok(partitions.iter().map(|partition| partition.start..partition.end).collect())
    }

    /// Reads on to the ends. What was read stays, also where this fails.
    fn follow(&self, engine: &Tables, read: &mut Read, ranges: &[OffsetRange], patience: Patience) -> Looked<()> {
        if read.partitions.len() < ranges.len() {
            read.partitions.resize_with(ranges.len(), Position::default);
        }
        for (partition, range) in (0..).zip(ranges) {
            read.forget(partition, range.start);
        }
        for (partition, range) in (0..).zip(ranges) {
            while read.next(partition) < range.end {
                self.step(engine, read, partition)?;
                if patience.is_over() && !read.covers(ranges) {
                    let left: Offset =
                        ranges.iter().zip(&read.partitions).map(|(range, at)| range.end.saturating_sub(at.next)).sum();
                    return Err(self.unavailable(&format!(
                        "is still being read: {left} rows are left, and the next look-up goes on with them"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Takes in the next chunk of a partition.
    fn step(&self, engine: &Tables, read: &mut Read, partition: PartitionId) -> Looked<()> {
        let from = read.next(partition);
        let chunk = match chunk_at(engine, &self.projection, self.table, partition, from, None) {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Err(self.unavailable("ends before its end")),
            // Retention went on meanwhile.
            Err(Error::OffsetOutOfRange { start, .. }) if start > from => {
                read.forget(partition, start);
                return Ok(());
            }
            Err(error) => return Err(self.unavailable(&format!("can't be read: {error}"))),
        };
        let taken = match &chunk.rows {
            ChunkRows::Pruned => usize::MAX,
            ChunkRows::Batch(batch) => {
                let skip = usize::try_from(from.saturating_sub(chunk.base_offset)).unwrap_or(usize::MAX);
                let rows = batch.slice(skip.min(batch.num_rows()), batch.num_rows().saturating_sub(skip));
                let taken = self.take(read, partition, from, &rows)?;
                if taken < rows.num_rows() {
                    read.pass(partition, from.saturating_add(taken as Offset));
                    return Err(self.unavailable(&format!(
                        "does not fit: keys and rows of the plugin's tables may have {} bytes together, its limit lookup",
                        self.budget.limit()
                    )));
                }
                taken
            }
        };
        read.pass(partition, chunk.next_offset.min(from.saturating_add(taken as Offset)));
        Ok(())
    }

    fn take(&self, read: &mut Read, partition: PartitionId, first: Offset, rows: &RecordBatch) -> Looked<usize> {
        let broken = || self.unavailable("has rows that can't be read");
        let (append_us, columns): (&ArrayRef, &[ArrayRef]) = rows.columns().split_last().ok_or_else(broken)?;
        let append_us = append_us.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(broken)?;
        let (keys, columns) = columns.split_at_checked(self.key_columns).ok_or_else(broken)?;
        let added = Added { partition, first, keys, columns, append_us: append_us.values() };
        read.index.add(&added).map_err(|error| self.unavailable(&format!("can't be indexed: {error}")))
    }

    fn busy(&self) -> LookupUnavailable {
        self.unavailable("is still being read by another call")
    }

    fn unavailable(&self, why: &str) -> LookupUnavailable {
        LookupUnavailable(format!("table {:?} {why}", self.name))
    }
}

impl Read {
    fn covers(&self, ranges: &[OffsetRange]) -> bool {
        self.partitions.len() >= ranges.len()
            && self.partitions.iter().zip(ranges).all(|(at, range)| at.next >= range.end && at.start >= range.start)
    }

    fn next(&self, partition: PartitionId) -> Offset {
        usize::try_from(partition).ok().and_then(|at| self.partitions.get(at)).map_or(0, |at| at.next)
    }

    fn pass(&mut self, partition: PartitionId, next: Offset) {
        if let Some(at) = usize::try_from(partition).ok().and_then(|at| self.partitions.get_mut(at)) {
            at.next = next;
        }
    }

    fn forget(&mut self, partition: PartitionId, start: Offset) {
        let Some(at) = usize::try_from(partition).ok().and_then(|at| self.partitions.get_mut(at)) else { return };
        if start > at.start {
            (at.start, at.next) = (start, at.next.max(start));
            self.index.forget_below(partition, start);
        }
    }
}
