//! From an LSN to the row that has it, as far as the log reaches. The index of an extent is by partition; of a sealed extent that
//! is asked for LSNs, another one by LSN is made and kept a while.

use std::sync::Arc;

use parking_lot::Mutex;

use super::entry::{IndexEntry, PartitionKey};
use super::extent_index::{ExtentIndex, IndexState};
use super::extent_indexes::ExtentIndexes;
use crate::model::{Lsn, Offset, PartitionId, Result, TableId};

/// Memory that indexes by LSN take together; the newest one stays, however large.
const KEPT_BYTES: usize = 16 << 20;

/// How often an extent may be trimmed between the look for it and the look into it.
const ATTEMPTS: usize = 4;

/// What the log knows of an LSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LsnPlace {
    Row {
        table: TableId,
        partition: PartitionId,
        offset: Offset,
    },
    /// It is that of a record which is no row.
    NoRow,
    /// The log begins after it.
    Older,
}

/// One frame of rows.
#[derive(Debug, Clone, Copy)]
struct LsnRun {
    lsn: u64,
    offset: Offset,
    table: TableId,
    partition: PartitionId,
    rows: u32,
}

impl LsnRun {
    fn new((table, partition): PartitionKey, entry: &IndexEntry) -> LsnRun {
        LsnRun { lsn: entry.lsn.0, offset: entry.base_offset, table, partition, rows: entry.rows }
    }

    fn place(&self, lsn: Lsn) -> Option<LsnPlace> {
        let row = lsn.0.checked_sub(self.lsn).filter(|row| *row < u64::from(self.rows))?;
        let LsnRun { table, partition, offset, .. } = *self;
        Some(LsnPlace::Row { table, partition, offset: offset + row })
    }
}

type LsnIndex = Arc<[LsnRun]>;

/// Indexes by LSN of sealed extents, the least recently used first.
#[derive(Debug, Default)]
pub(super) struct LsnIndexes {
    kept: Mutex<Vec<(Lsn, LsnIndex)>>,
    /// One is made at a time, so that readers who want the same one make it once.
    making: Mutex<()>,
}

impl LsnIndexes {
    /// Which row has an LSN. To be asked only for what has been applied.
    pub(super) fn row_at(&self, indexes: &ExtentIndexes, lsn: Lsn) -> Result<LsnPlace> {
        for _ in 1..ATTEMPTS {
            let Some(index) = holder(indexes, lsn) else { return Ok(LsnPlace::Older) };
            match self.row_in(indexes, &index, lsn) {
                // The extent may have been trimmed meanwhile.
                Err(_) if holder(indexes, lsn).is_none_or(|now| !Arc::ptr_eq(&now, &index)) => {}
                done => return done,
            }
        }
        match holder(indexes, lsn) {
            Some(index) => self.row_in(indexes, &index, lsn),
            None => Ok(LsnPlace::Older),
        }
    }

    fn row_in(&self, indexes: &ExtentIndexes, index: &ExtentIndex, lsn: Lsn) -> Result<LsnPlace> {
        if let IndexState::Active(entries) = &*index.state.read() {
            let found = entries.iter().find_map(|(key, entries)| {
                let after = entries.partition_point(|entry| entry.lsn <= lsn);
                LsnRun::new(*key, entries.get(after.checked_sub(1)?)?).place(lsn)
            });
            return Ok(found.unwrap_or(LsnPlace::NoRow));
        }
        let Some(runs) = self.get_or_make(indexes, index)? else { return Ok(LsnPlace::Older) };
        let after = runs.partition_point(|run| run.lsn <= lsn.0);
        let found = after.checked_sub(1).and_then(|at| runs.get(at)?.place(lsn));
        Ok(found.unwrap_or(LsnPlace::NoRow))
    }

    /// `None` where the extent has been trimmed meanwhile.
    fn get_or_make(&self, indexes: &ExtentIndexes, index: &ExtentIndex) -> Result<Option<LsnIndex>> {
        let extent = index.first();
        if let Some(runs) = self.get(extent) {
            return Ok(Some(runs));
        }
        let _alone = self.making.lock();
        if let Some(runs) = self.get(extent) {
            return Ok(Some(runs));
        }
        let Some(entries) = indexes.all(index, &|_| true)? else { return Ok(None) };
        let mut runs: Vec<LsnRun> = entries.iter().map(|(key, entry)| LsnRun::new(*key, entry)).collect();
        runs.sort_unstable_by_key(|run| run.lsn);
        let runs: LsnIndex = runs.into();
        self.put(extent, &runs);
        Ok(Some(runs))
    }

    fn get(&self, extent: Lsn) -> Option<LsnIndex> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(first, _)| *first == extent)?;
        let found = kept.remove(at);
        kept.push(found.clone());
        Some(found.1)
    }

    fn put(&self, extent: Lsn, index: &LsnIndex) {
        let mut kept = self.kept.lock();
        kept.push((extent, index.clone()));
        let bytes = |index: &LsnIndex| index.len() * size_of::<LsnRun>();
        let mut sum: usize = kept.iter().map(|(_, index)| bytes(index)).sum();
        while sum > KEPT_BYTES && kept.len() > 1 {
            sum -= bytes(&kept.remove(0).1);
        }
    }

    /// Drops what is held of an extent.
    pub(super) fn forget(&self, extent: Lsn) {
        self.kept.lock().retain(|(first, _)| *first != extent);
    }
}

/// The extent whose records an LSN is among.
fn holder(indexes: &ExtentIndexes, lsn: Lsn) -> Option<Arc<ExtentIndex>> {
    let list = indexes.list();
    let after = list.partition_point(|index| index.first() <= lsn);
    list.get(after.checked_sub(1)?).cloned()
}
