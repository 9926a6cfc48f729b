//! Namespaces, as far as their plugins share what they may have.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millstream_engine::{NamespaceLimit, NamespaceLimits, NamespaceUsage};
use parking_lot::Mutex;

use super::bucket::Bucket;
use super::cpu::{Took, micros, nanos, ns_a_second};
use super::memory::{Memory, MemoryShare, Short};
use super::throttling::Throttling;
use super::turns::{Seat, Turns};
use crate::figures::Counter;

/// Whoever is held back for the namespace's share waits so long at most: he holds a thread.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// What the plugins of one namespace take together.
#[derive(Debug)]
pub(crate) struct Tenant {
    name: String,
    pub(crate) memory: MemoryShare,
    memory_refusals: Counter,
    timeout_most_ms: AtomicU64,
    /// For instances.
    pub(crate) seat: Arc<Seat>,
    /// For compilations.
    pub(crate) compiling: Arc<Seat>,
    /// For requests.
    pub(crate) requests: Arc<Seat>,
    /// In ns of CPU time.
    cpu: Bucket,
    /// In bytes.
    output: Bucket,
    log: Bucket,
    throttling: Throttling,
    cpu_us: Counter,
    output_bytes: Counter,
    log_lines_dropped: Counter,
    origin: Instant,
}

impl Tenant {
    /// `origin` is when the host's clock began.
    pub(crate) fn new(name: &str, origin: Instant) -> Tenant {
        Tenant {
            name: name.to_owned(),
            memory: MemoryShare::default(),
            memory_refusals: Counter::default(),
            timeout_most_ms: AtomicU64::new(u64::MAX),
            seat: Arc::default(),
            compiling: Arc::default(),
            requests: Arc::default(),
            cpu: Bucket::default(),
            output: Bucket::default(),
            log: Bucket::default(),
            throttling: Throttling::default(),
            cpu_us: Counter::default(),
            output_bytes: Counter::default(),
            log_lines_dropped: Counter::default(),
            origin,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// ns of the host's clock.
    pub(crate) fn now_ns(&self) -> u64 {
        // Beginning late enough for what was not used before to be there.
        nanos(self.origin.elapsed() + Duration::from_secs(10))
    }

    fn limit(&self, limits: &NamespaceLimits, shared: &SharedResources<'_>) {
        let bound = |limit| limits.bound(limit);
        let now = self.now_ns();
        shared.memory.limit(&self.memory, bound(NamespaceLimit::PluginMemory));
        self.timeout_most_ms.store(bound(NamespaceLimit::PluginTimeoutMax).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.cpu.set_rate(bound(NamespaceLimit::PluginCpu).map(ns_a_second), now);
        self.output.set_rate(bound(NamespaceLimit::PluginOutputRate), now);
        self.log.set_rate(bound(NamespaceLimit::PluginLogRate), now);
        let most = bound(NamespaceLimit::PluginConcurrency);
        let most = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        shared.instances.set_most(&self.seat, most);
        shared.compilations.set_most(&self.compiling, most);
    }

    /// An instance does not get the memory that it wants. Says why.
    pub(crate) fn refused_memory(&self, short: Short, memory: &Memory) -> String {
        self.memory_refusals.add(1);
        let (name, held, most) = (&self.name, self.memory.held(), self.memory.most());
        match short {
            Short::Namespace => {
                format!("the instances of namespace {name:?} hold {held} of the {most} bytes of its plugin_memory")
            }
            Short::Server => format!(
                "all instances hold {} of the {} bytes of plugin_memory_bytes, those of namespace {name:?} {held} of them, which \
                 leaves no more to it",
                memory.held(),
                memory.most()
            ),
        }
    }

    /// The time of one call, which the namespace may bound.
    pub(crate) fn timeout(&self, own: Duration) -> Duration {
        own.min(Duration::from_millis(self.timeout_most_ms.load(Ordering::Relaxed)))
    }

    /// Whether calls may have to be held back.
    pub(crate) fn is_bounded(&self) -> bool {
        self.cpu.is_bounded() || self.output.is_bounded()
    }

    /// How long calls are to be held back.
    pub(crate) fn wait(&self, now_ns: u64) -> Option<Duration> {
        self.cpu.wait(now_ns).max(self.output.wait(now_ns))
    }

    /// Waits while the namespace is over its share, within bounds; false if it still is.
    pub(crate) fn hold(&self) -> bool {
        let until = Instant::now() + LONGEST_HOLD;
        while let Some(left) = self.wait(self.now_ns()) {
            self.hold_back(self.now_ns(), left);
            let now = Instant::now();
            if now >= until {
                return false;
            }
            // In steps, because the share may be raised.
            std::thread::sleep(left.min(until - now).min(Duration::from_millis(100)));
        }
        if self.is_held() {
            self.go_on(self.now_ns());
        }
        true
    }

    /// A call is held back for the namespace's sake.
    pub(crate) fn hold_back(&self, now_ns: u64, left: Duration) {
        self.throttling.begin(now_ns, left);
    }

    /// A call is made.
    pub(crate) fn go_on(&self, now_ns: u64) {
        self.throttling.end(now_ns);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.throttling.is_active()
    }

    /// Takes note of what a call took and answered.
    pub(crate) fn used(&self, took: Took, output_bytes: u64) {
        self.cpu_us.add(micros(took.cpu));
        self.output_bytes.add(output_bytes);
        if self.is_bounded() {
            let now = self.now_ns();
            self.cpu.used(nanos(took.cpu), now);
            self.output.used(output_bytes, now);
        }
    }

    /// Whether a line may be logged.
    pub(crate) fn may_log(&self) -> bool {
        let may = !self.log.is_bounded() || self.log.take_one(self.now_ns());
        if !may {
            self.log_lines_dropped.add(1);
        }
        may
    }

    fn usage(&self) -> NamespaceUsage {
        let (throttled, throttled_us) = self.throttling.figures(self.now_ns());
        NamespaceUsage {
            namespace: self.name.clone(),
            memory_bytes: self.memory.held(),
            memory_refusals: self.memory_refusals.get(),
            running: self.seat.running() as u64,
            waiting: self.seat.waiting() as u64,
            cpu_us: self.cpu_us.get(),
            output_bytes: self.output_bytes.get(),
            throttled,
            throttled_us,
            log_lines_dropped: self.log_lines_dropped.get(),
            ..NamespaceUsage::default()
        }
    }
}

/// What namespaces have limits in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedResources<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) instances: &'a Turns,
    pub(crate) compilations: &'a Turns,
}

/// The namespaces that a host has heard of.
#[derive(Debug)]
pub(crate) struct Tenants {
    all: Mutex<HashMap<String, Arc<Tenant>>>,
    origin: Instant,
}

impl Tenants {
    pub(crate) fn new() -> Tenants {
        Tenants { all: Mutex::default(), origin: Instant::now() }
    }

    pub(crate) fn get(&self, name: &str) -> Arc<Tenant> {
        let mut all = self.all.lock();
        if let Some(tenant) = all.get(name) {
            return tenant.clone();
        }
        let tenant = Arc::new(Tenant::new(name, self.origin));
        all.insert(name.to_owned(), tenant.clone());
        tenant
    }

    pub(crate) fn limit(&self, name: &str, limits: &NamespaceLimits, shared: &SharedResources<'_>) -> Arc<Tenant> {
        let tenant = self.get(name);
        tenant.limit(limits, shared);
        tenant
    }

    /// Of modules that are looked at for nobody's sake.
    pub(crate) fn nobody(&self) -> Arc<Tenant> {
        Arc::new(Tenant::new("", self.origin))
    }

    pub(crate) fn usage(&self) -> Vec<NamespaceUsage> {
        self.all.lock().values().map(|tenant| tenant.usage()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_over_all_and_given_back() {
        let (tenants, turns, memory) = (Tenants::new(), Turns::new(1), Memory::new(1 << 41));
        let shared = SharedResources { memory: &memory, instances: &turns, compilations: &turns };
        let tenant = tenants.get("a");
        let take = |bytes| memory.take(&tenant.memory, bytes);
        assert_eq!(take(1 << 40), Ok(()), "no limit was set");
        memory.give(&tenant.memory, 1 << 40);
        let mut limits = NamespaceLimits::default();
        limits.set(NamespaceLimit::PluginMemory, Some(100));
        limits.set(NamespaceLimit::PluginTimeoutMax, Some(20));
        tenants.limit("a", &limits, &shared);
        assert_eq!((take(60), take(41), take(40)), (Ok(()), Err(Short::Namespace), Ok(())));
        assert!(tenant.refused_memory(Short::Namespace, &memory).contains("100 of the 100 bytes"));
        assert_eq!(tenant.timeout(Duration::from_secs(1)), Duration::from_millis(20));
        assert_eq!(tenant.timeout(Duration::from_millis(7)), Duration::from_millis(7));
        memory.give(&tenant.memory, 60);
        let [usage] = tenants.usage().try_into().expect("one namespace");
        assert_eq!((usage.namespace.as_str(), usage.memory_bytes, usage.memory_refusals), ("a", 40, 1));
        limits.set(NamespaceLimit::PluginMemory, Some(39));
        tenants.limit("a", &limits, &shared);
        assert!(tenant.memory.is_over() && take(0) == Err(Short::Namespace));
    }
}
