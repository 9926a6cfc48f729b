//! The next rows of one partition, in fair turn, wherever they lie.

use std::collections::BTreeSet;
use std::time::Duration;

use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::positions;
use super::ready::{Budget, Pick, Ready, Turns, with_rows};
use crate::evaluation::Parts;
use crate::model::{Assignment, Delivery, Error, Offset, Result, TopicId};

/// What was found.
#[derive(Debug)]
pub(super) enum Fetched {
    /// With its bytes.
    Delivery(Box<Delivery>, usize),
    /// There are rows, more than the budget.
    Full,
    /// No partition has rows that are due: in a replay, or while plugins are held back, they may be later.
    Nothing { due_in: Option<Duration> },
}

/// What the member's assignment was when rows were taken under it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakenUnder {
    pub generation: u64,
    /// The version of the topic's columns then; `None` if it was gone.
    pub version: Option<u32>,
}

/// The next rows of one topic under the assignment as it now stands, which is taken up and, if it `tells`, known by whoever asks. Where one
/// hold of the group's lock was enough, it is said what that assignment was.
pub(super) fn one(
    delivery: &Coordinator,
    core: &MemberCore,
    topic: TopicId,
    budget: Budget,
    tells: bool,
) -> Result<(Fetched, Option<TakenUnder>)> {
    let pick = {
        let mut inner = core.look(delivery)?;
        let generation = inner.generation;
        let member = core.state(&mut inner)?;
        member.acknowledged = generation;
        let mut turns = Turns::new(delivery, Some(topic), 1);
        let ready = turns.next(member, budget)?;
        if tells && !matches!(ready, Ready::Elsewhere(_)) {
            member.reported = generation;
        }
        let under = Some(TakenUnder { generation, version: turns.version() });
        match ready {
            Ready::Delivery(delivery, bytes) => return Ok((Fetched::Delivery(delivery, bytes), under)),
            Ready::Full => return Ok((Fetched::Full, under)),
            Ready::Nothing => return Ok((Fetched::Nothing { due_in: None }, under)),
            Ready::Elsewhere(pick) => pick,
        }
    };
    Ok((next(delivery, core, Some(pick), Some(topic), budget)?, None))
}

/// The next rows of a partition whose turn it is, first of the one that was picked. Reading and evaluating happen outside of the group's
/// lock; if the partition was taken away or sought meanwhile, what was read is thrown away.
pub(super) fn next(
    delivery: &Coordinator,
    core: &MemberCore,
    mut picked: Option<Pick>,
    topic: Option<TopicId>,
    budget: Budget,
) -> Result<Fetched> {
    let mut idle = BTreeSet::new();
    let mut due_in: Option<Duration> = None;
    loop {
        let next = picked.take().map_or_else(|| pick(delivery, core, topic, &idle), |pick| Ok(Some(pick)));
        let Some(pick) = next? else { return Ok(Fetched::Nothing { due_in }) };
        let step = match pick.position {
            Some(position) => read(delivery, core, &pick, position, budget),
            None => positions::first(delivery, core, &pick.topic, pick.at.partition).map(FetchStep::MoveTo),
        };
        match step {
            Ok(FetchStep::Deliver(delivery, bytes)) => {
                if take(core, &pick, delivery.next_offset)? {
                    return Ok(Fetched::Delivery(delivery, bytes));
                }
            }
            Ok(FetchStep::MoveTo(position)) => {
                take(core, &pick, position)?;
            }
            Ok(FetchStep::Full) => return Ok(Fetched::Full),
            Ok(FetchStep::Idle(wait)) => {
                idle.insert(pick.at);
                due_in = due_in.into_iter().chain(wait).min();
            }
            Err(error) => {
                // Its turn is over, so that an error in one partition does not keep rows of others back.
                take_turn(core, &pick)?;
                return Err(error);
            }
        }
    }
}

enum FetchStep {
    Deliver(Box<Delivery>, usize),
    MoveTo(Offset),
    Full,
    Idle(Option<Duration>),
}

/// The first partition after the one served last that may have rows.
fn pick(
    delivery: &Coordinator,
    core: &MemberCore,
    topic: Option<TopicId>,
    idle: &BTreeSet<Assignment>,
) -> Result<Option<Pick>> {
    let mut inner = core.group.lock();
    let member = core.state(&mut inner)?;
    let state = delivery.ledger.state.read();
    let next = with_rows(member, &state, topic).find(|(at, ..)| !idle.contains(at));
    Ok(next.map(|(at, owned, topic, _)| Pick::new(at, owned, topic)))
}

/// Moves the position past what was read, if the partition is still as it was picked.
fn take(core: &MemberCore, pick: &Pick, position: Offset) -> Result<bool> {
    let mut inner = core.group.lock();
    let member = core.state(&mut inner)?;
    let Some(owned) = member.owned.get_mut(&pick.at) else { return Ok(false) };
    if owned.stamp != pick.stamp || owned.position != pick.position {
        return Ok(false);
    }
    owned.position = Some(position);
    if pick.position.is_some() {
        member.served = Some(pick.at);
    }
    Ok(true)
}

fn take_turn(core: &MemberCore, pick: &Pick) -> Result<()> {
    let mut inner = core.group.lock();
    core.state(&mut inner)?.served = Some(pick.at);
    Ok(())
}

fn read(delivery: &Coordinator, core: &MemberCore, pick: &Pick, position: Offset, budget: Budget) -> Result<FetchStep> {
    let partition = pick.at.partition;
    let bounds = core.replay.lock().until(&delivery.tables, &pick.topic, partition, position);
    let (until, due_in) = match bounds {
        Ok(bounds) => bounds,
        Err(error) => return below_start(delivery, core, pick, error),
    };
    let mut parts = Parts::new(&delivery.evaluations, &pick.topic, partition, position, until);
    match parts.next_rows(budget.rows, budget.bytes) {
        Ok(Some(part)) if budget.first || (part.bytes <= budget.bytes && part.batch.num_rows() <= budget.rows) => {
            let bytes = part.bytes;
            Ok(FetchStep::Deliver(Box::new(part.delivery(pick.at, position)), bytes))
        }
        Ok(_) if parts.has_moved() => Ok(FetchStep::Deliver(Box::new(parts.passed()), 0)),
        Ok(Some(_)) => Ok(FetchStep::Full),
        Ok(None) => Ok(FetchStep::Idle(due_in)),
        // The rows stay where they are until their plugins may be called again.
        Err(Error::Throttled { left, .. }) => Ok(FetchStep::Idle(Some(left))),
        Err(error) => below_start(delivery, core, pick, error),
    }
}

/// Retention may pass a reader: he then goes on by `auto.offset.reset`.
fn below_start(delivery: &Coordinator, core: &MemberCore, pick: &Pick, error: Error) -> Result<FetchStep> {
    match error {
        Error::OffsetOutOfRange { offset, start, end, .. } if offset < start => {
            let moved = positions::below_start(delivery, core, &pick.topic, pick.at.partition, offset, start, end)?;
            Ok(FetchStep::MoveTo(moved))
        }
        error => Err(error),
    }
}
