//! The log's files, and finding frames in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::by_lsn::LsnIndexes;
use super::cache::ChunkCache;
use super::format::LogId;
use super::frame::Frame;
use super::index::{self, Directory, Entries, IndexEntry, Key, Place};
use super::rebuild::rebuild;
use super::walk::io_error;
use crate::model::{Lsn, Offset, Result};
use crate::platform::Events;
use crate::platform::disk::{Disk, DiskFile};

/// The name of the log file whose first LSN is this: 20 digits, so that names sort by LSN.
pub(super) fn log_path(dir: &Path, first: Lsn) -> PathBuf {
    dir.join(format!("{first:020}.log", first = first.0))
}

/// The index file beside a log file.
pub(super) fn index_path(log_path: &Path) -> PathBuf {
    log_path.with_extension("idx")
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) first: Lsn,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    /// Bytes written.
    pub(super) len: AtomicU64,
    index: RwLock<FileIndex>,
    /// Deleted, or about to be: its index is not made again. Changed while [`Files::rebuilding`] is held.
    trimmed: AtomicBool,
}

#[derive(Debug)]
pub(super) enum FileIndex {
    /// The file being written: entries of what has been applied.
    Active(Entries),
    /// A sealed file whose index has not been opened yet.
    Closed,
    Open(Arc<Directory>),
}

impl LogFile {
    /// The file that commits go to, with the entries of what it already holds.
    pub(super) fn active(first: Lsn, path: PathBuf, file: Arc<dyn DiskFile>, len: u64, entries: Entries) -> LogFile {
        LogFile::with_index(first, path, file, len, FileIndex::Active(entries))
    }

    pub(super) fn sealed(first: Lsn, path: PathBuf, file: Arc<dyn DiskFile>, len: u64) -> LogFile {
        LogFile::with_index(first, path, file, len, FileIndex::Closed)
    }

    fn with_index(first: Lsn, path: PathBuf, file: Arc<dyn DiskFile>, len: u64, index: FileIndex) -> LogFile {
        let (len, index) = (AtomicU64::new(len), RwLock::new(index));
        LogFile { first, path, file, len, index, trimmed: AtomicBool::new(false) }
    }

    pub(super) fn index(&self) -> &RwLock<FileIndex> {
        &self.index
    }

    /// Makes frames findable; of the active file only.
    pub(super) fn publish(&self, entries: impl IntoIterator<Item = (Key, IndexEntry)>) {
        if let FileIndex::Active(all) = &mut *self.index.write() {
            for (key, entry) in entries {
                all.entry(key).or_default().push(entry);
            }
        }
    }

    /// Writes the index file of the active file, all of whose commits have been published, and lets its entries go.
    pub(super) fn seal(&self, disk: &dyn Disk, log_id: LogId, next_lsn: Lsn) -> Result<()> {
        match &*self.index.read() {
            FileIndex::Active(entries) => {
                index::write(disk, &index_path(&self.path), log_id, self.first, next_lsn, entries)?;
            }
            FileIndex::Closed | FileIndex::Open(_) => return Ok(()),
        }
        *self.index.write() = FileIndex::Closed;
        Ok(())
    }
}

/// What finding an offset in one file gives.
enum Found {
    Entry(IndexEntry),
    Older,
    Nowhere,
}

/// All files, oldest first; the last one is active.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log_id: LogId,
    list: RwLock<Vec<Arc<LogFile>>>,
    chunks: ChunkCache,
    by_lsn: LsnIndexes,
    /// One rebuilding at a time; also keeps two readers from writing the same index file.
    rebuilding: Mutex<()>,
    /// One trimming at a time: two would remove the same file.
    trimming: Mutex<()>,
    events: Arc<Events>,
}

impl Files {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        log_id: LogId,
        list: Vec<Arc<LogFile>>,
        events: Arc<Events>,
    ) -> Files {
        Files {
            disk,
            dir,
            log_id,
            list: RwLock::new(list),
            chunks: ChunkCache::default(),
            by_lsn: LsnIndexes::default(),
            rebuilding: Mutex::new(()),
            trimming: Mutex::new(()),
            events,
        }
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn log_id(&self) -> LogId {
        self.log_id
    }

    /// All files, oldest first.
    pub(super) fn list(&self) -> Vec<Arc<LogFile>> {
        self.list.read().clone()
    }

    pub(super) fn lsn_indexes(&self) -> &LsnIndexes {
        &self.by_lsn
    }

    /// Takes up a new active file.
    pub(super) fn push(&self, file: Arc<LogFile>) {
        self.list.write().push(file);
    }

    /// (files, bytes).
    pub(super) fn size(&self) -> (u64, u64) {
        let list = self.list.read();
        (list.len() as u64, list.iter().map(|file| file.len.load(Ordering::Relaxed)).sum())
    }

    /// The first LSNs of all files, oldest first, and their bytes.
    pub(super) fn sizes(&self) -> Vec<(Lsn, u64)> {
        self.list.read().iter().map(|file| (file.first, file.len.load(Ordering::Relaxed))).collect()
    }

    /// Where the frame that holds an offset lies.
    pub(super) fn locate(&self, key: Key, offset: Offset) -> Result<Option<(Arc<LogFile>, IndexEntry)>> {
        let list = self.list.read().clone();
        for file in list.iter().rev() {
            match self.find(file, key, offset)? {
                Found::Entry(entry) => return Ok(Some((file.clone(), entry))),
                Found::Nowhere => return Ok(None),
                Found::Older => {}
            }
        }
        Ok(None)
    }

    /// Reads the frame that holds an offset.
    pub(super) fn frame(&self, key: Key, offset: Offset) -> Result<Option<Frame>> {
        let Some((file, entry)) = self.locate(key, offset)? else { return Ok(None) };
        super::read::read_frame(&file, key, &entry, self.log_id).map(Some)
    }

    /// Deletes files, oldest first, that hold nothing at or above `keep_from`; never the active one.
    pub(super) fn trim(&self, keep_from: Lsn) -> Result<()> {
        let _alone = self.trimming.lock();
        loop {
            let Some(file) = self.oldest_below(keep_from) else { return Ok(()) };
            {
                let _no_rebuilding = self.rebuilding.lock();
                file.trimmed.store(true, Ordering::Relaxed);
            }
            // A file whose name comes back after a crash is only trimmed again: older ones are gone for good before. One whose
            // removal could not be synced is not there any more.
            let removed = index::remove_if_there(self.disk.as_ref(), &index_path(&file.path))
                .and_then(|()| index::remove_if_there(self.disk.as_ref(), &file.path))
                .and_then(|()| self.disk.sync_dir(&self.dir));
            removed.map_err(|error| io_error(&file.path, &error))?;
            self.list.write().retain(|other| other.first != file.first);
            self.chunks.forget(file.first);
            self.by_lsn.forget(file.first);
        }
    }

    fn oldest_below(&self, keep_from: Lsn) -> Option<Arc<LogFile>> {
        let list = self.list.read();
        let next = list.get(1)?;
        if next.first <= keep_from { list.first().cloned() } else { None }
    }

    fn find(&self, file: &LogFile, key: Key, offset: Offset) -> Result<Found> {
        if let FileIndex::Active(entries) = &*file.index.read() {
            let Some(entries) = entries.get(&key).filter(|entries| !entries.is_empty()) else {
                return Ok(Found::Older);
            };
            if entries.first().is_some_and(|first| offset < first.base_offset) {
                return Ok(Found::Older);
            }
            return Ok(index::find(entries, offset).map_or(Found::Nowhere, |entry| Found::Entry(*entry)));
        }
        let Some(directory) = self.directory(file)? else { return Ok(Found::Nowhere) };
        match directory.place(key, offset) {
            Place::Older => Ok(Found::Older),
            Place::Nowhere => Ok(Found::Nowhere),
            Place::Chunk(chunk) => {
                let entries = self.entries(file, &directory, chunk, key, offset)?;
                Ok(index::find(&entries, offset).map_or(Found::Nowhere, |entry| Found::Entry(*entry)))
            }
        }
    }

    /// The entries of a chunk: cached, read, or from the log file itself where the index file is damaged.
    fn entries(
        &self,
        file: &LogFile,
        directory: &Directory,
        chunk: usize,
        key: Key,
        offset: Offset,
    ) -> Result<Arc<[IndexEntry]>> {
        if let Some(entries) = self.chunks.get(file.first, chunk) {
            return Ok(entries);
        }
        let read = directory.read(chunk).map_err(|error| io_error(&index_path(&file.path), &error))?;
        if let Some(entries) = read {
            return Ok(self.chunks.put(file.first, chunk, entries.into()));
        }
        let damaged = || super::corrupt_index(&file.path);
        let directory = self.rebuild_index(file, "a part of it is damaged")?.ok_or_else(damaged)?;
        let Place::Chunk(chunk) = directory.place(key, offset) else { return Err(damaged()) };
        let entries = directory.read(chunk).map_err(|error| io_error(&index_path(&file.path), &error))?;
        Ok(self.chunks.put(file.first, chunk, entries.ok_or_else(damaged)?.into()))
    }

    /// `None` where the file has been trimmed meanwhile: whoever found it in the list looks for rows that are not in the log
    /// any more.
    pub(super) fn directory(&self, file: &LogFile) -> Result<Option<Arc<Directory>>> {
        if let FileIndex::Open(directory) = &*file.index.read() {
            return Ok(Some(directory.clone()));
        }
        let opened = {
            let _one_at_a_time = self.rebuilding.lock();
            Directory::open(self.disk.as_ref(), &index_path(&file.path), self.log_id, file.first)?
        };
        match opened {
            Some(directory) => {
                let directory = Arc::new(directory);
                *file.index.write() = FileIndex::Open(directory.clone());
                Ok(Some(directory))
            }
            None => self.rebuild_index(file, "it is missing or damaged"),
        }
    }

    /// Makes sure that a sealed file has an index file.
    pub(super) fn ensure_index(&self, file: &LogFile) -> Result<()> {
        self.directory(file).map(drop)
    }

    pub(super) fn rebuild_index(&self, file: &LogFile, why: &str) -> Result<Option<Arc<Directory>>> {
        let _one_at_a_time = self.rebuilding.lock();
        if file.trimmed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let path = index_path(&file.path);
        let (next_lsn, entries) = rebuild(file, self.log_id)?;
        index::write(self.disk.as_ref(), &path, self.log_id, file.first, next_lsn, &entries)?;
        self.chunks.forget(file.first);
        let opened = Directory::open(self.disk.as_ref(), &path, self.log_id, file.first)?;
        let directory = Arc::new(opened.ok_or_else(|| super::corrupt_index(&file.path))?);
        *file.index.write() = FileIndex::Open(directory.clone());
        self.events.push("index_rebuilt", format!("{} was rebuilt from the log: {why}", path.display()));
        Ok(Some(directory))
    }
}
