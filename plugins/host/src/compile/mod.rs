//! Module bytes -> code that can be instantiated: checked, compiled or taken from the cache, and linked.

mod cache;
mod engine;
mod interface;
mod single_flight;

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::{Capability, Error, Result};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::contract::Offer;
use crate::figures::Counters;
use crate::guest::{self, Guest};
use crate::modules;
use crate::tenants::{Stopwatch, Tenant, Turns};
use cache::{Cache, CacheLookup};
use engine::{new_engine, settings_of, weight};
use interface::{Exports, check_imports, find_kind};
use single_flight::SingleFlight;

/// How long whoever needs a module waits for other compilations.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Compiles and links modules. A compilation can't be interrupted, and its memory is not bounded by any limit of a plugin: what bounds
/// both is what [`modules::check`] lets through, and how much is compiled at once.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Cache,
    compiling: SingleFlight<Component>,
    counters: Arc<Counters>,
}

/// Settings of a [`Compiler`]. The instances are those of all plugins together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompilerOptions<'a> {
    pub(crate) cache_dir: &'a Path,
    pub(crate) cache_bytes: u64,
    pub(crate) max_instances: u32,
    pub(crate) max_memory_bytes: u64,
}

/// A plugin that can be instantiated.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) offer: &'static Offer,
    pub(crate) exports: Exports,
    /// What its imports need to be granted.
    pub(crate) imported: Arc<BTreeSet<Capability>>,
    /// What an instance takes of the room of all, in [`UNITS`](crate::tenants::UNITS).
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
    pub(crate) fn new(options: CompilerOptions<'_>, counters: Arc<Counters>) -> Result<Compiler> {
        let engine = new_engine(options.max_instances, options.max_memory_bytes)?;
        let mut linker = Linker::new(&engine);
        guest::offer_imports(&mut linker)
            .map_err(|e| Error::Internal(format!("the plugin contract is not linked: {e:#}")))?;
        let cache = Cache::open(options.cache_dir, settings_of(&engine), options.cache_bytes)?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Compiler { engine, linker, cache, compiling: SingleFlight::new(cores), counters })
    }

    /// Of compilations.
    pub(crate) fn turns(&self) -> &Turns {
        self.compiling.turns()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn compile(&self, bytes: &[u8], account: Account<'_>) -> Result<Compiled> {
        let parts = charged(account, || modules::check(bytes))?;
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
        let digest = modules::digest(bytes);
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
    fn cached(&self, digest: &modules::Digest) -> Result<Component, Option<String>> {
        let code = match self.cache.load(digest) {
            CacheLookup::Code(code) => code,
            CacheLookup::Nothing => return Err(None),
            CacheLookup::Refused(reason) => return Err(Some(reason)),
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
    let started = Stopwatch::long();
    let done = work();
    account.tenant().used(started.end(), 0);
    done
}
