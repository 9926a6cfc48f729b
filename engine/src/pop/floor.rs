//! What a group that pops has committed: all below the lowest message in flight.

use std::time::Duration;

use super::Pop;
use super::begin::key;
use crate::model::{Offset, Result, TopicId};
use crate::state::{OffsetsRecord, PopQueueId, PopQueueStands, Submission};

/// How often the lowest message in flight is looked for while there are some.
const EVERY: Duration = Duration::from_millis(100);

impl Pop {
    /// Commits what is below the lowest message in flight. Where some are in flight that is looked up, which may wait for the disk, but
    /// not all the time; `may_look` is whether it may be at all.
    pub(super) fn settle_floor(&self, queue: PopQueueId, may_look: bool) -> Result<()> {
        let _in_order = self.floors.lock();
        let (name, place, topic) = {
            let state = self.ledger().state.read();
            let Some(place) = state.pop_queue_by_id(queue).copied() else { return Ok(()) };
            let Some(name) = state.pop_name(place.pop).cloned() else { return Ok(()) };
            let topic = TopicId(name.table.0);
            (name, place, topic)
        };
        let floor = match place.in_flight {
            0 => place.position,
            _ if may_look && self.turns.may_look_for_floor(queue, self.ledger().options.clock.monotonic(), EVERY) => {
                self.lowest(queue)?.unwrap_or(place.position)
            }
            _ => return Ok(()),
        };
        let committed = self.ledger().state.read().committed(&key(&name), topic, place.partition);
        if committed.is_some_and(|committed| committed >= floor) {
            return Ok(());
        }
        let entries = vec![(topic, place.partition, floor)];
        let mut commit = Submission::of([OffsetsRecord { group: key(&name), entries }]);
        commit.preconditions.push(PopQueueStands { queue }.into());
        // Small; whether it is taken shows the next time.
        drop(self.ledger().log.enqueue(commit)?.keep());
        Ok(())
    }

    /// The lowest message in flight.
    fn lowest(&self, queue: PopQueueId) -> Result<Option<Offset>> {
        let reader = self.ledger().state.read().hand_outs();
        let (mut first, mut lowest) = (None, None::<Offset>);
        reader.scan(queue, self.turns.first_from(queue), |key, hand_out| {
            first.get_or_insert(key.first);
            // Those that begin higher have nothing that is lower.
            if lowest.is_some_and(|lowest| lowest <= key.first) {
                return Ok(false);
            }
            let own = hand_out.offsets(key.first).next();
            lowest = [lowest, own].into_iter().flatten().min();
            Ok(true)
        })?;
        if let Some(first) = first {
            self.turns.raise_first(queue, first);
        }
        Ok(lowest)
    }
}
