//! Checkpoints of the state, in an embedded LSM. Format: `docs/state-store.md`.

mod archives;
mod copy;
pub(super) mod errors;
mod load;
mod read_ahead;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use serde::{Deserialize, Serialize};

use self::errors::{contained, damaged, store_error};
use self::read_ahead::ReadAhead;
use super::paged::PageSource;
use super::{State, codec};
use crate::model::{Error, Lsn, Result};
use crate::platform::Patience;
use crate::platform::disk::{Disk, RealDisk, write_anew};

/// What families that are paged are read through. Small, because every engine pays for it, and because a larger one spares little: nearly
/// each entry of a large family lies in a block of its own, so that what is asked for next is not there. Blocks come from the
/// page cache (`read_ahead.rs`), and entries that are asked for again at once are kept as such (`paged/recent.rs`).
const CACHE_BYTES: u64 = 16 << 20;
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Written, and not in tables yet. The LSM has one thread for both tables and their merging, and takes any amount while that merges; a
/// checkpoint waits instead, and what is to be written by it stays bounded as commits wait for it.
const BUFFER_BYTES: u64 = 24 << 20;
/// The longest that a checkpoint waits: an LSM whose thread has failed says so when it is written to.
const LONGEST: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
/// The least the LSM takes.
const JOURNAL_BYTES: u64 = 64 << 20;

/// The one entry that every checkpoint writes.
const HEAD_KEY: &[u8] = b"!";
/// Version of the head. With 1 the store has neither sums of consumers' state nor producer streams by age.
const HEAD_VERSION: u8 = 2;

/// Where the checkpoint stands.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    applied: Lsn,
    append_us: i64,
    epoch: u64,
    catalog_version: u64,
}

/// The state store under `<dir>/state`. Only [`StateStore::checkpoint`] writes to it.
pub(crate) struct StateStore {
    path: PathBuf,
    /// `None` once closed; held while a checkpoint is written.
    opened: Mutex<Option<Opened>>,
    /// The same, for families that are paged.
    source: PageSource,
    checkpointed: AtomicU64,
    read_ahead: Mutex<Option<ReadAhead>>,
}

pub(super) struct Opened {
    database: Database,
    entries: Keyspace,
}

impl fmt::Debug for StateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .field("checkpointed", &self.checkpointed)
            .finish_non_exhaustive()
    }
}

impl StateStore {
    /// Opens the store, creating it if it is not there. An engine that has it open elsewhere gives `FailedPrecondition`.
    pub(crate) fn open(dir: &Path) -> Result<StateStore> {
        let path = dir.join("state");
        remove_unfinished(&path)?;
        if path.is_dir() {
            archives::check(&path)?;
            write_journals_anew(&path)?;
        }
        // While the LSM reads its journals, and the engine what follows.
        let read_ahead = ReadAhead::begin(&path);
        let opened = contained(&path, || Opened::open(&path))?;
        let source = PageSource::new(path.clone(), opened.entries.clone());
        Ok(StateStore {
            path,
            opened: Mutex::new(Some(opened)),
            source,
            checkpointed: AtomicU64::new(0),
            read_ahead: Mutex::new(read_ahead),
        })
    }

    /// The state as of the last checkpoint; replay goes on after [`State::applied`].
    pub(crate) fn load(&self) -> Result<State> {
        let opened = self.opened.lock();
        let opened = opened.as_ref().ok_or(Error::Closed)?;
        let state = contained(&self.path, || load::load(&self.path, opened, &self.source))?;
        self.checkpointed.store(state.applied().0, Ordering::Release);
        Ok(state)
    }

    /// Writes what has changed since the last checkpoint, with the applied LSN, in one synced batch. Costs what has
    /// changed; readers of the state go on meanwhile, changes wait for the encoding but not for the disk. Does nothing while
    /// more has been applied than `durable` gives. Refuses a state that holds half a record.
    pub(crate) fn checkpoint(&self, state: &RwLock<State>, durable: impl Fn() -> Lsn) -> Result<()> {
        self.checkpoint_by(state, durable, Opened::batch)
    }

    /// As [`Self::checkpoint`], by another encoding.
    pub(super) fn checkpoint_by(
        &self,
        state: &RwLock<State>,
        durable: impl Fn() -> Lsn,
        encode: impl Fn(&Opened, &State) -> Result<OwnedWriteBatch>,
    ) -> Result<()> {
        let opened = self.opened.lock();
        let opened = opened.as_ref().ok_or(Error::Closed)?;
        opened.wait_for_room();
        let mut changing = state.write();
        if changing.torn {
            return Err(Error::Internal(format!(
                "no checkpoint: applying the record after LSN {} has panicked; close and reopen the store",
                changing.applied()
            )));
        }
        let applied = changing.applied();
        if applied == self.checkpoint_lsn() || applied > durable() {
            return Ok(());
        }
        changing.attach(&self.source);
        // Declared before the lock that it takes is let go, so that a panic lets the lock go first.
        let mut under_way = UnderWay { state, written: false };
        changing.begin_checkpoint();
        let reading = RwLockWriteGuard::downgrade(changing);
        let batch = encode(opened, &reading)?;
        drop(reading);
        batch.commit().map_err(|error| store_error(&self.path, &error))?;
        under_way.written = true;
        self.checkpointed.store(applied.0, Ordering::Release);
        Ok(())
    }

    /// The applied LSN of the last checkpoint: the log up to it is not needed to open.
    pub(crate) fn checkpoint_lsn(&self) -> Lsn {
        Lsn(self.checkpointed.load(Ordering::Acquire))
    }

    /// Lets the files go, so that they can be opened again. Checkpoints answer `Closed` from now on.
    pub(crate) fn close(&self) {
        self.read_ahead.lock().take();
        self.source.close();
        self.opened.lock().take();
    }

    /// The store has seen what the log has lost.
    pub(crate) fn ahead_of_log(&self, applied: Lsn, durable: Lsn) -> Error {
        damaged(&self.path, format!("it has applied LSN {applied}, but the log ends at {durable}"))
    }
}

/// A state that was loaded may outlive it: it does not keep the files.
impl Drop for StateStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
impl StateStore {
    pub(super) fn each_key(&self, mut each: impl FnMut(&[u8])) {
        let opened = self.opened.lock();
        let Opened { entries, .. } = opened.as_ref().expect("it is open");
        entries.iter().for_each(|entry| each(&entry.key().expect("it is read")));
    }

    /// Puts what was written into tables, so that it is read through the cache.
    pub(super) fn write_tables(&self) {
        let opened = self.opened.lock();
        opened.as_ref().expect("it is open").entries.rotate_memtable_and_wait().expect("it is written");
    }

    /// Writes so many bytes that are in no table yet.
    pub(super) fn fill(&self, bytes: usize) {
        let opened = self.opened.lock();
        let opened = opened.as_ref().expect("it is open");
        let mut batch = opened.database.batch();
        for number in 0..bytes >> 16 {
            batch.insert(&opened.entries, (number as u64).to_be_bytes(), vec![7; 1 << 16]);
        }
        batch.commit().expect("it is written");
    }

    pub(super) fn buffered_bytes(&self) -> u64 {
        self.opened.lock().as_ref().expect("it is open").database.write_buffer_size()
    }

    pub(super) fn cached_bytes(&self) -> u64 {
        self.opened.lock().as_ref().expect("it is open").database.cache_size()
    }

    /// As releases left it whose heads are of version 1, with another entry.
    pub(super) fn downgrade(&self, key: Vec<u8>, value: Vec<u8>) {
        let opened = self.opened.lock();
        let Opened { entries, .. } = opened.as_ref().expect("it is open");
        let keys: Vec<_> = entries.iter().map(|entry| entry.key().expect("it is read")).collect();
        let later = keys.into_iter().filter(|key| matches!(key.first(), Some(b'b' | b'm' | b'v' | b'x' | b'y')));
        later.for_each(|key| entries.remove(key).expect("it is removed"));
        let mut head = entries.get(HEAD_KEY).expect("it is read").expect("it has a head").to_vec();
        *head.first_mut().expect("it has a version") = 1;
        entries.insert(HEAD_KEY, head).expect("it is written");
        entries.insert(key, value).expect("it is written");
    }
}

/// A checkpoint under way. Whatever keeps it from being written, an error or a panic, the next checkpoint has what it was to write.
struct UnderWay<'a> {
    state: &'a RwLock<State>,
    written: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.state.write().end_checkpoint(self.written);
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Opened> {
        let database = Database::builder(path)
            .worker_threads(1)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(|error| store_error(path, &error))?;
        // Of large files the cache has the parts of filters and indexes that are asked for, not the whole.
        let in_parts = || PartitioningPolicy::new([false, true]);
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .index_block_partitioning_policy(in_parts())
                .filter_block_partitioning_policy(in_parts())
        };
        let entries = database.keyspace("state", options).map_err(|error| store_error(path, &error))?;
        Ok(Opened { database, entries })
    }

    fn wait_for_room(&self) {
        let patience = Patience::of(LONGEST);
        while self.database.write_buffer_size() > BUFFER_BYTES && !patience.is_over() {
            std::thread::sleep(PAUSE);
        }
    }

    fn batch(&self, state: &State) -> Result<OwnedWriteBatch> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        state.write(&mut |key, value| match value {
            Some(value) => batch.insert(&self.entries, key, value),
            None => batch.remove(&self.entries, key),
        })?;
        let head = Head {
            applied: state.applied,
            append_us: state.append_us,
            epoch: state.epoch,
            catalog_version: state.catalog.version(),
        };
        batch.insert(&self.entries, HEAD_KEY, codec::postcard_as(HEAD_VERSION, &head)?);
        Ok(batch)
    }
}

/// A crash while the LSM was being created leaves a directory that it will not open and that never held a checkpoint.
fn remove_unfinished(path: &Path) -> Result<()> {
    let io = |error: std::io::Error| Error::Io { path: path.to_owned(), message: error.to_string() };
    if !path.try_exists().map_err(io)? {
        return Ok(());
    }
    match std::fs::metadata(path.join("version")) {
        Ok(marker) if marker.len() > 0 => Ok(()),
        Ok(_) => std::fs::remove_dir_all(path).map_err(io),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::fs::remove_dir_all(path).map_err(io),
        Err(error) => Err(io(error)),
    }
}

/// A checkpoint counts as durable from here on, and the log behind it may be trimmed. The LSM reads its journals as the page cache
/// shows them, which after a failed sync is more than the disk has.
fn write_journals_anew(path: &Path) -> Result<()> {
    let io = |error: std::io::Error| Error::Io { path: path.to_owned(), message: error.to_string() };
    for journal in RealDisk.list(path).map_err(io)? {
        if journal.extension().is_some_and(|extension| extension == "jnl") {
            write_anew(&RealDisk, &journal).map_err(io)?;
        }
    }
    Ok(())
}
