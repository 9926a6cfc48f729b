//! From an LSN to the row that has it, as far as the log reaches. The index of a file is by partition; of a sealed file that
//! is asked for LSNs, another one by LSN is made and kept a while.

use std::sync::Arc;

use parking_lot::Mutex;

use super::files::{FileIndex, Files, LogFile, index_path};
use super::index::{Directory, IndexEntry, Key};
use super::walk::io_error;
use crate::model::{Lsn, Offset, PartitionId, Result, TableId};

/// Memory that indexes by LSN take together; the newest one stays, however large.
const KEPT_BYTES: usize = 16 << 20;

/// How often a file may be trimmed between the look for it and the look into it.
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
struct Rows {
    lsn: u64,
    offset: Offset,
    table: TableId,
    partition: PartitionId,
    rows: u32,
}

impl Rows {
    fn new((table, partition): Key, entry: &IndexEntry) -> Rows {
        Rows { lsn: entry.lsn.0, offset: entry.base_offset, table, partition, rows: entry.rows }
    }

    fn place(&self, lsn: Lsn) -> Option<LsnPlace> {
        let row = lsn.0.checked_sub(self.lsn).filter(|row| *row < u64::from(self.rows))?;
        let Rows { table, partition, offset, .. } = *self;
        Some(LsnPlace::Row { table, partition, offset: offset + row })
    }
}

type Index = Arc<[Rows]>;

/// Indexes by LSN of sealed files, the least recently used first.
#[derive(Debug, Default)]
pub(super) struct LsnIndexes {
    kept: Mutex<Vec<(Lsn, Index)>>,
    /// One is made at a time, so that readers who want the same one make it once.
    making: Mutex<()>,
}

impl LsnIndexes {
    fn get(&self, file: Lsn) -> Option<Index> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(first, _)| *first == file)?;
        let found = kept.remove(at);
        kept.push(found.clone());
        Some(found.1)
    }

    fn put(&self, file: Lsn, index: &Index) {
        let mut kept = self.kept.lock();
        kept.push((file, index.clone()));
        let bytes = |index: &Index| index.len() * size_of::<Rows>();
        let mut sum: usize = kept.iter().map(|(_, index)| bytes(index)).sum();
        while sum > KEPT_BYTES && kept.len() > 1 {
            sum -= bytes(&kept.remove(0).1);
        }
    }

    /// Drops what is held of a file.
    pub(super) fn forget(&self, file: Lsn) {
        self.kept.lock().retain(|(first, _)| *first != file);
    }
}

impl Files {
    /// Which row has an LSN. To be asked only for what has been applied.
    pub(super) fn row_at(&self, lsn: Lsn) -> Result<LsnPlace> {
        for _ in 1..ATTEMPTS {
            let Some(file) = self.holder(lsn) else { return Ok(LsnPlace::Older) };
            match self.row_in(&file, lsn) {
                // The file may have been trimmed meanwhile.
                Err(_) if self.holder(lsn).is_none_or(|now| !Arc::ptr_eq(&now, &file)) => {}
                done => return done,
            }
        }
        match self.holder(lsn) {
            Some(file) => self.row_in(&file, lsn),
            None => Ok(LsnPlace::Older),
        }
    }

    /// The file whose records an LSN is among.
    fn holder(&self, lsn: Lsn) -> Option<Arc<LogFile>> {
        let list = self.list();
        let after = list.partition_point(|file| file.first <= lsn);
        list.get(after.checked_sub(1)?).cloned()
    }

    fn row_in(&self, file: &LogFile, lsn: Lsn) -> Result<LsnPlace> {
        if let FileIndex::Active(entries) = &*file.index().read() {
            let found = entries.iter().find_map(|(key, entries)| {
                let after = entries.partition_point(|entry| entry.lsn <= lsn);
                Rows::new(*key, entries.get(after.checked_sub(1)?)?).place(lsn)
            });
            return Ok(found.unwrap_or(LsnPlace::NoRow));
        }
        let Some(index) = self.index_by_lsn(file)? else { return Ok(LsnPlace::Older) };
        let after = index.partition_point(|rows| rows.lsn <= lsn.0);
        let found = after.checked_sub(1).and_then(|at| index.get(at)?.place(lsn));
        Ok(found.unwrap_or(LsnPlace::NoRow))
    }

    /// `None` where the file has been trimmed meanwhile.
    fn index_by_lsn(&self, file: &LogFile) -> Result<Option<Index>> {
        let indexes = self.lsn_indexes();
        if let Some(index) = indexes.get(file.first) {
            return Ok(Some(index));
        }
        let _alone = indexes.making.lock();
        if let Some(index) = indexes.get(file.first) {
            return Ok(Some(index));
        }
        let Some(directory) = self.directory(file)? else { return Ok(None) };
        let entries = match read_all(file, &directory)? {
            Some(entries) => entries,
            None => {
                let Some(rebuilt) = self.rebuild_index(file, "a part of it is damaged")? else { return Ok(None) };
                read_all(file, &rebuilt)?.ok_or_else(|| super::corrupt_index(&file.path))?
            }
        };
        let mut rows: Vec<Rows> = entries.iter().map(|(key, entry)| Rows::new(*key, entry)).collect();
        rows.sort_unstable_by_key(|rows| rows.lsn);
        let index: Index = rows.into();
        indexes.put(file.first, &index);
        Ok(Some(index))
    }
}

fn read_all(file: &LogFile, directory: &Directory) -> Result<Option<Vec<(Key, IndexEntry)>>> {
    directory.all().map_err(|error| io_error(&index_path(&file.path), &error))
}
