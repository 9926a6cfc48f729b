//! Reading a store's tables ahead, when it is opened.
//!
//! After a start each entry that is asked for lies alone in a block that the machine's memory does not have, and costs a disk's
//! seeks; in the order in which they lie all of them cost a second. The bytes go to the page cache, which gives them up to whoever
//! needs the memory; none are kept here.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::platform::{join, start_aside};

/// Of larger stores the tables that were written last are read, and the others are left to those who ask.
const MOST_BYTES: u64 = 1 << 30;
/// Smaller stores are read as quickly as they are asked.
const LEAST_BYTES: u64 = 8 << 20;
const READ_BYTES: usize = 256 << 10;

/// A store's tables on their way to the page cache. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct ReadAhead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Begins, where there is enough to read. What can't be read is told by whoever asks for it.
    pub(super) fn begin(store: &Path) -> Option<ReadAhead> {
        let tables = newest_tables(store).ok()?;
        if tables.iter().map(|(_, bytes)| bytes).sum::<u64>() < LEAST_BYTES {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let body = move || {
            let bytes = read(&tables, MOST_BYTES, &stopped);
            tracing::debug!(bytes, "the tables of the state store are read ahead");
        };
        let thread = start_aside("state-read-ahead", body).ok()?;
        Some(ReadAhead { stop, thread: Some(thread) })
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(join);
    }
}

/// The tables of every tree with their bytes, those that were written last first: their names are numbers that rise.
fn newest_tables(store: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut tables = Vec::new();
    for tree in std::fs::read_dir(store.join("keyspaces"))? {
        for table in std::fs::read_dir(tree?.path().join("tables"))? {
            let table = table?;
            let number = table.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            tables.push((number, table.path(), table.metadata()?.len()));
        }
    }
    tables.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    Ok(tables.into_iter().map(|(_, path, bytes)| (path, bytes)).collect())
}

/// Gives the bytes read. One that is gone was merged with others meanwhile.
fn read(tables: &[(PathBuf, u64)], most_bytes: u64, stop: &AtomicBool) -> u64 {
    let (mut buffer, mut all) = (vec![0; READ_BYTES], 0);
    for (path, _) in tables {
        let Ok(mut file) = File::open(path) else { continue };
        while all < most_bytes && !stop.load(Ordering::Relaxed) {
            match file.read(&mut buffer) {
                Ok(read) if read > 0 => all += read as u64,
                _ => break,
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (tree, table, bytes) in [("0", "9", 500_000), ("1", "10", 300_000), ("1", "2", 700_000)] {
            let tables = dir.path().join("keyspaces").join(tree).join("tables");
            std::fs::create_dir_all(&tables).unwrap();
            std::fs::write(tables.join(table), vec![7; bytes]).unwrap();
        }
        dir
    }

    #[test]
    fn tables_are_read_newest_first_and_no_more_than_is_allowed() {
        let dir = store();
        let tables = newest_tables(dir.path()).unwrap();
        let bytes: Vec<u64> = tables.iter().map(|(_, bytes)| *bytes).collect();
        assert_eq!(bytes, [300_000, 500_000, 700_000]);
        let go_on = AtomicBool::new(false);
        assert_eq!(read(&tables, u64::MAX, &go_on), 1_500_000);
        let most = read(&tables, 400_000, &go_on);
        assert!((400_000..400_000 + READ_BYTES as u64).contains(&most), "{most}");
        std::fs::remove_file(&tables[1].0).unwrap();
        assert_eq!(read(&tables, u64::MAX, &go_on), 1_000_000, "one is gone");
        assert_eq!(read(&tables, u64::MAX, &AtomicBool::new(true)), 0);
    }

    #[test]
    fn it_begins_where_there_is_enough_and_ends_when_it_is_dropped() {
        let dir = store();
        assert!(ReadAhead::begin(dir.path()).is_none(), "it is small");
        assert!(ReadAhead::begin(&dir.path().join("none")).is_none());
        std::fs::write(dir.path().join("keyspaces/1/tables/11"), vec![7; LEAST_BYTES as usize]).unwrap();
        drop(ReadAhead::begin(dir.path()).expect("it is large"));
    }
}
