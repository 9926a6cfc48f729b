//! A look at the LSM's files before it opens them. Each ends in a table of contents with a checksum, but the LSM
//! allocates by a length in that table before it checks, and it asserts what a tree's version file says: a flipped bit
//! there would end the process.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::errors::damaged;
use crate::model::{Error, Result};

/// Magic, version, kind of checksum, checksum (u128), position and length of the table (u64 each), little-endian.
const TRAILER_LEN: usize = 4 + 1 + 1 + 16 + 8 + 8;
const TRAILER_MAGIC: &[u8; 4] = b"SFA!";
/// Version 1, XXH3-128: what this was written against. Others are left to the LSM.
const KNOWN: &[u8; 2] = &[1, 0];
const CURRENT: &str = "current";
/// A table has an entry of some tens of bytes for each of a handful of sections.
const MAX_TABLE_LEN: u64 = 1 << 20;

/// `Corrupt` if a table of contents under `dir` does not match its checksum.
pub(super) fn check(dir: &Path) -> Result<()> {
    let io = |error: io::Error| Error::Io { path: dir.to_owned(), message: error.to_string() };
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        if entry.file_type().map_err(io)?.is_dir() {
            check(&path)?;
        } else if entry.file_name() == CURRENT && !names_whole(&path).map_err(io)? {
            return Err(damaged(&path, "the version that it names does not match its checksum"));
        } else if !is_whole(&path).map_err(|error| Error::Io { path: path.clone(), message: error.to_string() })? {
            return Err(damaged(&path, "its table of contents does not match its checksum"));
        }
    }
    Ok(())
}

/// `current` names the newest version of a tree, a small file, and its checksum, which the LSM does not compare.
fn names_whole(current: &Path) -> io::Result<bool> {
    let bytes = std::fs::read(current)?;
    let Some((id, rest)) = bytes.split_first_chunk::<8>() else { return Ok(false) };
    let Some((checksum, [0])) = rest.split_first_chunk::<16>() else { return Ok(false) };
    let version = current.with_file_name(format!("v{}", u64::from_le_bytes(*id)));
    match std::fs::read(version) {
        Ok(version) => Ok(xxh3_128(&version) == u128::from_le_bytes(*checksum)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let Some(end) = file.metadata()?.len().checked_sub(TRAILER_LEN as u64) else { return Ok(true) };
    let mut trailer = [0; TRAILER_LEN];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut trailer)?;
    let Some(rest) = trailer.strip_prefix(TRAILER_MAGIC).and_then(|rest| rest.strip_prefix(KNOWN)) else {
        return Ok(true);
    };
    let Some((checksum, rest)) = rest.split_first_chunk::<16>() else { return Ok(true) };
    let Some((position, _)) = rest.split_first_chunk::<8>() else { return Ok(true) };
    let position = u64::from_le_bytes(*position);
    let Some(length) = end.checked_sub(position).filter(|length| *length <= MAX_TABLE_LEN) else { return Ok(false) };
    let mut table = Vec::new();
    file.seek(SeekFrom::Start(position))?;
    file.take(length).read_to_end(&mut table)?;
    Ok(xxh3_128(&table) == u128::from_le_bytes(*checksum))
}
