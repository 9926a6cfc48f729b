//! Opens the log's files: replays what the checkpoint does not hold, tells a torn tail from damage, raises the epoch.

use std::sync::Arc;

use super::anew::Unstated;
use super::header::{FILE_HEADER_LEN, FileHeader};
use super::log_file::LogFile;
use super::{FileJournal, LogDirectory};
use crate::log::journal::format::LogId;
use crate::log::journal::read_commit::{Expected, ReadCommit};
use crate::log::journal::walk::{Step, Walker};
use crate::log::journal::{
    Checkpointed, Extent, Journal, JournalIdentity, NextCommit, Replay, ReplayedCommit, ReplayedJournal, open_epoch,
};
use crate::model::{Error, Lsn, Result};

/// The log's files as found.
pub(in crate::log) struct ReplayedFiles {
    directory: LogDirectory,
    /// Of this opening.
    identity: JournalIdentity,
    files: Vec<Arc<LogFile>>,
    /// `None` where there are no files.
    next: Option<NextCommit>,
}

/// How far reading has come.
#[derive(Debug)]
struct ReadTo {
    log_id: LogId,
    expected: Expected,
    position: u64,
    /// The highest epoch that was stated after a cut.
    epoch_beyond: u64,
}

impl LogDirectory {
    /// Gives `each` the commits of all files that the checkpoint does not cover. `new_log_id` is for a new log.
    pub(in crate::log) fn replay(
        self,
        new_log_id: LogId,
        checkpoint: Checkpointed,
        each: &mut Replay<'_>,
    ) -> Result<ReplayedFiles> {
        let mut names = self.names()?;
        let promised = self.drop_unfinished(&mut names)?;
        if names.is_empty() {
            if checkpoint.lsn > Lsn(0) {
                return Err(
                    self.corrupt(format!("the log is missing, the state's checkpoint holds LSN {}", checkpoint.lsn))
                );
            }
            let identity = JournalIdentity { log_id: new_log_id, epoch: checkpoint.epoch.saturating_add(1) };
            return Ok(ReplayedFiles { directory: self, identity, files: Vec::new(), next: None });
        }
        let start = names.partition_point(|first| first.0 <= checkpoint.lsn.0.saturating_add(1)).checked_sub(1);
        let start = start.ok_or_else(|| {
            self.corrupt(format!("the log begins after the state's checkpoint at LSN {}", checkpoint.lsn))
        })?;
        let mut files = Vec::with_capacity(names.len());
        let mut read_to: Option<ReadTo> = None;
        for (at, first) in names.iter().enumerate() {
            let file = Arc::new(self.open_file(*first)?);
            if at >= start {
                let next_file = names.get(at + 1);
                let replayed = self.replay_file(&file, read_to.as_ref(), next_file.is_none(), promised, each)?;
                if let Some(next) = next_file
                    && *next != replayed.expected.lsn
                {
                    let end = replayed.expected.lsn;
                    return Err(file.corrupt(0, &format!("the file ends at LSN {end}, the next one begins at {next}")));
                }
                read_to = Some(replayed);
            }
            files.push(file);
        }
        let (Some(read_to), Some(active)) = (read_to, files.last()) else {
            return Err(Error::Internal("no file of the log was read".to_owned()));
        };
        let lsn = read_to.expected.lsn;
        if lsn.0 <= checkpoint.lsn.0 {
            let message = format!("the log ends before LSN {lsn}, the state's checkpoint holds {}", checkpoint.lsn);
            return Err(active.corrupt(0, &message));
        }
        let epoch = read_to.expected.epoch.max(read_to.epoch_beyond).max(checkpoint.epoch).saturating_add(1);
        let identity = JournalIdentity { log_id: read_to.log_id, epoch };
        let append_us = read_to.expected.append_us;
        let next = NextCommit { lsn, extent: active.first(), position: read_to.position, append_us };
        Ok(ReplayedFiles { directory: self, identity, files, next: Some(next) })
    }

    /// Reads one file, `last` or not.
    fn replay_file(
        &self,
        file: &LogFile,
        before: Option<&ReadTo>,
        last: bool,
        promised: Lsn,
        each: &mut Replay<'_>,
    ) -> Result<ReadTo> {
        let header = file.header()?.map_err(|what| file.corrupt(0, what))?;
        let (epoch, append_us) = before.map_or((0, i64::MIN), |file| (file.expected.epoch, file.expected.append_us));
        let continues = before.is_none_or(|file| file.log_id == header.log_id);
        if header.first_lsn != file.first() || header.epoch < epoch || header.append_us < append_us || !continues {
            return Err(file.corrupt(0, "the file does not follow the one before it"));
        }
        let mut walker = Walker::new(file, header.log_id);
        let mut read_to = ReadTo {
            log_id: header.log_id,
            expected: Expected { lsn: header.first_lsn, epoch: header.epoch, append_us: header.append_us },
            position: FILE_HEADER_LEN as u64,
            epoch_beyond: 0,
        };
        let mut unstated = Unstated::default();
        loop {
            match walker.step(read_to.position, read_to.expected)? {
                Step::End => break,
                Step::Commit(commit) => {
                    each(&ReplayedCommit { extent: file, position: read_to.position, commit: &commit })?;
                    if last {
                        unstated.read(&commit, read_to.position, read_to.expected);
                    }
                    read_to.pass(&commit);
                }
                Step::Damaged(what) => {
                    if !last || read_to.expected.lsn <= promised {
                        return Err(file.corrupt(read_to.position, what));
                    }
                    self.cut_torn_tail(file, &mut walker, &mut read_to, what)?;
                    break;
                }
            }
        }
        if last && read_to.expected.lsn <= promised {
            let message = format!("the file ends here, though LSN {promised} was durable");
            return Err(file.corrupt(read_to.position, &message));
        }
        unstated.write_anew(file, read_to.log_id, read_to.position)?;
        Ok(read_to)
    }

    /// Cuts what does not check off the end, unless something after it says that it was durable.
    fn cut_torn_tail(&self, file: &LogFile, walker: &mut Walker<'_>, read_to: &mut ReadTo, what: &str) -> Result<()> {
        let position = read_to.position;
        let stated = walker.statements_after(position, read_to.expected)?;
        let (durable, epoch_beyond) = stated.unwrap_or_default();
        if durable >= read_to.expected.lsn {
            return Err(file.corrupt(position, &format!("{what}, though LSN {durable} was durable")));
        }
        read_to.epoch_beyond = epoch_beyond;
        let lost = file.bytes().saturating_sub(position);
        file.cut(position)?;
        let message = format!("{}: cut {lost} bytes from byte {position} on: {what}", file.path().display());
        self.events.push("torn_tail_cut", message);
        Ok(())
    }
}

impl ReadTo {
    fn pass(&mut self, commit: &ReadCommit) {
        self.position = self.position.saturating_add(u64::from(commit.header.length));
        self.expected = commit.expected_next();
    }
}

impl ReplayedJournal for ReplayedFiles {
    fn newest_us(&self) -> Option<i64> {
        self.next.map(|next| next.append_us)
    }

    fn begin(mut self, now_us: i64) -> Result<Arc<dyn Journal>> {
        let next = match self.next {
            Some(next) => next,
            None => {
                let JournalIdentity { log_id, epoch } = self.identity;
                let first_lsn = Lsn(1);
                let header = FileHeader { log_id, first_lsn, epoch, append_us: now_us };
                self.files.push(Arc::new(self.directory.create_first(header)?));
                NextCommit { lsn: first_lsn, extent: first_lsn, position: FILE_HEADER_LEN as u64, append_us: now_us }
            }
        };
        let journal = FileJournal::new(self.directory, self.identity, self.files, next)?;
        // What was written anew.
        journal.sync()?;
        open_epoch(&journal, now_us)?;
        Ok(Arc::new(journal))
    }
}
