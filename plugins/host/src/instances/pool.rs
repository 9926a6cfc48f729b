//! The instances of one plugin: bounded in number, kept for the next call, thrown away after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant as Time;

use arrow_schema::SchemaRef;
use millstream_engine::{FailureKind, OperatorError, PluginInfo, Result, TableLookup};

use super::deadline::Ticker;
use super::instance::Instance;
use super::slots::Slots;
use crate::calls::Calls;
use crate::compile::Compiled;
use crate::contract;
use crate::failure::{StartError, failure};
use crate::figures::Counters;
use crate::guest::{Owner, Tables};
use crate::http::Http;
use crate::tenants::{Idle, Reserve, Scarce, Stopwatch, Turn};

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
    slots: Arc<Slots>,
    /// What guests may look rows up in; none where they don't ask.
    tables: Option<Arc<Tables>>,
    /// What guests may send requests with; none where they don't ask.
    http: Option<Arc<Http>>,
}

/// An instance lent to one call. It goes back to the pool unless [`Lease::discard`] took it out.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    instance: Option<Instance>,
    /// Goes after the instance was put back: whose turn is next finds it there.
    turn: Option<Turn>,
}

impl Pool {
    pub(crate) fn new(
        compiled: Compiled,
        plugin: &PluginInfo,
        ticker: &Arc<Ticker>,
        reserve: &Arc<Reserve>,
        counters: &Arc<Counters>,
        calls: Arc<Calls>,
    ) -> Pool {
        let slots = Arc::new(Slots::new(calls.clone()));
        let idle: Arc<dyn Idle> = slots.clone();
        reserve.join(Arc::downgrade(&idle));
        Pool {
            compiled,
            plugin: plugin.clone(),
            schema: contract::batch_schema(&plugin.description.parameters),
            ticker: ticker.clone(),
            reserve: reserve.clone(),
            counters: counters.clone(),
            calls,
            slots,
            tables: None,
            http: None,
        }
    }

    /// Gives the plugin's tables to its instances.
    pub(crate) fn with_tables(self, source: Arc<dyn TableLookup>) -> Pool {
        let asks = !self.plugin.description.tables.is_empty();
        Pool { tables: asks.then(|| Arc::new(Tables::new(&self.plugin, source))), ..self }
    }

    /// Lets its instances send requests.
    pub(crate) fn with_http(self, http: Option<Http>) -> Pool {
        Pool { http: http.map(Arc::new), ..self }
    }

    /// Figures and state of the plugin version.
    pub(crate) fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Lends an instance, idle or new; waits while all that are allowed, to the plugin, its namespace or the server, are in
    /// use.
    pub(crate) fn lend(&self) -> Result<Lease<'_>, OperatorError> {
        self.lend_by(Time::now() + self.reserve.wait_timeout)
    }

    /// Starts the first instance, which says whether the configuration is one. Where instances or memory are scarce the first
    /// call does that: who loads a plugin may be in others' way.
    pub(crate) fn begin(&self) -> Result<(), OperatorError> {
        match self.lend_by(Time::now()) {
            Err(error) if error.kind == FailureKind::Host => {
                tracing::debug!(target: "millstream::plugin", plugin = self.plugin.name, "started later: {error}");
                Ok(())
            }
            begun => begun.map(drop),
        }
    }

    fn lend_by(&self, until: Time) -> Result<Lease<'_>, OperatorError> {
        let mut state = self.slots.state.lock();
        while state.calls >= self.plugin.limits.concurrency as usize {
            self.calls.waiting.fetch_add(1, Ordering::Relaxed);
            let waited = self.slots.freed.wait_until(&mut state, until);
            self.calls.waiting.fetch_sub(1, Ordering::Relaxed);
            if waited.timed_out() {
                return Err(failure(
                    FailureKind::Host,
                    format!(
                        "all {} instances of plugin {:?} have been busy for {:?}; raise its concurrency, or lower its load",
                        self.plugin.limits.concurrency, self.plugin.name, self.reserve.wait_timeout
                    ),
                ));
            }
        }
        state.calls += 1;
        // From here the lease accounts for the call, also when it does not get its turn, or a start fails.
        let mut lease = Lease { pool: self, instance: None, turn: None };
        lease.turn = self.reserve.turns.try_now(&self.calls.share.tenant().seat, self.compiled.weight);
        if lease.turn.is_none() {
            // An idle instance is taken when it is the call's turn: until then it gives way to others.
            drop(state);
            lease.turn = Some(self.turn(until)?);
            state = self.slots.state.lock();
        }
        lease.instance = state.idle.pop();
        drop(state);
        if lease.instance.is_none() {
            lease.instance = Some(self.start(until)?);
        }
        Ok(lease)
    }

    fn turn(&self, until: Time) -> Result<Turn, OperatorError> {
        let (turns, tenant) = (&self.reserve.turns, self.calls.share.tenant());
        self.calls.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = turns.wait(&tenant.seat, self.compiled.weight, until);
        self.calls.waiting.fetch_sub(1, Ordering::Relaxed);
        let waited = self.reserve.wait_timeout;
        turn.map_err(|scarce| match scarce {
            Scarce::Namespace => failure(
                FailureKind::Host,
                format!(
                    "the {} instances that namespace {:?} may run at once have been busy for {waited:?}; raise its \
                 plugin_concurrency, or lower its load",
                    tenant.seat.most(),
                    tenant.name()
                ),
            ),
            Scarce::Server => failure(
                FailureKind::Host,
                format!("there was no room beside the instances that run for {waited:?}, or none that namespace {:?} may take \
                         while it has others", tenant.name()),
            ),
        })
    }

    fn start(&self, until: Time) -> Result<Instance, OperatorError> {
        let (plugin, limits) = (&self.plugin, &self.plugin.limits);
        let _span = tracing::debug_span!(
            target: "millstream::plugin", "instantiate", plugin = plugin.name, plugin.version
        )
        .entered();
        let started = Stopwatch::long();
        let tenant = self.calls.share.tenant();
        let fresh = self.reserve.with_room(tenant, until, || {
            let (reserve, calls) = (self.reserve.clone(), Some(self.calls.clone()));
            let owner = Owner { tenant: tenant.clone(), reserve, calls };
            let mut instance = Instance::start(&self.compiled, limits, &self.ticker, &plugin.name, owner)?;
            match instance.open(&self.schema, &plugin.config, &plugin.grants) {
                Ok(gives) => Ok((instance, gives)),
                Err(error) => Err(match instance.lacked_memory() {
                    Some(bytes) => StartError::NoMemory { error, bytes },
                    None => StartError::Failed(error),
                }),
            }
        });
        let took = started.end();
        self.calls.share.used(took, 0);
        self.calls.uses.current().started(took);
        let (mut instance, gives) = fresh?;
        if gives.is_some_and(|gives| gives != self.plugin.description.returns) {
            let message = "open answers with other columns than when the plugin was created";
            return Err(failure(FailureKind::BadOutput, message));
        }
        if let Some(tables) = &self.tables {
            instance.give_tables(tables.clone());
        }
        self.calls.instances.fetch_add(1, Ordering::Relaxed);
        if let Some(http) = &self.http {
            instance.give_http(http.clone());
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
            self.pool.calls.instances.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts a new instance in the place of the old one.
    pub(crate) fn renew(&mut self) -> Result<(), OperatorError> {
        self.discard();
        self.instance = Some(self.pool.start(Time::now() + self.pool.reserve.wait_timeout)?);
        Ok(())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.slots.state.lock();
        // Looked at under the lock: either this sees that somebody starves, or he finds what is put back.
        let given_up = if self.pool.reserve.may_keep() {
            state.idle.extend(self.instance.take());
            None
        } else {
            self.instance.take()
        };
        state.calls -= 1;
        drop(state);
        if given_up.is_some() {
            self.pool.calls.instances.fetch_sub(1, Ordering::Relaxed);
        }
        drop(given_up);
        self.pool.slots.freed.notify_one();
    }
}
