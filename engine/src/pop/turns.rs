//! Whose turn it is at a partition, and where to look there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Pop;
use crate::model::Offset;
use crate::state::{PopId, PopQueueId};

/// Queues that somebody has taken from since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<PopQueueId, Seat>>);

#[derive(Debug)]
struct Seat {
    taken: bool,
    /// Somebody else has come meanwhile.
    missed: bool,
    /// No hand-out is visible again before this time.
    times_from_us: i64,
    /// Counts how often that was lowered by what was handed out.
    lowered: u64,
    /// No hand-out begins before this offset.
    first_from: Offset,
    /// When the committed offset was last looked for; monotonic.
    floor_looked: Option<Duration>,
}

impl Default for Seat {
    fn default() -> Seat {
        Seat { taken: false, missed: false, times_from_us: i64::MIN, lowered: 0, first_from: 0, floor_looked: None }
    }
}

/// A partition's turn; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    all: Arc<Pop>,
    pop: PopId,
    pub(super) queue: PopQueueId,
    pub(super) times_from_us: i64,
    lowered: u64,
}

impl Turns {
    /// A hand-out is visible again at this time.
    pub(super) fn lower(&self, queue: PopQueueId, visible_us: i64) {
        if let Some(seat) = self.0.lock().get_mut(&queue) {
            seat.times_from_us = seat.times_from_us.min(visible_us);
            seat.lowered += 1;
        }
    }

    pub(super) fn retain(&self, keep: impl Fn(PopQueueId) -> bool) {
        self.0.lock().retain(|queue, _| keep(*queue));
    }

    pub(super) fn times_from(&self, queue: PopQueueId) -> i64 {
        self.0.lock().get(&queue).map_or(i64::MIN, |seat| seat.times_from_us)
    }

    pub(super) fn first_from(&self, queue: PopQueueId) -> Offset {
        self.0.lock().get(&queue).map_or(0, |seat| seat.first_from)
    }

    /// Hand-outs that begin lower have all ended, and none will begin there.
    pub(super) fn raise_first(&self, queue: PopQueueId, first: Offset) {
        if let Some(seat) = self.0.lock().get_mut(&queue) {
            seat.first_from = seat.first_from.max(first);
        }
    }

    /// Whether the committed offset was not looked for in this time; if so, it is now.
    pub(super) fn may_look_for_floor(&self, queue: PopQueueId, now: Duration, every: Duration) -> bool {
        let mut all = self.0.lock();
        let seat = all.entry(queue).or_default();
        let may = seat.floor_looked.is_none_or(|looked| now.saturating_sub(looked) >= every);
        if may {
            seat.floor_looked = Some(now);
        }
        may
    }
}

impl Pop {
    /// `None`: somebody else is at it, and those who wait are told when he is done.
    pub(super) fn turn(self: &Arc<Self>, pop: PopId, queue: PopQueueId) -> Option<Turn> {
        let mut all = self.turns.0.lock();
        let seat = all.entry(queue).or_default();
        if seat.taken {
            seat.missed = true;
            return None;
        }
        seat.taken = true;
        Some(Turn { all: self.clone(), pop, queue, times_from_us: seat.times_from_us, lowered: seat.lowered })
    }
}

impl Turn {
    /// No hand-out is visible again before this time, as far as was seen since the turn began.
    pub(super) fn raise_times(&mut self, from_us: i64) {
        if let Some(seat) = self.all.turns.0.lock().get_mut(&self.queue)
            && seat.lowered == self.lowered
        {
            seat.times_from_us = seat.times_from_us.max(from_us);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let missed = match self.all.turns.0.lock().get_mut(&self.queue) {
            Some(seat) => {
                seat.taken = false;
                std::mem::take(&mut seat.missed)
            }
            None => false,
        };
        if missed {
            self.all.waiting.wake(self.pop, true);
        }
    }
}
