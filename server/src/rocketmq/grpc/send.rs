//! Messages that producers send.

use bytes::Bytes;
use millstream_engine::{MessageKind, PartitionChoice, Receipt, TableInfo, TransactionId};

use super::caller::Caller;
use super::properties::{self, PRODUCER_GROUP, TRACE_CONTEXT};
use super::proto::{Code, Encoding, Message, MessageType, SendMessageRequest, SendResultEntry, SystemProperties};
use super::resources;
use super::route::kind;
use super::status::{self, Done, Failed};
use super::times;
use crate::rocketmq::delay;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::queueing::{self, Queued};
use crate::rocketmq::recall::Handle;
use crate::rocketmq::rows::NewMessage;
use crate::rocketmq::send::MAX_BODY_BYTES;
use crate::rocketmq::wire::properties::{CHECK_IMMUNITY, REAL_QUEUE_ID, REAL_TOPIC, TIMER_DELIVER_MS, TRANSACTION};
use crate::rocketmq::wire::unpack;
use crate::work::Waits;

/// Of all that a message says beside its body.
const MAX_PROPERTIES_BYTES: usize = 16 << 10;
/// Messages of one request.
const MAX_MESSAGES: usize = 1_024;

/// A message that is well.
struct Sendable {
    topic: ScopedName,
    message_type: MessageType,
    id: String,
    message: NewMessage,
}

/// Queues all messages before it waits for any; if one is wrong, none is sent.
pub(super) async fn send(caller: &Caller, request: SendMessageRequest) -> Done<Vec<SendResultEntry>> {
    let count = request.messages.len();
    if count == 0 || count > MAX_MESSAGES {
        return Err(Failed::new(Code::BadRequest, format!("a request has 1 to {MAX_MESSAGES} messages, not {count}")));
    }
    let now_ms = caller.now_ms();
    let mut sendable = Vec::with_capacity(count);
    for message in request.messages {
        sendable.push(checked(caller, message, now_ms).await?);
    }
    let topic = sendable.first().map(|first| first.topic.clone()).unwrap_or_else(|| ScopedName::parse(""));
    if sendable.iter().any(|one| one.topic != topic) {
        return Err(Failed::new(Code::BadRequest, "the messages of one request are of different topics"));
    }
    let table = match caller.tables.find(&topic)? {
        Some(table) => table,
        None => {
            let (tables, topic) = (caller.tables.clone(), topic.clone());
            let at_most = if topic.name.starts_with('%') { 1 } else { u32::MAX };
            caller.door.door.work.run(Waits::ForLog, move || tables.made(&topic, at_most)).await??
        }
    };
    sendable.iter().try_for_each(|one| takes(&table, one.message_type))?;
    let requests = u64::try_from(count).unwrap_or(u64::MAX);
    caller.door.door.engine.admit_requests(&caller.tables.who, &table.namespace, requests)?;
    let mut sending = Vec::with_capacity(count);
    for Sendable { topic, message_type, id, message } in sendable {
        let half = (message_type == MessageType::Transaction).then(|| topic.clone());
        let who = &caller.tables.who;
        let partition = PartitionChoice::ByKey;
        let recall =
            message.deliver_ms.map(|deliver_ms| Handle { topic: topic.wire(), deliver_ms, message_id: id.clone() });
        let goes_on = !sending.is_empty();
        let queued =
            queueing::queue_up(&caller.door.door, who, &table, partition, [message].into(), half, goes_on).await?;
        sending.push((id, message_type, recall, queued));
    }
    let mut entries = Vec::with_capacity(count);
    for (id, message_type, recall, queued) in sending {
        let entry = sent(id, message_type, queued, &table).await;
        let recall_handle = recall.map(|handle| handle.write()).unwrap_or_default();
        entries.push(SendResultEntry { recall_handle, ..entry });
    }
    Ok(entries)
}

async fn sent(id: String, message_type: MessageType, queued: Queued, table: &TableInfo) -> SendResultEntry {
    let receipt = match queued.await {
        Ok(receipt) => receipt,
        Err(error) => {
            return SendResultEntry { status: Some(Failed::from(error).status()), ..SendResultEntry::default() };
        }
    };
    let Receipt { lsn, appended, .. } = receipt;
    let offset = appended.iter().find(|appended| appended.table == table.id).map_or(0, |place| place.first_offset);
    let transaction_id = match message_type {
        MessageType::Transaction => TransactionId { lsn, index: 0 }.to_string(),
        _ => String::new(),
    };
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    SendResultEntry { status: Some(status::ok()), message_id: id, transaction_id, offset, recall_handle: String::new() }
}

/// Whether a table takes messages of a type.
fn takes(table: &TableInfo, message_type: MessageType) -> Done<()> {
    let kind = kind(table);
    let takes = match kind {
        MessageKind::Any => true,
        MessageKind::Normal => message_type == MessageType::Normal,
        MessageKind::Ordered => message_type == MessageType::Fifo,
        MessageKind::Delayed => message_type == MessageType::Delay,
        MessageKind::Transactional => message_type == MessageType::Transaction,
    };
    if takes {
        return Ok(());
    }
    let message = format!(
        "topic {:?} takes messages of kind '{}', and not those of type {}",
        table.name,
        kind.name(),
        message_type.as_str_name()
    );
    Err(Failed::new(Code::MessagePropertyConflictWithType, message))
}

async fn checked(caller: &Caller, message: Message, now_ms: i64) -> Done<Sendable> {
    let topic = resources::topic(caller, message.topic.as_ref())?;
    let Message { user_properties, system_properties, body, .. } = message;
    let said = system_properties.ok_or_else(|| Failed::missing("system properties in a message"))?;
    let message_type = message_type(&said)?;
    let SystemProperties { message_id: id, tag, keys, message_group: group, trace_context, .. } = &said;
    if id.trim().is_empty() {
        return Err(Failed::new(Code::IllegalMessageId, "the message has no id"));
    }
    texts(tag.iter(), Code::IllegalMessageTag, "the message's tag")?;
    if tag.as_ref().is_some_and(|tag| tag.contains('|')) {
        return Err(Failed::new(Code::IllegalMessageTag, "the message's tag has a vertical bar"));
    }
    texts(keys.iter(), Code::IllegalMessageKey, "one of the message's keys")?;
    texts(group.iter(), Code::IllegalMessageGroup, "the message's group")?;
    for (name, value) in &user_properties {
        let wrong =
            |why: &str| Failed::new(Code::IllegalMessagePropertyKey, format!("the property {name:.100?} {why}"));
        if name.is_empty() || properties::is_ours(name) {
            return Err(wrong("is none that users set"));
        }
        if name.chars().chain(value.chars()).any(char::is_control) {
            return Err(wrong("has control characters"));
        }
    }
    let others = [id.as_str()].into_iter().chain([tag, group, trace_context].into_iter().flatten().map(String::as_str));
    let others = others.chain(keys.iter().map(String::as_str));
    let users = user_properties.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let bytes: usize = others.chain(users).map(str::len).sum();
    if bytes > MAX_PROPERTIES_BYTES {
        let message =
            format!("the properties of a message have at most {MAX_PROPERTIES_BYTES} bytes; these have {bytes}");
        return Err(Failed::new(Code::MessagePropertiesTooLarge, message));
    }
    let body = unpacked(caller, said.body_encoding, body).await?;
    let mut message = NewMessage {
        message_id: Some(id.clone()),
        tag: tag.clone(),
        keys: keys.clone(),
        group: group.clone(),
        properties: user_properties.into_iter().collect(),
        body,
        born_ms: said.born_timestamp.as_ref().and_then(times::millis).filter(|ms| *ms > 0),
        born_host: caller.address,
        ..NewMessage::default()
    };
    if let Some(context) = trace_context {
        message.set(TRACE_CONTEXT, context.clone());
    }
    match message_type {
        MessageType::Transaction => half(&said, &topic, &mut message)?,
        MessageType::Delay => delayed(&said, &topic, &mut message, now_ms)?,
        _ => {}
    }
    Ok(Sendable { topic, message_type, id: id.clone(), message })
}

/// The type that a message says it has, if it is what that says.
fn message_type(said: &SystemProperties) -> Done<MessageType> {
    let (group, time) = (said.message_group.is_some(), said.delivery_timestamp.is_some());
    let named = MessageType::try_from(said.message_type);
    let named =
        named.map_err(|_| Failed::new(Code::BadRequest, format!("there is no message type {}", said.message_type)))?;
    if said.lite_topic.is_some()
        || said.priority.is_some()
        || matches!(named, MessageType::Lite | MessageType::Priority)
    {
        return Err(Failed::new(Code::Unsupported, "messages with a priority or of lite topics are not served"));
    }
    let is = match (group, time) {
        (false, false) => MessageType::Normal,
        (true, false) => MessageType::Fifo,
        (false, true) => MessageType::Delay,
        (true, true) => {
            let message = "a message with a group keeps its order, and is not delayed";
            return Err(Failed::new(Code::MessagePropertyConflictWithType, message));
        }
    };
    match named {
        MessageType::Unspecified => Ok(is),
        MessageType::Transaction if is == MessageType::Normal => Ok(named),
        named if named == is => Ok(named),
        named => {
            let message = format!(
                "the message says it is of type {}; what it says else is of {}",
                named.as_str_name(),
                is.as_str_name()
            );
            Err(Failed::new(Code::MessagePropertyConflictWithType, message))
        }
    }
}

fn texts<'a>(texts: impl Iterator<Item = &'a String>, code: Code, what: &str) -> Done<()> {
    for text in texts {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(Failed::new(code, format!("{what} is blank, or has control characters")));
        }
    }
    Ok(())
}

/// Producers over gRPC have no group: those that say they send to the topic are asked.
fn half(said: &SystemProperties, topic: &ScopedName, message: &mut NewMessage) -> Done<()> {
    message.set(TRANSACTION, "true".to_owned());
    message.set(PRODUCER_GROUP, topic.wire());
    if let Some(after) = &said.orphaned_transaction_recovery_duration {
        let after = times::duration(after);
        let after = after
            .ok_or_else(|| Failed::new(Code::BadRequest, "the time until a transaction is asked about is none"))?;
        message.set(CHECK_IMMUNITY, after.as_secs().to_string());
    }
    Ok(())
}

fn delayed(said: &SystemProperties, topic: &ScopedName, message: &mut NewMessage, now_ms: i64) -> Done<()> {
    let at = said.delivery_timestamp.as_ref().and_then(times::millis);
    let at = at.ok_or_else(|| Failed::new(Code::IllegalDeliveryTime, "the message's time of delivery is none"))?;
    message.set(TIMER_DELIVER_MS, at.to_string());
    let deliver_ms = delay::deliver_at(&message.properties, now_ms);
    message.deliver_ms = deliver_ms.map_err(|refusal| Failed::new(Code::IllegalDeliveryTime, refusal.remark))?;
    if message.deliver_ms.is_some() {
        message.set(REAL_TOPIC, topic.wire());
        message.set(REAL_QUEUE_ID, "-1".to_owned());
    }
    Ok(())
}

/// The body as it was before it was compressed.
async fn unpacked(caller: &Caller, encoding: i32, body: Bytes) -> Done<Bytes> {
    let too_large = || {
        Failed::new(Code::MessageBodyTooLarge, format!("a body has at most {MAX_BODY_BYTES} bytes; send a smaller one"))
    };
    if body.len() > MAX_BODY_BYTES {
        return Err(too_large());
    }
    match Encoding::try_from(encoding) {
        Ok(Encoding::Identity | Encoding::Unspecified) => return Ok(body),
        Ok(Encoding::Gzip) => {}
        Err(_) => return Err(Failed::new(Code::BadRequest, format!("there is no encoding {encoding} of bodies"))),
    }
    let busy = |_| Failed::new(Code::TooManyRequests, crate::net::ingress::NoRoom::MESSAGE);
    let door = &caller.door.door;
    let room = door.net.ingress.unpack(MAX_BODY_BYTES).await.map_err(busy)?;
    let unpack = move || (unpack::unpack_deflated(&body, MAX_BODY_BYTES), room);
    let (unpacked, room) = door.work.run(Waits::Computes, unpack).await?;
    // From here on the writer's queue bounds it.
    drop(room);
    unpacked.map_err(|malformed| Failed::new(Code::MessageCorrupted, malformed.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_they_say() {
        let of = |named: MessageType, group: Option<&str>, at: Option<i64>| {
            let said = SystemProperties {
                message_type: named.into(),
                message_group: group.map(str::to_owned),
                delivery_timestamp: at.map(times::timestamp),
                ..SystemProperties::default()
            };
            message_type(&said).map_err(|failed| failed.code)
        };
        use MessageType::{Delay, Fifo, Lite, Normal, Transaction, Unspecified};
        let conflict = Err(Code::MessagePropertyConflictWithType);
        assert_eq!((of(Unspecified, None, None), of(Unspecified, Some("g"), None)), (Ok(Normal), Ok(Fifo)));
        assert_eq!(
            (of(Normal, None, None), of(Fifo, Some("g"), None), of(Delay, None, Some(1))),
            (Ok(Normal), Ok(Fifo), Ok(Delay))
        );
        assert_eq!((of(Transaction, None, None), of(Transaction, Some("g"), None)), (Ok(Transaction), conflict));
        assert_eq!(
            (of(Normal, Some("g"), None), of(Fifo, None, None), of(Delay, None, None)),
            (conflict, conflict, conflict)
        );
        assert_eq!((of(Fifo, Some("g"), Some(1)), of(Lite, None, None)), (conflict, Err(Code::Unsupported)));
        let unknown = SystemProperties { message_type: 77, ..SystemProperties::default() };
        assert_eq!(message_type(&unknown).unwrap_err().code, Code::BadRequest);
    }
}
