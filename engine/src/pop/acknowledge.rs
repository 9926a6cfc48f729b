//! What becomes of messages that were handed out: acknowledged, visible again at another time, given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::begin::ended;
use super::pending::PendingAck;
use super::rows::PartitionRows;
use super::take::check_invisible;
use super::{Pop, SPAN};
use crate::model::{Offset, PopAcked, PopReceipt, Result, TableInfo};
use crate::state::{
    HandOut, HandOutDone, HandOutKey, HandOutReader, HandedOut, PopId, PopMoved, PopQueueId, PopRecord, Record,
    Submission,
};

/// What a receipt names.
enum Named {
    Held(HandOutKey, HandOut),
    Gone(PopAcked),
}

impl Pop {
    /// Acknowledges messages. May wait for the disk, not for the log.
    pub(crate) fn acknowledge(
        self: &Arc<Self>,
        pop: PopId,
        table: &TableInfo,
        receipts: &[PopReceipt],
    ) -> Result<PendingAck> {
        let mut by_queue: BTreeMap<PopQueueId, BTreeMap<HandOutKey, Vec<Offset>>> = BTreeMap::new();
        let mut found = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            found.push(match self.named(pop, receipt)? {
                Named::Held(key, _) => {
                    let offsets = by_queue.entry(key.queue).or_default().entry(key).or_default();
                    if !offsets.contains(&receipt.offset) {
                        offsets.push(receipt.offset);
                    }
                    PopAcked::Done
                }
                Named::Gone(acked) => acked,
            });
        }
        let queues: Vec<PopQueueId> = by_queue.keys().copied().collect();
        let moved = by_queue.into_iter().map(|(queue, hand_outs)| {
            let done = hand_outs.into_iter().map(|(key, offsets)| done(&key, offsets)).collect();
            (queue, done, Vec::new())
        });
        let records: Vec<Record> =
            moved.map(|(queue, done, handed)| self.moved(queue, done, handed)).collect::<Result<_>>()?;
        self.settle(table, queues, records, found, None)
    }

    /// Has a message be visible again after this time, from now; at once, if that is zero. It is acknowledged with another receipt
    /// from then on.
    pub(crate) fn make_visible(
        self: &Arc<Self>,
        pop: PopId,
        table: &TableInfo,
        receipt: &PopReceipt,
        after: Duration,
    ) -> Result<PendingAck> {
        check_invisible(after)?;
        let (key, held) = match self.named(pop, receipt)? {
            Named::Held(key, held) => (key, held),
            Named::Gone(acked) => return self.settle(table, Vec::new(), Vec::new(), vec![acked], None),
        };
        let now_us = self.ledger().log.time().now_us();
        let at = held.offsets(key.first).position(|offset| offset == receipt.offset);
        let groups = at.and_then(|at| held.groups.get(at)).copied().into_iter().collect();
        let number = key.number.saturating_add(1);
        let after_us = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        let hand_out =
            HandOut { left: vec![0], groups, handed_us: now_us, visible_us: now_us.saturating_add(after_us), ..held };
        let handed = vec![HandedOut { first: receipt.offset, number, hand_out }];
        let record = self.moved(key.queue, vec![done(&key, vec![receipt.offset])], handed)?;
        let handed_ms = now_us.div_euclid(1_000);
        let next = PopReceipt { first: receipt.offset, number, handed_ms, ..*receipt };
        self.settle(table, vec![key.queue], vec![record], vec![PopAcked::Done], Some(next))
    }

    /// Gives a message up: it becomes a dead letter.
    pub(crate) fn give_up_one(
        self: &Arc<Self>,
        pop: PopId,
        table: &TableInfo,
        letters: &TableInfo,
        receipt: &PopReceipt,
    ) -> Result<PendingAck> {
        let (key, held) = match self.named(pop, receipt)? {
            Named::Held(key, held) => (key, held),
            Named::Gone(acked) => return self.settle(table, Vec::new(), Vec::new(), vec![acked], None),
        };
        let record = self.moved(key.queue, vec![done(&key, vec![receipt.offset])], Vec::new())?;
        let rows = PartitionRows::of(self, table, receipt.partition)?.at(&[receipt.offset])?;
        let mut submission = Submission { durability: table.options.durability, ..Submission::of([record]) };
        self.bury(&mut submission, table, Some(letters), vec![(rows, held.attempts)])?;
        self.enqueue(submission, vec![key.queue], vec![PopAcked::Done], None)
    }

    /// Nothing is moved but what is done with and handed out.
    fn moved(&self, queue: PopQueueId, done: Vec<HandOutDone>, handed: Vec<HandedOut>) -> Result<Record> {
        let place = self.ledger().state.read().pop_queue_by_id(queue).copied().ok_or_else(ended)?;
        let (from, to) = (place.position, place.position);
        Ok(Record::Pop(PopRecord::Moved(PopMoved { queue, from, to, done, handed })))
    }

    fn settle(
        self: &Arc<Self>,
        table: &TableInfo,
        queues: Vec<PopQueueId>,
        records: Vec<Record>,
        found: Vec<PopAcked>,
        receipt: Option<PopReceipt>,
    ) -> Result<PendingAck> {
        if records.is_empty() {
            return Ok(PendingAck::new(self, None, queues, found, receipt));
        }
        let submission = Submission { durability: table.options.durability, ..Submission::of(records) };
        self.enqueue(submission, queues, found, receipt)
    }

    fn enqueue(
        self: &Arc<Self>,
        submission: Submission,
        queues: Vec<PopQueueId>,
        found: Vec<PopAcked>,
        receipt: Option<PopReceipt>,
    ) -> Result<PendingAck> {
        self.ledger().stored.fetch(&submission);
        let ticket = self.ledger().log.enqueue(submission)?;
        Ok(PendingAck::new(self, Some(ticket), queues, found, receipt))
    }

    fn named(&self, pop: PopId, receipt: &PopReceipt) -> Result<Named> {
        let (queue, position, reader) = {
            let state = self.ledger().state.read();
            let Some((queue, place)) = state.pop_queue(pop, receipt.partition) else {
                return Ok(Named::Gone(PopAcked::Stale));
            };
            (queue, place.position, state.hand_outs())
        };
        if receipt.offset >= position {
            return Ok(Named::Gone(PopAcked::Stale));
        }
        let key = HandOutKey { queue, first: receipt.first, number: receipt.number };
        if let Some(found) = reader.get(&key)?
            && found.handed_us.div_euclid(1_000) == receipt.handed_ms
            && found.has_all(key.first, &[receipt.offset])
        {
            return Ok(Named::Held(key, found));
        }
        let acked = if is_in_flight(&reader, queue, receipt.offset)? { PopAcked::Stale } else { PopAcked::Done };
        Ok(Named::Gone(acked))
    }
}

fn done(key: &HandOutKey, mut offsets: Vec<Offset>) -> HandOutDone {
    offsets.sort_unstable();
    HandOutDone { first: key.first, number: key.number, offsets }
}

/// Whether somebody has it: hand-outs are so long at most.
fn is_in_flight(reader: &HandOutReader, queue: PopQueueId, offset: Offset) -> Result<bool> {
    let mut found = false;
    reader.scan(queue, offset.saturating_sub(SPAN), |key, hand_out| {
        if key.first > offset {
            return Ok(false);
        }
        found = hand_out.has_all(key.first, &[offset]);
        Ok(!found)
    })?;
    Ok(found)
}
