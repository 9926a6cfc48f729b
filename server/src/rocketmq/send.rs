//! Sends: 10, 310 and 320.

use std::sync::Arc;

use bytes::Bytes;
use millstream_engine::PartitionChoice;

use super::answer::Refusal;
use super::client::Client;
use super::delay;
use super::fields::Fields;
use super::names::ScopedName;
use super::recall::Handle;
use super::retry::{self, RetryPolicy};
use super::rows::NewMessage;
use super::sending::NewSend;
use super::tables::Tables;
use super::wire::batch::{self, BatchedMessage};
use super::wire::codes;
use super::wire::command::Command;
use super::wire::properties::{self, DELAY_LEVEL, REAL_QUEUE_ID, REAL_TOPIC, TRANSACTION};
use super::wire::unpack;
use crate::work::Waits;

/// The longest body, unpacked.
pub(super) const MAX_BODY_BYTES: usize = 4 << 20;
/// Of the system flag: a half message.
const TRANSACTION_MASK: i32 = 0xc;
const HALF: i32 = 0x4;

/// What a send says beside the body.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SendHeader {
    topic: ScopedName,
    wire_topic: String,
    /// Negative where the server chooses.
    queue: i32,
    system_flag: i32,
    born_ms: i64,
    flag: i32,
    properties: Vec<(String, String)>,
    reconsume_times: i32,
    max_reconsume_times: Option<i32>,
    is_batch: bool,
    /// Among how many queues the producer chooses, if the topic is made by this send.
    queues: u32,
    /// Of the producer.
    group: ScopedName,
    is_half: bool,
}

impl SendHeader {
    /// Of 10, whose fields have names, or 310 and 320, whose names are letters.
    pub(super) fn read(command: &Command) -> Result<SendHeader, Refusal> {
        let fields = Fields::of(command);
        let long = command.code == codes::SEND_MESSAGE;
        let name = |long_name: &'static str, letter: &'static str| if long { long_name } else { letter };
        let text = fields.get(name("properties", "i")).unwrap_or_default();
        if text.len() > properties::MAX_PROPERTIES_BYTES {
            let (bytes, most) = (text.len(), properties::MAX_PROPERTIES_BYTES);
            return Err(Refusal::illegal(format!(
                "the properties of a message have at most {most} bytes; these have {bytes}"
            )));
        }
        let system_flag = fields.or(name("sysFlag", "f"), 0)?;
        let properties = properties::read(text);
        let is_half = system_flag & TRANSACTION_MASK == HALF || properties.iter().any(|(name, _)| name == TRANSACTION);
        Ok(SendHeader {
            group: ScopedName::read(fields.get(name("producerGroup", "a")).unwrap_or_default(), fields),
            is_half,
            topic: ScopedName::read(fields.text(name("topic", "b"))?, fields),
            wire_topic: fields.text(name("topic", "b"))?.to_owned(),
            queue: fields.or(name("queueId", "e"), -1)?,
            system_flag,
            born_ms: fields.or(name("bornTimestamp", "g"), 0)?,
            flag: fields.or(name("flag", "h"), 0)?,
            properties,
            reconsume_times: fields.or(name("reconsumeTimes", "j"), 0)?,
            max_reconsume_times: fields.optional(name("maxReconsumeTimes", "l"))?,
            // What is no such number is passed over: it matters only where the topic is not there.
            queues: fields.optional(name("defaultTopicQueueNums", "d")).ok().flatten().unwrap_or(u32::MAX),
            is_batch: command.code == codes::SEND_BATCH_MESSAGE || fields.is_set(name("batch", "m"))?,
        })
    }
}

/// Makes out what is sent, and where to. A topic may be made for it.
pub(super) async fn read(client: &Arc<Client>, command: &Command) -> Result<NewSend, Refusal> {
    let header = SendHeader::read(command)?;
    let now_ms = client.now_ms();
    let body = unpacked(client, &header, &command.body).await?;
    let (topic, messages) = messages(client, &header, body, now_ms)?;
    let table = match client.tables.find(&topic)? {
        Some(table) => table,
        None => {
            let (client, topic) = (Arc::clone(client), topic.clone());
            let at_most = if topic.name.starts_with('%') { 1 } else { header.queues };
            client.door.work.clone().run(Waits::ForLog, move || client.tables.made(&topic, at_most)).await??
        }
    };
    let half = header.is_half.then(|| header.group.clone());
    let partition = match u32::try_from(header.queue) {
        // Dead letters have one queue whatever the client has chosen among those of another topic.
        Ok(_) if topic != header.topic => PartitionChoice::Named(0),
        Ok(queue) => PartitionChoice::Named(Tables::check_queue(&table, queue)?),
        Err(_) => PartitionChoice::ByKey,
    };
    let recall = match messages.as_slice() {
        [NewMessage { deliver_ms: Some(deliver_ms), message_id: Some(id), .. }] if topic.retried_group().is_none() => {
            Some(Handle { topic: header.wire_topic, deliver_ms: *deliver_ms, message_id: id.clone() })
        }
        _ => None,
    };
    Ok(NewSend { table, partition, messages, half, recall })
}

/// The body as it was before it was compressed.
async fn unpacked(client: &Arc<Client>, header: &SendHeader, body: &Bytes) -> Result<Bytes, Refusal> {
    let too_long = || Refusal::illegal(format!("a body has at most {MAX_BODY_BYTES} bytes; send a smaller one"));
    if body.len() > MAX_BODY_BYTES {
        return Err(too_long());
    }
    if !unpack::is_packed(header.system_flag) {
        return Ok(body.clone());
    }
    let busy = |_| Refusal::new(codes::SYSTEM_BUSY, crate::net::ingress::NoRoom::MESSAGE);
    let room = client.door.net.ingress.unpack(MAX_BODY_BYTES).await.map_err(busy)?;
    let (body, system_flag) = (body.clone(), header.system_flag);
    let unpacked = client.door.work.run(Waits::Computes, move || {
        let unpacked = unpack::unpack(&body, system_flag, MAX_BODY_BYTES);
        (unpacked, room)
    });
    let (unpacked, room) = unpacked.await?;
    // From here on the writer's queue bounds it.
    drop(room);
    Ok(unpacked?)
}

/// The messages of a send, and where they go.
fn messages(
    client: &Client,
    header: &SendHeader,
    body: Bytes,
    now_ms: i64,
) -> Result<(ScopedName, Vec<NewMessage>), Refusal> {
    let born = |mut message: NewMessage| {
        message.born_ms = (header.born_ms > 0).then_some(header.born_ms);
        message.born_host = client.address;
        message
    };
    if header.is_batch && header.is_half {
        return Err(Refusal::illegal("a batch of half messages; each is sent by itself"));
    }
    if header.is_batch {
        let batched = batch::read(&body)?;
        if batched.is_empty() {
            return Err(Refusal::illegal("a batch without messages"));
        }
        let each = |BatchedMessage { flag, body, properties }| {
            let properties = properties::read(&properties);
            if delay::deliver_at(&properties, now_ms)?.is_some() {
                return Err(Refusal::illegal("messages of a batch can't be delayed"));
            }
            Ok(born(NewMessage { flag, body, ..NewMessage::with_properties(properties) }))
        };
        return Ok((header.topic.clone(), batched.into_iter().map(each).collect::<Result<_, Refusal>>()?));
    }
    let mut message = born(NewMessage {
        flag: header.flag,
        body,
        attempts: header.reconsume_times,
        ..NewMessage::with_properties(header.properties.clone())
    });
    if let Some(group) = header.topic.retried_group() {
        // Consumers in order, and those whose send back has failed, send by themselves.
        let policy = RetryPolicy::of(&client.tables, group, header.max_reconsume_times)?;
        let level = message.properties.iter().find(|(name, _)| name == DELAY_LEVEL);
        let level = level.and_then(|(_, level)| level.parse().ok()).unwrap_or(0);
        let next = policy.after(level, header.reconsume_times);
        retry::delay(&mut message, &next, now_ms);
        return Ok((next.topic, vec![message]));
    }
    if header.is_half {
        // As Apache's broker does: what they say of delays does not count.
        return Ok((header.topic.clone(), vec![message]));
    }
    message.deliver_ms = delay::deliver_at(&header.properties, now_ms)?;
    if message.deliver_ms.is_some() {
        message.set(REAL_TOPIC, header.topic.wire());
        message.set(REAL_QUEUE_ID, header.queue.to_string());
    }
    Ok((header.topic.clone(), vec![message]))
}
