//! A data directory made of a copy.

use std::path::Path;

use super::NewDirectory;
use super::copies::{Copies, io_error, sync_tree};
use super::listing::Listing;
use crate::model::{BackupInfo, Result};
use crate::platform::disk::RealDisk;

/// Makes the data directory `to`, which must not be there or be empty, of the backup in `from`. Every byte is checked; `Corrupt` names
/// the file that is not what was backed up, and nothing is left then.
pub fn restore(from: &Path, to: &Path) -> Result<BackupInfo> {
    let listing = Listing::read(from)?;
    // One that holds something is found to be there.
    match std::fs::remove_dir(to) {
        Err(error)
            if !matches!(
                error.kind(),
                std::io::ErrorKind::NotFound
                    | std::io::ErrorKind::DirectoryNotEmpty
                    | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Err(io_error(to, &error));
        }
        _ => {}
    }
    let new = NewDirectory::create(to)?;
    let copies = Copies { from: &RealDisk, to: &RealDisk };
    for listed in listing.files() {
        let file = listed.within(from);
        listed.check(&file, copies.file(&file, from, &new.unfinished)?)?;
    }
    sync_tree(&new.unfinished)?;
    new.finish()?;
    Ok(listing.info())
}
