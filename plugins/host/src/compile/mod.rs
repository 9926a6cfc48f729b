//! Module bytes -> code that can be instantiated: checked, compiled or taken from the cache, and linked.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::{Capability, Error, Result};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::cache::{Cache, Found};
use crate::compiling::Compiling;
use crate::contract::{self, CONTRACTS, LOGGING, OFFERS, Offer, PACKAGE};
use crate::cpu::Started;
use crate::figures::Counters;
use crate::guest::Guest;
use crate::imports;
use crate::module;
use crate::options::HostOptions;
use crate::parts::Parts;
use crate::reserve::UNITS;
use crate::tenants::Tenant;
use crate::turns::Turns;

/// Stack of compiled code, on the calling thread.
const STACK_BYTES: usize = 512 << 10;

/// Address space kept for each memory, so that compiled code needs no bounds checks.
const RESERVATION_BYTES: u64 = 4 << 30;

/// What one instance may consist of. Interpreters come as many modules over one memory: CPython with its libraries is 38.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 4;
const MAX_TABLES: u32 = 16;

/// How long whoever needs a module waits for other compilations.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Compiles and links modules. A compilation can't be interrupted, and its memory is not bounded by any limit of a plugin: what bounds
/// both is what [`module::check`] lets through, and how much is compiled at once.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Cache,
    compiling: Compiling<Component>,
    counters: Arc<Counters>,
}

/// A plugin that can be instantiated.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) offer: &'static Offer,
    pub(crate) exports: Exports,
    /// What its imports need to be granted.
    pub(crate) imported: Arc<BTreeSet<Capability>>,
    /// What an instance takes of the room of all, in [`UNITS`].
    pub(crate) weight: usize,
}

/// On whose account a module is compiled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Account<'a> {
    /// Of a namespace that wants a plugin made, and can be told to wait.
    Making(&'a Tenant),
    /// Of one whose plugin is needed.
    Needing(&'a Tenant),
}

impl<'a> Account<'a> {
    fn tenant(self) -> &'a Tenant {
        match self {
            Account::Making(tenant) | Account::Needing(tenant) => tenant,
        }
    }

    /// Waits while the namespace is over its share of the machine.
    fn hold(self) -> Result<()> {
        match (self.tenant().hold(), self) {
            (false, Account::Making(tenant)) => Err(Error::Busy(format!(
                "namespace {:?} has used more than its plugin_cpu, of which compiling is a part; try again later",
                tenant.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// Where the functions of its kind's interface are.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) open: ComponentExportIndex,
    pub(crate) work: ComponentExportIndex,
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiler").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

impl Compiler {
    pub(crate) fn new(options: &HostOptions, counters: Arc<Counters>) -> Result<Compiler> {
        let engine = new_engine(options)?;
        let mut linker = Linker::new(&engine);
        imports::offer(&mut linker)
            .map_err(|e| Error::Internal(format!("the plugin contract is not linked: {e:#}")))?;
        let cache = Cache::open(&options.cache_dir, settings_of(&engine), options.cache_bytes)?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Compiler { engine, linker, cache, compiling: Compiling::new(cores), counters })
    }

    /// Of compilations.
    pub(crate) fn turns(&self) -> &Turns {
        self.compiling.turns()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn compile(&self, bytes: &[u8], account: Account<'_>) -> Result<Compiled> {
        let parts = charged(account, || module::check(bytes))?;
        let component = self.component(bytes, account)?;
        let imported = Arc::new(check_imports(&component)?);
        let (offer, exports) = find_kind(&component)?;
        let pre = self
            .linker
            .instantiate_pre(&component)
            .map_err(|e| Error::InvalidInput(format!("the module does not fit the contract: {e:#}")))?;
        Ok(Compiled { pre, offer, exports, imported, weight: weight(&component, parts) })
    }

    fn component(&self, bytes: &[u8], account: Account<'_>) -> Result<Component> {
        let digest = module::digest(bytes);
        match charged(account, || self.cached(&digest)) {
            Ok(component) => return Ok(component),
            Err(Some(reason)) => {
                self.counters.cache_refusals.add(1);
                tracing::warn!("cached compiled code is not used, and compiled anew: {reason}");
            }
            Err(None) => {}
        }
        account.hold()?;
        let compile = || {
            let component = charged(account, || self.compile_anew(bytes))?;
            self.counters.compilations.add(1);
            match component.serialize() {
                Ok(code) => self.cache.store(&digest, &code),
                Err(e) => tracing::warn!("compiled code is not kept: {e:#}"),
            }
            Ok(component)
        };
        let (tenant, until) = (account.tenant(), Instant::now() + LONGEST_WAIT);
        self.compiling.once((&digest, bytes.len()), tenant, until, || self.cached(&digest).ok(), compile)
    }

    /// The code that is kept for a module, or why what is kept must not be used.
    fn cached(&self, digest: &module::Digest) -> Result<Component, Option<String>> {
        let code = match self.cache.load(digest) {
            Found::Code(code) => code,
            Found::Nothing => return Err(None),
            Found::Refused(reason) => return Err(Some(reason)),
        };
        let component = self.load(&code).map_err(|e| Some(e.to_string()))?;
        self.counters.cache_hits.add(1);
        Ok(component)
    }

    /// The compiler asserts what it believes of its input here and there; a module that it is wrong about must cost
    /// nothing but its own loading.
    fn compile_anew(&self, bytes: &[u8]) -> Result<Component> {
        let _span = tracing::debug_span!(target: "millstream::plugin", "compile", bytes = bytes.len()).entered();
        let refuse = |why: String| Error::InvalidInput(format!("the module does not compile: {why}"));
        let compiled = catch_unwind(AssertUnwindSafe(|| Component::from_binary(&self.engine, bytes)));
        match compiled {
            Ok(component) => component.map_err(|e| refuse(format!("{e:#}"))),
            Err(_) => Err(refuse("it is of a form that the compiler can't handle".to_owned())),
        }
    }

    /// Makes code out of bytes that [`Cache::load`] gave.
    #[expect(unsafe_code, reason = "loading compiled code is unsafe by nature; the cache authenticates it")]
    fn load(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the bytes carry a MAC of this directory's key over them and over the name that stands for the module
        // and the compiler's settings, so they are what `Component::serialize` gave for just these.
        unsafe { Component::deserialize(&self.engine, code) }
    }
}

/// Does something on the account of a namespace.
fn charged<T>(account: Account<'_>, work: impl FnOnce() -> T) -> T {
    let started = Started::long();
    let done = work();
    account.tenant().used(started.end(), 0);
    done
}

/// What an instance takes of the pool, by what is scarcest for it: all of it is shared out in the proportion of its totals.
fn weight(component: &Component, parts: Parts) -> usize {
    let most = (MAX_MEMORIES as usize * UNITS, MAX_TABLES as usize);
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let (memories, tables) = component
        .resources_required()
        .map_or(most, |needs| (count(needs.num_memories) * UNITS, count(needs.num_tables)));
    let core =
        parts.core_instances.map_or(MAX_CORE_INSTANCES as usize, |found| count(found).min(MAX_CORE_INSTANCES as usize));
    UNITS.max(memories).max(tables).max(core)
}

fn new_engine(options: &HostOptions) -> Result<Engine> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        // On the thread that asks: what it takes is then that thread's time, and of one core.
        .parallel_compilation(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .memory_init_cow(true)
        .memory_reservation(RESERVATION_BYTES)
        .wasm_memory64(false)
        // wasmtime's own adapters between the parts of a component need it.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(options.max_instances)
        .total_core_instances(options.max_instances.saturating_mul(UNITS as u32))
        .total_memories(options.max_instances)
        .total_tables(options.max_instances.saturating_mul(UNITS as u32))
        .max_memories_per_component(MAX_MEMORIES)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(usize::try_from(options.max_memory_bytes).unwrap_or(usize::MAX));
    let pooled = Engine::new(config.clone().allocation_strategy(InstanceAllocationStrategy::Pooling(pool)));
    // Where address space is limited, instances are slower to make but no less contained.
    let engine = pooled.or_else(|e| {
        tracing::warn!("plugin instances are not pooled: {e:#}");
        Engine::new(config.allocation_strategy(InstanceAllocationStrategy::OnDemand))
    });
    engine.map_err(|e| Error::Internal(format!("the Wasm engine does not start: {e:#}")))
}

/// All that compiled code depends on besides the module.
fn settings_of(engine: &Engine) -> String {
    struct Collect(blake3::Hasher);
    impl Hasher for Collect {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut collect = Collect(blake3::Hasher::new());
    // wasmtime's version, the target and its features, and every setting of the compiler.
    engine.precompile_compatibility_hash().hash(&mut collect);
    collect.0.finalize().to_hex().to_string()
}

/// Refuses a component that wants anything but what the contract offers; gives what must be granted for the rest.
fn check_imports(component: &Component) -> Result<BTreeSet<Capability>> {
    let engine = component.engine();
    let mut capabilities = BTreeSet::new();
    for (name, import) in component.component_type().imports(engine) {
        match (contract::needs(name), &import.ty) {
            (Some(needed), _) => capabilities.extend(needed),
            // An instance of types alone gives a guest nothing.
            (None, ComponentItem::ComponentInstance(instance))
                if instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_))) => {}
            _ => {
                return Err(Error::InvalidInput(format!(
                    "the module imports {name:?}, which is not offered; a plugin may import {:?}, and what it declares \
                     and is granted of that contract (for Rust, build for wasm32-unknown-unknown and not for a WASI \
                     target)",
                    LOGGING[1]
                )));
            }
        }
    }
    Ok(capabilities)
}

/// Finds which kind in which version it is, and that kind's functions.
fn find_kind(component: &Component) -> Result<(&'static Offer, Exports)> {
    let exports = component.component_type();
    let names: BTreeSet<&str> = exports.exports(component.engine()).map(|(name, _)| name).collect();
    let offered: Vec<&'static Offer> = OFFERS.iter().filter(|offer| names.contains(offer.interface)).collect();
    let offer = match offered[..] {
        [offer] => offer,
        [] => return Err(not_offered(&names)),
        [first, second, ..] => {
            return Err(Error::InvalidInput(format!(
                "the module exports both {:?} and {:?}; a plugin is of one kind",
                first.interface, second.interface
            )));
        }
    };
    let instance = component.get_export_index(None, offer.interface);
    let find = |name: &str| {
        component
            .get_export_index(instance.as_ref(), name)
            .ok_or_else(|| Error::InvalidInput(format!("the module exports {:?} without {name:?}", offer.interface)))
    };
    Ok((offer, Exports { describe: find("describe")?, open: find("open")?, work: find(offer.work)? }))
}

fn not_offered(names: &BTreeSet<&str>) -> Error {
    let ours: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(PACKAGE)).collect();
    let found = if ours.is_empty() { "nothing of a Millstream plugin".to_owned() } else { ours.join(", ") };
    let offered: Vec<&str> = OFFERS.iter().map(|offer| offer.interface).collect();
    Error::InvalidInput(format!(
        "the module exports {found}; this server runs {} of the contracts {}",
        offered.join(", "),
        CONTRACTS.join(" and ")
    ))
}
