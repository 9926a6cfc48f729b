//! Reading a topic's rows of one partition on: groups and runners do it the same way.

use arrow_array::RecordBatch;

use super::chunk::Part;
use super::evaluations::Evaluations;
use crate::model::{Assignment, Delivery, Offset, PartitionId, Result, RowOffsets, TopicInfo};

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

    /// As [`Self::look`], where stretches without rows are passed until there are some.
    pub(crate) fn next_rows(&mut self, max_rows: usize, max_bytes: usize) -> Result<Option<Part>> {
        while let Some(part) = self.look(max_rows, max_bytes)? {
            if part.batch.num_rows() > 0 {
                return Ok(Some(part));
            }
            self.take(&part);
        }
        Ok(None)
    }

    /// What was passed, as a stretch without rows.
    pub(crate) fn passed(&self) -> Delivery {
        Delivery {
            topic: self.topic.id,
            partition: self.partition,
            first_offset: self.from,
            next_offset: self.at,
            batch: RecordBatch::new_empty(self.topic.output_schema.clone()),
            offsets: RowOffsets::none(),
            encoded: None,
        }
    }

    /// The next rows for whoever keeps his place by himself, in whatever he has passed to get there; none at the end of the
    /// partition, or where this go has found none.
    pub(crate) fn delivery(mut self, max_rows: usize, max_bytes: usize) -> Result<Delivery> {
        let at = Assignment { topic: self.topic.id, partition: self.partition };
        let part = self.next_rows(max_rows, max_bytes)?;
        Ok(part.map_or_else(|| self.passed(), |part| part.delivery(at, self.from)))
    }
}
