//! 36: a consumer gives a message back, to be consumed again later or to be given up.

use std::sync::Arc;

use millstream_engine::{MessageStep, Offset, PartitionChoice, PartitionId, TableId};

use super::answer::{Answer, Answered, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::names::ScopedName;
use super::retry::{self, RetryPolicy};
use super::rows::NewMessage;
use super::scan::MessageScan;
use super::sending::NewSend;
use super::wire::codes;
use super::wire::command::Command;
use super::wire::properties::{DELAY_LEVEL, ORIGIN_MESSAGE_ID, RETRY_TOPIC, WAIT};
use crate::work::Waits;

/// Table, partition and offset.
type Lies = (TableId, PartitionId, Offset);

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let physical: u64 = fields.number("offset")?;
    let group = ScopedName::read(fields.text("group")?, fields);
    let level: i32 = fields.or("delayLevel", 0)?;
    let policy = RetryPolicy::of(&client.tables, group.clone(), fields.optional("maxReconsumeTimes")?)?;
    let origin_id = fields.get("originMsgId").unwrap_or_default().to_owned();
    let origin = fields.get("originTopic").filter(|topic| !topic.is_empty());
    let origin = origin.map(|topic| ScopedName::read(topic, fields));
    let work = client.door.work.clone();
    let (reader, of) = (Arc::clone(&client), group.clone());
    let (mut message, topic, lies) = client.reading(move || read(&reader, physical, origin.as_ref())).await??;

    let now_ms = client.now_ms();
    let retry = policy.after(level, message.attempts);
    message.attempts = message.attempts.saturating_add(1);
    if !message.properties.iter().any(|(name, _)| name == RETRY_TOPIC) {
        message.set(RETRY_TOPIC, topic);
    }
    if !message.properties.iter().any(|(name, _)| name == ORIGIN_MESSAGE_ID) {
        message.set(ORIGIN_MESSAGE_ID, origin_id);
    }
    retry::delay(&mut message, &retry, now_ms);
    // As Apache has them.
    message.set(WAIT, "false".to_owned());
    if retry.waits.is_none() {
        message.set(DELAY_LEVEL, "0".to_owned());
    }
    let maker = Arc::clone(&client);
    let table = work.run(Waits::ForLog, move || maker.tables.made(&retry.topic, 1)).await??;
    let send = NewSend::of(table, PartitionChoice::Named(0), message);
    send.queue(&client).await?.finish(&client).await?;
    let (origin, partition, offset) = lies;
    let run = || [(partition, offset..offset.saturating_add(1), None)];
    client.tables.note(MessageStep::SentBack, origin, || client.as_consumer(&of), run);
    Ok(Answer::ok())
}

/// The message at a physical offset, as consumers of the named topic have it, its topic's name, and where it lies.
fn read(client: &Client, physical: u64, origin: Option<&ScopedName>) -> Result<(NewMessage, String, Lies), Refusal> {
    let tables = &client.tables;
    let gone = || Refusal::new(codes::SYSTEM_ERROR, format!("the message at physical offset {physical} is gone"));
    let (readable, place) = tables.at_physical(physical, origin)?.ok_or_else(gone)?;
    let scan = MessageScan { tables, of: &readable, queue: place.partition };
    let message = scan.one(place.offset, |rows| Ok(rows.copied(0)))?.ok_or_else(gone)?;
    Ok((message, readable.name().wire(), (readable.source.id, place.partition, place.offset)))
}
