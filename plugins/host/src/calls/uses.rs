//! Figures of a plugin version by what it is called for. Counting takes no lock: relaxed counters, which order nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_engine::{CallFigures, CallTimes, CallUse, FailureKind, PluginUse};
use parking_lot::RwLock;

use crate::figures::Counter;
use crate::tenants::{Throttling, Took, micros};

/// One call that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) rows_in: usize,
    pub(crate) rows_out: usize,
    pub(crate) bytes_in: usize,
    pub(crate) bytes_out: usize,
}

/// Uses of one plugin version that are counted apart; the calls of more count together.
const MAX_USES: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Uses {
    all: RwLock<BTreeMap<CallUse, Arc<UseCounters>>>,
}

/// Counters of one use.
#[derive(Debug)]
pub(crate) struct UseCounters {
    rows_in: Counter,
    rows_out: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    /// Of [`CallTimes`]; together they are the calls.
    buckets: Vec<Counter>,
    sum_us: Counter,
    max_us: AtomicU64,
    cpu_us: Counter,
    memory_peak: AtomicU64,
    failures: [Counter; FailureKind::ALL.len()],
    queued_us: Counter,
    queued_max_us: AtomicU64,
    pub(crate) throttling: Throttling,
}

impl Default for UseCounters {
    fn default() -> UseCounters {
        UseCounters {
            rows_in: Counter::default(),
            rows_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            buckets: (0..CallTimes::BUCKETS).map(|_| Counter::default()).collect(),
            sum_us: Counter::default(),
            max_us: AtomicU64::new(0),
            cpu_us: Counter::default(),
            memory_peak: AtomicU64::new(0),
            failures: Default::default(),
            queued_us: Counter::default(),
            queued_max_us: AtomicU64::new(0),
            throttling: Throttling::default(),
        }
    }
}

impl Uses {
    /// What the calling thread calls for. Its lock is written to at the first call of each use alone.
    pub(crate) fn current(&self) -> Arc<UseCounters> {
        let of = CallUse::current();
        if let Some(known) = self.all.read().get(&of) {
            return known.clone();
        }
        let mut all = self.all.write();
        let of = if all.len() < MAX_USES || all.contains_key(&of) { of } else { CallUse::Others };
        all.entry(of).or_default().clone()
    }

    /// At a time of the host's clock.
    pub(crate) fn figures(&self, now_ns: u64) -> Vec<PluginUse> {
        let all = self.all.read();
        all.iter().map(|(of, figures)| PluginUse { of: of.clone(), figures: figures.read(now_ns) }).collect()
    }
}

impl UseCounters {
    /// An instance was there after so long, or none was.
    pub(crate) fn queued(&self, time: Duration) {
        let us = micros(time);
        self.queued_us.add(us);
        raise(&self.queued_max_us, us);
    }

    /// Instances were started meanwhile.
    pub(crate) fn started(&self, took: Took) {
        self.cpu_us.add(micros(took.cpu));
    }

    /// A call was answered, for good or for bad. `memory` is what the instance has.
    pub(crate) fn ended(&self, took: Took, memory: usize, answered: Result<Answered, FailureKind>) {
        let us = micros(took.wall);
        self.sum_us.add(us);
        self.cpu_us.add(micros(took.cpu));
        if let Some(bucket) = self.buckets.get(CallTimes::bucket(us)) {
            bucket.add(1);
        }
        raise(&self.max_us, us);
        raise(&self.memory_peak, memory as u64);
        match answered {
            Ok(answered) => {
                self.rows_in.add(answered.rows_in as u64);
                self.rows_out.add(answered.rows_out as u64);
                self.bytes_in.add(answered.bytes_in as u64);
                self.bytes_out.add(answered.bytes_out as u64);
            }
            Err(kind) => self.failed(kind),
        }
    }

    /// A call failed, perhaps before it reached a guest.
    pub(crate) fn failed(&self, kind: FailureKind) {
        let at = FailureKind::ALL.iter().position(|other| *other == kind);
        if let Some(counter) = at.and_then(|at| self.failures.get(at)) {
            counter.add(1);
        }
    }

    fn read(&self, now_ns: u64) -> CallFigures {
        let buckets: Vec<u64> = self.buckets.iter().map(Counter::get).collect();
        let (throttled, throttled_us) = self.throttling.figures(now_ns);
        CallFigures {
            calls: buckets.iter().sum(),
            rows_in: self.rows_in.get(),
            rows_out: self.rows_out.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            times: CallTimes { buckets, sum_us: self.sum_us.get(), max_us: self.max_us.load(Ordering::Relaxed) },
            cpu_us: self.cpu_us.get(),
            memory_peak_bytes: self.memory_peak.load(Ordering::Relaxed),
            failures: self.failures.each_ref().map(Counter::get),
            queued_us: self.queued_us.get(),
            queued_max_us: self.queued_max_us.load(Ordering::Relaxed),
            throttled,
            throttled_us,
        }
    }
}

/// Reads first: the highest value seen changes seldom, and a read keeps the cache line shared.
fn raise(highest: &AtomicU64, value: u64) {
    if highest.load(Ordering::Relaxed) < value {
        highest.fetch_max(value, Ordering::Relaxed);
    }
}
