//! Offsets of queues and of groups: 14, 15, 29, 30, 31, 32.

use std::sync::Arc;

use millstream_engine::{Error, Offset};

use super::answer::{Answer, Answered, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::names::ScopedName;
use super::readable::Readable;
use super::scan::MessageScan;
use super::tables::Tables;
use super::wire::codes;
use super::wire::command::Command;
use crate::work::Waits;

/// A queue that has all messages that it ever had, and none older than this, is a new one: groups begin at its start whatever
/// else they say, so that what was sent before the first consumer was there is consumed.
const NEW_QUEUE_US: i64 = 3_600 * 1_000_000;

/// A queue, as requests name it.
struct Queue {
    topic: ScopedName,
    readable: Readable,
    number: u32,
    start: Offset,
    end: Offset,
}

impl Queue {
    fn read(client: &Client, fields: Fields<'_>) -> Result<Queue, Refusal> {
        let tables = &client.tables;
        let topic = ScopedName::read(fields.text("topic")?, fields);
        let readable = tables.existing_readable(&topic)?;
        let number = readable.check_queue(fields.queue()?)?;
        let bounds = readable.bounds_of(tables, number)?;
        let (start, end) =
            bounds.ok_or_else(|| Refusal::new(codes::SYSTEM_ERROR, format!("there is no queue {number}")))?;
        Ok(Queue { topic, readable, number, start, end })
    }

    fn at_time(&self, tables: &Tables, time_us: i64) -> Result<Offset, Error> {
        tables.engine.offset_at(&tables.who, self.readable.topic.id, self.number, time_us)
    }
}

fn offset(offset: Offset) -> Answered {
    Ok(Answer::with(vec![("offset", offset.to_string())]))
}

/// 30 and 31.
pub(super) async fn bounds(client: Arc<Client>, command: Command) -> Answered {
    let queue = Queue::read(&client, Fields::of(&command))?;
    offset(if command.code == codes::GET_MAX_OFFSET { queue.end } else { queue.start })
}

/// 29: the first offset that was stored at a time or after it.
pub(super) async fn at_time(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let queue = Queue::read(&client, fields)?;
    let time_us = fields.number::<i64>("timestamp")?.saturating_mul(1_000);
    let work = client.door.work.clone();
    offset(work.run(Waits::ForRows, move || queue.at_time(&client.tables, time_us)).await??)
}

/// 32: when the oldest message was stored.
pub(super) async fn earliest_time(client: Arc<Client>, command: Command) -> Answered {
    let queue = Queue::read(&client, Fields::of(&command))?;
    let tables = client.tables.clone();
    let look = move || {
        let scan = MessageScan { tables: &tables, of: &queue.readable, queue: queue.number };
        scan.stored_ms(queue.start)
    };
    let time = client.reading(look).await??.unwrap_or(-1);
    Ok(Answer::with(vec![("timestamp", time.to_string())]))
}

/// 14: where a group goes on. Without an offset of its own it is left to the client, but for new queues.
pub(super) async fn committed(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let group = ScopedName::read(fields.text("consumerGroup")?, fields);
    let queue = Queue::read(&client, fields)?;
    let or_zero = fields.get("setZeroIfNotFound").is_none_or(|said| said != "false");
    let work = client.door.work.clone();
    work.run(Waits::ForLog, move || {
        let tables = &client.tables;
        let ScopedName { namespace, name } = &group;
        let committed =
            tables.engine.committed_offset(&tables.who, namespace, name, &queue.topic.name, queue.number)?;
        match committed {
            // What was committed may have been deleted since.
            Some(committed) => offset(committed.max(queue.start)),
            None if or_zero && queue.start == 0 && queue.end > 0 && is_new(&client, &queue)? => offset(0),
            None => Err(Refusal::new(
                codes::QUERY_NOT_FOUND,
                format!("Not found, group {name:?} has no offset on queue {} of {:?}", queue.number, queue.topic.name),
            )),
        }
    })
    .await?
}

fn is_new(client: &Client, queue: &Queue) -> Result<bool, Refusal> {
    let since = client.now_ms().saturating_mul(1_000).saturating_sub(NEW_QUEUE_US);
    Ok(queue.at_time(&client.tables, since)? == 0)
}

/// 15: a group's next offset. Answered once it is durable.
pub(super) async fn commit(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let group = ScopedName::read(fields.text("consumerGroup")?, fields);
    let queue = Queue::read(&client, fields)?;
    let asked: i64 = fields.number("commitOffset")?;
    if group.namespace != queue.topic.namespace {
        return Err(Refusal::illegal(format!(
            "group {:?} and topic {:?} are in different namespaces: {:?} and {:?}",
            group.name, queue.topic.name, group.namespace, queue.topic.namespace
        )));
    }
    let next = u64::try_from(asked).map_err(|_| Refusal::illegal(format!("an offset of {asked}")))?;
    let work = client.door.work.clone();
    let queue_up = move || {
        let tables = &client.tables;
        let ScopedName { namespace, name } = &group;
        tables.engine.commit_unowned(&tables.who, namespace, name, &queue.topic.name, queue.number, next)
    };
    let ticket = work.run(Waits::ForLog, queue_up).await??;
    ticket.await?.await?;
    Ok(Answer::ok())
}
