//! What one pop has taken so far.

use arrow_array::RecordBatch;

use super::turns::Turn;
use crate::model::{Offset, PartitionId, PopRequest, Popped};
use crate::state::{HandOut, HandOutDone, HandedOut, PopMoved, PopQueueId};

/// Bytes of dead letters that one submission holds, beside the first one.
const DEAD_BYTES: usize = 1 << 20;

/// Messages that retention has deleted and that one submission forgets, about.
const FORGOTTEN: usize = 65_536;

/// Of all partitions that were looked at.
#[derive(Debug)]
pub(super) struct Taking<'a> {
    pub(super) request: &'a PopRequest,
    pub(super) now_us: i64,
    pub(super) turns: Vec<Turn>,
    pub(super) moved: Vec<PopMoved>,
    pub(super) popped: Vec<Popped>,
    /// Rows that become dead letters, and how often they were handed out.
    pub(super) dead: Vec<(RecordBatch, u32)>,
    messages: usize,
    bytes: usize,
    dead_bytes: usize,
    forgotten: usize,
    /// The first message, which is longer than all that was asked for.
    pub(super) too_long: Option<usize>,
    /// When the next of those in flight is visible again, of partitions of which nothing was taken.
    pub(super) next_us: Option<i64>,
}

/// Of one partition.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) partition: PartitionId,
    pub(super) moved: PopMoved,
}

impl<'a> Taking<'a> {
    pub(super) fn new(request: &'a PopRequest, now_us: i64) -> Taking<'a> {
        Taking {
            request,
            now_us,
            turns: Vec::new(),
            moved: Vec::new(),
            popped: Vec::new(),
            dead: Vec::new(),
            messages: 0,
            bytes: 0,
            dead_bytes: 0,
            forgotten: 0,
            too_long: None,
            next_us: None,
        }
    }

    /// How many messages more it may be.
    pub(super) fn left(&self) -> usize {
        self.request.messages.saturating_sub(self.messages)
    }

    pub(super) fn is_full(&self) -> bool {
        let is_wanted = self.left() > 0 && self.bytes < self.request.bytes;
        !is_wanted || self.too_long.is_some() || self.forgotten > FORGOTTEN
    }

    /// So many are not there any more.
    pub(super) fn forgets(&mut self, messages: usize) {
        self.forgotten = self.forgotten.saturating_add(messages);
    }

    /// Whether a message of this size goes along; it counts then.
    pub(super) fn fits(&mut self, bytes: usize) -> bool {
        if self.is_full() {
            return false;
        }
        if self.bytes.saturating_add(bytes) > self.request.bytes {
            if self.messages == 0 && self.dead.is_empty() {
                self.too_long = Some(bytes);
            }
            return false;
        }
        self.bytes += bytes;
        self.messages += 1;
        true
    }

    /// Whether there is room for a dead letter of this size; it counts then.
    pub(super) fn buries(&mut self, bytes: usize) -> bool {
        if self.dead_bytes > 0 && self.dead_bytes.saturating_add(bytes) > DEAD_BYTES {
            return false;
        }
        self.dead_bytes = self.dead_bytes.saturating_add(bytes);
        true
    }

    pub(super) fn invisible_until(&self) -> i64 {
        let invisible = i64::try_from(self.request.invisible.as_micros()).unwrap_or(i64::MAX);
        self.now_us.saturating_add(invisible)
    }

    pub(super) fn wait_until(&mut self, visible_us: i64) {
        self.next_us = Some(self.next_us.map_or(visible_us, |next| next.min(visible_us)));
    }

    /// Hands out messages that lie in the order of their offsets, for the `attempts`th time.
    pub(super) fn hand_out(
        &mut self,
        taken: &mut Taken,
        (number, attempts, begun_us): (u32, u32, i64),
        offsets: Vec<Offset>,
        groups: Vec<u64>,
        rows: RecordBatch,
    ) {
        let Some(first) = offsets.first().copied() else { return };
        let (handed_us, visible_us) = (self.now_us, self.invisible_until());
        let left = offsets.iter().map(|offset| u32::try_from(offset - first).unwrap_or(u32::MAX)).collect();
        let hand_out = HandOut { left, groups, attempts, begun_us, handed_us, visible_us };
        taken.moved.handed.push(HandedOut { first, number, hand_out });
        let partition = taken.partition;
        self.popped.push(Popped { partition, offsets, rows, attempts, begun_us, handed_us, visible_us, first, number });
    }
}

impl Taken {
    pub(super) fn new(queue: PopQueueId, partition: PartitionId, position: Offset) -> Taken {
        let moved = PopMoved { queue, from: position, to: position, done: Vec::new(), handed: Vec::new() };
        Taken { partition, moved }
    }

    pub(super) fn done(&mut self, first: Offset, number: u32, offsets: Vec<Offset>) {
        if !offsets.is_empty() {
            self.moved.done.push(HandOutDone { first, number, offsets });
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.moved.from == self.moved.to && self.moved.done.is_empty() && self.moved.handed.is_empty()
    }
}
