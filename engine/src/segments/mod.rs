//! Immutable Parquet files that hold ranges of offsets. What this module writes and records is drawn in
//! `docs/segments.md`.

mod bounds;
mod checksum;
mod cut;
mod layout;
mod lsns;
mod merge;
mod missing;
mod name;
mod open;
mod prune;
mod read;
mod record;
mod run;
mod sample;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::Result;
use crate::platform::EngineOptions;
use crate::platform::Events;
use crate::state::SegmentMeta;
use crate::state::State;

pub(crate) use open::Segment;
pub(crate) use prune::Pruning;
pub(crate) use sweep::sweep;
pub(crate) use work::{Job, Task, due};

use open::Leases;
use record::Writing;
use run::Pool;
use store::{Ownership, Store};
use work::Claims;

/// The segments of one open engine: their store, who holds them, and what is being written.
#[derive(Debug)]
pub(crate) struct Segments {
    store: Store,
    leases: Leases,
    pool: Pool,
    writing: Writing,
    claims: Claims,
    last_id: AtomicU64,
    figures: Figures,
}

/// Counters since opening.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub bytes_written: AtomicU64,
    pub runs_read: AtomicU64,
    pub runs_pruned: AtomicU64,
}

impl Segments {
    /// Opens the store; in an object store, takes it over from whoever opened it before.
    pub(crate) fn open(options: &EngineOptions, state: &State, events: &Arc<Events>) -> Result<Segments> {
        let store = Store::open(options, events.clone())?;
        missing::tell(&store, state, events)?;
        Ok(Segments {
            store,
            leases: Leases::default(),
            pool: Pool::default(),
            writing: Writing::default(),
            claims: Claims::default(),
            last_id: AtomicU64::new(0),
            figures: Figures::default(),
        })
    }

    /// Holds a segment for reading. To be called under the state's lock, on a segment that the state names.
    pub(crate) fn lease(&self, meta: &Arc<SegmentMeta>) -> Arc<Segment> {
        self.leases.take(meta)
    }

    /// The standing in an object store; `None` for a directory of this machine, where the lock of the data directory decides.
    pub(crate) fn ownership(&self) -> Option<&Ownership> {
        self.store.ownership()
    }

    /// True once another opening owns the store: then nothing is written to it, deleted from it, or trimmed on its strength.
    pub(crate) fn is_fenced(&self) -> bool {
        self.ownership().is_some_and(|ownership| ownership.fenced_by().is_some())
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }
}

impl Figures {
    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}
