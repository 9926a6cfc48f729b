//! One log file: an extent whose name is its first LSN.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::header::{FILE_HEADER_LEN, FileHeader};
use crate::log::journal::format::{LogId, Malformed};
use crate::log::journal::read_commit::{Expected, ReadCommit};
use crate::log::journal::walk::Walker;
use crate::log::journal::{CommitLayout, Extent, NextCommit};
use crate::model::{Error, Lsn, Result};
use crate::platform::disk::{Disk, DiskFile};

#[derive(Debug)]
pub(super) struct LogFile {
    first: Lsn,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: AtomicU64,
}

impl LogFile {
    pub(super) fn open(disk: &dyn Disk, dir: &Path, first: Lsn) -> Result<LogFile> {
        let path = path(dir, first);
        let opened = disk.open(&path).and_then(|file| Ok((file.len()?, file)));
        let (bytes, file) = opened.map_err(|error| io_error(&path, &error))?;
        Ok(LogFile { first, path, file, bytes: AtomicU64::new(bytes) })
    }

    /// Header and name are durable before anything is written to the file.
    pub(super) fn create(disk: &dyn Disk, dir: &Path, header: FileHeader) -> Result<LogFile> {
        let path = path(dir, header.first_lsn);
        let created = disk.create(&path).and_then(|file| {
            file.write_at(&[&header.encode()], 0)?;
            file.sync()?;
            disk.sync_dir(dir)?;
            Ok(file)
        });
        let file = created.map_err(|error| io_error(&path, &error))?;
        Ok(LogFile { first: header.first_lsn, path, file, bytes: AtomicU64::new(FILE_HEADER_LEN as u64) })
    }

    /// Without a header: its bytes are another file's. Not durable before it is synced.
    pub(super) fn create_empty(disk: &dyn Disk, dir: &Path, first: Lsn) -> Result<LogFile> {
        let path = path(dir, first);
        let file = disk.create_private(&path).map_err(|error| io_error(&path, &error))?;
        Ok(LogFile { first, path, file, bytes: AtomicU64::new(0) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `Ok(Err(_))`: it does not check.
    pub(super) fn header(&self) -> Result<Result<FileHeader, &'static str>> {
        let mut bytes = [0; FILE_HEADER_LEN];
        if self.bytes() < FILE_HEADER_LEN as u64 || !self.read(0, &mut bytes)? {
            return Ok(Err("the file is shorter than its header"));
        }
        match FileHeader::decode(&bytes) {
            Ok(header) => Ok(Ok(header)),
            Err(Malformed::Damaged(what)) => Ok(Err(what)),
            Err(Malformed::Unknown(what)) => Err(self.corrupt(0, &format!("unknown {what}"))),
        }
    }

    pub(super) fn append(&self, commit: &CommitLayout, at: NextCommit) -> Result<()> {
        self.write(&commit.slices(), at.position)?;
        self.bytes.store(at.position + commit.length(), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn write(&self, slices: &[&[u8]], position: u64) -> Result<()> {
        self.file.write_at(slices, position).map_err(|error| io_error(&self.path, &error))
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|error| io_error(&self.path, &error))
    }

    /// Cuts the file, durably.
    pub(super) fn cut(&self, bytes: u64) -> Result<()> {
        let cut = self.file.truncate(bytes).and_then(|()| self.file.sync());
        cut.map_err(|error| io_error(&self.path, &error))?;
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Extent for LogFile {
    fn first(&self) -> Lsn {
        self.first
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn read(&self, position: u64, buffer: &mut [u8]) -> Result<bool> {
        match self.file.read_at(buffer, position) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(io_error(&self.path, &error)),
        }
    }

    fn scan(&self, log_id: LogId, each: &mut dyn FnMut(&ReadCommit)) -> Result<Lsn> {
        let header = self.header()?.map_err(|what| self.corrupt(0, what))?;
        if header.log_id != log_id || header.first_lsn != self.first {
            return Err(self.corrupt(0, "the file belongs to another log or place"));
        }
        let expected = Expected { lsn: self.first, epoch: header.epoch, append_us: header.append_us };
        Walker::new(self, log_id).scan(FILE_HEADER_LEN as u64, expected, each)
    }

    fn corrupt(&self, position: u64, message: &str) -> Error {
        Error::Corrupt { path: self.path.clone(), position, message: message.to_owned() }
    }
}

/// 20 digits, so that names sort by LSN.
fn path(dir: &Path, first: Lsn) -> PathBuf {
    dir.join(format!("{first:020}.log", first = first.0))
}

/// The first LSN that a log file's name says.
pub(super) fn first_lsn(path: &Path) -> Option<Lsn> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".log")?;
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok().map(Lsn)).flatten()
}

/// An I/O error with its path.
pub(super) fn io_error(path: &Path, error: &std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), message: error.to_string() }
}
