//! Reading a topic's rows of one partition on: groups and runners do it the same way.

use super::chunk::Part;
use super::evaluations::Evaluations;
use crate::model::{Offset, PartitionId, Result, TopicInfo};

/// Chunks looked at in one go: a filter that lets nothing pass gives a position from time to time.
const SCAN_CHUNKS: usize = 64;

/// A reader's way through a partition.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    evaluations: &'a Evaluations,
    topic: &'a TopicInfo,
    partition: PartitionId,
    from: Offset,
    until: Offset,
    at: Offset,
    left: usize,
}

impl<'a> Parts<'a> {
    /// From a position on, below `until`.
    pub(crate) fn new(
        evaluations: &'a Evaluations,
        topic: &'a TopicInfo,
        partition: PartitionId,
        from: Offset,
        until: Offset,
    ) -> Parts<'a> {
        Parts { evaluations, topic, partition, from, until, at: from, left: SCAN_CHUNKS }
    }

    /// The position after what was taken.
    pub(crate) fn at(&self) -> Offset {
        self.at
    }

    /// Whether anything was taken.
    pub(crate) fn has_moved(&self) -> bool {
        self.at > self.from
    }

    /// What comes next, within the limits as far as one row is; it is not passed before [`Self::take`]. `None` at the end of the
    /// partition or of this go, and before a fault that lies behind what was taken: that is the next go's.
    pub(crate) fn look(&mut self, max_rows: usize, max_bytes: usize) -> Result<Option<Part>> {
        if self.at >= self.until || self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        match self.evaluations.chunk_at(self.topic, self.partition, self.at) {
            Ok(chunk) => {
                let part = chunk.map(|chunk| chunk.part(self.at, self.until, max_rows, max_bytes));
                Ok(part.filter(|part| part.next > self.at))
            }
            Err(_) if self.has_moved() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Passes what was looked at.
    pub(crate) fn take(&mut self, part: &Part) {
        self.at = part.next;
    }
}
