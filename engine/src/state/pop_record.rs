//! What the log says of groups that take messages by pop, and of the messages that they were handed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Offset, PartitionId, TableId};

/// That a group takes a table's messages by pop: the LSN of the record that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct PopId(pub u64);

/// What a group was handed of one partition since it began there, or since its offset was set: the LSN of the record that says so.
/// A new offset is a new queue, so that nothing of the old one counts any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct PopQueueId(pub u64);

/// A group that takes messages by pop, and the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct PopName {
    pub namespace: Arc<str>,
    pub group: Arc<str>,
    pub table: TableId,
}

/// Messages of one partition that were handed out together. Of all that have the same first message each has another number, because
/// a message's next one has a higher number than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct HandOutKey {
    pub queue: PopQueueId,
    pub first: Offset,
    pub number: u32,
}

impl HandOutKey {
    /// Below all of a queue from this offset on.
    pub(crate) fn first_at(queue: PopQueueId, first: Offset) -> HandOutKey {
        HandOutKey { queue, first, number: 0 }
    }
}

/// Those of them that are not acknowledged yet. When their time is over they are handed out again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandOut {
    /// Their distances from the first one, rising.
    pub left: Vec<u32>,
    /// The hashes of their message groups, one each, if they were handed out in order.
    pub groups: Vec<u64>,
    /// How often they were handed out.
    pub attempts: u32,
    /// Times are µs since the Unix epoch. When they were handed out the first time, and this time.
    pub begun_us: i64,
    pub handed_us: i64,
    /// When they are visible again.
    pub visible_us: i64,
}

impl HandOut {
    /// Offsets of those that are left.
    pub(crate) fn offsets(&self, first: Offset) -> impl Iterator<Item = Offset> + '_ {
        self.left.iter().map(move |distance| first.saturating_add(u64::from(*distance)))
    }

    /// Whether all of these are left.
    pub(crate) fn has_all(&self, first: Offset, offsets: &[Offset]) -> bool {
        let is_left = |offset: &Offset| distance(first, *offset).is_some_and(|at| self.left.binary_search(&at).is_ok());
        offsets.iter().all(is_left)
    }

    /// Takes these out, and gives how many that were.
    pub(crate) fn remove(&mut self, first: Offset, offsets: &[Offset]) -> u64 {
        let mut removed = 0;
        for offset in offsets {
            let Some(at) = distance(first, *offset).and_then(|at| self.left.binary_search(&at).ok()) else { continue };
            self.left.remove(at);
            if at < self.groups.len() {
                self.groups.remove(at);
            }
            removed += 1;
        }
        removed
    }
}

fn distance(first: Offset, offset: Offset) -> Option<u32> {
    u32::try_from(offset.checked_sub(first)?).ok()
}

/// Messages that leave what they were handed out with: acknowledged, given up, or handed out anew by the same record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandOutDone {
    pub first: Offset,
    pub number: u32,
    pub offsets: Vec<Offset>,
}

/// Messages that were handed out together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedOut {
    pub first: Offset,
    pub number: u32,
    pub hand_out: HandOut,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PopRecord {
    /// The group takes messages by pop from now on.
    Begun(PopName),
    /// It does not any more, and nothing that it was handed counts.
    Ended(PopId),
    /// It goes on from this offset of the partition, whatever it was handed of it before: that was the queue `before`.
    Set { pop: PopId, partition: PartitionId, before: Option<PopQueueId>, position: Offset },
    /// What was handed out, and what is done with.
    Moved(PopMoved),
}

/// Messages of one queue that were handed out and that are done with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PopMoved {
    pub queue: PopQueueId,
    /// Where what was never handed out began, and begins; the same where none was looked at.
    pub from: Offset,
    pub to: Offset,
    pub done: Vec<HandOutDone>,
    pub handed: Vec<HandedOut>,
}
