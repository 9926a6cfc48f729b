//! Messages that a group takes by pop.

use std::time::Duration;

use arrow_array::RecordBatch;

use crate::model::{Offset, PartitionId, TableId};

/// The longest time for which a message is invisible once it was handed out.
pub const MAX_INVISIBLE: Duration = Duration::from_secs(12 * 3_600);
/// The shortest time for which it is handed out. It may be given back before.
pub const MIN_INVISIBLE: Duration = Duration::from_secs(1);
/// Messages of one pop, at most.
pub const MAX_POPPED: usize = 1_024;

/// Where a group begins in partitions on which it has committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopStart {
    Earliest,
    /// At the end; but at the start where the partition has all rows that it ever had, and all were appended since this time (µs
    /// since the Unix epoch): what was sent just before the first consumer came is consumed.
    Latest {
        unless_new_since_us: i64,
    },
}

/// What a consumer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PopRequest {
    pub namespace: String,
    pub group: String,
    pub table: TableId,
    /// `None`: all of them, each in its turn.
    pub partition: Option<PartitionId>,
    /// At most 1,024.
    pub messages: usize,
    /// Of all messages, as [`PopChoice::bytes`] counts them.
    pub bytes: usize,
    /// For how long nobody else is handed them; 1 s to 12 h.
    pub invisible: Duration,
    /// What was handed out so often and is not acknowledged becomes a dead letter, unless another number is set for the group.
    pub max_attempts: u32,
    /// Messages of one message group are handed out in their order, and none while one before it is in flight.
    pub in_order: bool,
    pub start: PopStart,
    /// The consumer that keeps them for as long as it is there, by the id that it is heard of with; its messages are given back when it
    /// has gone, at most 30 s after it was heard of no more. `None`: they wait for their time.
    pub kept_by: Option<String>,
}

/// Which messages a consumer takes, and what room they need with it.
pub trait PopChoice {
    /// Which of these rows it takes; of more than `most` the first ones count. They are of one partition and follow each other from offset `first` on; their
    /// columns are those of messages, and when they were appended.
    fn choose(
        &mut self,
        partition: PartitionId,
        first: Offset,
        rows: &RecordBatch,
        most: usize,
    ) -> crate::model::Result<Chosen>;

    /// Bytes of one row, with all that is sent of it.
    fn bytes(&self, rows: &RecordBatch, row: usize) -> crate::model::Result<usize>;
}

/// What a [`PopChoice`] takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Rows, rising.
    pub rows: Vec<usize>,
    /// One past the last row that was looked at: those before it that were not chosen are passed over.
    pub looked_at: usize,
    /// Nothing behind that is to be looked at now.
    pub ends: bool,
}

/// Messages of one partition that were handed out together.
#[derive(Debug, Clone)]
pub struct Popped {
    pub partition: PartitionId,
    /// A receipt of each is [`Popped::receipt`].
    pub offsets: Vec<Offset>,
    /// One row each: the columns of messages, and when they were appended.
    pub rows: RecordBatch,
    /// How often they were handed out, this time included.
    pub attempts: u32,
    /// Times are µs since the Unix epoch. The first time they were handed out.
    pub begun_us: i64,
    pub handed_us: i64,
    pub visible_us: i64,
    pub first: Offset,
    pub number: u32,
}

impl Popped {
    /// What the message at an offset is acknowledged with.
    pub fn receipt(&self, offset: Offset) -> PopReceipt {
        let handed_ms = self.handed_us.div_euclid(1_000);
        PopReceipt { partition: self.partition, offset, first: self.first, number: self.number, handed_ms }
    }
}

/// Names one message as it was handed out. Of no use once it is handed out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PopReceipt {
    pub partition: PartitionId,
    pub offset: Offset,
    /// What it was handed out with.
    pub first: Offset,
    pub number: u32,
    /// When, in ms since the Unix epoch.
    pub handed_ms: i64,
}

/// What a receipt was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopAcked {
    /// The message is acknowledged, now or before.
    Done,
    /// It was handed out again since: whoever has it now says what becomes of it. Or it was never handed out.
    Stale,
}

/// Messages of one partition that were handed out together and not all acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    pub namespace: String,
    pub group: String,
    pub table: TableId,
    pub partition: PartitionId,
    /// Of those that are left.
    pub first_offset: Offset,
    pub messages: usize,
    pub attempts: u32,
    pub in_order: bool,
    /// µs since the Unix epoch.
    pub begun_us: i64,
    pub handed_us: i64,
    pub visible_us: i64,
}
