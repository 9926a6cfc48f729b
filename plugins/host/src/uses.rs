//! Figures of a plugin version by what it is called for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_engine::{CallUse, PluginUse};
use parking_lot::RwLock;

use crate::calls::{Answered, raise};
use crate::figures::Counter;

/// Uses of one plugin version that are counted apart; the calls of more count together.
const MAX_USES: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Uses {
    all: RwLock<BTreeMap<CallUse, Arc<Use>>>,
}

/// Counters of one use.
#[derive(Debug, Default)]
pub(crate) struct Use {
    calls: Counter,
    failures: Counter,
    rows_in: Counter,
    rows_out: Counter,
    busy_us: Counter,
    queued_us: Counter,
    queued_max_us: AtomicU64,
}

impl Uses {
    /// What the calling thread calls for. Its lock is written to at the first call of each use alone.
    pub(crate) fn current(&self) -> Arc<Use> {
        let of = CallUse::current();
        if let Some(known) = self.all.read().get(&of) {
            return known.clone();
        }
        let mut all = self.all.write();
        let of = if all.len() < MAX_USES || all.contains_key(&of) { of } else { CallUse::Others };
        all.entry(of).or_default().clone()
    }

    pub(crate) fn figures(&self) -> Vec<PluginUse> {
        self.all.read().iter().map(|(of, figures)| figures.read(of)).collect()
    }
}

impl Use {
    /// An instance was there after so long, or none was.
    pub(crate) fn queued(&self, time: Duration) {
        let us = micros(time);
        self.queued_us.add(us);
        raise(&self.queued_max_us, us);
    }

    /// A call was answered, for good or for bad.
    pub(crate) fn ended(&self, took: Duration, answered: Option<Answered>) {
        self.calls.add(1);
        self.busy_us.add(micros(took));
        match answered {
            Some(answered) => {
                self.rows_in.add(answered.rows_in as u64);
                self.rows_out.add(answered.rows_out as u64);
            }
            None => self.failures.add(1),
        }
    }

    fn read(&self, of: &CallUse) -> PluginUse {
        PluginUse {
            of: of.clone(),
            calls: self.calls.get(),
            failures: self.failures.get(),
            rows_in: self.rows_in.get(),
            rows_out: self.rows_out.get(),
            busy_us: self.busy_us.get(),
            queued_us: self.queued_us.get(),
            queued_max_us: self.queued_max_us.load(Ordering::Relaxed),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
