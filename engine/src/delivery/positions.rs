//! Where reading goes on: at first, after retention, after a seek.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::setup::has_offsets;
use crate::cursor;
use crate::model::{Assignment, AutoOffsetReset, Error, Offset, PartitionId, Result, SeekTo, TableId, TopicInfo};
use crate::state::State;

/// The position of a partition that was just assigned: what the group has committed, once every commit of earlier owners is
/// settled. A partition that was added after the group began is read from its start.
pub(super) fn first(
    delivery: &Coordinator,
    core: &MemberCore,
    topic: &Arc<TopicInfo>,
    partition: PartitionId,
) -> Result<Offset> {
    let barrier = core.group.lock().settled();
    if let Some(barrier) = barrier {
        // If it failed, so did the log, and the next thing that is asked of it will say so.
        drop(futures::executor::block_on(barrier));
    }
    // The group may have been dropped since the member joined; then it begins anew, once.
    for _ in 0..2 {
        {
            let state = delivery.ledger.state.read();
            let (start, end) = range(&state, topic.table, partition)?;
            match state.committed(&core.key, topic.id, partition) {
                Some(committed) if committed < start => {
                    drop(state);
                    return below_start(delivery, core, topic, partition, committed, start, end);
                }
                Some(committed) if committed > end => {
                    drop(state);
                    return above_end(delivery, core, topic, partition, committed, start, end);
                }
                Some(committed) => return Ok(committed),
                None if has_offsets(&state, &core.key, topic.id) => return Ok(start),
                None => {}
            }
        }
        delivery.setups.prepare(delivery, &core.config, &core.key, std::slice::from_ref(topic))?;
    }
    Err(Error::Busy(format!("offsets of topic {:?} for group {:?} are not there yet", topic.name, core.key.group)))
}

/// An offset that retention has passed follows `auto.offset.reset`. Only the position moves.
pub(super) fn below_start(
    delivery: &Coordinator,
    core: &MemberCore,
    topic: &TopicInfo,
    partition: PartitionId,
    offset: Offset,
    start: Offset,
    end: Offset,
) -> Result<Offset> {
    let to = match core.config.auto_offset_reset {
        AutoOffsetReset::Earliest => start,
        AutoOffsetReset::Latest => end,
        AutoOffsetReset::None => return Err(Error::OffsetOutOfRange { partition, offset, start, end }),
    };
    delivery.resets.fetch_add(1, Ordering::Relaxed);
    delivery.ledger.events.push(
        "offset_reset",
        format!(
            "group {:?} was at offset {offset} of topic {:?} partition {partition}, below the start {start}; it goes on \
             at {to}",
            core.key.group, topic.name
        ),
    );
    Ok(to)
}

/// The log has lost rows that were once durable (a disk that lied about a sync). Going on at the end would pass over rows
/// to come, so that somebody has to decide: a reset of the offset.
fn above_end(
    delivery: &Coordinator,
    core: &MemberCore,
    topic: &TopicInfo,
    partition: PartitionId,
    offset: Offset,
    start: Offset,
    end: Offset,
) -> Result<Offset> {
    let at = Assignment { topic: topic.id, partition };
    if !core.told.lock().insert(at) {
        return Err(Error::OffsetOutOfRange { partition, offset, start, end });
    }
    delivery.ledger.events.push(
        "offset_above_end",
        format!(
            "group {:?} has committed offset {offset} of topic {:?} partition {partition}, above the end {end}: rows were \
             lost by the disk; set the group's offset to go on",
            core.key.group, topic.name
        ),
    );
    Err(Error::OffsetOutOfRange { partition, offset, start, end })
}

pub(super) fn seek(delivery: &Coordinator, core: &MemberCore, at: Assignment, to: SeekTo) -> Result<Offset> {
    let topic = {
        let mut inner = core.enter(delivery)?;
        let member = core.state(&mut inner)?;
        member.owned_mut(at)?;
        member.topics.get(&at.topic).cloned()
    };
    let topic = topic.ok_or_else(|| Error::gone("topic"))?;
    let offset = resolve(delivery, topic.table, at.partition, to)?;
    let mut inner = core.enter(delivery)?;
    let stamp = inner.stamp();
    core.state(&mut inner)?.owned_mut(at)?.move_to(stamp, Some(offset));
    drop(inner);
    core.replay.lock().restart();
    core.wake.notify();
    Ok(offset)
}

/// The offset that is meant, within what is retained.
pub(crate) fn resolve(delivery: &Coordinator, table: TableId, partition: PartitionId, to: SeekTo) -> Result<Offset> {
    let (start, end) = range(&delivery.ledger.state.read(), table, partition)?;
    match to {
        SeekTo::Start => Ok(start),
        SeekTo::End => Ok(end),
        SeekTo::Offset(offset) if offset < start || offset > end => {
            Err(Error::OffsetOutOfRange { partition, offset, start, end })
        }
        SeekTo::Offset(offset) => Ok(offset),
        SeekTo::AppendTime(time_us) => cursor::offset_at(&delivery.tables, table, partition, time_us),
    }
}

fn range(state: &State, table: TableId, partition: PartitionId) -> Result<(Offset, Offset)> {
    let found = state.partition(table, partition).map(|partition| (partition.start, partition.end));
    found.ok_or_else(|| Error::NotFound { what: "partition", name: partition.to_string() })
}
