//! Files copied byte by byte, durably.

use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::model::{Error, Result};
use crate::platform::disk::{Disk, DiskFile, RealDisk};

const COPY_BYTES: usize = 1 << 20;

/// From one disk to another.
pub(super) struct Copies<'a> {
    pub(super) from: &'a dyn Disk,
    pub(super) to: &'a dyn Disk,
}

impl Copies<'_> {
    /// Copies a file that lies below `root` to the same place below `into`. Gives its length and checksum.
    pub(super) fn file(&self, file: &Path, root: &Path, into: &Path) -> Result<(u64, u64)> {
        let below = file
            .strip_prefix(root)
            .map_err(|_| Error::Internal(format!("{} does not lie in {}", file.display(), root.display())))?;
        let to = into.join(below);
        if let Some(parent) = to.parent() {
            self.to.create_dir(parent).map_err(|error| io_error(parent, &error))?;
        }
        let source = self.from.open(file).map_err(|error| io_error(file, &error))?;
        let target = self.to.create_private(&to).map_err(|error| io_error(&to, &error))?;
        let summed = summed(source.as_ref(), |piece, position| {
            target.write_at(&[piece], position).map_err(|error| io_error(&to, &error))
        });
        let summed = summed.map_err(|error| at(error, file))?;
        target.sync().map_err(|error| io_error(&to, &error))?;
        Ok(summed)
    }
}

/// An error of reading, which names no file.
enum SumError {
    Read(io::Error),
    Other(Error),
}

fn at(error: SumError, file: &Path) -> Error {
    match error {
        SumError::Read(error) => io_error(file, &error),
        SumError::Other(error) => error,
    }
}

/// Reads a file from end to end; gives its length and XXH3.
fn summed(file: &dyn DiskFile, mut each: impl FnMut(&[u8], u64) -> Result<()>) -> Result<(u64, u64), SumError> {
    let len = file.len().map_err(SumError::Read)?;
    let (mut buffer, mut hash, mut position) = (vec![0; COPY_BYTES], Xxh3::new(), 0);
    while position < len {
        let wanted = usize::try_from(len - position).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        file.read_at(piece, position).map_err(SumError::Read)?;
        hash.update(piece);
        each(piece, position).map_err(SumError::Other)?;
        position += piece.len() as u64;
    }
    Ok((len, hash.digest()))
}

/// Length and checksum of a file of this machine.
pub(super) fn sum_of(file: &Path) -> Result<(u64, u64)> {
    let opened = RealDisk.open(file).map_err(|error| io_error(file, &error))?;
    summed(opened.as_ref(), |_, _| Ok(())).map_err(|error| at(error, file))
}

/// All files below a directory, in the order of their names.
pub(super) fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = RealDisk.list(dir).map_err(|error| io_error(dir, &error))?;
    for below in directories_in(dir)? {
        files.extend(files_below(&below)?);
    }
    files.sort();
    Ok(files)
}

/// Makes names durable, from the innermost directories on.
pub(super) fn sync_tree(dir: &Path) -> Result<()> {
    for below in directories_in(dir)? {
        sync_tree(&below)?;
    }
    RealDisk.sync_dir(dir).map_err(|error| io_error(dir, &error))
}

fn directories_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    };
    read().map_err(|error| io_error(dir, &error))
}

/// For nobody else to look into.
pub(super) fn create_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(dir)
}

pub(super) fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::Io { path: path.to_owned(), message: error.to_string() }
}
