//! The indexes of all extents, and finding frames in them.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::chunk_cache::ChunkCache;
use super::entry::{self, Entries, IndexEntry, PartitionKey};
use super::extent_index::{ExtentIndex, IndexState};
use super::index_directory::IndexDirectory;
use super::index_file::{IndexFile, WhereToLook};
use crate::log::journal::{Extent, Journal, LogId};
use crate::model::{Lsn, Offset, Result, TableId};
use crate::platform::Events;

/// What finding an offset in one extent gives.
enum Found {
    Entry(IndexEntry),
    Older,
    Nowhere,
}

/// Oldest first; the last one is of the extent being written.
#[derive(Debug)]
pub(super) struct ExtentIndexes {
    journal: Arc<dyn Journal>,
    directory: IndexDirectory,
    log_id: LogId,
    list: RwLock<Vec<Arc<ExtentIndex>>>,
    chunks: ChunkCache,
    /// One rebuilding at a time; also keeps two readers from writing the same index file.
    rebuilding: Mutex<()>,
    /// One trimming at a time: two would remove the same index.
    trimming: Mutex<()>,
    events: Arc<Events>,
}

impl ExtentIndexes {
    /// `active` are the entries of the journal's last extent.
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        directory: IndexDirectory,
        active: Entries,
        events: Arc<Events>,
    ) -> ExtentIndexes {
        let mut extents = journal.extents();
        let last = extents.pop();
        let mut list: Vec<_> = extents.into_iter().map(|extent| Arc::new(ExtentIndex::sealed(extent))).collect();
        list.extend(last.map(|extent| Arc::new(ExtentIndex::active(extent, active))));
        ExtentIndexes {
            log_id: journal.identity().log_id,
            journal,
            directory,
            list: RwLock::new(list),
            chunks: ChunkCache::default(),
            rebuilding: Mutex::new(()),
            trimming: Mutex::new(()),
            events,
        }
    }

    pub(super) fn log_id(&self) -> LogId {
        self.log_id
    }

    pub(super) fn list(&self) -> Vec<Arc<ExtentIndex>> {
        self.list.read().clone()
    }

    /// Makes frames of the extent being written findable.
    pub(super) fn publish(&self, entries: impl IntoIterator<Item = (PartitionKey, IndexEntry)>) {
        if let Some(active) = self.list.read().last() {
            active.publish(entries);
        }
    }

    /// Writes the index file of the extent being written, all of whose commits have been published, and lets its entries go.
    pub(super) fn seal(&self, next_lsn: Lsn) -> Result<()> {
        let Some(index) = self.list.read().last().cloned() else { return Ok(()) };
        match &*index.state.read() {
            IndexState::Active(entries) => self.directory.write(index.first(), next_lsn, entries)?,
            IndexState::Closed | IndexState::Open(_) => return Ok(()),
        }
        *index.state.write() = IndexState::Closed;
        Ok(())
    }

    /// Takes up the extent that is written from now on.
    pub(super) fn begin(&self, extent: Arc<dyn Extent>) {
        self.list.write().push(Arc::new(ExtentIndex::active(extent, Entries::new())));
    }

    /// Where the frame that holds an offset lies.
    pub(super) fn locate(&self, key: PartitionKey, offset: Offset) -> Result<Option<(Arc<ExtentIndex>, IndexEntry)>> {
        for index in self.list().iter().rev() {
            match self.find(index, key, offset)? {
                Found::Entry(entry) => return Ok(Some((index.clone(), entry))),
                Found::Nowhere => return Ok(None),
                Found::Older => {}
            }
        }
        Ok(None)
    }

    /// Deletes the oldest extent and its index, if it holds nothing at or above `keep_from`; never the one being written.
    pub(super) fn trim_oldest(&self, keep_from: Lsn) -> Result<Option<Lsn>> {
        let _alone = self.trimming.lock();
        let (index, next) = match self.list.read().as_slice() {
            [oldest, next, ..] if next.first() <= keep_from => (oldest.clone(), next.first()),
            _ => return Ok(None),
        };
        {
            let _no_rebuilding = self.rebuilding.lock();
            index.set_trimmed();
        }
        self.directory.remove(index.first())?;
        self.journal.trim(next)?;
        self.list.write().retain(|other| other.first() != index.first());
        self.chunks.forget(index.first());
        Ok(Some(index.first()))
    }

    fn find(&self, index: &ExtentIndex, key: PartitionKey, offset: Offset) -> Result<Found> {
        let found =
            |entries: &[IndexEntry]| entry::find(entries, offset).map_or(Found::Nowhere, |entry| Found::Entry(*entry));
        if let IndexState::Active(entries) = &*index.state.read() {
            return Ok(match entries.get(&key).map(Vec::as_slice) {
                Some(entries @ [first, ..]) if offset >= first.base_offset => found(entries),
                _ => Found::Older,
            });
        }
        let Some(file) = self.file(index)? else { return Ok(Found::Nowhere) };
        Ok(match file.look_for(key, offset) {
            WhereToLook::Older => Found::Older,
            WhereToLook::Nowhere => Found::Nowhere,
            WhereToLook::Chunk(chunk) => found(&self.entries(index, &file, chunk, key, offset)?),
        })
    }

    /// The entries of a chunk: cached, read, or from the journal itself where the index file is damaged.
    fn entries(
        &self,
        index: &ExtentIndex,
        file: &IndexFile,
        chunk: usize,
        key: PartitionKey,
        offset: Offset,
    ) -> Result<Arc<[IndexEntry]>> {
        let first = index.first();
        if let Some(entries) = self.chunks.get(first, chunk) {
            return Ok(entries);
        }
        let read = |file: &IndexFile, chunk| file.read(chunk).map_err(|error| self.directory.failed(first, &error));
        if let Some(entries) = read(file, chunk)? {
            return Ok(self.chunks.put(first, chunk, entries.into()));
        }
        let damaged = || self.directory.corrupt(first);
        let file = self.rebuild(index, "a part of it is damaged")?.ok_or_else(damaged)?;
        let WhereToLook::Chunk(chunk) = file.look_for(key, offset) else { return Err(damaged()) };
        let entries = read(&file, chunk)?.ok_or_else(damaged)?;
        Ok(self.chunks.put(first, chunk, entries.into()))
    }

    /// Every entry of some tables in a sealed extent. `None` where it has been trimmed meanwhile.
    pub(super) fn all(
        &self,
        index: &ExtentIndex,
        wanted: &dyn Fn(TableId) -> bool,
    ) -> Result<Option<Vec<(PartitionKey, IndexEntry)>>> {
        let first = index.first();
        let read_all = |file: &IndexFile| file.all(wanted).map_err(|error| self.directory.failed(first, &error));
        let Some(file) = self.file(index)? else { return Ok(None) };
        if let Some(entries) = read_all(&file)? {
            return Ok(Some(entries));
        }
        let Some(rebuilt) = self.rebuild(index, "a part of it is damaged")? else { return Ok(None) };
        read_all(&rebuilt)?.ok_or_else(|| self.directory.corrupt(first)).map(Some)
    }

    /// The frames of some tables whose first LSNs lie in a range, in the order of those. `None` where the extent has been trimmed
    /// meanwhile.
    pub(super) fn frames(
        &self,
        index: &ExtentIndex,
        (from, end): (Lsn, Lsn),
        wanted: &dyn Fn(TableId) -> bool,
    ) -> Result<Option<Vec<(PartitionKey, IndexEntry)>>> {
        let mut found = Vec::new();
        let is_active = match &*index.state.read() {
            IndexState::Active(entries) => {
                for (key, entries) in entries.iter().filter(|(key, _)| wanted(key.0)) {
                    let first = entries.partition_point(|entry| entry.lsn < from);
                    let behind = entries.iter().skip(first).take_while(|entry| entry.lsn < end);
                    found.extend(behind.map(|entry| (*key, *entry)));
                }
                true
            }
            IndexState::Closed | IndexState::Open(_) => false,
        };
        if !is_active {
            let Some(all) = self.all(index, wanted)? else { return Ok(None) };
            found.extend(all.into_iter().filter(|(_, entry)| entry.lsn >= from && entry.lsn < end));
        }
        found.sort_unstable_by_key(|(_, entry)| entry.lsn);
        Ok(Some(found))
    }

    /// Makes sure that a sealed extent has an index file.
    pub(super) fn ensure_file(&self, index: &ExtentIndex) -> Result<()> {
        self.file(index).map(drop)
    }

    /// `None` where the extent has been trimmed meanwhile: whoever found it in the list looks for rows that are not in the log
    /// any more.
    fn file(&self, index: &ExtentIndex) -> Result<Option<Arc<IndexFile>>> {
        if let IndexState::Open(file) = &*index.state.read() {
            return Ok(Some(file.clone()));
        }
        let loaded = {
            let _one_at_a_time = self.rebuilding.lock();
            self.directory.load(index.first())?
        };
        match loaded {
            Some(file) => {
                let file = Arc::new(file);
                *index.state.write() = IndexState::Open(file.clone());
                Ok(Some(file))
            }
            None => self.rebuild(index, "it is missing or damaged"),
        }
    }

    /// Reads a sealed extent from front to back to make its index anew.
    fn rebuild(&self, index: &ExtentIndex, why: &str) -> Result<Option<Arc<IndexFile>>> {
        let _one_at_a_time = self.rebuilding.lock();
        if index.is_trimmed() {
            return Ok(None);
        }
        let (first, mut entries) = (index.first(), Entries::new());
        let next_lsn = index.extent.scan(self.log_id, &mut |commit| {
            for (key, entry) in entry::entries_of(commit) {
                entries.entry(key).or_default().push(entry);
            }
        })?;
        self.directory.write(first, next_lsn, &entries)?;
        self.chunks.forget(first);
        let file = Arc::new(self.directory.load(first)?.ok_or_else(|| self.directory.corrupt(first))?);
        *index.state.write() = IndexState::Open(file.clone());
        let message = format!("{} was rebuilt from the log: {why}", self.directory.path(first).display());
        self.events.push("index_rebuilt", message);
        Ok(Some(file))
    }
}
