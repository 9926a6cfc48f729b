//! How far each partition has been printed, and what of that is to be committed.

use std::collections::BTreeMap;

use millstream_client::Batch;

/// What of a batch is to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The first rows of the batch, so many.
    pub(super) rows: usize,
    /// What to commit once they are printed.
    pub(super) next_offset: u64,
}

/// Next offsets by partition.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Behind the last row printed.
    printed: BTreeMap<u32, u64>,
    /// Printed and not committed.
    due: BTreeMap<u32, u64>,
    /// Where to end, with --until-end.
    ends: BTreeMap<u32, u64>,
}

impl Progress {
    /// Sets where each partition (partition, position, end) begins and ends.
    pub(super) fn end_at(&mut self, partitions: impl Iterator<Item = (u32, u64, u64)>) {
        for (partition, position, end) in partitions {
            self.ends.insert(partition, end);
            self.printed.insert(partition, position);
        }
    }

    /// Whether every partition has been printed to its end. One that another member has taken counts as read by him.
    pub(super) fn is_at_end(&self) -> bool {
        self.ends.iter().all(|(partition, end)| self.printed.get(partition).is_some_and(|next| next >= end))
    }

    /// The rows of a batch that lie before the end, at most `limit` of them.
    pub(super) fn wanted(&self, batch: &Batch, offsets: &[u64], limit: u64) -> Wanted {
        wanted(offsets, batch.next_offset, self.ends.get(&batch.partition).copied(), limit)
    }

    /// Rows of a partition before `next_offset` were printed and flushed.
    pub(super) fn printed(&mut self, partition: u32, next_offset: u64) {
        self.printed.insert(partition, next_offset);
        self.due.insert(partition, next_offset);
    }

    /// The position of a partition is now there, and all rows before it were printed. A partition that came to this
    /// member only now ends at its present end.
    pub(super) fn moved(&mut self, partition: u32, position: u64, end: u64, until_end: bool) {
        if until_end {
            self.ends.entry(partition).or_insert(end);
        }
        let position = position.min(self.ends.get(&partition).copied().unwrap_or(u64::MAX));
        let printed = self.printed.entry(partition).or_insert(position);
        if *printed < position {
            *printed = position;
            self.due.insert(partition, position);
        }
    }

    /// What to commit.
    pub(super) fn due(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.due.iter().map(|(partition, next)| (*partition, *next))
    }

    /// Everything due was committed.
    pub(super) fn committed(&mut self) {
        self.due.clear();
    }

    /// Forgets partitions that are another member's now.
    pub(super) fn keep(&mut self, owned: &[u32]) {
        self.due.retain(|partition, _| owned.contains(partition));
        self.ends.retain(|partition, _| owned.contains(partition));
    }
}

fn wanted(offsets: &[u64], batch_next: u64, end: Option<u64>, limit: u64) -> Wanted {
    let before_end = end.map_or(offsets.len(), |end| offsets.partition_point(|offset| *offset < end));
    let rows = before_end.min(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_offset = if rows == offsets.len() {
        end.map_or(batch_next, |end| batch_next.min(end))
    } else if rows == before_end {
        end.unwrap_or(batch_next)
    } else {
        // Up to the first row that was not printed, over those that the topic leaves out.
        offsets.get(rows).copied().unwrap_or(batch_next)
    };
    Wanted { rows, next_offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_at_the_limit_and_at_the_end() {
        let offsets = [10, 12, 15];
        for (end, limit, rows, next_offset) in [
            (None, 9, 3, 20),
            (None, 3, 3, 20),
            (None, 2, 2, 15),
            (None, 1, 1, 12),
            (Some(20), 9, 3, 20),
            (Some(18), 9, 3, 18),
            (Some(15), 9, 2, 15),
            (Some(14), 9, 2, 14),
            (Some(14), 1, 1, 12),
            (Some(10), 9, 0, 10),
            (Some(99), 9, 3, 20),
        ] {
            assert_eq!(wanted(&offsets, 20, end, limit), Wanted { rows, next_offset }, "end {end:?} limit {limit}");
        }
    }

    #[test]
    fn the_end_is_reached_when_every_partition_is_there() {
        let mut progress = Progress::default();
        progress.end_at([(0, 5, 5), (1, 0, 3)].into_iter());
        assert!(!progress.is_at_end());
        progress.moved(1, 4, 9, true);
        assert!(progress.is_at_end());
        assert_eq!(progress.due().collect::<Vec<_>>(), [(1, 3)]);
        progress.committed();
        assert_eq!(progress.due().count(), 0);
    }

    #[test]
    fn a_partition_of_another_member_is_neither_committed_nor_waited_for() {
        let mut progress = Progress::default();
        progress.end_at([(0, 0, 5), (1, 0, 3)].into_iter());
        progress.printed(0, 5);
        progress.printed(1, 1);
        progress.keep(&[0]);
        assert!(progress.is_at_end());
        assert_eq!(progress.due().collect::<Vec<_>>(), [(0, 5)]);
    }
}
