//! The segments of one open engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::claims::Claims;
use super::columns::Encoders;
use super::missing;
use super::open::{Leases, Segment};
use super::pool::Pool;
use super::store::{Ownership, SegmentFiles};
use super::writing::Writing;
use crate::log::Ledger;
use crate::model::Result;
use crate::state::SegmentMeta;

/// Their store, who holds them, and what is being written.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(super) ledger: Arc<Ledger>,
    pub(super) store: SegmentFiles,
    pub(super) leases: Leases,
    pub(super) pool: Pool,
    pub(super) writing: Writing,
    pub(super) claims: Claims,
    pub(super) encoders: Encoders,
    pub(super) last_id: AtomicU64,
    pub(super) figures: Figures,
}

/// Counters since opening.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub bytes_written: AtomicU64,
    pub runs_read: AtomicU64,
    pub(super) rows_read: AtomicU64,
    pub runs_pruned: AtomicU64,
}

impl Segments {
    /// Opens the store; in an object store, takes it over from whoever opened it before.
    pub(crate) fn open(ledger: &Arc<Ledger>) -> Result<Segments> {
        let store = SegmentFiles::open(&ledger.options, ledger.events.clone())?;
        missing::tell(&store, &ledger.state.read(), &ledger.events)?;
        Ok(Segments {
            ledger: ledger.clone(),
            store,
            leases: Leases::default(),
            pool: Pool::default(),
            writing: Writing::default(),
            claims: Claims::default(),
            encoders: Encoders::default(),
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
    pub(crate) fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}
