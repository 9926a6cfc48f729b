//! A group begins to pop, and ends it; and begins in a partition.

use tokio::sync::watch;

use super::{Pop, check_messages, name};
use crate::cursor::offset_at;
use crate::model::{Error, PartitionId, PopStart, Result, TableId, TableInfo, TopicId};
use crate::state::{GroupKey, OffsetsRecord, PopId, PopName, PopQueueId, PopRecord, Record, Submission};

/// How often something is tried that others may get ahead of.
const ATTEMPTS: usize = 16;

impl Pop {
    /// The group, which is recorded already, takes the table's messages by pop from now on. Waits for the log.
    pub(crate) fn begin(&self, namespace: &str, group: &str, table: &TableInfo) -> Result<PopId> {
        check_messages(table)?;
        let name = name(namespace, group, table.id);
        for _ in 0..ATTEMPTS {
            if let Some(pop) = self.ledger().state.read().pop(&name) {
                return Ok(pop);
            }
            let begun = Submission::of([PopRecord::Begun(name.clone())]);
            match self.ledger().log.submit(begun)?.wait() {
                // Or somebody was faster.
                Ok(_) | Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Busy(format!("consumer group {group:?} begins and ends to pop over and over")))
    }

    /// It does not any more: others of the group go on at what is committed. Waits for the log.
    pub(crate) fn end(&self, pop: PopId) -> Result<()> {
        match self.ledger().log.submit(Submission::of([PopRecord::Ended(pop)]))?.wait() {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Changes whenever there may be messages for the group that are not new.
    pub(crate) fn watch(&self, pop: PopId, in_order: bool) -> watch::Receiver<u64> {
        self.waiting.subscribe(pop, in_order)
    }

    /// Whether there may be messages for the group, those that it does not want included; and when the next one of those in flight is
    /// visible again.
    pub(crate) fn may_take(
        &self,
        pop: PopId,
        table: &TableInfo,
        partition: Option<PartitionId>,
    ) -> Result<(bool, Option<i64>)> {
        let now_us = self.ledger().log.time().now_us();
        let mut next_us: Option<i64> = None;
        for at in (0..table.options.partitions).filter(|at| partition.is_none_or(|only| only == *at)) {
            let (_, end) = self.bounds(table.id, at)?;
            let (queue, reader) = {
                let state = self.ledger().state.read();
                let Some((queue, place)) = state.pop_queue(pop, at) else { return Ok((true, None)) };
                if place.position < end {
                    return Ok((true, None));
                }
                (queue, state.hand_outs())
            };
            reader.times(queue, self.turns.times_from(queue), |time| {
                next_us = Some(next_us.map_or(time.visible_us, |next| next.min(time.visible_us)));
                Ok(false)
            })?;
        }
        Ok((next_us.is_some_and(|next| next <= now_us), next_us))
    }

    /// The queue of a partition; the group begins there if it has not: at what is committed, or where `start` says. May wait for the log.
    pub(super) fn queue(&self, pop: PopId, partition: PartitionId, start: PopStart) -> Result<PopQueueId> {
        for _ in 0..ATTEMPTS {
            let (name, committed) = {
                let state = self.ledger().state.read();
                if let Some((queue, _)) = state.pop_queue(pop, partition) {
                    return Ok(queue);
                }
                let name = state.pop_name(pop).cloned().ok_or_else(ended)?;
                let committed = state.committed(&key(&name), TopicId(name.table.0), partition);
                (name, committed)
            };
            let (first, end) = self.bounds(name.table, partition)?;
            let position = match (committed, start) {
                (Some(committed), _) => committed.max(first),
                (None, PopStart::Earliest) => first,
                (None, PopStart::Latest { unless_new_since_us }) => {
                    let is_new =
                        first == 0 && offset_at(&self.tables, name.table, partition, unless_new_since_us)? == 0;
                    if is_new { first } else { end }
                }
            };
            let set = PopRecord::Set { pop, partition, before: None, position };
            let entries = vec![(TopicId(name.table.0), partition, position)];
            let records = [Record::from(set), Record::from(OffsetsRecord { group: key(&name), entries })];
            match self.ledger().log.submit(Submission::of(records))?.wait() {
                Ok(_) | Err(Error::Fenced(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Busy(format!("the offset in partition {partition} is set over and over")))
    }

    pub(super) fn bounds(&self, table: TableId, partition: PartitionId) -> Result<(u64, u64)> {
        let state = self.ledger().state.read();
        let found = state.partition(table, partition);
        let missing = || Error::NotFound { what: "partition", name: partition.to_string() };
        found.map(|found| (found.start, found.end)).ok_or_else(missing)
    }
}

/// What the group's committed offsets are kept under.
pub(super) fn key(name: &PopName) -> GroupKey {
    GroupKey { namespace: name.namespace.clone(), group: name.group.clone(), client: None }
}

pub(super) fn ended() -> Error {
    Error::Fenced("the consumer group does not pop any more".to_owned())
}
