//! Immutable Parquet files that hold ranges of offsets. What this module writes and records is drawn in
//! `docs/segments.md`.

mod bounds;
mod checksum;
mod cut;
mod layout;
mod merge;
mod open;
mod prune;
mod read;
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

use crate::record::SegmentMeta;
use crate::state::State;
use crate::{EngineOptions, Result};

pub(crate) use open::Segment;
pub(crate) use prune::Pruning;
pub(crate) use work::{Job, Task, due};

use open::Leases;
use run::Pool;
use store::Store;
use sweep::Graveyard;
use work::Claims;

/// The segments of one open engine: their store, who holds them, and what is being written.
#[derive(Debug)]
pub(crate) struct Segments {
    store: Store,
    leases: Leases,
    pool: Pool,
    graveyard: Graveyard,
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
    /// Opens the store and deletes what the recovered manifest does not name.
    pub(crate) fn open(options: &EngineOptions, state: &State) -> Result<Segments> {
        let store = Store::open(options)?;
        sweep::delete_orphans(&store, state)?;
        Ok(Segments {
            store,
            leases: Leases::default(),
            pool: Pool::default(),
            graveyard: Graveyard::default(),
            claims: Claims::default(),
            last_id: AtomicU64::new(0),
            figures: Figures::default(),
        })
    }

    /// Holds a segment for reading. To be called under the state's lock, on a segment that the state names.
    pub(crate) fn lease(&self, meta: &Arc<SegmentMeta>) -> Arc<Segment> {
        self.leases.take(meta)
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
