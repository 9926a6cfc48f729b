//! What a data directory knows of its standing in an object store. None of it decides who owns the store, because a copy
//! of the directory has it too; it tells an opening that goes on from one that comes after somebody else's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::errors::io_error;
use crate::model::{Error, Result};

/// Drawn once, never written again; copies of a directory share it.
const IDENTITY: &str = "segment-store-identity";
const STANDING: &str = "segment-store-standing";

/// Stored as JSON: fields may be added with a default, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    /// The last epoch in the store that was known to be this directory's; 0 before there was one.
    pub epoch: u64,
    /// Of the owner objects that this directory may have put last: one that was there when it was opened, and the next.
    pub nonces: Vec<String>,
    /// Objects of epochs below this may be needed by another directory.
    pub kept_below: u64,
    /// When and where the identity's file was made, which a copy can't say of its own.
    pub made: String,
}

/// A data directory, as an object store sees it.
#[derive(Debug)]
pub(super) struct Directory {
    dir: PathBuf,
    pub identity: String,
    /// As in [`Standing::made`], of the file that is there now.
    pub made: String,
}

impl Directory {
    pub(super) fn open(dir: &Path) -> Result<Directory> {
        let path = dir.join(IDENTITY);
        let identity = match fs::read_to_string(&path) {
            Ok(identity) if !identity.trim().is_empty() => identity.trim().to_owned(),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(path, &error)),
            _ => {
                let identity = draw()?;
                write(dir, IDENTITY, identity.as_bytes())?;
                identity
            }
        };
        let made = made(&path).map_err(|error| io_error(&path, &error))?;
        Ok(Directory { dir: dir.to_owned(), identity, made })
    }

    /// `None` before this directory has owned a store.
    pub(super) fn standing(&self) -> Result<Option<Standing>> {
        let path = self.dir.join(STANDING);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| io_error(&path, &error))?,
        };
        let standing = serde_json::from_slice(&text);
        standing.map(Some).map_err(|error| Error::Corrupt { path, position: 0, message: error.to_string() })
    }

    /// Durable when it returns.
    pub(super) fn note(&self, standing: &Standing) -> Result<()> {
        // Numbers and strings always have a JSON form.
        write(&self.dir, STANDING, &serde_json::to_vec(standing).unwrap_or_default())
    }
}

/// A random name.
pub(super) fn draw() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    Ok(format!("{:032x}", u128::from_le_bytes(random)))
}

/// Under another name first, so that it is there whole or as it was.
fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, unfinished) = (dir.join(name), dir.join(format!("{name}.tmp")));
    let written = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(dir)?.sync_all()
    };
    written().map_err(|error| io_error(&path, &error))
}

/// The time of a file's birth, which no tool that copies can set; where the file system keeps none, its inode.
fn made(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(born.map_or_else(|| format!("inode {}", metadata.ino()), |born| format!("born {}", born.as_nanos())))
}
