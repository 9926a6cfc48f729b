//! Clients of groups: heartbeats, those who leave, lists, and notices to those who stay.

use std::sync::Arc;

use millstream_engine::{MessageClient, MessageClientRole, MessageSubscription};

use super::answer::{Answer, Answered, Refusal};
use super::client::{Client, Consuming};
use super::fields::Fields;
use super::filter::{Filter, FilterKind};
use super::names::ScopedName;
use super::wire::bodies::{self, ClientConfig, ConsumerData, ConsumerList, Heartbeat};
use super::wire::codes;
use super::wire::command::Command;
use crate::work::Waits;

/// A group's name is no longer; Apache's clients check the same.
const MAX_GROUP_BYTES: usize = 255;
/// How a client consumes is one of a few words.
const MAX_WORD_BYTES: usize = 64;
const BROADCASTING: &str = "BROADCASTING";

/// 34.
pub(super) async fn heartbeat(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let heartbeat: Heartbeat = bodies::read("a heartbeat", &command.body)?;
    client.said.release(&command.language, command.version);
    client.said.is_called(&heartbeat.client_id);
    for consumer in &heartbeat.consumer_data_set {
        consumes(&client, fields, &heartbeat.client_id, consumer).await?;
    }
    for producer in &heartbeat.producer_data_set {
        let group = group(&producer.group_name, fields)?;
        let alive = of_client(&client, &heartbeat.client_id, MessageClientRole::Producer, Vec::new());
        client.tables.engine.message_client_alive(&client.tables.who, &group.namespace, &group.name, alive)?;
    }
    Ok(Answer::ok())
}

async fn consumes(
    client: &Arc<Client>,
    fields: Fields<'_>,
    client_id: &str,
    consumer: &ConsumerData,
) -> Result<(), Refusal> {
    let group = group(&consumer.group_name, fields)?;
    if consumer.message_model.as_deref() != Some(BROADCASTING) && client.tables.settings.create_topics {
        // Its consumers pull from there without asking whether it is there.
        let retry = group.retry_topic();
        if client.tables.find(&retry)?.is_none() {
            let maker = Arc::clone(client);
            client.door.work.run(Waits::ForLog, move || maker.tables.made(&retry, 1)).await??;
        }
    }
    let subscriptions = consumer.subscription_data_set.iter().map(|subscription| MessageSubscription {
        topic: ScopedName::read(&subscription.topic, fields).name,
        kind: subscription.expression_type.clone().unwrap_or_else(|| "TAG".to_owned()),
        expression: subscription.sub_string.clone().unwrap_or_else(|| "*".to_owned()),
        version: subscription.sub_version,
    });
    let alive = of_client(client, client_id, MessageClientRole::Consumer, subscriptions.collect());
    let tables = &client.tables;
    let changes = tables.engine.message_client_alive(&tables.who, &group.namespace, &group.name, alive)?;
    let word = |word: &Option<String>| word.clone().filter(|word| word.len() <= MAX_WORD_BYTES);
    let (kind, model, from) = (&consumer.consume_type, &consumer.message_model, &consumer.consume_from_where);
    let consuming = Consuming { kind: word(kind), model: word(model), from: word(from) };
    client.said.consumes(&group.wire(), consuming);
    client.watch_group(&consumer.group_name, changes);
    Ok(())
}

fn group(wire: &str, fields: Fields<'_>) -> Result<ScopedName, Refusal> {
    if wire.is_empty() || wire.len() > MAX_GROUP_BYTES {
        let bytes = wire.len();
        return Err(Refusal::illegal(format!("a group's name has 1 to {MAX_GROUP_BYTES} bytes; this one has {bytes}")));
    }
    Ok(ScopedName::read(wire, fields))
}

fn of_client(
    client: &Client,
    client_id: &str,
    role: MessageClientRole,
    subscriptions: Vec<MessageSubscription>,
) -> MessageClient {
    let address = client.address.map(|address| address.to_string()).unwrap_or_default();
    MessageClient { client_id: client_id.to_owned(), role, connection: client.number, address, subscriptions }
}

/// 35.
pub(super) async fn unregister(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let client_id = fields.text("clientID")?;
    let roles = [("consumerGroup", MessageClientRole::Consumer), ("producerGroup", MessageClientRole::Producer)];
    for (field, role) in roles {
        if let Some(wire) = fields.get(field).filter(|wire| !wire.is_empty()) {
            let group = ScopedName::read(wire, fields);
            if role == MessageClientRole::Consumer {
                client.forget_group(wire);
            }
            let tables = &client.tables;
            tables.engine.message_client_left(&tables.who, &group.namespace, &group.name, role, client_id)?;
        }
    }
    Ok(Answer::ok())
}

/// 38: the consumers of a group that are alive.
pub(super) async fn list(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let group = ScopedName::read(fields.text("consumerGroup")?, fields);
    let clients = client.tables.engine.message_clients(&client.tables.who, &group.namespace, &group.name)?;
    let consumers = clients.into_iter().filter(|client| client.role == MessageClientRole::Consumer);
    let consumer_id_list: Vec<String> = consumers.map(|client| client.client_id).collect();
    if consumer_id_list.is_empty() {
        return Err(Refusal::new(codes::SYSTEM_ERROR, format!("no consumer for this group, {}", group.wire())));
    }
    Ok(Answer::body(bodies::write(&ConsumerList { consumer_id_list })?))
}

/// 46: whether a subscription can be served.
pub(super) async fn check(client: Arc<Client>, command: Command) -> Answered {
    let config: ClientConfig = bodies::read("a client's configuration", &command.body)?;
    let subscription = config.subscription_data;
    let kind = FilterKind::read(subscription.expression_type.as_deref())?;
    let namespace = ScopedName::read(&subscription.topic, Fields::of(&command)).namespace;
    let (asked, work) = (Arc::clone(&client), client.door.work.clone());
    let expression = subscription.sub_string.unwrap_or_default();
    work.run(Waits::ForState, move || Filter::read((&asked.door, &asked.tables.who), &namespace, kind, &expression))
        .await??;
    Ok(Answer::ok())
}
