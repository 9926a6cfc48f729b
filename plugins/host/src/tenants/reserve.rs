//! What the instances of all plugins share: room in the allocator, memory, and the idle ones that give way.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::memory::{Memory, Short};
use super::tenant::Tenant;
use super::turns::{Turn, Turns};
use crate::failure::StartError;

/// Before an instance that found no room is started again, though nothing is idle: one that has gone may still be taken down.
const TAKING_DOWN: Duration = Duration::from_millis(20);

/// Room units in the allocator for each instance of [`Reserve::new`]'s.
pub(crate) const UNITS: usize = 4;

/// Idle instances, which can be done without.
pub(crate) trait Idle: fmt::Debug + Send + Sync {
    fn tenant(&self) -> &Arc<Tenant>;
    /// Drops them all.
    fn drop_idle(&self);
}

/// What the pools of a host share.
#[derive(Debug)]
pub(crate) struct Reserve {
    pools: Mutex<Vec<Weak<dyn Idle>>>,
    /// By what an instance takes of the allocator: [`UNITS`] or more.
    pub(crate) turns: Arc<Turns>,
    memory: Arc<Memory>,
    /// Starts that found no room: while there are any, nothing is put aside as idle.
    starving: AtomicUsize,
    /// Held while idle instances are dropped: who waits for it finds their room.
    dropping: Mutex<()>,
    pub(crate) wait_timeout: Duration,
}

impl Reserve {
    pub(crate) fn new(max_instances: u32, memory: Arc<Memory>, wait_timeout: Duration) -> Arc<Reserve> {
        let turns = Turns::new(usize::try_from(max_instances).unwrap_or(usize::MAX).saturating_mul(UNITS));
        let (starving, dropping) = (AtomicUsize::new(0), Mutex::new(()));
        Arc::new(Reserve { pools: Mutex::default(), turns, memory, starving, dropping, wait_timeout })
    }

    /// Starts an instance, for a call that has its turn. Idle instances of all pools give their room to it. While its namespace
    /// or the server lacks the memory, it waits for that, no longer than `until`.
    pub(crate) fn with_room<T>(
        &self,
        tenant: &Tenant,
        until: Instant,
        start: impl Fn() -> Result<T, StartError>,
    ) -> Result<T, StartError> {
        loop {
            match start() {
                Err(StartError::NoRoom) => match self.with_nothing_idle(until, &start) {
                    Err(StartError::NoMemory { bytes, .. }) if self.memory.wait(&tenant.memory, bytes, until) => {}
                    other => return other,
                },
                Err(StartError::NoMemory { bytes, .. }) if self.memory.wait(&tenant.memory, bytes, until) => {}
                other => return other,
            }
        }
    }

    /// Turns are given out by the room that there is, so that there is room once nothing is idle, and all that went has gone.
    fn with_nothing_idle<T>(
        &self,
        until: Instant,
        start: &impl Fn() -> Result<T, StartError>,
    ) -> Result<T, StartError> {
        let _starving = Starving::new(self);
        loop {
            self.drop_idle(None);
            match start() {
                Err(StartError::NoRoom) if Instant::now() < until => std::thread::sleep(TAKING_DOWN),
                other => return other,
            }
        }
    }

    /// Starts an instance that is no plugin's, as soon as it is its turn.
    pub(crate) fn look<T>(
        &self,
        tenant: &Tenant,
        weight: usize,
        start: impl Fn() -> Result<T, StartError>,
    ) -> Result<(T, Turn), StartError> {
        let until = Instant::now() + self.wait_timeout;
        let turn = self.turns.wait(&tenant.seat, weight, until).map_err(|_| StartError::NoRoom)?;
        Ok((self.with_room(tenant, until, start)?, turn))
    }

    pub(crate) fn join(&self, pool: Weak<dyn Idle>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// Whether an instance that is not used any more may be kept for later.
    pub(crate) fn may_keep(&self) -> bool {
        self.starving.load(Ordering::SeqCst) == 0
    }

    /// Takes memory for an instance. Idle instances give way: those of the namespace, and then all.
    pub(crate) fn take_memory(&self, tenant: &Arc<Tenant>, bytes: u64) -> Result<(), String> {
        let take = || self.memory.take(&tenant.memory, bytes);
        let refused = take().or_else(|_| {
            self.drop_idle(Some(tenant));
            take()
        });
        match refused {
            Err(Short::Server) => {
                self.drop_idle(None);
                take()
            }
            other => other,
        }
        .map_err(|short| tenant.refused_memory(short, &self.memory))
    }

    pub(crate) fn give_memory(&self, tenant: &Tenant, bytes: u64) {
        self.memory.give(&tenant.memory, bytes);
    }

    /// Drops the idle instances of a namespace, or of all.
    pub(crate) fn drop_idle(&self, of: Option<&Arc<Tenant>>) {
        let _dropping = self.dropping.lock();
        let pools: Vec<Arc<dyn Idle>> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        let is_of = |pool: &&Arc<dyn Idle>| of.is_none_or(|tenant| Arc::ptr_eq(tenant, pool.tenant()));
        pools.iter().filter(is_of).for_each(|pool| pool.drop_idle());
    }
}

struct Starving<'a>(&'a AtomicUsize);

impl Starving<'_> {
    fn new(reserve: &Reserve) -> Starving<'_> {
        reserve.starving.fetch_add(1, Ordering::SeqCst);
        Starving(&reserve.starving)
    }
}

impl Drop for Starving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
