//! Files of the simulated disk: what is seen, what is durable, and what lies between.

use std::io;

use super::{Random, SimDisk};
use crate::platform::disk::DiskFile;

/// Power can fail between any two sectors of a write.
const SECTOR: usize = 512;

/// The bytes of one file.
#[derive(Debug, Default, Clone)]
pub(super) struct Node {
    /// What the page cache shows.
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Since the last sync, failed ones included, oldest first: the pages that are dirty.
    unsynced: Vec<Unsynced>,
}

#[derive(Debug, Clone)]
enum Unsynced {
    Write { position: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Unsynced {
    fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Unsynced::Write { position, bytes: written } => overwrite(bytes, *position, written),
            Unsynced::Truncate(len) => bytes.resize(*len, 0),
        }
    }
}

impl Node {
    /// What may be found after power loss: every unsynced change whole, absent, or torn.
    pub(super) fn after_power_loss(&self, random: &mut Random) -> Node {
        let found = self.partly_durable(random);
        Node { live: found.clone(), durable: found, unsynced: Vec::new() }
    }

    /// What a new process finds. Dirty pages are in memory still; clean ones that a failed sync has let go may have been read
    /// from the disk anew.
    pub(super) fn after_process_end(&self, random: &mut Random) -> Node {
        let mut on_disk = self.durable.clone();
        self.unsynced.iter().for_each(|change| change.make(&mut on_disk));
        let mut found = self.clone();
        let len = if random.below(2) == 0 { self.live.len() } else { on_disk.len() };
        on_disk.resize(len, 0);
        found.live.resize(len, 0);
        for (shown, kept) in found.live.chunks_mut(SECTOR).zip(on_disk.chunks(SECTOR)) {
            if shown != kept && random.below(2) == 0 {
                shown.copy_from_slice(kept);
            }
        }
        found
    }

    fn partly_durable(&self, random: &mut Random) -> Vec<u8> {
        let mut found = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Unsynced::Truncate(_) => {
                    if random.below(2) == 0 {
                        change.make(&mut found);
                    }
                }
                Unsynced::Write { position, bytes } => match random.below(4) {
                    0 => {}
                    1 => change.make(&mut found),
                    2 => {
                        // A prefix.
                        let sectors = random.below((bytes.len() / SECTOR + 1) as u64) as usize;
                        overwrite(&mut found, *position, bytes.get(..sectors * SECTOR).unwrap_or(bytes));
                    }
                    _ => {
                        // Any of its sectors; the others are holes.
                        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                            if random.below(2) == 0 {
                                overwrite(&mut found, position + index * SECTOR, sector);
                            }
                        }
                    }
                },
            }
        }
        found
    }

    /// Writes what is dirty. What an earlier sync has failed to write is not.
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.make(&mut self.durable);
        }
    }

    /// A sync that failed: some of it is on the disk, all of it counts as clean, and nobody will try again.
    fn sync_failed(&mut self, random: &mut Random) {
        self.durable = self.partly_durable(random);
        self.unsynced.clear();
    }
}

fn overwrite(target: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    if let Some(place) = target.get_mut(position..end) {
        place.copy_from_slice(bytes);
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) node: usize,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Node) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.disk.inner.lock();
        act(inner.nodes.get_mut(self.node).ok_or(io::ErrorKind::NotFound)?)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|node| Ok(node.live.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.with(|node| {
            let found = position.checked_add(buffer.len()).and_then(|end| node.live.get(position..end));
            buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput)?;
        let bytes = slices.concat();
        let mut inner = self.disk.inner.lock();
        if inner.powerless {
            return inner.begin();
        }
        let begun = inner.begin();
        let full = inner.full;
        let node = inner.nodes.get_mut(self.node).ok_or(io::ErrorKind::NotFound)?;
        if full && position + bytes.len() > node.live.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A write that fails may have reached the disk all the same.
        overwrite(&mut node.live, position, &bytes);
        node.unsynced.push(Unsynced::Write { position, bytes });
        begun
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut inner = self.disk.inner.lock();
        inner.begin()?;
        let node = inner.nodes.get_mut(self.node).ok_or(io::ErrorKind::NotFound)?;
        node.live.resize(len, 0);
        node.unsynced.push(Unsynced::Truncate(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner.lock();
        let begun = inner.begin();
        let (lying, powerless) = (inner.lying, inner.powerless);
        let mut random = inner.random.clone();
        random.below(2);
        inner.random = random.clone();
        let node = inner.nodes.get_mut(self.node).ok_or(io::ErrorKind::NotFound)?;
        match begun {
            Ok(()) if lying => Ok(()),
            Ok(()) => {
                node.sync();
                Ok(())
            }
            Err(error) => {
                if !powerless {
                    node.sync_failed(&mut random);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::platform::disk::{Disk, Fault, SimDisk};

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_may_be_torn() {
        let (dir, path) = (Path::new("/d"), Path::new("/d/f"));
        let disk = SimDisk::new(1);
        let file = disk.create(path).expect("create");
        file.write_at(&[&[1; 1024]], 0).expect("write");
        file.sync().expect("sync");
        disk.sync_dir(dir).expect("sync dir");
        file.write_at(&[&[2; 4096]], 1024).expect("write");
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let found = disk.crash(seed);
            let file = found.open(path).expect("its name was synced");
            let len = file.len().expect("len");
            lengths.insert(len);
            let mut bytes = vec![0; len as usize];
            file.read_at(&mut bytes, 0).expect("read");
            assert!(bytes.starts_with(&[1; 1024]), "seed {seed}: synced bytes were lost");
            assert!(bytes.iter().skip(1024).all(|byte| matches!(byte, 0 | 2)), "seed {seed}: bytes came from nowhere");
        }
        assert!(lengths.contains(&1024) && lengths.contains(&5120) && lengths.len() > 3, "no torn write: {lengths:?}");
    }

    #[test]
    fn what_a_failed_sync_has_let_go_is_durable_only_when_written_again() {
        let (dir, path) = (Path::new("/d"), Path::new("/d/f"));
        let kept = |again: bool| {
            let whole = |seed: &u64| {
                let disk = SimDisk::new(*seed);
                let file = disk.create(path).expect("create");
                disk.sync_dir(dir).expect("sync dir");
                file.write_at(&[&[1; 2048]], 0).expect("write");
                disk.fail_at(disk.operations(), Fault::Error);
                file.sync().expect_err("it fails");
                let mut seen = [0; 2048];
                file.read_at(&mut seen, 0).expect("the page cache has it");
                assert_eq!(seen, [1; 2048]);
                if again {
                    file.write_at(&[&[1; 2048]], 0).expect("write");
                }
                file.sync().expect("nothing else fails");
                let found = disk.kill(*seed).crash(*seed).open(path).expect("its name was synced");
                found.read_at(&mut seen, 0).is_ok() && seen == [1; 2048]
            };
            (0..100).filter(whole).count()
        };
        assert_eq!(kept(true), 100);
        let kept = kept(false);
        assert!(kept > 0 && kept < 60, "{kept} of 100 files are whole");
    }

    #[test]
    fn a_name_whose_sync_has_failed_may_be_gone_though_a_later_one_succeeds() {
        let path = Path::new("/d/f");
        let there = (0..50).filter(|seed| {
            let disk = SimDisk::new(*seed);
            disk.create(path).expect("create").sync().expect("sync");
            disk.fail_at(disk.operations(), Fault::Error);
            disk.sync_dir(Path::new("/d")).expect_err("it fails");
            disk.sync_dir(Path::new("/d")).expect("once only");
            assert!(disk.open(path).is_ok(), "it is seen");
            disk.crash(*seed).open(path).is_ok()
        });
        let there = there.count();
        assert!(there > 0 && there < 50, "there after {there} of 50 crashes");
    }

    #[test]
    fn an_unsynced_name_may_be_gone() {
        let disk = SimDisk::new(1);
        disk.create(Path::new("/d/f")).expect("create").sync().expect("sync");
        let there = (0..50).filter(|seed| disk.crash(*seed).open(Path::new("/d/f")).is_ok()).count();
        assert!(there > 0 && there < 50, "there after {there} of 50 crashes");
    }

    #[test]
    fn nothing_works_after_power_loss_and_lies_are_found_out() {
        let disk = SimDisk::new(1);
        let path = Path::new("/d/f");
        let file = disk.create(path).expect("create");
        disk.sync_dir(Path::new("/d")).expect("sync dir");
        disk.fail_at(3, Fault::LyingSync);
        disk.fail_at(4, Fault::Crash);
        file.write_at(&[b"x"], 0).expect("write");
        file.sync().expect("it lies");
        assert!(file.write_at(&[b"y"], 1).is_err() && file.sync().is_err(), "the power is off");
        let lost = (0..50).filter(|seed| disk.crash(*seed).files() == [(path.to_owned(), 0)]).count();
        assert!(lost > 0, "a lying sync never lost anything");
    }
}
