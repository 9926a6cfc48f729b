//! Offsets of queues and of groups, for consumers that keep them themselves.

use millstream_engine::Offset;

use super::caller::Caller;
use super::proto::{Code, GetOffsetRequest, MessageQueue, QueryOffsetPolicy, QueryOffsetRequest, UpdateOffsetRequest};
use super::resources;
use super::status::{Done, Failed};
use super::times;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::readable::Readable;
use crate::rocketmq::tables::Tables;
use crate::work::Waits;

/// A queue, as requests name it.
pub(super) struct Queue {
    pub(super) topic: ScopedName,
    pub(super) readable: Readable,
    pub(super) number: u32,
}

impl Queue {
    pub(super) fn named(caller: &Caller, queue: Option<&MessageQueue>) -> Done<Queue> {
        let queue = queue.ok_or_else(|| Failed::missing("message queue"))?;
        let topic = resources::topic(caller, queue.topic.as_ref())?;
        let readable = caller.tables.existing_readable(&topic)?;
        let none = || Failed::new(Code::BadRequest, format!("topic {:?} has no queue {}", topic.name, queue.id));
        let number = u32::try_from(queue.id).map_err(|_| none())?;
        readable.check_queue(number).map_err(|_| none())?;
        Ok(Queue { topic, readable, number })
    }

    /// Its first offset, and the one behind its last message.
    pub(super) fn bounds(&self, tables: &Tables) -> Done<(Offset, Offset)> {
        let bounds = self.readable.bounds_of(tables, self.number)?;
        bounds.ok_or_else(|| Failed::new(Code::InternalServerError, format!("there is no queue {}", self.number)))
    }

    fn of_group(&self, group: &ScopedName) -> Done<()> {
        if self.topic.namespace == group.namespace {
            return Ok(());
        }
        Err(Failed::new(Code::IllegalConsumerGroup, "the group and the topic are in different namespaces"))
    }
}

fn number(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

pub(super) async fn query(caller: &Caller, request: QueryOffsetRequest) -> Done<i64> {
    let queue = Queue::named(caller, request.message_queue.as_ref())?;
    let (start, end) = queue.bounds(&caller.tables)?;
    match QueryOffsetPolicy::try_from(request.query_offset_policy) {
        Ok(QueryOffsetPolicy::Beginning) => Ok(number(start)),
        Ok(QueryOffsetPolicy::End) => Ok(number(end)),
        Ok(QueryOffsetPolicy::Timestamp) => {
            let ms = request.timestamp.as_ref().and_then(times::millis).ok_or_else(|| Failed::missing("timestamp"))?;
            let tables = caller.tables.clone();
            let (topic, partition) = (queue.readable.topic.id, queue.number);
            let look = move || tables.engine.offset_at(&tables.who, topic, partition, ms.saturating_mul(1_000));
            Ok(number(caller.door.door.work.run(Waits::ForRows, look).await??))
        }
        Err(_) => Err(Failed::new(Code::BadRequest, "offsets are asked for by beginning, end or time")),
    }
}

/// Where a group goes on.
pub(super) async fn committed(caller: &Caller, request: GetOffsetRequest) -> Done<i64> {
    let group = resources::group(caller, request.group.as_ref())?;
    let queue = Queue::named(caller, request.message_queue.as_ref())?;
    queue.of_group(&group)?;
    let tables = caller.tables.clone();
    let look = move || {
        let ScopedName { namespace, name } = &group;
        let committed =
            tables.engine.committed_offset(&tables.who, namespace, name, &queue.topic.name, queue.number)?;
        let (start, _) = queue.bounds(&tables)?;
        // What was committed may have been deleted since.
        committed.map(|committed| number(committed.max(start))).ok_or_else(|| {
            let message = format!("group {name:?} has no offset on queue {} of {:?}", queue.number, queue.topic.name);
            Failed::new(Code::OffsetNotFound, message)
        })
    };
    caller.door.door.work.run(Waits::ForLog, look).await?
}

/// Answered once it is durable.
pub(super) async fn commit(caller: &Caller, request: UpdateOffsetRequest) -> Done<()> {
    let group = resources::group(caller, request.group.as_ref())?;
    let queue = Queue::named(caller, request.message_queue.as_ref())?;
    queue.of_group(&group)?;
    let asked = request.offset;
    let next = u64::try_from(asked).map_err(|_| Failed::new(Code::IllegalOffset, format!("an offset of {asked}")))?;
    let tables = caller.tables.clone();
    let queue_up = move || {
        let ScopedName { namespace, name } = &group;
        tables.engine.commit_unowned(&tables.who, namespace, name, &queue.topic.name, queue.number, next)
    };
    let ticket = caller.door.door.work.run(Waits::ForLog, queue_up).await??;
    ticket.await?.await?;
    Ok(())
}
