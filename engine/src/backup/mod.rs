//! Copies of the whole store, taken while it is written to, and directories made of them.
//!
//! A copy has the state's last checkpoint, the log as far as it had been written, and what both name: segments, plugins, and the
//! small files beside them. It is read back before it counts, so that which segments belong to it follows from its own log. What was
//! acknowledged before it was asked for is in it.

mod copies;
mod listing;
mod restore;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::copies::{Copies, io_error};
use self::listing::Listing;
use crate::log::{Ledger, Log};
use crate::model::{BackupInfo, Error, Result};
use crate::platform::SegmentStore;
use crate::platform::disk::{Disk, RealDisk};
use crate::plugins::Modules;
use crate::state::{State, StateStore};

pub use restore::restore;

/// A directory that is not whole yet has its later name and this.
const UNFINISHED: &str = ".unfinished";

/// Copies the store into the directory `into`, which must not be there. The caller holds its files.
pub(crate) fn take(ledger: &Ledger, modules: &Modules, into: &Path) -> Result<BackupInfo> {
    let new = NewDirectory::create(into)?;
    // The rest is replayed, here and wherever the copy is opened.
    ledger.checkpoint()?;
    ledger.store.copy_to(&new.unfinished)?;
    ledger.log.copy_to(&new.unfinished)?;
    let state = read_back(ledger, &new.unfinished)?;
    let lsn = state.applied();
    let copies = Copies { from: ledger.options.disk.as_ref(), to: &RealDisk };
    // Versions may have a module in common.
    let plugins: BTreeSet<PathBuf> = state.catalog().plugins().map(|plugin| modules.file_of(plugin)).collect();
    for file in &plugins {
        copies.file(file, &ledger.options.dir, &new.unfinished)?;
    }
    let segments = segments_of(&state);
    let elsewhere = match &ledger.options.segment_store {
        SegmentStore::Local => {
            let root = ledger.options.dir.join("segments");
            for path in &segments {
                copies.file(&root.join(path), &ledger.options.dir, &new.unfinished)?;
            }
            None
        }
        SegmentStore::Remote { url, .. } => Some(url.clone()),
    };
    for file in small_files(ledger)? {
        copies.file(&file, &ledger.options.dir, &new.unfinished)?;
    }
    let taken_us = ledger.options.clock.wall_us();
    let listing = Listing::of(&new.unfinished, lsn, taken_us, elsewhere)?;
    listing.write(&new.unfinished)?;
    copies::sync_tree(&new.unfinished)?;
    new.finish()?;
    Ok(listing.info())
}

/// The state that an opening of the copy comes to. The store's own threads end with it.
fn read_back(ledger: &Ledger, dir: &Path) -> Result<State> {
    let store = StateStore::open(dir)?;
    let mut state = store.load()?;
    Log::replay_copy(dir, &ledger.events, &mut state)?;
    store.close();
    Ok(state)
}

fn segments_of(state: &State) -> Vec<String> {
    let catalog = state.catalog();
    let partitions = catalog.tables().flat_map(|table| catalog.partitions(table.id).unwrap_or_default());
    partitions.flat_map(|partition| partition.segments.values()).map(|segment| segment.path.clone()).collect()
}

/// Those of the data directory itself: what the clock was, and what secrets are sealed with.
fn small_files(ledger: &Ledger) -> Result<Vec<PathBuf>> {
    let dir = &ledger.options.dir;
    let found = ledger.options.disk.list(dir).map_err(|error| io_error(dir, &error))?;
    let is_kept = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The listing is one of the copy that this directory was made of.
        name != "LOCK" && name != listing::FILE && !name.ends_with(".tmp") && !name.ends_with(".new")
    };
    Ok(found.into_iter().filter(is_kept).collect())
}

fn check_free(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(Error::AlreadyExists { what: "the directory", name: path.display().to_string() }),
        Err(_) => Ok(()),
    }
}

/// A directory that appears under its name when it is whole. What was begun goes with it.
struct NewDirectory {
    unfinished: PathBuf,
    finished: PathBuf,
    done: bool,
}

impl NewDirectory {
    fn create(finished: &Path) -> Result<NewDirectory> {
        let name = finished.file_name().ok_or_else(|| {
            Error::InvalidInput(format!("{} is no name that a directory can be given", finished.display()))
        })?;
        check_free(finished)?;
        let mut unfinished = name.to_owned();
        unfinished.push(UNFINISHED);
        let unfinished = finished.with_file_name(unfinished);
        copies::create_private_dir(&unfinished).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::FailedPrecondition(format!(
                "{} is there: a copy to that place is being made, or broke off; remove it if nobody makes one",
                unfinished.display()
            )),
            _ => io_error(&unfinished, &error),
        })?;
        Ok(NewDirectory { unfinished, finished: finished.to_owned(), done: false })
    }

    fn finish(mut self) -> Result<()> {
        let io = |error: std::io::Error| io_error(&self.finished, &error);
        // A rename would take the place of an empty directory.
        check_free(&self.finished)?;
        RealDisk.rename(&self.unfinished, &self.finished).map_err(io)?;
        self.done = true;
        let above = self.finished.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        RealDisk.sync_dir(above).map_err(|error| io_error(above, &error))
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = std::fs::remove_dir_all(&self.unfinished)
        {
            tracing::warn!(path = %self.unfinished.display(), %error, "what was begun of a copy could not be removed");
        }
    }
}
