//! Opens the log's files: replays what the checkpoint does not hold, tells a torn tail from damage, raises the epoch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::anew::Unstated;
use super::create::create_file;
use super::files::{LogFile, log_path};
use super::format::{FILE_HEADER_LEN, LogId};
use super::index::{self, Entries};
use super::layout::Layout;
use super::plan::Plan;
use super::walk::{Expected, Step, Walker, io_error};
use super::writer::End;
use crate::log::time::LogTime;
use crate::model::{Error, Lsn, Result};
use crate::platform::Events;
use crate::platform::disk::Disk;
use crate::state::RecordContext;
use crate::state::State;

/// The log as found, with the opening commit of a new epoch at its end.
#[derive(Debug)]
pub(super) struct Recovered {
    pub files: Vec<Arc<LogFile>>,
    pub log_id: LogId,
    pub epoch: u64,
    pub end: End,
    pub time: LogTime,
}

/// What recovery works with.
pub(super) struct Recovery<'a> {
    pub disk: &'a Arc<dyn Disk>,
    pub dir: &'a Path,
    pub events: &'a Events,
    /// For the first file of a new log.
    pub new_log_id: LogId,
    /// Begins the log's time; given the append time of the newest commit, if there is one.
    pub time: &'a dyn Fn(Option<i64>) -> Result<LogTime>,
}

impl Recovery<'_> {
    /// `state` is that of the last checkpoint; every later record is applied to it.
    pub(super) fn run(&self, state: &mut State) -> Result<Recovered> {
        let mut names = self.names()?;
        let checkpoint = state.applied();
        let promised = self.drop_unfinished(&mut names)?;
        if names.is_empty() {
            return self.create(checkpoint, state);
        }
        let start = names.partition_point(|first| first.0 <= checkpoint.0.saturating_add(1)).checked_sub(1);
        let start = start.ok_or_else(|| {
            self.corrupt(self.dir, format!("the log begins after the state's checkpoint at LSN {checkpoint}"))
        })?;
        let mut files = Vec::with_capacity(names.len());
        let mut found: Option<Found> = None;
        for (at, first) in names.iter().enumerate() {
            let path = log_path(self.dir, *first);
            let file = self.disk.open(&path).map_err(|error| io_error(&path, &error))?;
            let last = at + 1 == names.len();
            if at >= start {
                let replayed = self.replay(&path, *first, found.as_ref(), last, promised, state)?;
                if let Some(next) = names.get(at + 1)
                    && *next != replayed.expected.lsn
                {
                    let message =
                        format!("the file ends at LSN {}, the next one begins at {next}", replayed.expected.lsn);
                    return Err(self.corrupt(&path, message));
                }
                found = Some(replayed);
            }
            let len = file.len().map_err(|error| io_error(&path, &error))?;
            files.push(match found.as_mut().filter(|_| last) {
                Some(found) => {
                    let entries = std::mem::take(&mut found.entries);
                    Arc::new(LogFile::active(*first, path, file, len, entries))
                }
                None => Arc::new(LogFile::sealed(*first, path, file, len)),
            });
        }
        let (Some(found), Some(active)) = (found, files.last().cloned()) else {
            return Err(Error::Internal("no file of the log was read".to_owned()));
        };
        if found.expected.lsn.0 <= checkpoint.0 {
            let message =
                format!("the log ends before LSN {}, the state's checkpoint holds {checkpoint}", found.expected.lsn);
            return Err(self.corrupt(&active.path, message));
        }
        let bare = found.expected.lsn == active.first;
        let sealed = files.len().checked_sub(2).and_then(|at| files.get(at)).filter(|_| bare).map(|file| file.first);
        let end = End {
            active,
            position: found.position,
            next_lsn: found.expected.lsn,
            append_us: found.expected.append_us,
            sealed,
        };
        let epoch = found.expected.epoch.max(found.epoch_beyond).max(state.epoch()).saturating_add(1);
        let time = (self.time)(Some(end.append_us))?;
        self.open_epoch(Recovered { files, log_id: found.log_id, epoch, end, time })
    }

    /// First LSNs of the log files, in order.
    fn names(&self) -> Result<Vec<Lsn>> {
        let made = self.disk.create_dir(self.dir).and_then(|()| self.disk.list(self.dir));
        let paths = made.map_err(|error| io_error(self.dir, &error))?;
        let mut names: Vec<Lsn> = paths.iter().filter_map(|path| file_name(path)).collect();
        names.sort_unstable();
        let is_left = |path: &&PathBuf| match path.extension().and_then(|extension| extension.to_str()) {
            Some("tmp") => true,
            // Of a file that is gone.
            Some("idx") => !paths.contains(&path.with_extension("log")),
            _ => false,
        };
        for path in paths.iter().filter(is_left) {
            index::remove_if_there(self.disk.as_ref(), path).map_err(|error| io_error(path, &error))?;
        }
        Ok(names)
    }

    /// Removes a last file that was never finished, or that no commit was written to: its header and its name may be in memory
    /// only, and nothing is lost with them. Its name still says that everything below was durable; the answer is that LSN.
    fn drop_unfinished(&self, names: &mut Vec<Lsn>) -> Result<Lsn> {
        let Some(&last) = names.last() else { return Ok(Lsn(0)) };
        let path = log_path(self.dir, last);
        let file = self.disk.open(&path).map_err(|error| io_error(&path, &error))?;
        let len = file.len().map_err(|error| io_error(&path, &error))?;
        let promised = Lsn(last.0.saturating_sub(1));
        let needed = names.len() == 1 && last != Lsn(1);
        match Walker::open(file, &path)? {
            Ok(_) if len > FILE_HEADER_LEN as u64 || needed => Ok(promised),
            Err(what) if len > FILE_HEADER_LEN as u64 || needed => {
                Err(Error::Corrupt { path, position: 0, message: what.to_owned() })
            }
            opened => {
                let removed = self.disk.remove(&path).and_then(|()| self.disk.sync_dir(self.dir));
                removed.map_err(|error| io_error(&path, &error))?;
                if opened.is_err() {
                    self.events.push("torn_tail_cut", format!("{}: an unfinished file was removed", path.display()));
                }
                names.pop();
                Ok(promised)
            }
        }
    }

    /// Reads one file, applying its records.
    fn replay(
        &self,
        path: &Path,
        first: Lsn,
        before: Option<&Found>,
        last: bool,
        promised: Lsn,
        state: &mut State,
    ) -> Result<Found> {
        let file = self.disk.open(path).map_err(|error| io_error(path, &error))?;
        let opened = Walker::open(file.clone(), path)?;
        let (mut walker, header) = opened.map_err(|what| self.corrupt(path, what))?;
        let (epoch, append_us) = before.map_or((0, i64::MIN), |file| (file.expected.epoch, file.expected.append_us));
        let continues = before.is_none_or(|file| file.log_id == header.log_id);
        if header.first_lsn != first || header.epoch < epoch || header.append_us < append_us || !continues {
            return Err(walker.corrupt(0, "the file does not follow the one before it"));
        }
        let mut found = Found {
            log_id: header.log_id,
            expected: Expected { lsn: first, epoch: header.epoch, append_us: header.append_us },
            position: FILE_HEADER_LEN as u64,
            entries: Entries::new(),
            epoch_beyond: 0,
        };
        let mut unstated = Unstated::default();
        loop {
            match walker.step(found.position, found.expected)? {
                Step::End => break,
                Step::Commit(commit) => {
                    for record in &commit.records {
                        let context = RecordContext {
                            lsn: record.header.lsn,
                            append_us: commit.header.append_us,
                            epoch: commit.header.epoch,
                        };
                        if let Some(what) = state.contradiction(context, &record.record) {
                            return Err(walker.corrupt(found.position, what));
                        }
                        state.apply(context, &record.record)?;
                    }
                    if last {
                        for (key, entry) in index::entries_of(&commit) {
                            found.entries.entry(key).or_default().push(entry);
                        }
                        unstated.read(&commit, found.position, found.expected);
                    }
                    found.position = found.position.saturating_add(u64::from(commit.header.length));
                    found.expected = commit.expected_next();
                }
                Step::Damaged(what) => {
                    if !last || found.expected.lsn <= promised {
                        return Err(walker.corrupt(found.position, what));
                    }
                    let stated = walker.statements_after(found.position, found.expected)?;
                    let (durable, epoch_beyond) = stated.unwrap_or_default();
                    if durable >= found.expected.lsn {
                        let message = format!("{what}, though LSN {durable} was durable");
                        return Err(walker.corrupt(found.position, message));
                    }
                    found.epoch_beyond = epoch_beyond;
                    self.cut(file.as_ref(), path, &found, walker.len(), what)?;
                    break;
                }
            }
        }
        if last && found.expected.lsn <= promised {
            return Err(
                walker.corrupt(found.position, format!("the file ends here, though LSN {promised} was durable"))
            );
        }
        unstated.write_anew(&file, path, found.position)?;
        Ok(found)
    }

    /// Cuts a torn tail.
    fn cut(
        &self,
        file: &dyn crate::platform::disk::DiskFile,
        path: &Path,
        found: &Found,
        len: u64,
        what: &str,
    ) -> Result<()> {
        let cut = file.truncate(found.position).and_then(|()| file.sync());
        cut.map_err(|error| io_error(path, &error))?;
        let lost = len.saturating_sub(found.position);
        let message = format!("{}: cut {lost} bytes from byte {} on: {what}", path.display(), found.position);
        self.events.push("torn_tail_cut", message);
        Ok(())
    }

    fn create(&self, checkpoint: Lsn, state: &State) -> Result<Recovered> {
        if checkpoint > Lsn(0) {
            let message = format!("the log is missing, the state's checkpoint holds LSN {checkpoint}");
            return Err(self.corrupt(self.dir, message));
        }
        let epoch = state.epoch().saturating_add(1);
        let time = (self.time)(None)?;
        let now_us = time.now_us();
        let active = create_file(self.disk.as_ref(), self.dir, self.new_log_id, Lsn(1), epoch, now_us)?;
        if let Some(parent) = self.dir.parent() {
            self.disk.sync_dir(parent).map_err(|error| io_error(parent, &error))?;
            self.sync_above(parent);
        }
        let active = Arc::new(active);
        let end = End {
            active: active.clone(),
            position: FILE_HEADER_LEN as u64,
            next_lsn: Lsn(1),
            append_us: now_us,
            sealed: None,
        };
        self.open_epoch(Recovered { files: vec![active], log_id: self.new_log_id, epoch, end, time })
    }

    /// The data directory may be new itself. What lies above it may not be ours to open, so that this is tried only.
    fn sync_above(&self, dir: &Path) {
        let Some(above) = dir.parent() else { return };
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        if let Err(error) = self.disk.sync_dir(above) {
            tracing::debug!(path = %above.display(), %error, "the directory above the store could not be synced");
        }
    }

    /// Makes the epoch durable: a commit without records that states it. Nothing of an earlier epoch is valid after it.
    fn open_epoch(&self, mut recovered: Recovered) -> Result<Recovered> {
        let end = &mut recovered.end;
        let plan = Plan::new(end.next_lsn, end.append_us.max(recovered.time.now_us()), recovered.epoch);
        end.append_us = plan.append_us;
        let durable = Lsn(end.next_lsn.0.saturating_sub(1));
        // What was written anew.
        let file = &end.active.file;
        file.sync().map_err(|error| io_error(&end.active.path, &error))?;
        let layout = Layout::new(plan, end.next_lsn, end.position, durable, recovered.log_id)?;
        let written = file.write_at(&layout.slices(), end.position).and_then(|()| file.sync());
        written.map_err(|error| io_error(&end.active.path, &error))?;
        end.position += layout.length;
        end.active.len.store(end.position, std::sync::atomic::Ordering::Relaxed);
        Ok(recovered)
    }

    fn corrupt(&self, path: &Path, message: impl Into<String>) -> Error {
        Error::Corrupt { path: path.to_owned(), position: 0, message: message.into() }
    }
}

/// How far reading has come.
#[derive(Debug)]
struct Found {
    log_id: LogId,
    expected: Expected,
    position: u64,
    /// Of the last file only.
    entries: Entries,
    /// The highest epoch that was stated after a cut.
    epoch_beyond: u64,
}

fn file_name(path: &Path) -> Option<Lsn> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok().map(Lsn)).flatten()
}
