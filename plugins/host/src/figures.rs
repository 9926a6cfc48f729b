//! What the host counts.

use std::sync::atomic::{AtomicU64, Ordering};

use millstream_engine::FailureKind;

/// Counts since the host was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Modules compiled.
    pub compilations: u64,
    /// Modules taken from the cache of compiled code.
    pub cache_hits: u64,
    /// Cached files that were refused: damaged, forged, or written for another build.
    pub cache_refusals: u64,
    /// Instances started.
    pub instances_started: u64,
    /// Instances thrown away after a failure.
    pub instances_discarded: u64,
    /// Calls that a guest answered, and their rows.
    pub calls: u64,
    pub rows: u64,
    /// Bytes of arguments copied into guests.
    pub bytes_in: u64,
    /// Failed calls, by what failed.
    pub data_errors: u64,
    pub traps: u64,
    pub timeouts: u64,
    pub memory_failures: u64,
    pub bad_outputs: u64,
    pub host_failures: u64,
}

/// One relaxed counter; nothing is ordered by it.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) compilations: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_refusals: Counter,
    pub(crate) instances_started: Counter,
    pub(crate) instances_discarded: Counter,
    pub(crate) calls: Counter,
    pub(crate) rows: Counter,
    pub(crate) bytes_in: Counter,
    data_errors: Counter,
    traps: Counter,
    timeouts: Counter,
    memory_failures: Counter,
    bad_outputs: Counter,
    host_failures: Counter,
}

impl Counters {
    pub(crate) fn failed(&self, kind: FailureKind) {
        match kind {
            FailureKind::Data => &self.data_errors,
            FailureKind::Trap => &self.traps,
            FailureKind::Timeout => &self.timeouts,
            FailureKind::Memory => &self.memory_failures,
            FailureKind::BadOutput => &self.bad_outputs,
            FailureKind::Host => &self.host_failures,
        }
        .add(1);
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            compilations: self.compilations.get(),
            cache_hits: self.cache_hits.get(),
            cache_refusals: self.cache_refusals.get(),
            instances_started: self.instances_started.get(),
            instances_discarded: self.instances_discarded.get(),
            calls: self.calls.get(),
            rows: self.rows.get(),
            bytes_in: self.bytes_in.get(),
            data_errors: self.data_errors.get(),
            traps: self.traps.get(),
            timeouts: self.timeouts.get(),
            memory_failures: self.memory_failures.get(),
            bad_outputs: self.bad_outputs.get(),
            host_failures: self.host_failures.get(),
        }
    }
}
