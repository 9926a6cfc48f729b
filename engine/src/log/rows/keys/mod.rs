//! Which rows have a key, as far as the log reaches. Keys are hashes that others make of rows; whoever asks looks at the rows
//! again. What has been appended is gathered by those who ask, and from time to time in between; it is in memory until it is
//! enough for a file, a *run*. Runs follow one another by LSN, none over the end of an extent. They are made from the journal's
//! bytes, and made anew where one is missing or damaged.

mod gather;
mod run_file;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parking_lot::Mutex;

use super::extent_indexes::ExtentIndexes;
use super::index_directory::write_whole;
use super::tail::Tail;
use crate::log::journal::LogId;
use crate::model::{Error, Lsn, Offset, PartitionId, Result, TableId};
use crate::platform::Events;
use crate::platform::disk::{Disk, remove_if_there};

/// Keys that a run has, about, before an extent ends. Each takes 16 bytes of memory until the run is written, and 24 more meanwhile: 10 MiB
/// in all, and what the last frame has that is gathered.
const RUN_KEYS: usize = 1 << 18;
/// Room for so many more at a time.
const GROWN_BY: usize = 1 << 14;

/// A row that has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyEntry {
    hash: u32,
    partition: PartitionId,
    offset: Offset,
}

/// Which tables have keys, and what they are.
pub(crate) trait RowKeys {
    /// The schema of a table whose rows have keys.
    fn schema(&self, table: TableId) -> Option<SchemaRef>;
    /// The hash of each key of each row.
    fn each(&self, table: TableId, rows: &RecordBatch, each: &mut dyn FnMut(usize, u32));
}

/// How far the log is readable, and durable.
#[derive(Debug, Clone, Copy)]
pub(in crate::log) struct Reach {
    pub(in crate::log) applied: Lsn,
    pub(in crate::log) durable: Lsn,
}

#[derive(Debug)]
pub(super) struct KeyIndex {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log_id: LogId,
    events: Arc<Events>,
    gathered: Mutex<Gathered>,
}

/// All keys of LSNs below `to`.
#[derive(Debug)]
struct Gathered {
    /// In the order of their LSNs, each beginning where the one before ends.
    runs: Vec<Run>,
    /// Of LSNs from `from` to `to`, which no run has yet.
    pending: Vec<KeyEntry>,
    from: Lsn,
    to: Lsn,
}

/// LSNs of a run, end exclusive.
type Run = (Lsn, Lsn);

impl KeyIndex {
    /// Takes up the runs that are there: those that follow one another from the beginning of the log, and none that knows more
    /// than the log, which ends before `next`. Others are removed.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        log_id: LogId,
        (first, next): (Lsn, Lsn),
        events: Arc<Events>,
    ) -> Result<KeyIndex> {
        let index = KeyIndex {
            disk,
            dir,
            log_id,
            events,
            gathered: Mutex::new(Gathered { runs: Vec::new(), pending: Vec::new(), from: first, to: first }),
        };
        let mut runs: Vec<(Run, PathBuf)> = Vec::new();
        let mut removed = false;
        for path in index.disk.list(&index.dir).map_err(|error| index.failed(index.dir.clone(), &error))? {
            let is_left = match path.extension().and_then(|extension| extension.to_str()) {
                Some("keys") => match run_of(&path) {
                    Some(run) if run.1 > first && run.1 <= next => {
                        runs.push((run, path.clone()));
                        false
                    }
                    _ => true,
                },
                _ => false,
            };
            if is_left {
                removed = true;
                index.remove(path)?;
            }
        }
        runs.sort_unstable_by_key(|(run, _)| *run);
        let mut gathered = index.gathered.lock();
        for (run, path) in runs {
            let follows = match gathered.runs.last() {
                Some(last) => last.1 == run.0,
                None => run.0 <= first,
            };
            if follows {
                gathered.runs.push(run);
                (gathered.from, gathered.to) = (run.1, run.1);
            } else {
                removed = true;
                index.remove(path)?;
            }
        }
        drop(gathered);
        if removed {
            // A run that knows more than the log must not come back once the log has more.
            index.disk.sync_dir(&index.dir).map_err(|error| index.failed(index.dir.clone(), &error))?;
        }
        Ok(index)
    }

    /// Gathers the keys of what has been appended since, as far as it is applied.
    pub(super) fn catch_up(&self, log: (&ExtentIndexes, &Tail), keys: &dyn RowKeys, reach: Reach) -> Result<()> {
        self.gather(&mut self.gathered.lock(), log, keys, reach)
    }

    /// The rows whose keys have a hash, in pieces, newest first, until `each` gives false. Rows of other keys and of other tables are
    /// among them.
    pub(super) fn find(
        &self,
        log: (&ExtentIndexes, &Tail),
        keys: &dyn RowKeys,
        reach: Reach,
        hash: u32,
        each: &mut dyn FnMut(PartitionId, Offset) -> Result<bool>,
    ) -> Result<()> {
        let (pending, runs) = {
            let mut gathered = self.gathered.lock();
            self.gather(&mut gathered, log, keys, reach)?;
            let pending: Vec<KeyEntry> = gathered.pending.iter().filter(|entry| entry.hash == hash).copied().collect();
            (pending, gathered.runs.clone())
        };
        if !give(&pending, each)? {
            return Ok(());
        }
        for run in runs.into_iter().rev() {
            let found = match self.read(run, hash)? {
                Some(found) => found,
                None => match self.read_again(run, log, keys, reach, hash)? {
                    Some(found) => found,
                    None => continue,
                },
            };
            if !give(&found, each)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// `None` where the file is missing or damaged.
    fn read(&self, run: Run, hash: u32) -> Result<Option<Vec<KeyEntry>>> {
        let path = self.path(run);
        let file = match self.disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(path, &error)),
        };
        run_file::find(file.as_ref(), self.log_id, run, hash).map_err(|error| self.failed(path, &error))
    }

    /// The entries of a run that can't be read, from the log; `None` if that was trimmed meanwhile.
    fn read_again(
        &self,
        run: Run,
        log: (&ExtentIndexes, &Tail),
        keys: &dyn RowKeys,
        reach: Reach,
        hash: u32,
    ) -> Result<Option<Vec<KeyEntry>>> {
        let mut gathered = self.gathered.lock();
        if let Some(at) = gathered.runs.iter().position(|other| *other == run) {
            // Somebody may have made it again meanwhile.
            if let Some(found) = self.read(run, hash)? {
                return Ok(Some(found));
            }
            let message = format!("{} is made again from the log: it is missing or damaged", self.path(run).display());
            self.events.push("index_rebuilt", message);
            for later in gathered.runs.split_off(at) {
                self.remove(self.path(later))?;
            }
            gathered.pending.clear();
            (gathered.from, gathered.to) = (run.0, run.0);
            self.gather(&mut gathered, log, keys, reach)?;
        }
        let mut found = Vec::new();
        for again in gathered.runs.iter().filter(|again| again.0 < run.1 && again.1 > run.0) {
            let damaged = || Error::Corrupt {
                path: self.path(*again),
                position: 0,
                message: "what was just written can't be read".to_owned(),
            };
            found.extend(self.read(*again, hash)?.ok_or_else(damaged)?);
        }
        found.extend(gathered.pending.iter().filter(|entry| entry.hash == hash));
        Ok(Some(found))
    }

    /// Writes what is pending as a run.
    fn write(&self, gathered: &mut Gathered) -> Result<()> {
        let run = (gathered.from, gathered.to);
        let mut entries = std::mem::take(&mut gathered.pending);
        let path = self.path(run);
        let bytes = run_file::encode(self.log_id, run, &mut entries);
        if let Err(error) = write_whole(self.disk.as_ref(), &self.dir, &path, &bytes) {
            // The order of rows within a hash is that of their offsets still.
            gathered.pending = entries;
            return Err(self.failed(path, &error));
        }
        gathered.runs.push(run);
        gathered.from = run.1;
        Ok(())
    }

    /// Lets go of runs that say nothing of rows from `first` on.
    pub(super) fn forget_below(&self, first: Lsn) -> Result<()> {
        let mut gathered = self.gathered.lock();
        let gone = gathered.runs.partition_point(|run| run.1 <= first);
        for run in gathered.runs.drain(..gone).collect::<Vec<_>>() {
            self.remove(self.path(run))?;
        }
        if gathered.to < first {
            gathered.pending.clear();
            (gathered.from, gathered.to) = (first, first);
        }
        Ok(())
    }

    fn path(&self, (from, to): Run) -> PathBuf {
        self.dir.join(format!("{:020}-{:020}.keys", from.0, to.0))
    }

    fn remove(&self, path: PathBuf) -> Result<()> {
        remove_if_there(self.disk.as_ref(), &path).map_err(|error| self.failed(path, &error))
    }

    fn failed(&self, path: PathBuf, error: &std::io::Error) -> Error {
        Error::Io { path, message: error.to_string() }
    }
}

/// Newest first; false once that is enough.
fn give(found: &[KeyEntry], each: &mut dyn FnMut(PartitionId, Offset) -> Result<bool>) -> Result<bool> {
    for entry in found.iter().rev() {
        if !each(entry.partition, entry.offset)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn run_of(path: &std::path::Path) -> Option<Run> {
    let (from, to) = path.file_stem()?.to_str()?.split_once('-')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some((Lsn(from), Lsn(to)))
}
