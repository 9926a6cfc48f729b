//! What may be said of pops. Whoever hands out or acknowledges says what he has found; the writer takes it if it still is so.

use std::collections::BTreeSet;

use super::super::codec;
use super::super::earlier::Earlier;
use super::super::family::{Ahead, Condition, RecordKind};
use super::Pops;
use crate::model::{Error, Offset, Result};
use crate::state::partition::PartitionState;
use crate::state::{HandOutKey, PopMoved, PopName, PopQueueId, PopRecord};

impl RecordKind for PopRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        // Ids and times take at most ten bytes each, distances five.
        Ok(match self {
            PopRecord::Begun(name) => name.namespace.len() + name.group.len() + 40,
            PopRecord::Ended(_) | PopRecord::Set { .. } => 64,
            PopRecord::Moved(moved) => {
                let done = moved.done.iter().map(|done| done.offsets.len() * 10 + 32);
                let handed = moved.handed.iter().map(|handed| handed.hand_out.left.len() * 16 + 96);
                done.sum::<usize>() + handed.sum::<usize>() + 64
            }
        })
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, _earlier: &mut Earlier<'a>) -> Result<()> {
        let pops = ahead.get::<Pops>()?;
        match self {
            PopRecord::Begun(name) => {
                ahead.catalog().known_table(name.table)?;
                match pops.id(name) {
                    None => Ok(()),
                    Some(_) => {
                        Err(Error::AlreadyExists { what: "pop of consumer group", name: name.group.to_string() })
                    }
                }
            }
            PopRecord::Ended(id) => pops.name(*id).map(drop).ok_or_else(|| Error::gone("pop of the consumer group")),
            PopRecord::Set { pop, partition, before, position } => {
                let name = pops.name(*pop).ok_or_else(|| Error::gone("pop of the consumer group"))?;
                if pops.queue_at(*pop, *partition).map(|(id, _)| id) != *before {
                    return Err(Error::Fenced(format!(
                        "the offset of group {:?} in partition {partition} was set meanwhile",
                        name.group
                    )));
                }
                let PartitionState { start, end, .. } = *ahead.catalog().known_partition(name.table, *partition)?;
                match *position <= end {
                    true => Ok(()),
                    false => Err(Error::OffsetOutOfRange { partition: *partition, offset: *position, start, end }),
                }
            }
            PopRecord::Moved(moved) => moved.admit(ahead, pops),
        }
    }

    fn is_bulk(&self) -> bool {
        matches!(self, PopRecord::Moved(moved) if !moved.handed.is_empty())
    }
}

impl PopMoved {
    fn admit(&self, ahead: &dyn Ahead, pops: &Pops) -> Result<()> {
        let queue = pops.queue(self.queue).ok_or_else(set_meanwhile)?;
        let PopName { table, .. } = pops.name(queue.pop).ok_or_else(set_meanwhile)?;
        if self.from != self.to {
            if queue.position != self.from {
                let position = queue.position;
                return Err(Error::Fenced(format!("handed out is up to offset {position}, not {}", self.from)));
            }
            let PartitionState { start, end, .. } = *ahead.catalog().known_partition(*table, queue.partition)?;
            if self.to < self.from || self.to > end {
                return Err(Error::OffsetOutOfRange { partition: queue.partition, offset: self.to, start, end });
            }
        }
        let mut free: BTreeSet<Offset> = BTreeSet::new();
        for done in &self.done {
            let key = HandOutKey { queue: self.queue, first: done.first, number: done.number };
            let found = pops.hand_outs.get(&key)?;
            if !found.is_some_and(|hand_out| hand_out.has_all(done.first, &done.offsets)) {
                return Err(Error::Fenced(format!(
                    "messages handed out from offset {} on are acknowledged or were handed out again",
                    done.first
                )));
            }
            for offset in &done.offsets {
                if !free.insert(*offset) {
                    return Err(Error::Internal(format!("a record is done with offset {offset} twice")));
                }
            }
        }
        for handed in &self.handed {
            let is_free = |offset: Offset| free.remove(&offset) || (self.from..self.to).contains(&offset);
            if !handed.hand_out.offsets(handed.first).all(is_free) {
                return Err(Error::Internal(format!(
                    "messages from offset {} on are handed out, and some are in other hands",
                    handed.first
                )));
            }
        }
        Ok(())
    }
}

fn set_meanwhile() -> Error {
    Error::Fenced(
        "the group's offset was set, or the group has stopped to pop: nothing handed out before counts".to_owned(),
    )
}

/// The group's offset was not set since, nor has it stopped to pop.
#[derive(Debug, Clone)]
pub(crate) struct PopQueueStands {
    pub queue: PopQueueId,
}

impl Condition for PopQueueStands {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        ahead.get::<Pops>()?.queue(self.queue).map(drop).ok_or_else(set_meanwhile)
    }
}
