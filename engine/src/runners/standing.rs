//! How a running consumer fares, for those who look.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::{PartitionId, PluginConsumerFigures};

/// Runners by a consumer's threads.
#[derive(Debug, Default)]
pub(crate) struct ConsumerStanding {
    pub(super) calls: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) rows_in: AtomicU64,
    pub(super) rows_out: AtomicU64,
    pub(super) rows_skipped: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) commits: AtomicU64,
    /// What keeps partitions from going on, and whether for good.
    held: Mutex<BTreeMap<PartitionId, (bool, String)>>,
    /// What keeps all of them.
    unready: Mutex<Option<String>>,
    /// Why some of them are not worked at any more.
    lost: Mutex<Option<String>>,
}

impl ConsumerStanding {
    pub(crate) fn figures(&self) -> PluginConsumerFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PluginConsumerFigures {
            calls: read(&self.calls),
            failures: read(&self.failures),
            rows_in: read(&self.rows_in),
            rows_out: read(&self.rows_out),
            rows_skipped: read(&self.rows_skipped),
            dead_letters: read(&self.dead_letters),
            commits: read(&self.commits),
        }
    }

    /// `running`, `waiting` or `stopped`, and the first reason why.
    pub(crate) fn state(&self) -> (&'static str, Option<String>) {
        if let Some(why) = self.lost.lock().clone() {
            return ("stopped", Some(why));
        }
        if let Some(why) = self.unready.lock().clone() {
            return ("waiting", Some(why));
        }
        let held = self.held.lock();
        let first = |stopped: bool| held.values().find(|(found, _)| *found == stopped).map(|(_, why)| why.clone());
        match (first(true), first(false)) {
            (Some(why), _) => ("stopped", Some(why)),
            (None, Some(why)) => ("waiting", Some(why)),
            (None, None) => ("running", None),
        }
    }

    pub(crate) fn stopped_partitions(&self) -> Vec<PartitionId> {
        self.held.lock().iter().filter(|(_, (stopped, _))| *stopped).map(|(partition, _)| *partition).collect()
    }

    pub(super) fn hold(&self, partition: PartitionId, stopped: bool, why: String) {
        self.held.lock().insert(partition, (stopped, why));
    }

    pub(super) fn go_on(&self, partition: PartitionId) {
        self.held.lock().remove(&partition);
    }

    /// A thread has ended for good.
    pub(super) fn lose(&self, why: String) {
        *self.lost.lock() = Some(why);
    }

    pub(super) fn set_unready(&self, why: Option<String>) {
        *self.unready.lock() = why;
    }
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}
