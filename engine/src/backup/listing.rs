//! What a copy holds, in a file of it: each file with its length and checksum.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::copies::{files_below, io_error, sum_of};
use crate::model::{BackupInfo, Error, Lsn, Result};
use crate::platform::disk::{Disk, RealDisk};

/// Its name in the copy.
pub(super) const FILE: &str = "backup.json";
const VERSION: u32 = 1;
/// Of a listing; more is none.
const MAX_BYTES: u64 = 1 << 30;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listing {
    version: u32,
    /// The last record that is in the copy.
    lsn: Lsn,
    /// When it was taken, µs since the Unix epoch.
    taken_us: i64,
    /// Where its segments lie, if that is an object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segments: Option<String>,
    files: Vec<ListedFile>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListedFile {
    /// Below the copy, with `/` between its parts.
    path: String,
    bytes: u64,
    /// XXH3, 64 bits, seed 0, in hexadecimal.
    xxh3: String,
}

impl Listing {
    /// Of all files below `dir`.
    pub(super) fn of(dir: &Path, lsn: Lsn, taken_us: i64, segments: Option<String>) -> Result<Listing> {
        let listed = files_below(dir)?.into_iter().map(|file| {
            let (bytes, sum) = sum_of(&file)?;
            let below = file.strip_prefix(dir).ok().and_then(Path::to_str).map(str::to_owned);
            let path = below.ok_or_else(|| Error::Internal(format!("{} has no plain name", file.display())))?;
            Ok(ListedFile { path, bytes, xxh3: format!("{sum:016x}") })
        });
        Ok(Listing { version: VERSION, lsn, taken_us, segments, files: listed.collect::<Result<_>>()? })
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        let write = || {
            let file = RealDisk.create_private(&path)?;
            file.write_at(&[&text], 0)?;
            file.sync()
        };
        write().map_err(|error| io_error(&path, &error))
    }

    pub(super) fn read(dir: &Path) -> Result<Listing> {
        let path = dir.join(FILE);
        let mut text = Vec::new();
        let opened = std::fs::File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
        opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let dir = dir.display();
                Error::InvalidInput(format!("{dir} is no backup, or one that is not whole: it has no file {FILE}"))
            }
            _ => io_error(&path, &error),
        })?;
        let corrupt = |message: String| Error::Corrupt { path: path.clone(), position: 0, message };
        let listing: Listing =
            serde_json::from_slice(&text).map_err(|error| corrupt(format!("it can't be read: {error}")))?;
        if listing.version != VERSION {
            return Err(corrupt(format!("version {} of a backup is not known", listing.version)));
        }
        match listing.files.iter().find(|file| !file.is_below()) {
            Some(ListedFile { path, .. }) => Err(corrupt(format!("{path:?} is no path below the backup"))),
            None => Ok(listing),
        }
    }

    pub(super) fn files(&self) -> &[ListedFile] {
        &self.files
    }

    pub(super) fn info(&self) -> BackupInfo {
        BackupInfo {
            lsn: self.lsn,
            taken_us: self.taken_us,
            files: self.files.len() as u64,
            bytes: self.files.iter().map(|file| file.bytes).sum(),
            segments: self.segments.clone(),
        }
    }
}

impl ListedFile {
    /// Whoever wrote the listing names no file of somebody else.
    fn is_below(&self) -> bool {
        let path = Path::new(&self.path);
        !self.path.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)))
    }

    pub(super) fn within(&self, dir: &Path) -> PathBuf {
        dir.join(&self.path)
    }

    /// Whether this is what a file was found to have.
    pub(super) fn check(&self, file: &Path, (bytes, sum): (u64, u64)) -> Result<()> {
        if bytes == self.bytes && format!("{sum:016x}") == self.xxh3 {
            return Ok(());
        }
        let message = format!("it is not the file of {} bytes that was backed up; take another backup", self.bytes);
        Err(Error::Corrupt { path: file.to_owned(), position: 0, message })
    }
}
