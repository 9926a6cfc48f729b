//! What a consumer is asked on an administrator's behalf: 307 and 309.

use std::sync::Arc;

use bytes::Bytes;
use millstream_engine::MessageClientRole;

use super::super::answer::{Answer, Answered, Refusal};
use super::super::client::{Client, ClientConnection};
use super::super::fields::Fields;
use super::super::names::{BROKER, ScopedName};
use super::super::tables::Tables;
use super::super::view;
use super::super::wire::command::Command;
use super::super::wire::{codes, message_id};

/// 307: what a consumer is at.
pub(super) async fn running_info(client: &Arc<Client>, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let (consumer, group) = consumer(client, fields)?;
    let (client_id, stacks) = (fields.text("clientId")?.to_owned(), fields.is_set("jstackEnable")?);
    let asked = vec![("consumerGroup", group), ("clientId", client_id), ("jstackEnable", stacks.to_string())];
    relay(&consumer, codes::GET_CONSUMER_RUNNING_INFO, asked, &[]).await
}

/// 309: a consumer is handed a message once more, by the id of where it is stored.
pub(super) async fn consume_directly(client: &Arc<Client>, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let (consumer, group) = consumer(client, fields)?;
    let (client_id, id) = (fields.text("clientId")?.to_owned(), fields.text("msgId")?.to_owned());
    let physical = message_id::physical(&id)
        .ok_or_else(|| Refusal::illegal(format!("{id:.64} is no id of where a message is stored (offsetMsgId)")))?;
    let reader = Arc::clone(client);
    let topic = fields.get("topic").filter(|topic| !topic.is_empty()).map(|topic| ScopedName::read(topic, fields));
    let read = move || view::read(&reader, physical, topic.as_ref());
    let message = client.reading(read).await??;
    let asked = vec![
        ("consumerGroup", group),
        ("clientId", client_id),
        ("msgId", id),
        ("brokerName", BROKER.to_owned()),
        ("topic", fields.get("topic").unwrap_or_default().to_owned()),
    ];
    relay(&consumer, codes::CONSUME_MESSAGE_DIRECTLY, asked, &message.body).await
}

/// The consumer that a request names, and its group as it writes it: for whoever could be one of them himself.
fn consumer(client: &Client, fields: Fields<'_>) -> Result<(Arc<ClientConnection>, String), Refusal> {
    let (group, id) = (fields.text("consumerGroup")?, fields.text("clientId")?);
    let ScopedName { namespace, name } = ScopedName::read(group, fields);
    let Tables { engine, who, .. } = &client.tables;
    engine.check_message_client(who, MessageClientRole::Consumer, &namespace, &name)?;
    let alive = engine.message_clients(who, &namespace, &name)?;
    let mut named = alive.iter().filter(|one| one.role == MessageClientRole::Consumer && one.client_id == id);
    let found = named.find_map(|one| client.remoting.askable.get(one.connection));
    let missing =
        || Refusal::new(codes::CONSUMER_NOT_ONLINE, format!("The Consumer <{group:.200}> <{id:.200}> not online"));
    Ok((found.ok_or_else(missing)?, group.to_owned()))
}

async fn relay(consumer: &ClientConnection, code: i32, fields: Vec<(&'static str, String)>, body: &[u8]) -> Answered {
    let (said, _room) = consumer.ask(code, fields, body).await?;
    // A copy, whose room is the administrator's: the consumer's goes back now.
    let body = Bytes::copy_from_slice(&said.body);
    Ok(Answer { code: said.code, remark: said.remark, fields: Vec::new(), body })
}
