//! The journal in files of one directory, a log file for each extent. `docs/log-format.md` draws them, and says what is a torn
//! tail and what is damage.

mod anew;
mod copy;
mod directory;
mod header;
mod log_file;
mod recover;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use self::header::FILE_HEADER_LEN;
use self::log_file::LogFile;
use super::{CommitLayout, Extent, Journal, JournalIdentity, NextCommit};
use crate::model::{Error, Lsn, Result};

pub(in crate::log) use directory::LogDirectory;
pub(in crate::log) use header::FileHeader;

/// An open journal of files.
#[derive(Debug)]
struct FileJournal {
    directory: LogDirectory,
    identity: JournalIdentity,
    /// Oldest first; the last one is written to.
    files: RwLock<Vec<Arc<LogFile>>>,
    end: Mutex<JournalEnd>,
    /// One trimming at a time: two would remove the same file.
    trimming: Mutex<()>,
}

#[derive(Debug)]
struct JournalEnd {
    file: Arc<LogFile>,
    next: NextCommit,
    /// Nothing was appended since the last sync.
    synced: bool,
}

impl FileJournal {
    fn new(
        directory: LogDirectory,
        identity: JournalIdentity,
        files: Vec<Arc<LogFile>>,
        next: NextCommit,
    ) -> Result<FileJournal> {
        let file = files.last().cloned().ok_or_else(|| Error::Internal("a journal without a file".to_owned()))?;
        let end = Mutex::new(JournalEnd { file, next, synced: false });
        Ok(FileJournal { directory, identity, files: RwLock::new(files), end, trimming: Mutex::new(()) })
    }

    fn oldest_below(&self, keep_from: Lsn) -> Option<Arc<LogFile>> {
        let files = self.files.read();
        let next = files.get(1)?;
        if next.first() <= keep_from { files.first().cloned() } else { None }
    }
}

impl Journal for FileJournal {
    fn identity(&self) -> JournalIdentity {
        self.identity
    }

    fn next(&self) -> NextCommit {
        self.end.lock().next
    }

    fn append(&self, commit: &CommitLayout) -> Result<()> {
        let mut end = self.end.lock();
        let next = commit.after(end.next)?;
        end.synced = false;
        end.file.append(commit, end.next)?;
        end.next = next;
        Ok(())
    }

    fn sync(&self) -> Result<Lsn> {
        let mut end = self.end.lock();
        end.file.sync()?;
        end.synced = true;
        Ok(Lsn(end.next.lsn.0.saturating_sub(1)))
    }

    fn roll(&self) -> Result<Arc<dyn Extent>> {
        let mut end = self.end.lock();
        // The name of a file says that everything below its first LSN is durable.
        if !end.synced {
            return Err(Error::Internal("a log file is begun before the one before it is synced".to_owned()));
        }
        let NextCommit { lsn, append_us, .. } = end.next;
        let header = FileHeader { log_id: self.identity.log_id, first_lsn: lsn, epoch: self.identity.epoch, append_us };
        let file = Arc::new(self.directory.create_file(header)?);
        self.files.write().push(file.clone());
        end.file = file.clone();
        end.next = NextCommit { extent: lsn, position: FILE_HEADER_LEN as u64, ..end.next };
        Ok(file)
    }

    fn extents(&self) -> Vec<Arc<dyn Extent>> {
        self.files.read().iter().map(|file| file.clone() as Arc<dyn Extent>).collect()
    }

    fn trim(&self, keep_from: Lsn) -> Result<()> {
        let _alone = self.trimming.lock();
        while let Some(file) = self.oldest_below(keep_from) {
            // A file whose name comes back after a crash is only trimmed again: older ones are gone for good before. One whose
            // removal could not be synced is not there any more.
            self.directory.remove_file(&file)?;
            self.files.write().retain(|other| other.first() != file.first());
        }
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        self.directory.free_bytes()
    }
}
