//! Moving committed offsets.

use std::time::Duration;

use super::calls::enqueue;
use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::group::{Entries, Membership};
use crate::log::Ticket;
use crate::model::{Assignment, Error, Offset, PendingReceipt, Receipt, Result};

/// Queues a member's commit, as of the generation it names or last acted on. Waits for nothing but the group's lock.
pub(super) fn commit(
    delivery: &Coordinator,
    core: &MemberCore,
    generation: Option<u64>,
    offsets: &[(Assignment, Offset)],
) -> Result<Ticket> {
    let mut inner = core.enter(delivery)?;
    let current = inner.generation;
    let member = core.state(&mut inner)?;
    let generation = generation.unwrap_or(member.acknowledged);
    if generation != current {
        return Err(Error::Fenced(format!(
            "group {:?} has gone on from generation {generation} to {current}; poll to take up the new assignment",
            core.key.group
        )));
    }
    let mut entries = Vec::with_capacity(offsets.len());
    for (at, offset) in offsets {
        member.owned_mut(*at)?;
        let topic = member.topics.get(&at.topic).map(|topic| topic.table);
        let state = delivery.ledger.state.read();
        let partition = topic.and_then(|table| state.partition(table, at.partition));
        let (start, end) = partition.map_or((0, 0), |partition| (partition.start, partition.end));
        if *offset > end {
            return Err(Error::OffsetOutOfRange { partition: at.partition, offset: *offset, start, end });
        }
        entries.push((at.topic, at.partition, *offset));
    }
    if entries.is_empty() {
        return Ok(Ticket::admitted(nothing_to_wait_for(delivery)));
    }
    let ticket = enqueue(delivery, Entries::from([(core.key.clone(), entries)]))?;
    inner.unsettled = true;
    Ok(ticket)
}

/// The automatic commit: what is processed, if the interval is over.
pub(super) fn commit_processed_if_due(
    delivery: &Coordinator,
    core: &MemberCore,
    inner: &mut Membership,
    now: Duration,
) -> Result<()> {
    if !core.config.enable_auto_commit {
        return Ok(());
    }
    let member = core.state(inner)?;
    if let Some(committing) = &mut member.committing {
        match committing.receiver.try_recv() {
            Ok(None) => return Ok(()),
            Ok(Some(answer)) => {
                member.committing = None;
                answer?;
            }
            Err(_) => return Err(Error::Closed),
        }
    }
    if now < member.last_commit + core.config.auto_commit_interval {
        return Ok(());
    }
    let mut entries = Entries::new();
    member.take_processed(&mut entries, |_| true);
    if !entries.is_empty() {
        member.last_commit = now;
        // One for each member: the next one waits for its answer.
        member.committing = Some(enqueue(delivery, entries)?.keep());
        inner.unsettled = true;
    }
    Ok(())
}

/// With automatic commit: commits all that was handed out, and waits for it. A leaving member does this.
pub(super) fn commit_handed(delivery: &Coordinator, core: &MemberCore) -> Result<()> {
    if !core.config.enable_auto_commit {
        return Ok(());
    }
    let ticket = {
        let mut inner = core.enter(delivery)?;
        let member = core.state(&mut inner)?;
        let mut entries = Entries::new();
        for owned in member.owned.values_mut() {
            owned.processed = owned.handed.take().or(owned.processed);
        }
        member.take_processed(&mut entries, |_| true);
        if entries.is_empty() {
            return Ok(());
        }
        let ticket = enqueue(delivery, entries)?;
        inner.unsettled = true;
        ticket
    };
    ticket.wait()?.wait().map(drop)
}

fn nothing_to_wait_for(delivery: &Coordinator) -> PendingReceipt {
    let (sender, receiver) = futures::channel::oneshot::channel();
    let durability = crate::model::Durability::Sync;
    // The receiver is right here, so that sending can't fail.
    let _ = sender.send(Ok(Receipt {
        lsn: delivery.ledger.log.durable(),
        appended: Vec::new(),
        duplicate: false,
        durability,
    }));
    PendingReceipt { receiver }
}
