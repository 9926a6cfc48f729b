//! The host: one wasmtime engine, its clock, its cache, and the filters made with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use millstream_engine::{
    Error, OperatorError, PluginDescription, PluginHost, PluginId, PluginInfo, PluginKind, PluginLimits, Result,
    ScalarFunction,
};
use parking_lot::Mutex;

use crate::compile::{Compiled, Compiler};
use crate::deadline::Ticker;
use crate::figures::{Counters, Figures};
use crate::filter::WasmFilter;
use crate::instance::Instance;
use crate::message;
use crate::module;
use crate::pool::{Pool, Reserve};

/// Settings of a [`WasmHost`].
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Where compiled code is kept, with the key that authenticates it. It must be writable by this user alone.
    pub cache_dir: PathBuf,
    /// Compiled code above this is dropped, oldest first.
    pub cache_bytes: u64,
    /// Instances of all plugins together. Idle ones give way when a plugin needs another.
    pub max_instances: u32,
    /// What `memory_bytes` of a plugin may be at most.
    pub max_memory_bytes: u64,
    /// How long a call waits for one of its plugin's instances to become free.
    pub wait_timeout: Duration,
}

impl HostOptions {
    /// The defaults over a directory.
    pub fn new(cache_dir: impl Into<PathBuf>) -> HostOptions {
        HostOptions {
            cache_dir: cache_dir.into(),
            cache_bytes: 1 << 30,
            max_instances: 1_024,
            max_memory_bytes: 1 << 30,
            wait_timeout: Duration::from_secs(30),
        }
    }
}

/// The plugin host of one process. Cheap to share; everything it started ends with it.
#[derive(Debug)]
pub struct WasmHost {
    options: HostOptions,
    compiler: Compiler,
    ticker: Arc<Ticker>,
    reserve: Arc<Reserve>,
    counters: Arc<Counters>,
    /// One per plugin version, so that its concurrency is bounded over all its uses.
    filters: Mutex<HashMap<PluginId, Weak<WasmFilter>>>,
}

impl WasmHost {
    /// Opens the cache directory and starts the clock that interrupts guests.
    pub fn new(options: HostOptions) -> Result<Arc<WasmHost>> {
        let counters = Arc::new(Counters::default());
        let compiler = Compiler::new(&options, counters.clone())?;
        let ticker = Ticker::start(compiler.engine())?;
        Ok(Arc::new(WasmHost {
            compiler,
            ticker,
            reserve: Arc::new(Reserve::default()),
            counters,
            filters: Mutex::new(HashMap::new()),
            options,
        }))
    }

    /// What the host has done since it was opened.
    pub fn figures(&self) -> Figures {
        self.counters.figures()
    }

    /// Compiles a module whose limits are in range.
    fn compile(&self, bytes: &[u8], limits: &PluginLimits) -> Result<Compiled> {
        check_limits(limits, &self.options)?;
        self.compiler.compile(bytes)
    }

    fn describe(&self, module: &[u8], limits: &PluginLimits) -> Result<(Instance, PluginDescription)> {
        let compiled = self.compile(module, limits)?;
        let start = || Instance::start(&compiled, limits, &self.ticker, "unnamed");
        let mut instance = self.reserve.with_room(start).map_err(|e| refused("start", e.into()))?;
        let description = instance.describe().map_err(|e| refused("describe itself", e))?;
        Ok((instance, description))
    }
}

impl PluginHost for WasmHost {
    fn inspect(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription> {
        self.describe(module, limits).map(|(_, description)| description)
    }

    fn inspect_with(&self, module: &[u8], config: &str, limits: &PluginLimits) -> Result<PluginDescription> {
        let (mut instance, description) = self.describe(module, limits)?;
        instance.open(&message::schema(&description.parameters), config).map_err(|e| refused("open", e))?;
        Ok(description)
    }

    fn filter(&self, plugin: &PluginInfo, module: &[u8]) -> Result<Arc<dyn ScalarFunction>> {
        let known = self.filters.lock().get(&plugin.id).and_then(Weak::upgrade);
        if let Some(filter) = known.filter(|f| f.plugin() == plugin) {
            return Ok(filter);
        }
        if plugin.description.kind != PluginKind::Filter {
            return Err(Error::InvalidInput(format!("plugin {:?} is not a filter", plugin.name)));
        }
        module::check_digest(module, plugin)?;
        let compiled = self.compile(module, &plugin.limits)?;
        let pool = Pool::new(compiled, plugin, &self.ticker, &self.reserve, &self.counters, self.options.wait_timeout);
        let filter = Arc::new(WasmFilter::new(plugin.clone(), pool, self.counters.clone()));
        filter.warm()?;
        let mut filters = self.filters.lock();
        filters.retain(|_, filter| filter.strong_count() > 0);
        filters.insert(plugin.id, Arc::downgrade(&filter));
        Ok(filter)
    }
}

fn refused(what: &str, error: OperatorError) -> Error {
    Error::InvalidInput(format!("the module does not {what}: {error}"))
}

fn check_limits(limits: &PluginLimits, options: &HostOptions) -> Result<()> {
    let refuse = |what: &str, value: u64, low: u64, high: u64| {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            Err(Error::InvalidInput(format!("{what} is {value}; it must be from {low} to {high}")))
        }
    };
    refuse("memory_bytes", limits.memory_bytes, 64 << 10, options.max_memory_bytes)?;
    refuse("call_timeout_ms", limits.call_timeout_ms, 1, 600_000)?;
    refuse("concurrency", limits.concurrency.into(), 1, options.max_instances.into())
}
