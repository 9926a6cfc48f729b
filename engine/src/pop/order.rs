//! Which messages may be handed out in order.

use std::collections::{BTreeMap, BTreeSet};

use super::Pop;
use crate::model::{Offset, Result};
use crate::state::PopQueueId;

/// Messages of each message group in flight, those that were handed out in order.
#[derive(Debug, Default)]
pub(super) struct Order {
    in_flight: BTreeMap<u64, BTreeSet<Offset>>,
}

impl Order {
    /// Whether none of the group is in flight.
    pub(super) fn is_free(&self, group: u64) -> bool {
        !self.in_flight.contains_key(&group)
    }

    /// Whether none before it is in flight.
    pub(super) fn is_next(&self, group: u64, offset: Offset) -> bool {
        self.in_flight.get(&group).and_then(BTreeSet::first).is_none_or(|first| *first >= offset)
    }

    /// It goes out with what is handed out now: those behind it may go with it.
    pub(super) fn goes(&mut self, group: u64, offset: Offset) {
        if let Some(offsets) = self.in_flight.get_mut(&group) {
            offsets.remove(&offset);
            // The group stays: what is new of it comes with another answer.
        }
    }
}

impl Pop {
    pub(super) fn order(&self, queue: PopQueueId) -> Result<Order> {
        let mut order = Order::default();
        let reader = self.ledger().state.read().hand_outs();
        reader.scan(queue, self.turns.first_from(queue), |key, hand_out| {
            for (offset, group) in hand_out.offsets(key.first).zip(&hand_out.groups) {
                order.in_flight.entry(*group).or_default().insert(offset);
            }
            Ok(true)
        })?;
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_waits_for_what_is_before() {
        let mut order = Order::default();
        order.in_flight.insert(7, BTreeSet::from([3, 5]));
        assert!(order.is_free(8) && !order.is_free(7));
        assert!(order.is_next(7, 3) && !order.is_next(7, 5) && order.is_next(8, 1));
        order.goes(7, 3);
        assert!(order.is_next(7, 5) && !order.is_free(7));
    }
}
