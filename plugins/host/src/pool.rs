//! The instances of one plugin: bounded in number, kept for the next call, thrown away after a failure.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant as Time};

use arrow_schema::SchemaRef;
use millstream_engine::{FailureKind, OperatorError, PluginInfo, Result, TableLookup};
use parking_lot::{Condvar, Mutex};

use crate::calls::Calls;
use crate::compile::Compiled;
use crate::deadline::Ticker;
use crate::failure::{StartError, failure};
use crate::figures::Counters;
use crate::instance::Instance;
use crate::message;
use crate::tables::Tables;

/// The pools of a host, which share its slots for instances.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    pools: Mutex<Vec<Weak<Slots>>>,
}

impl Reserve {
    /// Starts an instance. When every slot is taken, idle instances of all pools are dropped, and it is tried again.
    pub(crate) fn with_room(&self, start: impl Fn() -> Result<Instance, StartError>) -> Result<Instance, StartError> {
        match start() {
            Err(StartError::NoRoom) => {
                self.drop_idle();
                start()
            }
            other => other,
        }
    }

    fn join(&self, slots: &Arc<Slots>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(slots));
    }

    fn drop_idle(&self) {
        let pools: Vec<Arc<Slots>> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        for pool in pools {
            let idle = {
                let mut state = pool.state.lock();
                state.live -= state.idle.len();
                pool.calls.instances.fetch_sub(state.idle.len() as u64, Ordering::Relaxed);
                std::mem::take(&mut state.idle)
            };
            drop(idle);
        }
    }
}

/// The instances of one plugin.
#[derive(Debug)]
pub(crate) struct Pool {
    compiled: Compiled,
    plugin: PluginInfo,
    schema: SchemaRef,
    ticker: Arc<Ticker>,
    reserve: Arc<Reserve>,
    counters: Arc<Counters>,
    calls: Arc<Calls>,
    wait_timeout: Duration,
    slots: Arc<Slots>,
    /// What guests may look rows up in; none where they don't ask.
    tables: Option<Arc<Tables>>,
}

#[derive(Debug)]
struct Slots {
    state: Mutex<State>,
    freed: Condvar,
    /// Where the number of instances is shown.
    calls: Arc<Calls>,
}

impl Drop for Slots {
    fn drop(&mut self) {
        let left = self.state.get_mut().live as u64;
        self.calls.instances.fetch_sub(left, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Instance>,
    /// Idle and lent instances, and those being started.
    live: usize,
}

/// An instance lent to one call. It goes back to the pool unless [`Lease::discard`] took it out.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    instance: Option<Instance>,
}

impl Pool {
    pub(crate) fn new(
        compiled: Compiled,
        plugin: &PluginInfo,
        ticker: &Arc<Ticker>,
        reserve: &Arc<Reserve>,
        counters: &Arc<Counters>,
        calls: Arc<Calls>,
        wait_timeout: Duration,
    ) -> Pool {
        let slots = Arc::new(Slots { state: Mutex::default(), freed: Condvar::new(), calls: calls.clone() });
        reserve.join(&slots);
        Pool {
            compiled,
            plugin: plugin.clone(),
            schema: message::schema(&plugin.description.parameters),
            ticker: ticker.clone(),
            reserve: reserve.clone(),
            counters: counters.clone(),
            calls,
            wait_timeout,
            slots,
            tables: None,
        }
    }

    /// Gives the plugin's tables to its instances.
    pub(crate) fn with_tables(self, source: Arc<dyn TableLookup>) -> Pool {
        let asks = !self.plugin.description.tables.is_empty();
        Pool { tables: asks.then(|| Arc::new(Tables::new(&self.plugin, source))), ..self }
    }

    /// Figures and state of the plugin version.
    pub(crate) fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Lends an instance, idle or new; waits while all that are allowed are in use.
    pub(crate) fn lend(&self) -> Result<Lease<'_>, OperatorError> {
        let until = Time::now() + self.wait_timeout;
        let mut state = self.slots.state.lock();
        loop {
            if let Some(instance) = state.idle.pop() {
                return Ok(Lease { pool: self, instance: Some(instance) });
            }
            if state.live < self.plugin.limits.concurrency as usize {
                state.live += 1;
                self.calls.instances.fetch_add(1, Ordering::Relaxed);
                break;
            }
            self.calls.waiting.fetch_add(1, Ordering::Relaxed);
            let waited = self.slots.freed.wait_until(&mut state, until);
            self.calls.waiting.fetch_sub(1, Ordering::Relaxed);
            if waited.timed_out() {
                return Err(failure(
                    FailureKind::Host,
                    format!(
                        "all {} instances of plugin {:?} have been busy for {:?}; raise its concurrency, or lower its load",
                        self.plugin.limits.concurrency, self.plugin.name, self.wait_timeout
                    ),
                ));
            }
        }
        drop(state);
        // From here the lease accounts for the slot, also when the start fails.
        let mut lease = Lease { pool: self, instance: None };
        lease.renew()?;
        Ok(lease)
    }

    fn start(&self) -> Result<Instance, OperatorError> {
        let mut instance = self
            .reserve
            .with_room(|| Instance::start(&self.compiled, &self.plugin.limits, &self.ticker, &self.plugin.name))?;
        instance.tell(self.calls.clone());
        let gives = instance.open(&self.schema, &self.plugin.config, &self.plugin.grants)?;
        if gives.is_some_and(|gives| gives != self.plugin.description.returns) {
            let message = "open answers with other columns than when the plugin was created";
            return Err(failure(FailureKind::BadOutput, message));
        }
        if let Some(tables) = &self.tables {
            instance.give_tables(tables.clone());
        }
        self.counters.instances_started.add(1);
        self.calls.started.add(1);
        Ok(instance)
    }
}

impl Lease<'_> {
    /// The lent instance.
    pub(crate) fn instance(&mut self) -> Result<&mut Instance, OperatorError> {
        self.instance.as_mut().ok_or_else(|| failure(FailureKind::Host, "the instance has been thrown away"))
    }

    /// Throws the instance away.
    pub(crate) fn discard(&mut self) {
        if self.instance.take().is_some() {
            self.pool.counters.instances_discarded.add(1);
            self.pool.calls.discarded.add(1);
        }
    }

    /// Puts a new instance in the place of the old one.
    pub(crate) fn renew(&mut self) -> Result<(), OperatorError> {
        self.discard();
        self.instance = Some(self.pool.start()?);
        Ok(())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.slots.state.lock();
        match self.instance.take() {
            Some(instance) => state.idle.push(instance),
            None => {
                state.live -= 1;
                self.pool.calls.instances.fetch_sub(1, Ordering::Relaxed);
            }
        }
        drop(state);
        self.pool.slots.freed.notify_one();
    }
}
