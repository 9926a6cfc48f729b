//! A disk in memory that loses power on demand.
//!
//! It keeps apart what a program sees and what would be found after a power loss: bytes become durable with
//! [`DiskFile::sync`], names with [`Disk::sync_dir`]. [`SimDisk::crash`] gives the disk as it may be found: each write since
//! the last sync is there, gone or torn at sector borders, holes read as zeros, and unsynced names may be the old ones.

mod file;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::file::{Node, SimFile};
use super::{Disk, DiskFile};

/// What goes wrong at one operation. Operations that change something are counted from 0: create, rename, remove, write,
/// truncate, sync and directory sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Power is lost: this operation and all later ones fail. A write may have reached the disk in part.
    Crash,
    /// The operation fails once. After a failed sync nobody knows which of the unsynced bytes, or names, are on the disk, and a
    /// later sync that succeeds says nothing of them: their pages count as clean, as Linux has it. Readers see them until the
    /// pages are read anew.
    Error,
    /// No space: this write and every later one that makes a file longer fail, until space is given back.
    NoSpace,
    /// This sync and all later ones report success and do nothing.
    LyingSync,
}

/// The disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    inner: Arc<Mutex<SimState>>,
}

#[derive(Debug)]
struct SimState {
    random: Random,
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that no directory sync has covered, oldest first.
    unsynced_names: Vec<NameChange>,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    faulted: bool,
    powerless: bool,
    lying: bool,
    full: bool,
    free_bytes: u64,
}

#[derive(Debug, Clone)]
enum NameChange {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    /// From, to, and the file.
    Rename(PathBuf, PathBuf, usize),
}

impl SimDisk {
    /// An empty disk; the seed decides every chance it takes.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk {
            inner: Arc::new(Mutex::new(SimState {
                random: Random::new(seed),
                nodes: Vec::new(),
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                unsynced_names: Vec::new(),
                operations: 0,
                faults: BTreeMap::new(),
                faulted: false,
                powerless: false,
                lying: false,
                full: false,
                free_bytes: 1 << 40,
            })),
        }
    }

    /// Plans a fault for the operation of that number.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.inner.lock().faults.insert(operation, fault);
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.inner.lock().operations
    }

    /// From now on every operation fails.
    pub fn power_off(&self) {
        self.inner.lock().powerless = true;
    }

    /// Whether a planned fault has come true.
    pub fn faulted(&self) -> bool {
        self.inner.lock().faulted
    }

    /// What [`Disk::free_bytes`] answers from now on; also ends a [`Fault::NoSpace`].
    pub fn set_free_bytes(&self, bytes: u64) {
        let mut inner = self.inner.lock();
        inner.free_bytes = bytes;
        inner.full = false;
    }

    /// The disk as it may be found after losing power now. This one is left as it is.
    pub fn crash(&self, seed: u64) -> SimDisk {
        let inner = self.inner.lock();
        let after = SimDisk::new(seed);
        {
            let mut found = after.inner.lock();
            found.names = inner.durable_names.clone();
            let kept = found.random.below(inner.unsynced_names.len() as u64 + 1) as usize;
            for change in inner.unsynced_names.iter().take(kept) {
                apply_name(&mut found.names, change);
            }
            found.durable_names = found.names.clone();
            found.free_bytes = inner.free_bytes;
            for node in &inner.nodes {
                let survivor = node.after_power_loss(&mut found.random);
                found.nodes.push(survivor);
            }
        }
        after
    }

    /// The disk as a crash of the process alone leaves it: everything written is there, unless a sync of it has failed. What
    /// was not durable before is not durable now.
    pub fn kill(&self, seed: u64) -> SimDisk {
        let inner = self.inner.lock();
        let after = SimDisk::new(seed);
        {
            let mut found = after.inner.lock();
            found.names = inner.names.clone();
            found.durable_names = inner.durable_names.clone();
            found.unsynced_names = inner.unsynced_names.clone();
            found.free_bytes = inner.free_bytes;
            for node in &inner.nodes {
                let survivor = node.after_process_end(&mut found.random);
                found.nodes.push(survivor);
            }
        }
        after
    }

    /// Paths and lengths of all files.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let inner = self.inner.lock();
        let len = |node: usize| inner.nodes.get(node).map_or(0, |node| node.live.len() as u64);
        inner.names.iter().map(|(path, node)| (path.clone(), len(*node))).collect()
    }

    /// Flips one bit of a file, on the disk and for readers alike.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let node = *inner.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let node = inner.nodes.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
        let byte = usize::try_from(bit / 8).map_err(|_| io::ErrorKind::InvalidInput)?;
        for bytes in [&mut node.live, &mut node.durable] {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Ok(())
    }

    fn change_names(&self, change: impl FnOnce(&mut SimState) -> io::Result<NameChange>) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.begin()?;
        let change = change(&mut inner)?;
        apply_name(&mut inner.names, &change);
        inner.unsynced_names.push(change);
        Ok(())
    }
}

impl SimState {
    /// Counts one operation and lets its fault, if any, come true; fails where it must.
    fn begin(&mut self) -> io::Result<()> {
        if self.powerless {
            return Err(io::Error::other("the power is off"));
        }
        let fault = self.faults.remove(&self.operations);
        self.operations += 1;
        self.faulted |= fault.is_some();
        match fault {
            Some(Fault::Crash) => {
                self.powerless = true;
                Err(io::Error::other("the power went off"))
            }
            Some(Fault::Error) => Err(io::Error::other("injected fault")),
            Some(Fault::NoSpace) => {
                self.full = true;
                Ok(())
            }
            Some(Fault::LyingSync) => {
                self.lying = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn node_of(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display())))
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    match change {
        NameChange::Link(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Unlink(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.lock();
        if inner.powerless {
            return Err(io::Error::other("the power is off"));
        }
        Ok(Arc::new(SimFile { disk: self.clone(), node: inner.node_of(path)? }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut node = 0;
        self.change_names(|inner| {
            if inner.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            node = inner.nodes.len();
            inner.nodes.push(Node::default());
            Ok(NameChange::Link(path.to_owned(), node))
        })?;
        Ok(Arc::new(SimFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change_names(|inner| {
            let node = inner.node_of(from)?;
            Ok(NameChange::Rename(from.to_owned(), to.to_owned(), node))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change_names(|inner| {
            inner.node_of(path)?;
            Ok(NameChange::Unlink(path.to_owned()))
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let inner = self.inner.lock();
        Ok(inner.names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let begun = inner.begin();
        if inner.powerless || inner.lying {
            return begun;
        }
        let (covered, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut inner.unsynced_names).into_iter().partition(|change| change.touches(dir));
        inner.unsynced_names = left;
        let written = match begun {
            Ok(()) => covered.len(),
            // The rest counts as clean.
            Err(_) => inner.random.below(covered.len() as u64 + 1) as usize,
        };
        for change in covered.iter().take(written) {
            apply_name(&mut inner.durable_names, change);
        }
        begun
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let inner = self.inner.lock();
        Ok(if inner.full { 0 } else { inner.free_bytes })
    }
}

impl NameChange {
    fn touches(&self, dir: &Path) -> bool {
        let (NameChange::Link(path, _) | NameChange::Unlink(path) | NameChange::Rename(_, path, _)) = self;
        path.parent() == Some(dir)
    }
}

/// xorshift64*: small, and the same on every machine.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound.max(1)
    }
}
