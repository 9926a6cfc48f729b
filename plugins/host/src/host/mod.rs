//! The host: one wasmtime engine, its clock, its cache, and the plugins made callable with it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::DataType;
use millstream_engine::{
    Error, FailureKind, LoadedPlugin, NamespaceLimits, NamespaceUsage, OperatorError, PluginCalls, PluginDescription,
    PluginHost, PluginId, PluginInfo, PluginKind, PluginLimits, PluginLogLine, PluginSettings, PluginSuspension,
    Result, TableLookup, TableUse, ThreadPanic,
};
use parking_lot::Mutex;

use crate::calls::Calls;
use crate::compile::{Account, Compiled, Compiler};
use crate::cpu::Started;
use crate::deadline::Ticker;
use crate::figures::{Counters, Figures};
use crate::guest::Owner;
use crate::http::{Http, Outbound};
use crate::instance::Instance;
use crate::kinds::{self, InUse};
use crate::memory::Memory;
use crate::message;
use crate::module;
use crate::options::{HostOptions, check_limits};
use crate::panics::Panics;
use crate::pool::Pool;
use crate::reserve::Reserve;
use crate::signature::{self, Use};
use crate::sites;
use crate::suspension::Notice;
use crate::tenants::{Shared, Tenant, Tenants};
use crate::turns::Turn;

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
        let compiler = Compiler::new(&options, counters.clone())?;
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
    fn compile(&self, bytes: &[u8], limits: &PluginLimits, used: &Use<'_>, account: Account<'_>) -> Result<Compiled> {
        check_limits(limits, &self.options)?;
        module::check_size(bytes)?;
        signature::check(bytes, &self.options.trust, used)?;
        self.compiler.compile(bytes, account)
    }

    fn compile_for(&self, plugin: &PluginInfo, module: &[u8]) -> Result<Compiled> {
        let used = Use::new(Some(&plugin.name), &plugin.grants, !plugin.tables.is_empty(), &plugin.http_hosts);
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

    /// Opens a module with what is granted to it. Hosts that are not granted are for whoever loads it to refuse, or to deny
    /// when it calls them.
    fn open_with(
        &self,
        module: &[u8],
        settings: &PluginSettings,
        name: Option<&str>,
        tenant: &Arc<Tenant>,
    ) -> Result<PluginDescription> {
        let used = Use::new(name, &settings.grants, !settings.tables.is_empty(), &settings.http_hosts);
        let mut looked = self.describe(module, &settings.limits, &used, tenant)?;
        let description = &looked.description;
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
        let gives = looked.call(|instance| instance.open(&schema, &settings.config, &settings.grants));
        let gives = gives.map_err(|e| refused("open", e))?;
        let mut description = looked.description;
        description.returns = gives.unwrap_or(description.returns);
        Ok(description)
    }

    /// As [`Self::open_with`], for nobody.
    pub(crate) fn open_alone(&self, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.open_with(module, settings, None, &self.nobody)
    }

    /// Starts a module for `tenant`, and asks it what it is.
    fn describe(&self, module: &[u8], limits: &PluginLimits, used: &Use<'_>, tenant: &Arc<Tenant>) -> Result<Looked> {
        let compiled = self.compile(module, limits, used, Account::Making(tenant))?;
        let owner = Owner { tenant: tenant.clone(), reserve: self.reserve.clone(), calls: None };
        let start = || Instance::start(&compiled, limits, &self.ticker, "unnamed", owner.clone());
        let started = Started::long();
        let looked = self.reserve.look(tenant, compiled.weight, start);
        tenant.used(started.end(), 0);
        let (mut instance, turn) = looked.map_err(|e| refused("start", e.into()))?;
        let started = Started::long();
        let description = instance.describe();
        tenant.used(started.end(), 0);
        let description = description.map_err(|e| refused("describe itself", e))?;
        Ok(Looked { instance, description, tenant: tenant.clone(), _turn: turn })
    }
}

/// An instance that is no plugin's yet.
struct Looked {
    instance: Instance,
    description: PluginDescription,
    tenant: Arc<Tenant>,
    /// Goes after the instance: its room is another's then.
    _turn: Turn,
}

impl Looked {
    /// Calls it on the account of its namespace.
    fn call<T>(&mut self, call: impl FnOnce(&mut Instance) -> T) -> T {
        let started = Started::long();
        let answer = call(&mut self.instance);
        self.tenant.used(started.end(), 0);
        answer
    }
}

impl PluginHost for WasmHost {
    fn inspect(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription> {
        let mut looked = self.describe(module, limits, &Use::default(), &self.nobody)?;
        let mut description = looked.description.clone();
        if description.kind == PluginKind::Transform {
            let schema = message::schema(&description.parameters);
            match looked.call(|instance| instance.open(&schema, "", &description.capabilities)) {
                Ok(gives) => description.returns = gives.unwrap_or(DataType::Null),
                // It wants a configuration, which it need not have to be inspected.
                Err(e) if e.kind == FailureKind::Data => {}
                Err(e) => return Err(refused("open", e)),
            }
        }
        Ok(description)
    }

    fn inspect_with(
        &self,
        namespace: &str,
        name: &str,
        module: &[u8],
        settings: &PluginSettings,
    ) -> Result<PluginDescription> {
        let description = self.open_with(module, settings, Some(name), &self.tenants.get(namespace))?;
        sites::check_grants(&description.http_hosts, &settings.http_hosts)?;
        Ok(description)
    }

    fn load(&self, plugin: &PluginInfo, module: &[u8], tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        let _span =
            tracing::debug_span!(target: "millstream::plugin", "load", plugin = plugin.name, plugin.version).entered();
        if let Some(known) = self.in_use.lock().get(&plugin.id).and_then(|in_use| in_use.get(plugin)) {
            return Ok(known);
        }
        module::check_digest(module, plugin)?;
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
        module::check_digest(module, plugin)?;
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
        let tenant = self.tenants.limit(namespace, limits, &Shared { memory, instances, compilations });
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

fn refused(what: &str, error: OperatorError) -> Error {
    Error::InvalidInput(format!("the module does not {what}: {error}"))
}
