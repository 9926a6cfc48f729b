//! The state store has no disk that could be crashed: its files are set back instead, to what they were after an earlier step, or to
//! somewhere between that and now.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use millstream_engine::disk::SimDisk;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How far the store's journals were written after a step.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// The oldest file of the log: a checkpoint after this mark allowed it to go.
    oldest_log: u64,
    journals: BTreeMap<PathBuf, u64>,
}

/// The first LSN of the oldest log file.
pub(super) fn oldest_log(disk: &SimDisk) -> Option<u64> {
    let logs =
        disk.files().into_iter().map(|(path, _)| path).filter(|path| path.extension().is_some_and(|e| e == "log"));
    logs.filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).min()
}

impl Mark {
    pub(super) fn of(dir: &Path, disk: &SimDisk) -> Mark {
        Mark { oldest_log: oldest_log(disk).unwrap_or(0), journals: journals(dir) }
    }
}

/// Sets the store back to now, to one of the marks that the log found still continues, or to between that and now.
pub(super) fn roll_back(dir: &Path, found: &SimDisk, marks: &[Mark], seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let now = journals(dir);
    let continued = |mark: &&Mark| {
        oldest_log(found).is_some_and(|oldest| oldest <= mark.oldest_log) && mark.journals.keys().eq(now.keys())
    };
    let marks: Vec<&Mark> = marks.iter().filter(continued).collect();
    let way = chance.random_range(0..3);
    if marks.is_empty() || way == 0 {
        return;
    }
    let mark = marks[chance.random_range(0..marks.len())];
    for (path, end) in now {
        let then = mark.journals[&path].min(end);
        let len = if way == 1 { then } else { chance.random_range(then..=end) };
        let file = std::fs::File::options().write(true).open(&path).expect("a journal");
        file.set_len(len).expect("it is cut");
    }
}

/// Journals and where their bytes end; they are set aside longer than they are written.
fn journals(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir.join("state")).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let file = std::fs::File::open(&path).expect("a journal");
            let metadata = file.metadata().expect("its length");
            let mut bytes = vec![0; usize::try_from(metadata.len().min(metadata.blocks() * 512)).expect("it is short")];
            file.read_exact_at(&mut bytes, 0).expect("its bytes");
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            found.insert(path, end);
        }
    }
    found
}
