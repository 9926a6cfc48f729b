//! The next rows of one partition of a topic.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use super::handle::Runners;
use crate::access::{Action, Object};
use crate::evaluation::Parts;
use crate::log::Ledger;
use crate::model::{Error, Offset, PartitionId, PluginConsumerInfo, Result, TopicInfo};

/// Bytes of one batch, about; a single row may have more.
const BATCH_BYTES: usize = 2 << 20;

/// Rows to be given to a plugin.
#[derive(Debug)]
pub(super) struct Taken {
    /// The topic's columns.
    pub rows: RecordBatch,
    /// The source offset of each row, never decreasing.
    pub offsets: Vec<Offset>,
    pub first: Offset,
    /// The position after them.
    pub next: Offset,
}

impl Taken {
    /// Whether no position lies between its rows.
    pub(super) fn is_single(&self) -> bool {
        self.offsets.first() == self.offsets.last()
    }

    /// Rows that lie before the row's offset.
    pub(super) fn rows_before(&self, row: usize) -> usize {
        let at = self.offsets.get(row).copied().unwrap_or(Offset::MAX);
        self.offsets.partition_point(|offset| *offset < at)
    }
}

/// Refuses what the consumer's owner may not consume any more.
pub(super) fn check_access(ledger: &Ledger, info: &PluginConsumerInfo, topic: &TopicInfo) -> Result<()> {
    let access = &ledger.access;
    access.check_owner(&info.owner, Action::Consume, &Object::group(&info.namespace, &info.group))?;
    access.check_owner(&info.owner, Action::Consume, &topic.into())?;
    ledger.check_topic(topic)
}

/// About `max_rows` rows from a position on and below `until`, small chunks joined. Rows of one offset stay together. `None` at the end of
/// the partition; there may be no rows where all were filtered out.
pub(super) fn take(
    runners: &Runners,
    topic: &TopicInfo,
    partition: PartitionId,
    from: Offset,
    until: Offset,
    max_rows: usize,
) -> Result<Option<Taken>> {
    let (mut rows, mut offsets, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    let mut parts = Parts::new(&runners.evaluations, topic, partition, from, until);
    while offsets.len() < max_rows && bytes < BATCH_BYTES {
        let Some(part) = parts.look(max_rows - offsets.len(), BATCH_BYTES - bytes)? else { break };
        parts.take(&part);
        bytes = bytes.saturating_add(part.bytes);
        if part.batch.num_rows() > 0 {
            offsets.extend(part.offsets.iter());
            rows.push(part.batch);
        }
    }
    if !parts.has_moved() {
        return Ok(None);
    }
    let rows = match rows.as_slice() {
        [] => RecordBatch::new_empty(topic.output_schema.clone()),
        [one] => one.clone(),
        [first, ..] => concat_batches(first.schema_ref(), &rows)
            .map_err(|error| Error::Internal(format!("rows of topic {:?} could not be joined: {error}", topic.name)))?,
    };
    Ok(Some(Taken { rows, offsets, first: from, next: parts.at() }))
}
