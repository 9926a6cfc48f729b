//! What becomes of messages that were handed out.

use std::sync::Arc;

use millstream_engine::{Error, MAX_INVISIBLE, MessageStep, PendingAck, PopAcked, PopReceipt, TableInfo};

use super::caller::Caller;
use super::proto::{
    AckMessageEntry, AckMessageRequest, AckMessageResultEntry, ChangeInvisibleDurationRequest, Code,
    ForwardMessageToDeadLetterQueueRequest, Resource,
};
use super::receipts;
use super::resources;
use super::status::{self, Done, Failed};
use super::times;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::pop::{Handle, settled};
use crate::rocketmq::tables::Tables;

/// Receipts of one request.
const MAX_ENTRIES: usize = 10_000;

/// Messages of a topic that a group was handed out.
struct OfGroup {
    group: ScopedName,
    table: Arc<TableInfo>,
}

impl OfGroup {
    fn named(caller: &Caller, topic: Option<&Resource>, group: Option<&Resource>) -> Done<OfGroup> {
        let (topic, group) = resources::consumed(caller, topic, group)?;
        Ok(OfGroup { group, table: caller.tables.existing(&topic)? })
    }

    /// A receipt that can be one of the topic's.
    fn receipt(&self, text: &str) -> Done<Handle> {
        let handle = receipts::read(text)?;
        match Tables::check_queue(&self.table, handle.receipt.partition) {
            Ok(_) => Ok(handle),
            Err(refusal) => Err(Failed::new(Code::InvalidReceiptHandle, refusal.remark)),
        }
    }

    /// What the receipts were good for, and the one that is good from now on.
    async fn settled(
        &self,
        caller: &Caller,
        ask: impl Fn(&Tables, &ScopedName) -> Result<PendingAck, Error> + Clone + Send + 'static,
    ) -> Done<(Vec<PopAcked>, Option<PopReceipt>)> {
        let group = self.group.clone();
        let ask = move |tables: &Tables| ask(tables, &group);
        Ok(settled((&caller.door.door, &caller.tables), ask).await?)
    }
}

/// Each receipt's outcome.
pub(super) async fn acknowledge(caller: &Caller, request: AckMessageRequest) -> Done<Vec<AckMessageResultEntry>> {
    let of = OfGroup::named(caller, request.topic.as_ref(), request.group.as_ref())?;
    let count = request.entries.len();
    if count == 0 || count > MAX_ENTRIES {
        return Err(Failed::new(Code::BadRequest, format!("a request has 1 to {MAX_ENTRIES} receipts, not {count}")));
    }
    let read: Vec<Done<Handle>> = request.entries.iter().map(|entry| of.receipt(&entry.receipt_handle)).collect();
    let acknowledged: Vec<Option<PopReceipt>> =
        read.iter().map(|handle| handle.as_ref().ok().map(|handle| handle.receipt)).collect();
    let known: Arc<[PopReceipt]> = acknowledged.iter().flatten().copied().collect();
    let mut found = Vec::new().into_iter();
    if !known.is_empty() {
        let table = of.table.id;
        let ask = move |tables: &Tables, group: &ScopedName| {
            tables.engine.acknowledge_popped(&tables.who, &group.namespace, &group.name, table, &known)
        };
        found = of.settled(caller, ask).await?.0.into_iter();
    }
    let outcomes = read.into_iter().map(|read| {
        let handle = read?;
        match found.next() {
            Some(PopAcked::Done) => Ok(()),
            _ => Err(receipts::stale(&handle)),
        }
    });
    let outcomes: Vec<Done<()>> = outcomes.collect();
    let done = acknowledged.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
    let who = || caller.as_consumer(&of.group);
    caller.tables.note_receipts(MessageStep::Acknowledged, of.table.id, who, done.flat_map(|(receipt, _)| receipt));
    let entries = request.entries.into_iter().zip(outcomes).map(|(entry, outcome)| {
        let AckMessageEntry { message_id, receipt_handle, .. } = entry;
        AckMessageResultEntry { message_id, receipt_handle, status: status::status(outcome) }
    });
    Ok(entries.collect())
}

/// A message is visible again at another time; its receipt is a new one.
pub(super) async fn change(caller: &Caller, request: ChangeInvisibleDurationRequest) -> Done<String> {
    let of = OfGroup::named(caller, request.topic.as_ref(), request.group.as_ref())?;
    let handle = of.receipt(&request.receipt_handle)?;
    let after = request.invisible_duration.as_ref().and_then(times::duration).filter(|after| *after <= MAX_INVISIBLE);
    let after = after.ok_or_else(|| {
        let most = MAX_INVISIBLE.as_secs() / 3_600;
        Failed::new(Code::IllegalInvisibleTime, format!("a message is invisible for {most} h at most"))
    })?;
    let (table, receipt) = (of.table.id, handle.receipt);
    let ask = move |tables: &Tables, group: &ScopedName| {
        tables.engine.change_invisible(&tables.who, &group.namespace, &group.name, table, (&receipt, after))
    };
    let (_, next) = of.settled(caller, ask).await?;
    let who = || caller.as_consumer(&of.group);
    let receipt = match next {
        Some(next) => {
            caller.tables.note_receipts(MessageStep::MadeVisible, table, who, [&receipt]);
            next
        }
        None => return Err(receipts::stale(&handle)),
    };
    Ok(Handle { receipt, invisible_ms: i64::try_from(after.as_millis()).unwrap_or(i64::MAX) }.write())
}

/// A group gives a message up.
pub(super) async fn give_up(caller: &Caller, request: ForwardMessageToDeadLetterQueueRequest) -> Done<()> {
    let of = OfGroup::named(caller, request.topic.as_ref(), request.group.as_ref())?;
    let handle = of.receipt(&request.receipt_handle)?;
    let (table, receipt) = (of.table.id, handle.receipt);
    let ask = move |tables: &Tables, group: &ScopedName| {
        tables.engine.give_up_popped(&tables.who, &group.namespace, &group.name, table, &receipt)
    };
    let (found, _) = of.settled(caller, ask).await?;
    match found.first() {
        Some(PopAcked::Done) => {
            let who = || caller.as_consumer(&of.group);
            caller.tables.note_receipts(MessageStep::GivenUp, table, who, [&receipt]);
            Ok(())
        }
        _ => Err(receipts::stale(&handle)),
    }
}
