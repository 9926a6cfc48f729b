//! What is known of one plugin version at work. Counting takes no lock: relaxed counters, which order nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_engine::{
    CallTimes, Clock as _, FailureKind, OperatorError, PluginCalls, PluginId, PluginInfo, PluginLogLine,
    PluginSuspension, PluginVersion, SystemClock, current_evaluation,
};
use parking_lot::Mutex;

use crate::figures::Counter;
use crate::suspension::Suspension;
use crate::uses::Uses;

/// Log lines that are kept of one plugin version; older ones are only in the server's own log.
const LINES_KEPT: usize = 256;

/// One plugin version's figures, log lines and state.
#[derive(Debug)]
pub(crate) struct Calls {
    id: PluginId,
    namespace: String,
    version: PluginVersion,
    calls: Counter,
    rows_in: Counter,
    rows_out: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    buckets: Vec<Counter>,
    sum_us: Counter,
    max_us: AtomicU64,
    memory_peak: AtomicU64,
    failures: [Counter; FailureKind::ALL.len()],
    pub(crate) instances: AtomicU64,
    pub(crate) started: Counter,
    pub(crate) discarded: Counter,
    pub(crate) waiting: AtomicU64,
    log_lines: Counter,
    pub(crate) log_lines_dropped: Counter,
    log: Mutex<VecDeque<PluginLogLine>>,
    suspension: Suspension,
    pub(crate) uses: Uses,
    clock: SystemClock,
}

/// One call that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) rows_in: usize,
    pub(crate) rows_out: usize,
    pub(crate) bytes_in: usize,
    pub(crate) bytes_out: usize,
}

impl Calls {
    pub(crate) fn new(plugin: &PluginInfo) -> Calls {
        Calls {
            id: plugin.id,
            namespace: plugin.namespace.clone(),
            version: PluginVersion { name: plugin.name.clone(), version: plugin.version },
            calls: Counter::default(),
            rows_in: Counter::default(),
            rows_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            buckets: (0..CallTimes::BUCKETS).map(|_| Counter::default()).collect(),
            sum_us: Counter::default(),
            max_us: AtomicU64::new(0),
            memory_peak: AtomicU64::new(0),
            failures: Default::default(),
            instances: AtomicU64::new(0),
            started: Counter::default(),
            discarded: Counter::default(),
            waiting: AtomicU64::new(0),
            log_lines: Counter::default(),
            log_lines_dropped: Counter::default(),
            log: Mutex::default(),
            suspension: Suspension::new(plugin.suspended.clone()),
            uses: Uses::default(),
            clock: SystemClock::default(),
        }
    }

    /// Whether this counts for the plugin version.
    pub(crate) fn is_of(&self, plugin: &PluginInfo) -> bool {
        self.namespace == plugin.namespace && self.version.name == plugin.name && self.version.version == plugin.version
    }

    /// Refuses the call while the plugin is suspended.
    pub(crate) fn check(&self) -> Result<(), OperatorError> {
        self.suspension.check(&self.version)
    }

    /// A call was answered, for good or for bad. `memory` is what the instance has.
    pub(crate) fn ended(&self, took: Duration, memory: usize, outcome: Result<Answered, &OperatorError>) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.calls.add(1);
        self.sum_us.add(us);
        if let Some(bucket) = self.buckets.get(CallTimes::bucket(us)) {
            bucket.add(1);
        }
        raise(&self.max_us, us);
        raise(&self.memory_peak, memory as u64);
        match outcome {
            Ok(answered) => {
                self.rows_in.add(answered.rows_in as u64);
                self.rows_out.add(answered.rows_out as u64);
                self.bytes_in.add(answered.bytes_in as u64);
                self.bytes_out.add(answered.bytes_out as u64);
                self.suspension.answered();
            }
            Err(error) => {
                self.failed(error.kind);
                self.suspension.failed(&self.version, error, took, self.clock.wall_us());
            }
        }
    }

    /// A call failed before it reached a guest.
    pub(crate) fn failed(&self, kind: FailureKind) {
        if let Some(counter) =
            FailureKind::ALL.iter().position(|other| *other == kind).and_then(|i| self.failures.get(i))
        {
            counter.add(1);
        }
    }

    /// Keeps a line that the guest has logged.
    pub(crate) fn log(&self, level: &'static str, line: &str) {
        self.log_lines.add(1);
        let line = PluginLogLine {
            at_us: self.clock.wall_us(),
            namespace: self.namespace.clone(),
            plugin: self.version.name.clone(),
            version: self.version.version,
            level,
            line: line.to_owned(),
            place: current_evaluation(),
        };
        let mut log = self.log.lock();
        if log.len() >= LINES_KEPT {
            log.pop_front();
        }
        log.push_back(line);
    }

    pub(crate) fn lines(&self) -> Vec<PluginLogLine> {
        self.log.lock().iter().cloned().collect()
    }

    pub(crate) fn suspended(&self) -> Option<PluginSuspension> {
        self.suspension.now()
    }

    pub(crate) fn resume(&self) -> bool {
        self.suspension.end(&self.version)
    }

    pub(crate) fn figures(&self) -> PluginCalls {
        PluginCalls {
            plugin: self.id,
            calls: self.calls.get(),
            rows_in: self.rows_in.get(),
            rows_out: self.rows_out.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            times: CallTimes {
                buckets: self.buckets.iter().map(Counter::get).collect(),
                sum_us: self.sum_us.get(),
                max_us: self.max_us.load(Ordering::Relaxed),
            },
            memory_peak_bytes: self.memory_peak.load(Ordering::Relaxed),
            failures: self.failures.each_ref().map(Counter::get),
            instances: self.instances.load(Ordering::Relaxed),
            instances_started: self.started.get(),
            instances_discarded: self.discarded.get(),
            waiting: self.waiting.load(Ordering::Relaxed),
            log_lines: self.log_lines.get(),
            log_lines_dropped: self.log_lines_dropped.get(),
            suspended: self.suspension.now(),
            uses: self.uses.figures(),
        }
    }
}

/// Reads first: the highest value seen changes seldom, and a read keeps the cache line shared.
pub(crate) fn raise(highest: &AtomicU64, value: u64) {
    if highest.load(Ordering::Relaxed) < value {
        highest.fetch_max(value, Ordering::Relaxed);
    }
}
