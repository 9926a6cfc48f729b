//! What the doors are at, for `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gauges of one server.
#[derive(Debug, Default)]
pub struct Figures {
    counts: [AtomicU64; 4],
}

/// What is counted while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Connections of the Flight door.
    Connection,
    Get,
    Put,
    Exchange,
}

/// Counts one until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    figures: Arc<Figures>,
    what: Count,
}

impl Figures {
    pub(crate) fn count(self: &Arc<Self>, what: Count) -> Counted {
        self.cell(what).fetch_add(1, Ordering::Relaxed);
        Counted { figures: Arc::clone(self), what }
    }

    pub(crate) fn get(&self, what: Count) -> u64 {
        self.cell(what).load(Ordering::Relaxed)
    }

    fn cell(&self, what: Count) -> &AtomicU64 {
        let [connections, gets, puts, exchanges] = &self.counts;
        match what {
            Count::Connection => connections,
            Count::Get => gets,
            Count::Put => puts,
            Count::Exchange => exchanges,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.figures.cell(self.what).fetch_sub(1, Ordering::Relaxed);
    }
}
