//! A clock, a watch of the disk and a plugin host that panic on the thread that they are told.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::disk::DiskWatch;
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

impl DiskWatch for Trap {
    fn pass(&self, operation: &'static str) {
        Trap::pass(self, operation);
    }
}

/// Plugins are those of [`Words`].
#[derive(Debug)]
pub(super) struct TrapHost(pub(super) Trap, pub(super) Words);

impl PluginHost for TrapHost {
    fn inspect(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription> {
        self.1.inspect(module, limits)
    }

    fn inspect_with(
        &self,
        namespace: &str,
        name: &str,
        module: &[u8],
        settings: &PluginSettings,
    ) -> Result<PluginDescription> {
        self.1.inspect_with(namespace, name, module, settings)
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
