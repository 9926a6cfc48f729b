//! The files of plugin modules, named by their content.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};

use crate::disk::Disk;
use crate::events::Events;
use crate::state::State;
use crate::{
    BatchConsumer, BatchTransform, CheckbackHandler, Error, LoadedPlugin, PluginId, PluginInfo, Result, ScalarFunction,
};

pub const MAX_MODULE_BYTES: usize = 64 << 20;

/// Modules on the disk, and what is made of them and in use.
#[derive(Debug)]
pub(crate) struct Modules {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// Held while a file is written until its record stands, and while files are swept.
    changing: Mutex<()>,
    loaded: Mutex<HashMap<PluginId, Unheld>>,
}

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
        // Held while loading, so that a version is never there twice: its limit of instances would be as well.
        let mut loaded = self.loaded.lock();
        if let Some(found) = loaded.get(&plugin.id).and_then(Unheld::hold) {
            return Ok(found);
        }
        let fresh = load(&self.read(plugin)?)?;
        loaded.retain(|_, other| other.hold().is_some());
        loaded.insert(plugin.id, Unheld::of(&fresh));
        Ok(fresh)
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
