//! A clock, a disk and a plugin host that panic on the thread that they are told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::disk::{Disk, DiskFile, DiskLock, RealDisk};
use millstream_engine::{
    Clock, LoadedPlugin, ManualClock, NamespaceLimits, PluginDescription, PluginHost, PluginId, PluginInfo,
    PluginLimits, PluginSettings, PluginSuspension, Result, TableLookup,
};
use parking_lot::Mutex;

use crate::fixture::NOW_US;
use crate::plugin_consumers::host::Words;

/// Where the next panics come.
#[derive(Debug, Clone, Default)]
pub(super) struct Trap(Arc<Mutex<Option<Armed>>>);

#[derive(Debug)]
struct Armed {
    seam: &'static str,
    thread: String,
    times: usize,
}

impl Trap {
    /// The threads whose names begin so panic at the seam, as often as said.
    pub(super) fn arm(&self, seam: &'static str, thread: &str, times: usize) {
        *self.0.lock() = Some(Armed { seam, thread: thread.to_owned(), times });
    }

    /// Whether all of the panics have come.
    pub(super) fn is_sprung(&self) -> bool {
        self.0.lock().as_ref().is_none_or(|armed| armed.times == 0)
    }

    fn pass(&self, seam: &str) {
        let mut armed = self.0.lock();
        let here = std::thread::current();
        let name = here.name().unwrap_or_default();
        if let Some(armed) = armed.as_mut()
            && armed.seam == seam
            && name.starts_with(&armed.thread)
            && armed.times > 0
        {
            armed.times -= 1;
            let message = format!("{seam} of {}", armed.thread);
            panic!("{message}");
        }
    }
}

#[derive(Debug)]
pub(super) struct TrapClock {
    pub(super) clock: ManualClock,
    trap: Trap,
}

impl TrapClock {
    pub(super) fn new(trap: &Trap) -> TrapClock {
        TrapClock { clock: ManualClock::new(NOW_US), trap: trap.clone() }
    }
}

impl Clock for TrapClock {
    fn wall_us(&self) -> i64 {
        self.trap.pass("clock");
        self.clock.wall_us()
    }

    fn monotonic(&self) -> Duration {
        self.trap.pass("clock");
        self.clock.monotonic()
    }
}

#[derive(Debug)]
pub(super) struct TrapDisk(pub(super) Trap);

#[derive(Debug)]
struct TrapFile(Arc<dyn DiskFile>, Trap);

impl TrapDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(TrapFile(file, self.0.clone()))
    }
}

impl Disk for TrapDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path).map(|file| self.file(file))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.create(path).map(|file| self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.remove_dir(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        RealDisk.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(dir)
    }
}

impl DiskFile for TrapFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.1.pass("read");
        self.0.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.1.pass("write");
        self.0.write_at(slices, position)?;
        self.1.pass("written");
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

/// Plugins are those of [`Words`].
#[derive(Debug)]
pub(super) struct TrapHost(pub(super) Trap, pub(super) Words);

impl PluginHost for TrapHost {
    fn inspect(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription> {
        self.1.inspect(module, limits)
    }

    fn inspect_with(&self, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.1.inspect_with(module, settings)
    }

    fn load(&self, plugin: &PluginInfo, module: &[u8], tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        self.0.pass("load");
        self.1.load(plugin, module, tables)
    }

    fn load_apart(&self, plugin: &PluginInfo, module: &[u8]) -> Result<LoadedPlugin> {
        self.0.pass("load");
        self.1.load_apart(plugin, module)
    }

    fn suspensions(&self) -> Vec<(PluginId, PluginSuspension)> {
        self.0.pass("suspensions");
        Vec::new()
    }

    fn limit_namespace(&self, _namespace: &str, _limits: &NamespaceLimits) {
        self.0.pass("limits");
    }
}
