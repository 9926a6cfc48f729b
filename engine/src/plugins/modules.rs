//! The files of plugin modules, named by their content.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};

use crate::contract::{BatchConsumer, BatchTransform, CheckbackHandler, LoadedPlugin, PluginInfo, ScalarFunction};
use crate::model::{Error, PluginId, Result};
use crate::platform::Events;
use crate::platform::disk::Disk;
use crate::state::State;

pub const MAX_MODULE_BYTES: usize = 64 << 20;

/// Modules on the disk, and what is made of them and in use.
#[derive(Debug)]
pub(crate) struct Modules {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// Held while a file is written until its record stands, and while files are swept.
    changing: Mutex<()>,
    loaded: Mutex<HashMap<PluginId, LoadedPlace>>,
}

/// Locked while the version is being loaded.
type LoadedPlace = Arc<Mutex<Option<Unheld>>>;

/// A [`LoadedPlugin`] that goes when nobody uses it.
#[derive(Debug)]
enum Unheld {
    Function(Weak<dyn ScalarFunction>),
    Transform(Weak<dyn BatchTransform>),
    Consumer(Weak<dyn BatchConsumer>),
    Checkback(Weak<dyn CheckbackHandler>),
}

impl Unheld {
    fn of(loaded: &LoadedPlugin) -> Unheld {
        match loaded {
            LoadedPlugin::Function(function) => Unheld::Function(Arc::downgrade(function)),
            LoadedPlugin::Transform(transform) => Unheld::Transform(Arc::downgrade(transform)),
            LoadedPlugin::Consumer(consumer) => Unheld::Consumer(Arc::downgrade(consumer)),
            LoadedPlugin::Checkback(handler) => Unheld::Checkback(Arc::downgrade(handler)),
        }
    }

    fn hold(&self) -> Option<LoadedPlugin> {
        match self {
            Unheld::Function(function) => function.upgrade().map(LoadedPlugin::Function),
            Unheld::Transform(transform) => transform.upgrade().map(LoadedPlugin::Transform),
            Unheld::Consumer(consumer) => consumer.upgrade().map(LoadedPlugin::Consumer),
            Unheld::Checkback(handler) => handler.upgrade().map(LoadedPlugin::Checkback),
        }
    }
}

impl Modules {
    pub(crate) fn open(data_dir: &Path, disk: Arc<dyn Disk>) -> Result<Modules> {
        let dir = data_dir.join("plugins");
        let made = disk.create_dir(&dir).and_then(|()| disk.sync_dir(data_dir));
        made.map_err(|error| io_error(&dir, &error))?;
        Ok(Modules { dir, disk, changing: Mutex::new(()), loaded: Mutex::default() })
    }

    pub(crate) fn check_size(&self, module: &[u8]) -> Result<()> {
        if module.len() <= MAX_MODULE_BYTES {
            return Ok(());
        }
        let (size, limit) = (module.len() as u64, MAX_MODULE_BYTES as u64);
        Err(Error::TooLarge { what: "a plugin's module", size, limit, hint: "strip it and leave data out" })
    }

    /// Makes the module's file durable, then does `record` with its SHA-256 in lower-case hex.
    pub(crate) fn keep<T>(&self, module: &[u8], record: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let sha256 = sha256_hex(module);
        let _changing = self.changing.lock();
        let path = self.path(&sha256);
        self.write(&path, module).map_err(|error| io_error(&path, &error))?;
        record(&sha256)
    }

    /// A plugin version made callable: the one that is in use, else a new one that `load` makes of the module.
    pub(crate) fn loaded(
        &self,
        plugin: &PluginInfo,
        load: impl FnOnce(&[u8]) -> Result<LoadedPlugin>,
    ) -> Result<LoadedPlugin> {
        let place = self.place(plugin.id);
        // Held while loading, so that a version is never there twice: its limit of instances would be as well. Other versions
        // have places of their own and don't wait for this one's compilation.
        let mut loaded = place.lock();
        if let Some(found) = loaded.as_ref().and_then(Unheld::hold) {
            return Ok(found);
        }
        let fresh = load(&self.read(plugin)?)?;
        *loaded = Some(Unheld::of(&fresh));
        Ok(fresh)
    }

    /// Where a version is when it is loaded. Places that nobody looks at and that hold nothing any more go.
    fn place(&self, plugin: PluginId) -> LoadedPlace {
        let mut places = self.loaded.lock();
        if let Some(place) = places.get(&plugin) {
            return place.clone();
        }
        places.retain(|_, place| {
            // Places are given out under the lock that is held here, so that one with a single owner stays unlocked.
            Arc::strong_count(place) > 1 || place.lock().as_ref().is_some_and(|loaded| loaded.hold().is_some())
        });
        places.entry(plugin).or_default().clone()
    }

    /// Deletes the files that no plugin names: of dropped ones, and of creations that a crash cut short. What can't be
    /// deleted is reported and left for the next time.
    pub(crate) fn sweep(&self, state: &RwLock<State>, events: &Events) {
        let _changing = self.changing.lock();
        let named: HashSet<PathBuf> =
            state.read().catalog().plugins().map(|plugin| self.path(&plugin.sha256)).collect();
        let swept = self.disk.list(&self.dir).and_then(|files| {
            files.iter().filter(|file| !named.contains(*file)).try_for_each(|file| self.disk.remove(file))
        });
        if let Err(error) = swept {
            events.push("plugin_file_left", format!("{}: {error}", self.dir.display()));
        }
    }

    /// A module as it was loaded; `Corrupt` if its file has changed.
    pub(crate) fn read(&self, plugin: &PluginInfo) -> Result<Vec<u8>> {
        let path = self.path(&plugin.sha256);
        let read = || {
            let file = self.disk.open(&path)?;
            let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
            if length > MAX_MODULE_BYTES {
                return Ok(Vec::new());
            }
            let mut module = vec![0; length];
            file.read_at(&mut module, 0)?;
            Ok(module)
        };
        let module: Vec<u8> = read().map_err(|error| io_error(&path, &error))?;
        if sha256_hex(&module) != plugin.sha256 {
            let message = format!("the module of plugin {:?} version {} has changed", plugin.name, plugin.version);
            return Err(Error::Corrupt { path, position: 0, message });
        }
        Ok(module)
    }

    fn write(&self, path: &Path, module: &[u8]) -> io::Result<()> {
        let unfinished = path.with_extension("tmp");
        match self.disk.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&unfinished)?;
        file.write_at(&[module], 0)?;
        file.sync()?;
        self.disk.rename(&unfinished, path)?;
        self.disk.sync_dir(&self.dir)
    }

    /// Where a version's module lies.
    pub(crate) fn file_of(&self, plugin: &PluginInfo) -> PathBuf {
        self.path(&plugin.sha256)
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.wasm"))
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::Io { path: path.to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use arrow_array::RecordBatch;
    use arrow_schema::DataType;

    use super::*;
    use crate::contract::CheckVerdict;
    use crate::model::OperatorError;
    use crate::platform::disk::SimDisk;
    use crate::state::plugin_of_module;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[derive(Debug)]
    struct Handler;

    impl CheckbackHandler for Handler {
        fn name(&self) -> &str {
            "handler"
        }

        fn parameters(&self) -> &[(String, DataType)] {
            &[]
        }

        fn check(&self, _: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError> {
            Ok(Vec::new())
        }
    }

    fn handler() -> Result<LoadedPlugin> {
        Ok(LoadedPlugin::Checkback(Arc::new(Handler)))
    }

    fn with_plugins(count: u64) -> (Modules, Vec<PluginInfo>) {
        let modules = Modules::open(Path::new("/store"), Arc::new(SimDisk::new(7))).unwrap();
        let plugins = (1..=count).map(|id| {
            let module = id.to_le_bytes();
            modules.keep(&module, |sha256| Ok(plugin_of_module(PluginId(id), sha256))).unwrap()
        });
        let plugins = plugins.collect();
        (modules, plugins)
    }

    #[test]
    fn a_module_that_compiles_for_long_holds_up_no_other() {
        let (modules, plugins) = with_plugins(2);
        let (begun, has_begun) = crossbeam_channel::bounded(1);
        let (end, may_end) = crossbeam_channel::bounded::<()>(1);
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| {
                modules.loaded(&plugins[0], |_| {
                    begun.send(()).unwrap();
                    may_end.recv_timeout(PATIENCE).expect("the other is loaded meanwhile");
                    handler()
                })
            });
            has_begun.recv_timeout(PATIENCE).unwrap();
            modules.loaded(&plugins[1], |_| handler()).unwrap();
            end.send(()).unwrap();
            slow.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_version_is_loaded_once_for_all_that_ask_at_once_and_let_go_with_the_last() {
        let (modules, plugins) = with_plugins(3);
        let loads = AtomicUsize::new(0);
        let load = |plugin| {
            modules.loaded(plugin, |_| {
                loads.fetch_add(1, Ordering::SeqCst);
                handler()
            })
        };
        let held: Vec<LoadedPlugin> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| load(&plugins[0]))).collect();
            asking.into_iter().map(|asking| asking.join().unwrap().unwrap()).collect()
        });
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        drop(held);
        let second = load(&plugins[1]).unwrap();
        load(&plugins[2]).unwrap();
        load(&plugins[0]).unwrap();
        assert_eq!(loads.load(Ordering::SeqCst), 4);
        // Those that nobody holds go when another comes.
        assert!(modules.loaded.lock().len() <= 3);
        modules.loaded(&plugins[1], |_| unreachable!("it is in use")).unwrap();
        drop(second);
    }

    #[test]
    fn a_load_that_panics_leaves_the_place_free() {
        let (modules, plugins) = with_plugins(1);
        let panics = || modules.loaded(&plugins[0], |_| panic!("on purpose"));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
        modules.loaded(&plugins[0], |_| handler()).unwrap();
    }
}
