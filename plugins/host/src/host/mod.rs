//! The host: one wasmtime engine, its clock, its cache, and the plugins made callable with it.

mod alone;
mod inspection;
mod options;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use millstream_engine::{
    Error, LoadedPlugin, NamespaceLimits, NamespaceUsage, PluginCalls, PluginDescription, PluginHost, PluginId,
    PluginInfo, PluginLimits, PluginLogLine, PluginSettings, PluginSuspension, Result, TableLookup, ThreadPanic,
};
use parking_lot::Mutex;

use crate::calls::{Calls, Notice};
use crate::compile::{Account, Compiled, Compiler, CompilerOptions};
use crate::contract;
use crate::figures::{Counters, Figures};
use crate::http::{Http, Outbound};
use crate::instances::{Panics, Pool, Ticker};
use crate::kinds::{self, InUse};
use crate::modules::{self, IntendedUse};
use crate::tenants::{Memory, Reserve, SharedResources, Tenant, Tenants};
pub use options::HostOptions;
use options::check_limits;

/// Of more plugin versions than this, the figures of those that are not in use are forgotten.
const MAX_FIGURES: usize = 4_096;

/// The plugin host of one process. Cheap to share; everything it started ends with it.
#[derive(Debug)]
pub struct WasmHost {
    options: HostOptions,
    compiler: Compiler,
    ticker: Arc<Ticker>,
    reserve: Arc<Reserve>,
    tenants: Tenants,
    memory: Arc<Memory>,
    /// Of modules that are looked at for no namespace.
    nobody: Arc<Tenant>,
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
        let compiler_options = CompilerOptions {
            cache_dir: &options.cache_dir,
            cache_bytes: options.cache_bytes,
            max_instances: options.max_instances,
            max_memory_bytes: options.max_memory_bytes,
        };
        let compiler = Compiler::new(compiler_options, counters.clone())?;
        let panics = Arc::new(Panics::default());
        let ticker = Ticker::start(compiler.engine(), &panics)?;
        let (memory, tenants) = (Arc::new(Memory::new(options.memory_bytes)), Tenants::new());
        Ok(Arc::new(WasmHost {
            compiler,
            ticker,
            reserve: Reserve::new(options.max_instances, memory.clone(), options.wait_timeout),
            nobody: tenants.nobody(),
            tenants,
            memory,
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

    /// Compiles a module whose limits are in range, and whose signature is for such a use.
    fn compile(
        &self,
        bytes: &[u8],
        limits: &PluginLimits,
        used: &IntendedUse<'_>,
        account: Account<'_>,
    ) -> Result<Compiled> {
        check_limits(limits, &self.options)?;
        modules::check_size(bytes)?;
        modules::check_signature(bytes, &self.options.trust, used)?;
        self.compiler.compile(bytes, account)
    }

    fn compile_for(&self, plugin: &PluginInfo, module: &[u8]) -> Result<Compiled> {
        let used = IntendedUse::new(Some(&plugin.name), &plugin.grants, !plugin.tables.is_empty(), &plugin.http_hosts);
        let tenant = self.tenants.get(&plugin.namespace);
        self.compile(module, &plugin.limits, &used, Account::Needing(&tenant))
    }

    /// What a plugin version sends requests with; nothing if it asks for none.
    fn http_of(&self, plugin: &PluginInfo) -> Result<Option<Http>> {
        if plugin.description.http_hosts.is_empty() {
            return Ok(None);
        }
        let mut outbound = self.outbound.lock();
        let started = match &*outbound {
            Some(started) => started.clone(),
            None => {
                outbound.insert(Arc::new(Outbound::start(&self.options.http_allow, &self.options.http_deny)?)).clone()
            }
        };
        Ok(Some(Http::new(plugin, started, self.tenants.get(&plugin.namespace))))
    }
}

impl PluginHost for WasmHost {
    fn inspect(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription> {
        self.inspect_alone(module, limits)
    }

    fn inspect_with(
        &self,
        namespace: &str,
        name: &str,
        module: &[u8],
        settings: &PluginSettings,
    ) -> Result<PluginDescription> {
        let description = self.open_with(module, settings, Some(name), &self.tenants.get(namespace))?;
        contract::check_site_grants(&description.http_hosts, &settings.http_hosts)?;
        Ok(description)
    }

    fn load(&self, plugin: &PluginInfo, module: &[u8], tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        let _span =
            tracing::debug_span!(target: "millstream::plugin", "load", plugin = plugin.name, plugin.version).entered();
        if let Some(known) = self.in_use.lock().get(&plugin.id).and_then(|in_use| in_use.get(plugin)) {
            return Ok(known);
        }
        modules::check_digest(module, plugin)?;
        let compiled = self.compile_for(plugin, module)?;
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
        modules::check_digest(module, plugin)?;
        let compiled = self.compile_for(plugin, module)?;
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
        let (memory, instances, compilations) = (&self.memory, &self.reserve.turns, self.compiler.turns());
        let tenant = self.tenants.limit(namespace, limits, &SharedResources { memory, instances, compilations });
        if tenant.memory.is_over() {
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
