//! Keys of what has been appended, read frame by frame.

use arrow_schema::SchemaRef;

use super::{GROWN_BY, Gathered, KeyEntry, KeyIndex, RUN_KEYS, Reach, RowKeys};
use crate::log::rows::entry::{IndexEntry, PartitionKey};
use crate::log::rows::extent_index::ExtentIndex;
use crate::log::rows::extent_indexes::ExtentIndexes;
use crate::log::rows::read::read_frame;
use crate::log::rows::tail::Tail;
use crate::model::{Lsn, Result};

impl KeyIndex {
    /// Brings what is gathered to the end of what has been applied. Runs are written as far as the log is durable: after a crash
    /// other rows could have the LSNs of those that were not.
    pub(super) fn gather(
        &self,
        gathered: &mut Gathered,
        (indexes, tail): (&ExtentIndexes, &Tail),
        keys: &dyn RowKeys,
        reach: Reach,
    ) -> Result<()> {
        let list = indexes.list();
        if let Some(first) = list.first()
            && gathered.to < first.first()
        {
            gathered.pending.clear();
            (gathered.from, gathered.to) = (first.first(), first.first());
        }
        for (at, index) in list.iter().enumerate() {
            let sealed_end = list.get(at + 1).map(|next| next.first());
            if sealed_end.is_some_and(|end| end <= gathered.to) {
                continue;
            }
            let end = sealed_end.unwrap_or(Lsn(reach.applied.0.saturating_add(1)));
            let range = (gathered.to, end);
            let wanted = |table| keys.schema(table).is_some();
            // What was trimmed meanwhile is nobody's any more.
            for (key, entry) in indexes.frames(index, range, &wanted)?.unwrap_or_default() {
                if let Some(schema) = keys.schema(key.0) {
                    self.gather_frame(gathered, (indexes, tail), index, (key, &entry), (keys, &schema))?;
                }
                gathered.to = Lsn(entry.lsn.0.saturating_add(u64::from(entry.rows)));
                if gathered.pending.len() >= RUN_KEYS && gathered.to.0 <= reach.durable.0.saturating_add(1) {
                    self.write(gathered)?;
                }
            }
            gathered.to = gathered.to.max(end);
            if sealed_end.is_some() && gathered.from < gathered.to {
                self.write(gathered)?;
            }
        }
        Ok(())
    }

    fn gather_frame(
        &self,
        gathered: &mut Gathered,
        (indexes, tail): (&ExtentIndexes, &Tail),
        index: &ExtentIndex,
        (key, entry): (PartitionKey, &IndexEntry),
        (keys, schema): (&dyn RowKeys, &SchemaRef),
    ) -> Result<()> {
        let frame = match tail.find(key, entry.base_offset) {
            Some(frame) => frame,
            None => read_frame(index.extent.as_ref(), key, entry, indexes.log_id())?.into(),
        };
        let pending = &mut gathered.pending;
        keys.each(key.0, frame.batch(schema)?, &mut |row, hash| {
            if pending.len() == pending.capacity() {
                pending.reserve_exact(GROWN_BY);
            }
            pending.push(KeyEntry { hash, partition: key.1, offset: entry.base_offset + row as u64 });
        });
        Ok(())
    }
}
