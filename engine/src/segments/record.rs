//! From a file to a part of the manifest. A file's name is on record before its first byte is written, so that what a crash
//! or an error leaves behind is known by its name; what is recorded has been opened, and belongs to who still owns the store.

use super::cut::Before;
use super::handle::{Figures, Segments};
use super::name::SegmentName;
use super::writing::Begun;
use crate::model::{Offset, Result};
use crate::state::{Change, SegmentMeta};
use crate::state::{SegmentsUnchanged, Submission};

/// Records that a file is about to be written.
pub(super) fn begin<'a>(segments: &'a Segments, before: &Before, first_offset: Offset) -> Result<Begun<'a>> {
    segments.store.check_owner()?;
    let id = segments.next_id();
    let name = SegmentName::new(&segments.store, id, &before.table, before.partition, first_offset);
    let begun = segments.writing.begin(name);
    let changes = vec![Change::SegmentBegun { id, path: begun.name.path.clone() }];
    segments.ledger.log.submit(Submission::of(changes))?.wait()?;
    Ok(begun)
}

/// Makes a written segment part of the manifest, in the place of others. After a refusal its file is deleted by and by, as
/// one that is not listed.
pub(super) fn record(
    segments: &Segments,
    before: &Before,
    begun: Begun<'_>,
    meta: SegmentMeta,
    removed: Vec<u64>,
) -> Result<()> {
    // The log is trimmed on the strength of this file: it must be there, whole, and be found by its name.
    segments.check_written(&meta)?;
    segments.store.check_owner()?;
    Figures::add(&segments.figures.bytes_written, meta.bytes);
    let (table, partition) = (before.table.id, before.partition);
    let answer = segments.ledger.log.submit(Submission {
        records: vec![Change::SegmentsChanged { table, partition, added: vec![meta], removed }.into()],
        preconditions: vec![SegmentsUnchanged { table, partition, segments_version: before.segments_version }.into()],
        ..Submission::default()
    });
    answer?.wait()?;
    // Applied: the state lists the file before it is no longer being written.
    drop(begun);
    Ok(())
}

impl Segments {
    /// An id for a new segment. Ids given before a restart lie below the log's end of today, because each was on record
    /// before its file was begun.
    fn next_id(&self) -> u64 {
        use std::sync::atomic::Ordering;

        let floor = self.ledger.log.durable().0;
        let next = |last: u64| Some(last.max(floor) + 1);
        let last = self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(floor);
        last.max(floor) + 1
    }
}
