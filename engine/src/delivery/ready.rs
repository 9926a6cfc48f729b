//! Rows that lie in memory. A member takes those of tables' own topics under the lock of its group, at one look at the state, so that a
//! call that finds them takes each lock once. What may wait is read without the lock, by `fetch.rs`: files and segments, rows that are
//! evaluated or not due yet, and where a partition's reading begins.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use super::coordinator::Coordinator;
use super::group::{MemberState, Owned};
use crate::evaluation::{Part, identity_in_memory};
use crate::model::{Assignment, Delivery, Offset, Result, TableInfo, TopicId, TopicInfo, TopicSource};
use crate::state::{PartitionState, State};

/// What a delivery may take. The first one may take more, if that is what one row of the table gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub rows: usize,
    pub bytes: usize,
    pub first: bool,
}

/// Where to read, as it stood under the group's lock.
#[derive(Debug)]
pub(super) struct Pick {
    pub at: Assignment,
    pub topic: Arc<TopicInfo>,
    pub position: Option<Offset>,
    /// Of the ownership.
    pub stamp: u64,
}

/// What is next of a member's partitions.
#[derive(Debug)]
pub(super) enum Ready {
    /// With its bytes. The position lies behind it.
    Delivery(Box<Delivery>, usize),
    /// There are rows, more than the budget.
    Full,
    /// It is the turn of a partition whose rows are not taken here.
    Elsewhere(Pick),
    /// No partition has rows.
    Nothing,
}

/// Partitions of a member that have rows, in the order of their turns. Made and used up under one hold of the group's lock.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    delivery: &'a Coordinator,
    /// Of this topic alone.
    topic: Option<TopicId>,
    /// How many one look at the state takes up at most; each of them has its turn before the next look.
    at_once: usize,
    waiting: VecDeque<Turn>,
    looked: Option<Looked>,
}

#[derive(Debug)]
struct Turn {
    at: Assignment,
    start: Offset,
    end: Offset,
    /// Where readers of the topic get the table's rows as they are, and as they come.
    table: Option<Arc<TableInfo>>,
}

/// What the last look at the state has found.
#[derive(Debug, Clone, Copy)]
struct Looked {
    /// No partition with rows was left out.
    complete: bool,
    version: Option<u32>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(delivery: &'a Coordinator, topic: Option<TopicId>, at_once: usize) -> Turns<'a> {
        Turns { delivery, topic, at_once, waiting: VecDeque::new(), looked: None }
    }

    /// The version of the topic's columns when the state was looked at; `None` where it was not, or one topic was not asked for, or
    /// that was gone.
    pub(super) fn version(&self) -> Option<u32> {
        self.looked?.version
    }

    /// The next rows of the partition whose turn it is.
    pub(super) fn next(&mut self, member: &mut MemberState, budget: Budget) -> Result<Ready> {
        loop {
            let complete = self.looked.is_some_and(|looked| looked.complete);
            let Some(turn) = self.waiting.pop_front() else {
                if complete {
                    return Ok(Ready::Nothing);
                }
                self.look(member)?;
                continue;
            };
            let (Some(owned), Some(topic)) = (member.owned.get_mut(&turn.at), member.topics.get(&turn.at.topic)) else {
                continue;
            };
            if owned.position == Some(turn.end) {
                continue;
            }
            let Some((position, part)) = self.in_memory(&turn, owned, budget) else {
                return Ok(Ready::Elsewhere(Pick::new(turn.at, owned, topic)));
            };
            if !budget.first && (part.bytes > budget.bytes || part.batch.num_rows() > budget.rows) {
                return Ok(Ready::Full);
            }
            owned.position = Some(part.next);
            member.served = Some(turn.at);
            let (bytes, delivery) = (part.bytes, part.delivery(turn.at, position));
            if complete {
                self.waiting.push_back(turn);
            }
            return Ok(Ready::Delivery(Box::new(delivery), bytes));
        }
    }

    fn in_memory(&self, turn: &Turn, owned: &Owned, budget: Budget) -> Option<(Offset, Part)> {
        let table = turn.table.as_ref()?;
        let position = owned.position.filter(|position| (turn.start..turn.end).contains(position))?;
        let chunk = identity_in_memory(&self.delivery.tables, table, turn.at.partition, position)?;
        let part = chunk.part(position, Offset::MAX, budget.rows, budget.bytes);
        (part.next > position).then_some((position, part))
    }

    fn look(&mut self, member: &MemberState) -> Result<()> {
        let ledger = &self.delivery.ledger;
        let state = ledger.state.read();
        // Whoever was let in before may have waited for the lock.
        ledger.check_whole()?;
        let replays = member.core.config.replay;
        let mut turns = with_rows(member, &state, self.topic).map(|(at, _, topic, partition)| {
            let table = state.table(topic.table).filter(|table| !replays && is_as_stored(topic, table));
            let (start, end) = partition.map_or((0, 0), |partition| (partition.start, partition.end));
            Turn { at, start, end, table: table.cloned() }
        });
        self.waiting.extend(turns.by_ref().take(self.at_once));
        let complete = turns.next().is_none();
        let version = self.topic.and_then(|topic| state.topic(topic)).map(|topic| topic.base_version());
        self.looked = Some(Looked { complete, version });
        Ok(())
    }
}

impl Pick {
    pub(super) fn new(at: Assignment, owned: &Owned, topic: &Arc<TopicInfo>) -> Pick {
        Pick { at, topic: topic.clone(), position: owned.position, stamp: owned.stamp }
    }
}

type WithRows<'a> = (Assignment, &'a Owned, &'a Arc<TopicInfo>, Option<&'a PartitionState>);

/// Partitions that may have rows, of one topic or all, beginning with the one after that which was served last.
pub(super) fn with_rows<'a>(
    member: &'a MemberState,
    state: &'a State,
    topic: Option<TopicId>,
) -> impl Iterator<Item = WithRows<'a>> {
    let after = member.served.map_or(Bound::Unbounded, Bound::Excluded);
    let up_to = member.served.map_or(Bound::Excluded(Assignment { topic: TopicId(0), partition: 0 }), Bound::Included);
    let turns = member.owned.range((after, Bound::Unbounded)).chain(member.owned.range((Bound::Unbounded, up_to)));
    turns.filter_map(move |(at, owned)| {
        if owned.paused || topic.is_some_and(|topic| topic != at.topic) {
            return None;
        }
        let topic = member.topics.get(&at.topic)?;
        let partition = state.partition(topic.table, at.partition);
        let end = partition.map_or(0, |partition| partition.end);
        owned.position.is_none_or(|position| position != end).then_some((*at, owned, topic, partition))
    })
}

/// Whether readers who were told of the topic get rows with all columns that the table has.
fn is_as_stored(topic: &TopicInfo, table: &TableInfo) -> bool {
    topic.source == TopicSource::Identity && topic.table_schema_version == table.schema_version()
}
