//! Segments that are named and not there. Reading them is an error each time; here is said what they have in common.

use std::collections::HashSet;

use super::store::SegmentFiles;
use crate::model::Result;
use crate::platform::Events;
use crate::state::State;

/// Tells of every file that the manifest names and the store does not have, in one event. An object store is listed only if
/// other directories may have deleted from it.
pub(super) fn tell(store: &SegmentFiles, state: &State, events: &Events) -> Result<()> {
    let listed: Option<HashSet<String>> = match store {
        SegmentFiles::Local(_) => None,
        SegmentFiles::Remote(store) if store.ownership.is_contested() => Some(store.list()?.into_iter().collect()),
        SegmentFiles::Remote(_) => return Ok(()),
    };
    let is_there = |path: &str| match &listed {
        Some(listed) => listed.contains(path),
        None => store.display(path).exists(),
    };
    let tables = state.catalog().tables();
    let partitions = tables.flat_map(|info| state.catalog().partitions(info.id).unwrap_or_default());
    let segments = partitions.flat_map(|partition| partition.segments_from(partition.start));
    let missing: Vec<&str> = segments.map(|meta| meta.path.as_str()).filter(|path| !is_there(path)).collect();
    if let Some(first) = missing.first() {
        let (count, first) = (missing.len(), store.display(first));
        let message = format!(
            "{count} segments of this data directory are not there, {} the first: their rows can't be read. Restore them; a copy of \
             the directory that is older than segment_grace_ms may miss what was deleted since",
            first.display()
        );
        events.push("segments_missing", message);
    }
    Ok(())
}
