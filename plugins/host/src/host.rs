//! The host: one wasmtime engine, its clock, its cache, and the plugins made callable with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::DataType;
use millstream_engine::{
    Error, FailureKind, LoadedPlugin, MIN_CPU_MILLI, NamespaceLimits, NamespaceUsage, OperatorError, PluginCalls,
    PluginDescription, PluginHost, PluginId, PluginInfo, PluginKind, PluginLimits, PluginLogLine, PluginSettings,
    PluginSuspension, Result, TableLookup, TableUse, ThreadPanic,
};
use parking_lot::Mutex;

use crate::calls::Calls;
use crate::compile::{Compiled, Compiler};
use crate::deadline::Ticker;
use crate::figures::{Counters, Figures};
use crate::http::{self, Http, Networks, Outbound};
use crate::instance::Instance;
use crate::kinds::{self, InUse};
use crate::message;
use crate::module;
use crate::panics::Panics;
use crate::pool::{Pool, Reserve};
use crate::signature::{self, PublicKey};
use crate::suspension::Notice;
use crate::tenants::Tenants;
use crate::turns::Seat;

/// What `output_bytes` of a plugin may be at most: an answer is held twice while it is checked.
const MAX_OUTPUT_BYTES: u64 = 128 << 20;

/// What `cpu_milli` of a plugin may be at most; there is no machine of more cores.
const MAX_CPU_MILLI: u32 = 1_024_000;

/// What `lookup_bytes` of a plugin may be at most.
const MAX_LOOKUP_BYTES: u64 = 16 << 30;

/// Of more plugin versions than this, the figures of those that are not in use are forgotten.
const MAX_FIGURES: usize = 4_096;

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
    /// Whose signatures modules must have; with none, they need no signature.
    pub trusted_keys: Vec<PublicKey>,
    /// Where requests of plugins may go beside the public internet.
    pub http_allow: Networks,
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
            trusted_keys: Vec::new(),
            http_allow: Networks::default(),
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
    tenants: Tenants,
    /// Of modules that are only looked at, which count for no namespace.
    lookers: Arc<Seat>,
    notice: Arc<Notice>,
    panics: Arc<Panics>,
    counters: Arc<Counters>,
    /// One per plugin version, so that its concurrency is bounded over all its uses.
    in_use: Mutex<HashMap<PluginId, InUse>>,
    /// Of every version that was loaded, in use or not: a plugin that is loaded again goes on counting, and stays suspended.
    calls: Mutex<HashMap<PluginId, Arc<Calls>>>,
    /// Started for the first plugin that sends requests.
    outbound: Mutex<Option<Arc<Outbound>>>,
}

impl WasmHost {
    /// Opens the cache directory and starts the clock that interrupts guests.
    pub fn new(options: HostOptions) -> Result<Arc<WasmHost>> {
        let counters = Arc::new(Counters::default());
        let compiler = Compiler::new(&options, counters.clone())?;
        let panics = Arc::new(Panics::default());
        let ticker = Ticker::start(compiler.engine(), &panics)?;
        Ok(Arc::new(WasmHost {
            compiler,
            ticker,
            reserve: Reserve::new(options.max_instances, options.wait_timeout),
            tenants: Tenants::new(),
            lookers: Arc::default(),
            notice: Arc::default(),
            panics,
            counters,
            in_use: Mutex::new(HashMap::new()),
            calls: Mutex::new(HashMap::new()),
            outbound: Mutex::new(None),
            options,
        }))
    }

    /// What the host has done since it was opened.
    pub fn figures(&self) -> Figures {
        self.counters.figures()
    }

    /// The figures of a plugin version.
    fn calls_of(&self, plugin: &PluginInfo) -> Arc<Calls> {
        let mut all = self.calls.lock();
        if let Some(known) = all.get(&plugin.id).filter(|known| known.is_of(plugin)) {
            return known.clone();
        }
        if all.len() >= MAX_FIGURES {
            all.retain(|_, calls| Arc::strong_count(calls) > 1);
        }
        let calls = self.count(plugin);
        all.insert(plugin.id, calls.clone());
        calls
    }

    fn count(&self, plugin: &PluginInfo) -> Arc<Calls> {
        Arc::new(Calls::new(plugin, self.tenants.get(&plugin.namespace), &self.notice))
    }

    /// Compiles a module whose limits are in range.
    fn compile(&self, bytes: &[u8], limits: &PluginLimits) -> Result<Compiled> {
        check_limits(limits, &self.options)?;
        module::check_size(bytes)?;
        signature::check(bytes, &self.options.trusted_keys)?;
        self.compiler.compile(bytes)
    }

    /// What a plugin version sends requests with; nothing if it asks for none.
    fn http_of(&self, plugin: &PluginInfo) -> Result<Option<Http>> {
        if plugin.description.http_hosts.is_empty() {
            return Ok(None);
        }
        let mut outbound = self.outbound.lock();
        let started = match &*outbound {
            Some(started) => started.clone(),
            None => outbound.insert(Arc::new(Outbound::start(&self.options.http_allow)?)).clone(),
        };
        Ok(Some(Http::new(plugin, started)))
    }

    /// Opens a module with what is granted to it. Hosts that are not granted are for whoever loads it to refuse, or to deny
    /// when it calls them.
    pub(crate) fn open_with(&self, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        let (mut instance, mut description) = self.describe(module, &settings.limits)?;
        let is_granted = |used: &&TableUse| settings.tables.iter().any(|(name, _)| *name == used.name);
        if let Some(used) = description.tables.iter().find(|used| !is_granted(used)) {
            return Err(used.not_granted());
        }
        let mut missing = description.capabilities.difference(&settings.grants);
        if let Some(capability) = missing.find(|capability| !capability.is_granted_by_name()) {
            return Err(Error::PermissionDenied(format!(
                "the module asks for {name:?}, which is not granted; WITH (grant = '{name}') grants it",
                name = capability.name()
            )));
        }
        let schema = message::schema(&description.parameters);
        let gives = instance.open(&schema, &settings.config, &settings.grants).map_err(|e| refused("open", e))?;
        description.returns = gives.unwrap_or(description.returns);
        Ok(description)
    }

    fn describe(&self, module: &[u8], limits: &PluginLimits) -> Result<(Instance, PluginDescription)> {
        let compiled = self.compile(module, limits)?;
        let start = || Instance::start(&compiled, limits, &self.ticker, "unnamed", None);
        let mut instance = self.reserve.look(&self.lookers, start).map_err(|e| refused("start", e.into()))?;
        let description = instance.describe().map_err(|e| refused("describe itself", e))?;
        Ok((instance, description))
    }
}

impl PluginHost for WasmHost {
    fn inspect(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription> {
        let (mut instance, mut description) = self.describe(module, limits)?;
        if description.kind == PluginKind::Transform {
            let schema = message::schema(&description.parameters);
            match instance.open(&schema, "", &description.capabilities) {
                Ok(gives) => description.returns = gives.unwrap_or(DataType::Null),
                // It wants a configuration, which it need not have to be inspected.
                Err(e) if e.kind == FailureKind::Data => {}
                Err(e) => return Err(refused("open", e)),
            }
        }
        Ok(description)
    }

    fn inspect_with(&self, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        let description = self.open_with(module, settings)?;
        http::check_grants(&description.http_hosts, &settings.http_hosts)?;
        Ok(description)
    }

    fn load(&self, plugin: &PluginInfo, module: &[u8], tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        let _span =
            tracing::debug_span!(target: "millstream::plugin", "load", plugin = plugin.name, plugin.version).entered();
        if let Some(known) = self.in_use.lock().get(&plugin.id).and_then(|in_use| in_use.get(plugin)) {
            return Ok(known);
        }
        module::check_digest(module, plugin)?;
        let compiled = self.compile(module, &plugin.limits)?;
        if compiled.offer.kind != plugin.description.kind {
            let message =
                format!("plugin {:?} is not what the catalog says: a {}", plugin.name, compiled.offer.kind.name());
            return Err(Error::InvalidInput(message));
        }
        let calls = self.calls_of(plugin);
        let pool = Pool::new(compiled, plugin, &self.ticker, &self.reserve, &self.counters, calls);
        let pool = pool.with_tables(tables).with_http(self.http_of(plugin)?);
        let (loaded, in_use) = kinds::make(plugin, pool, &self.counters)?;
        let mut all = self.in_use.lock();
        all.retain(|_, other| !other.is_gone());
        all.insert(plugin.id, in_use);
        Ok(loaded)
    }

    fn load_apart(&self, plugin: &PluginInfo, module: &[u8]) -> Result<LoadedPlugin> {
        module::check_digest(module, plugin)?;
        let compiled = self.compile(module, &plugin.limits)?;
        let mut plugin = plugin.clone();
        plugin.limits.concurrency = 1;
        // Counted apart as well: what fails here suspends nobody else.
        let calls = self.count(&plugin);
        let pool = Pool::new(compiled, &plugin, &self.ticker, &self.reserve, &self.counters, calls);
        kinds::make(&plugin, pool, &self.counters).map(|(loaded, _)| loaded)
    }

    fn calls(&self) -> Vec<PluginCalls> {
        self.calls.lock().values().map(|calls| calls.figures()).collect()
    }

    fn log_lines(&self) -> Vec<PluginLogLine> {
        self.calls.lock().values().flat_map(|calls| calls.lines()).collect()
    }

    fn suspensions(&self) -> Vec<(PluginId, PluginSuspension)> {
        self.calls.lock().iter().filter_map(|(id, calls)| Some((*id, calls.suspended()?))).collect()
    }

    fn on_suspension(&self, suspended: Arc<dyn Fn() + Send + Sync>) {
        self.notice.to(suspended);
    }

    fn on_thread_panic(&self, told: Arc<dyn Fn(&ThreadPanic) + Send + Sync>) {
        self.panics.to(told);
    }

    fn limit_namespace(&self, namespace: &str, limits: &NamespaceLimits) {
        let tenant = self.tenants.limit(namespace, limits, &self.reserve.turns);
        if tenant.is_over_memory() {
            self.reserve.drop_idle(Some(&tenant));
        }
    }

    fn namespace_usage(&self) -> Vec<NamespaceUsage> {
        self.tenants.usage()
    }

    fn resume(&self, plugin: PluginId) -> bool {
        self.calls.lock().get(&plugin).is_some_and(|calls| calls.resume())
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
    refuse("concurrency", limits.concurrency.into(), 1, options.max_instances.into())?;
    let cpu_milli = limits.cpu_milli.unwrap_or(1_000);
    if !(MIN_CPU_MILLI..=MAX_CPU_MILLI).contains(&cpu_milli) {
        let cores = |milli: u32| f64::from(milli) / 1e3;
        let (low, high) = (cores(MIN_CPU_MILLI), cores(MAX_CPU_MILLI));
        return Err(Error::InvalidInput(format!("cpu is {}; it must be from {low} to {high}", cores(cpu_milli))));
    }
    refuse("output_bytes", limits.output_bytes, 1 << 10, MAX_OUTPUT_BYTES)?;
    refuse("lookup_bytes", limits.lookup_bytes, 1 << 10, MAX_LOOKUP_BYTES)
}
