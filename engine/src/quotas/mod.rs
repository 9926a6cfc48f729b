//! Rates and counts that namespaces and users are held to. What is not limited costs one look at a flag, and takes no memory.
//!
//! Nobody waits here: callers are told how long to wait, and take what they need when they need not. A limit that is raised or taken away
//! is found when they ask again, which those who wait do each second.

mod bucket;
mod connections;
mod quota;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

pub use connections::ConnectionPlaces;
pub(crate) use quota::Quota;

use crate::model::{Error, NamespaceLimit, NamespaceLimits, Principal, QuotaInfo, QuotaOwner, Result};
use crate::platform::Clock;

/// Limits that an append, a delivery and a request are held to.
pub(crate) const IN: [NamespaceLimit; 2] = [NamespaceLimit::BytesInPerSecond, NamespaceLimit::RowsInPerSecond];
pub(crate) const OUT: [NamespaceLimit; 2] = [NamespaceLimit::BytesOutPerSecond, NamespaceLimit::RowsOutPerSecond];
pub(crate) const REQUESTS: [NamespaceLimit; 1] = [NamespaceLimit::RequestsPerSecond];

#[derive(Debug)]
pub(crate) struct Quotas {
    clock: Arc<dyn Clock>,
    namespaces: Limited,
    users: Limited,
    /// Of all together, those that are gone included; in the order of [`NamespaceLimit::QUOTAS`].
    throttled: [AtomicU64; NamespaceLimit::QUOTAS.len()],
}

/// Those that have a limit, by name.
#[derive(Debug, Default)]
struct Limited {
    any: AtomicBool,
    by_name: RwLock<HashMap<Box<str>, Arc<Quota>>>,
}

impl Limited {
    fn get(&self, name: &str) -> Option<Arc<Quota>> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        self.by_name.read().get(name).cloned()
    }

    fn set(&self, owner: QuotaOwner, name: &str, limits: Option<&NamespaceLimits>, now: Duration) {
        let is_limited =
            |limits: &&NamespaceLimits| NamespaceLimit::QUOTAS.iter().any(|limit| limits.bound(*limit).is_some());
        let mut by_name = self.by_name.write();
        match limits.filter(is_limited) {
            Some(limits) => {
                let quota = by_name.entry(name.into()).or_insert_with(|| Arc::new(Quota::new(owner, name)));
                quota.set(limits, now);
            }
            None => drop(by_name.remove(name)),
        }
        self.any.store(!by_name.is_empty(), Ordering::Relaxed);
    }
}

impl Quotas {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Quotas {
        Quotas { clock, namespaces: Limited::default(), users: Limited::default(), throttled: Default::default() }
    }

    /// `None` of one that is gone.
    pub(crate) fn set_namespace(&self, name: &str, limits: Option<&NamespaceLimits>) {
        self.namespaces.set(QuotaOwner::Namespace, name, limits, self.clock.monotonic());
    }

    /// `None` of one that is gone.
    pub(crate) fn set_user(&self, name: &str, limits: Option<&NamespaceLimits>) {
        self.users.set(QuotaOwner::User, name, limits, self.clock.monotonic());
    }

    /// Of a namespace that has limits.
    pub(crate) fn namespace(&self, name: &str) -> Option<Arc<Quota>> {
        self.namespaces.get(name)
    }

    /// Of a user who has limits. What the server does of its own accord has none.
    pub(crate) fn user(&self, who: &Principal) -> Option<Arc<Quota>> {
        self.users.get(who.name()).filter(|_| !who.is_system())
    }

    /// How long to wait for these limits, of all that are concerned: the longest.
    pub(crate) fn pause(&self, quotas: &[Option<Arc<Quota>>], limits: &[NamespaceLimit]) -> Option<Duration> {
        self.longest(quotas, limits).map(|(_, _, pause)| pause)
    }

    /// As [`Self::pause`], with an error that names the limit.
    pub(crate) fn check(&self, quotas: &[Option<Arc<Quota>>], limits: &[NamespaceLimit]) -> Result<()> {
        self.longest(quotas, limits).map_or(Ok(()), |(quota, limit, left)| Err(quota.over(limit, Some(left))))
    }

    fn longest<'a>(
        &self,
        quotas: &'a [Option<Arc<Quota>>],
        limits: &[NamespaceLimit],
    ) -> Option<(&'a Quota, NamespaceLimit, Duration)> {
        if quotas.iter().all(Option::is_none) {
            return None;
        }
        let now = self.clock.monotonic();
        let pause = |quota: &'a Arc<Quota>| quota.pause(limits, now).map(|(limit, left)| (quota.as_ref(), limit, left));
        let (quota, limit, left) = quotas.iter().flatten().filter_map(pause).max_by_key(|(_, _, left)| *left)?;
        self.count(quota, limit);
        Some((quota, limit, left))
    }

    pub(crate) fn take(&self, quotas: &[Option<Arc<Quota>>], amounts: &[(NamespaceLimit, u64)]) {
        if quotas.iter().all(Option::is_none) {
            return;
        }
        let now = self.clock.monotonic();
        quotas.iter().flatten().for_each(|quota| quota.take(amounts, now));
    }

    /// Refuses more where a namespace holds all that it may; `ask` says how much that is.
    pub(crate) fn check_retained(&self, quota: &Quota, ask: impl FnOnce() -> u64) -> Result<()> {
        let Some(limit) = quota.bound(NamespaceLimit::RetainedBytes) else { return Ok(()) };
        let held = quota.retained(self.clock.monotonic(), ask);
        if held < limit {
            return Ok(());
        }
        self.count(quota, NamespaceLimit::RetainedBytes);
        Err(Error::NamespaceFull { namespace: quota.name.to_string(), held, limit })
    }

    pub(crate) fn appended(&self, quota: &Quota, bytes: u64) {
        quota.appended(bytes);
    }

    /// Has a connection count as the user's.
    pub(crate) fn connect(&self, who: &Principal, places: &ConnectionPlaces) -> Result<()> {
        let Some(quota) = self.user(who) else { return Ok(()) };
        places.take(&quota).inspect_err(|_| self.count(&quota, NamespaceLimit::Connections))
    }

    /// Counts that a limit was in somebody's way.
    pub(crate) fn count(&self, quota: &Quota, limit: NamespaceLimit) {
        quota.count(limit);
        if let Some(count) = quota::place(limit).and_then(|place| self.throttled.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn throttled(&self) -> [u64; NamespaceLimit::QUOTAS.len()] {
        std::array::from_fn(|place| self.throttled.get(place).map_or(0, |count| count.load(Ordering::Relaxed)))
    }

    /// The limits of one as they stand.
    pub(crate) fn infos(&self, quota: &Quota, used: impl Fn(NamespaceLimit) -> Option<u64>) -> Vec<QuotaInfo> {
        quota.infos(self.clock.monotonic(), used)
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.namespaces.by_name.read().len() + self.users.by_name.read().len()
    }
}
