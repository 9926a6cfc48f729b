//! From a file to a part of the manifest. A file's name is on record before its first byte is written, so that what a crash
//! or an error leaves behind is known by its name; what is recorded has been opened, and belongs to who still owns the store.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::Segments;
use super::cut::Before;
use super::name::SegmentName;
use crate::front::Shared;
use crate::model::{Offset, Result};
use crate::state::{Change, SegmentMeta};
use crate::state::{Precondition, Submission};

/// Files that are on record as begun, and whose end is not known yet: they are not to be deleted.
#[derive(Debug, Default)]
pub(super) struct Writing {
    ids: Mutex<HashSet<u64>>,
}

impl Writing {
    /// To be asked under the state's lock: a file that is listed there leaves this set only afterwards.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.ids.lock().contains(&id)
    }
}

/// A file that somebody is at.
pub(super) struct Begun<'a> {
    pub name: SegmentName,
    writing: &'a Writing,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.writing.ids.lock().remove(&self.name.id);
    }
}

/// Records that a file is about to be written.
pub(super) fn begin<'a>(shared: &'a Shared, before: &Before, first_offset: Offset) -> Result<Begun<'a>> {
    let segments = &shared.segments;
    segments.store.check_owner()?;
    let id = segments.next_id(shared);
    let name = SegmentName::new(&segments.store, id, &before.table, before.partition, first_offset);
    segments.writing.ids.lock().insert(id);
    let begun = Begun { name, writing: &segments.writing };
    let changes = vec![Change::SegmentBegun { id, path: begun.name.path.clone() }];
    shared.log.submit(Submission::of(changes))?.wait()?;
    Ok(begun)
}

/// Makes a written segment part of the manifest, in the place of others. After a refusal its file is deleted by and by, as
/// one that is not listed.
pub(super) fn record(
    shared: &Shared,
    before: &Before,
    begun: Begun<'_>,
    meta: SegmentMeta,
    removed: Vec<u64>,
) -> Result<()> {
    let segments = &shared.segments;
    // The log is trimmed on the strength of this file: it must be there, whole, and be found by its name.
    segments.check_written(&meta)?;
    segments.store.check_owner()?;
    super::Figures::add(&segments.figures.bytes_written, meta.bytes);
    let (table, partition) = (before.table.id, before.partition);
    let answer = shared.log.submit(Submission {
        records: vec![Change::SegmentsChanged { table, partition, added: vec![meta], removed }.into()],
        preconditions: vec![Precondition::SegmentsUnchanged {
            table,
            partition,
            segments_version: before.segments_version,
        }],
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
    fn next_id(&self, shared: &Shared) -> u64 {
        use std::sync::atomic::Ordering;

        let floor = shared.log.durable().0;
        let next = |last: u64| Some(last.max(floor) + 1);
        let last = self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(floor);
        last.max(floor) + 1
    }
}
