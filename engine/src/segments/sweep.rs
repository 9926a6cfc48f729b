//! Deleting files that the manifest does not name: dropped ones, and what a crash or an error left half way. Which they are
//! is known from the log, by name; a listing of the store decides nothing, since it may show what others wrote.

use super::handle::Segments;
use super::name::epoch_of;
use super::store::Ownership;
use crate::model::{Error, Result};
use crate::state::Change;
use crate::state::Submission;

/// Names of one record that says what has been deleted.
const NAMES_AT_ONCE: usize = 1_024;

/// Deletes files that have been unlisted for the store's grace period, that nobody reads, and that no other directory may
/// need. Others are kept for the next time.
pub(crate) fn sweep(segments: &Segments) -> Result<()> {
    let ownership = segments.ownership();
    if let Some(ownership) = ownership {
        ownership.look();
    }
    // A log that takes no records may not have kept those that dropped the files.
    if segments.ledger.log.refusal().is_some() || segments.is_fenced() {
        return Ok(());
    }
    let mut candidates = segments.deletable();
    if candidates.is_empty() {
        return Ok(());
    }
    if let Some(ownership) = ownership {
        ownership.check_alone()?;
        let kept_below = ownership.kept_below();
        candidates.retain(|(_, path)| epoch_of(path) >= kept_below);
    }
    let (mut deleted, mut outcome) = (Vec::new(), Ok(()));
    for (id, path) in candidates {
        segments.pool.forget(id);
        if !segments.leases.is_free(id) {
            continue;
        }
        match segments.store.delete(&path) {
            Ok(()) => deleted.push(id),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    if !deleted.is_empty() {
        let changes = vec![Change::SegmentsDeleted { ids: deleted }];
        match segments.ledger.log.submit(Submission::of(changes)).and_then(|pending| pending.wait()) {
            // They are deleted once more after the next opening, which does no harm.
            Ok(_) | Err(Error::Closed) => {}
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome
}

impl Segments {
    /// (id, path) of files whose grace period is over, but those whose owners may be other directories.
    fn deletable(&self) -> Vec<(u64, String)> {
        let ownership = self.ownership();
        let grace_ms = ownership.map_or(0, Ownership::grace_ms);
        let grace_us = i64::try_from(grace_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let kept_below = ownership.map_or(0, Ownership::kept_below);
        let over_before_us = self.ledger.log.time().before_age_us(grace_us);
        let state = self.ledger.state.read();
        let over = state.unlisted().iter().filter(|(id, file)| {
            let is_over = grace_us == 0 || file.since_us <= over_before_us;
            is_over && epoch_of(&file.path) >= kept_below && !self.writing.contains(*id)
        });
        over.take(NAMES_AT_ONCE).map(|(id, file)| (id, file.path.clone())).collect()
    }
}
