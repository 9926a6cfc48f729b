//! Groups that take messages by pop: which, how far they are in each partition, and what they were handed and have not
//! acknowledged. The first two are in memory, the last is paged: by its first message, and by the time at which it is visible again.
//!
//! A hand-out's time is in this family and not among the due times ([`super::due`]): those are removed by whoever has claimed them, one
//! at a time, and acknowledgements come in many at once. Nothing has to happen when the time is over, but that whoever pops next finds it.

mod admit;
mod entries;
mod reader;
mod stored;

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::changed::Changed;
use super::family::{Family, Fold};
use super::paged::Paged;
use crate::model::{Lsn, Offset, PartitionId, Result, TableId};
use crate::state::{Change, HandOutKey, PopId, PopMoved, PopName, PopQueueId, PopRecord, Record};

pub(crate) use admit::PopQueueStands;
use entries::HandOutTime;
pub(super) use entries::{HandOutTimes, HandOuts};
pub(crate) use reader::HandOutReader;

/// How far a group is in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PopQueue {
    pub pop: PopId,
    pub partition: PartitionId,
    /// Nothing from here on was handed out yet.
    pub position: Offset,
    /// Messages that were handed out and not acknowledged.
    pub in_flight: u64,
}

/// All groups'.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Pops {
    names: BTreeMap<PopId, PopName>,
    ids: BTreeMap<PopName, PopId>,
    queues: BTreeMap<PopQueueId, PopQueue>,
    /// Each one's queue of now.
    by_place: BTreeMap<(PopId, PartitionId), PopQueueId>,
    hand_outs: Paged<HandOuts>,
    times: Paged<HandOutTimes>,
    unwritten: Changed<Entry>,
}

/// One entry of the state store that is no paged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Entry {
    Name(PopId),
    Queue(PopQueueId),
}

impl Pops {
    pub(super) fn id(&self, name: &PopName) -> Option<PopId> {
        self.ids.get(name).copied()
    }

    pub(super) fn name(&self, id: PopId) -> Option<&PopName> {
        self.names.get(&id)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (PopId, &PopName)> {
        self.names.iter().map(|(id, name)| (*id, name))
    }

    pub(super) fn queue(&self, id: PopQueueId) -> Option<&PopQueue> {
        self.queues.get(&id)
    }

    pub(super) fn queue_at(&self, pop: PopId, partition: PartitionId) -> Option<(PopQueueId, &PopQueue)> {
        let id = self.by_place.get(&(pop, partition))?;
        Some((*id, self.queues.get(id)?))
    }

    pub(super) fn reader(&self) -> HandOutReader {
        HandOutReader { hand_outs: self.hand_outs.reader(), times: self.times.reader() }
    }

    /// For whoever has them read ahead.
    pub(super) fn stored(&self) -> Paged<HandOuts> {
        self.hand_outs.reader()
    }

    fn begin(&mut self, id: PopId, name: &PopName) {
        self.ids.insert(name.clone(), id);
        self.names.insert(id, name.clone());
        self.unwritten.mark(Entry::Name(id));
    }

    fn put_queue(&mut self, id: PopQueueId, queue: PopQueue) {
        self.by_place.insert((queue.pop, queue.partition), id);
        self.queues.insert(id, queue);
        self.unwritten.mark(Entry::Queue(id));
    }

    /// Nothing that was handed out of it counts any more.
    fn forget_queue(&mut self, id: PopQueueId) {
        let Some(queue) = self.queues.remove(&id) else { return };
        if self.by_place.get(&(queue.pop, queue.partition)) == Some(&id) {
            self.by_place.remove(&(queue.pop, queue.partition));
        }
        self.hand_outs.make_void(id.0);
        self.times.make_void(id.0);
        self.unwritten.mark(Entry::Queue(id));
    }

    fn end(&mut self, id: PopId) {
        let Some(name) = self.names.remove(&id) else { return };
        self.ids.remove(&name);
        self.unwritten.mark(Entry::Name(id));
        let all = (Bound::Included((id, PartitionId::MIN)), Bound::Included((id, PartitionId::MAX)));
        let queues: Vec<PopQueueId> = self.by_place.range(all).map(|(_, queue)| *queue).collect();
        queues.into_iter().for_each(|queue| self.forget_queue(queue));
    }

    fn end_all(&mut self, is_meant: impl Fn(&PopName) -> bool) {
        let meant: Vec<PopId> = self.names().filter(|(_, name)| is_meant(name)).map(|(id, _)| id).collect();
        meant.into_iter().for_each(|id| self.end(id));
    }

    fn moved(&mut self, moved: &PopMoved) -> Result<()> {
        let Some(queue) = self.queues.get_mut(&moved.queue) else { return Ok(()) };
        queue.position = queue.position.max(moved.to);
        self.unwritten.mark(Entry::Queue(moved.queue));
        let (mut gone, mut come) = (0_u64, 0_u64);
        // First, so that who reads meanwhile finds each message that is in flight.
        for handed in &moved.handed {
            let key = HandOutKey { queue: moved.queue, first: handed.first, number: handed.number };
            come += handed.hand_out.left.len() as u64;
            self.times.put(&HandOutTime::of(&key, handed.hand_out.visible_us), Some(()));
            self.hand_outs.put(&key, Some(handed.hand_out.clone()));
        }
        for done in &moved.done {
            let key = HandOutKey { queue: moved.queue, first: done.first, number: done.number };
            let ended = self.hand_outs.edit(&key, |entry| {
                let hand_out = entry.as_mut()?;
                gone += hand_out.remove(done.first, &done.offsets);
                let visible_us = hand_out.visible_us;
                if !hand_out.left.is_empty() {
                    return None;
                }
                *entry = None;
                Some(visible_us)
            })?;
            if let Some(visible_us) = ended {
                self.times.put(&HandOutTime::of(&key, visible_us), None);
            }
        }
        if let Some(queue) = self.queues.get_mut(&moved.queue) {
            queue.in_flight = queue.in_flight.saturating_add(come).saturating_sub(gone);
        }
        Ok(())
    }

    fn fold(&mut self, fold: &Fold<'_>, record: &PopRecord) -> Result<()> {
        match record {
            // A table that is gone has no messages.
            PopRecord::Begun(name) if fold.catalog.table(name.table).is_some() => {
                self.begin(PopId(fold.context.lsn.0), name);
            }
            PopRecord::Begun(_) => {}
            PopRecord::Ended(id) => self.end(*id),
            PopRecord::Set { pop, partition, position, .. } if self.names.contains_key(pop) => {
                if let Some(before) = self.by_place.get(&(*pop, *partition)).copied() {
                    self.forget_queue(before);
                }
                let queue = PopQueue { pop: *pop, partition: *partition, position: *position, in_flight: 0 };
                self.put_queue(PopQueueId(fold.context.lsn.0), queue);
            }
            PopRecord::Set { .. } => {}
            PopRecord::Moved(moved) => return self.moved(moved),
        }
        Ok(())
    }
}

impl Family for Pops {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        match record {
            Record::Pop(pop) => return self.fold(fold, pop),
            Record::Change(change) => match change.as_ref() {
                Change::TableDropped { table } => self.end_all(|name| name.table == *table),
                Change::GroupDropped { namespace, group } => {
                    self.end_all(|name| *name.namespace == **namespace && *name.group == **group);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Pops {
            names: self.names.clone(),
            ids: self.ids.clone(),
            queues: self.queues.clone(),
            by_place: self.by_place.clone(),
            hand_outs: self.hand_outs.ahead(),
            times: self.times.ahead(),
            unwritten: Changed::untracked(),
        }
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.hand_outs.end_commit(last, applied);
        self.times.end_commit(last, applied);
    }
}

impl Pops {
    /// Those of a group, with their tables.
    pub(super) fn of_group<'a>(&'a self, namespace: &str, group: &str) -> impl Iterator<Item = (PopId, TableId)> + 'a {
        let first = PopName { namespace: namespace.into(), group: group.into(), table: TableId(0) };
        let last = PopName { table: TableId(u64::MAX), ..first.clone() };
        self.ids.range(first..=last).map(|(name, id)| (*id, name.table))
    }
}
