//! Clients of groups: heartbeats, those who leave, lists, and notices to those who stay.

use std::sync::Arc;

use millstream_engine::{ErrorKind, MessageClient, MessageClientRole, MessageSubscription};

use super::answer::{Answer, Answered, Refusal};
use super::client::{Client, Consuming, Watched};
use super::fields::Fields;
use super::filter::{Filter, FilterKind};
use super::names::ScopedName;
use super::tables::Tables;
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
    // What is refused of one group keeps nobody out of the others.
    let mut outcome = Ok(Answer::ok());
    for consumer in &heartbeat.consumer_data_set {
        if let Err(refusal) = consumes(&client, fields, &heartbeat.client_id, consumer).await {
            outcome = outcome.and(Err(refusal));
        }
    }
    for producer in &heartbeat.producer_data_set {
        if let Err(refusal) = produces(&client, fields, &heartbeat.client_id, &producer.group_name) {
            outcome = outcome.and(Err(refusal));
        }
    }
    if outcome.is_err() {
        client.door.engine.recheck_message_clients(client.number);
    }
    outcome
}

/// Java's consumers name a group of producers, too, that they send with what they give back: who may send nothing is none of it, and his
/// heartbeat is well.
fn produces(client: &Client, fields: Fields<'_>, client_id: &str, wire: &str) -> Result<(), Refusal> {
    let group = group(wire, fields)?;
    let alive = of_client(client, client_id, MessageClientRole::Producer, Vec::new());
    let Tables { engine, who, .. } = &client.tables;
    match engine.message_client_alive(who, &group.namespace, &group.name, alive) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        heard => Ok(heard.map(drop)?),
    }
}

async fn consumes(
    client: &Arc<Client>,
    fields: Fields<'_>,
    client_id: &str,
    consumer: &ConsumerData,
) -> Result<(), Refusal> {
    let group = group(&consumer.group_name, fields)?;
    let Tables { engine, who, .. } = &client.tables;
    engine.check_message_client(who, MessageClientRole::Consumer, &group.namespace, &group.name)?;
    let subscriptions = consumer.subscription_data_set.iter().map(|subscription| MessageSubscription {
        topic: ScopedName::read(&subscription.topic, fields).name,
        kind: subscription.expression_type.clone().unwrap_or_else(|| "TAG".to_owned()),
        expression: subscription.sub_string.clone().unwrap_or_else(|| "*".to_owned()),
        version: subscription.sub_version,
    });
    let alive = of_client(client, client_id, MessageClientRole::Consumer, subscriptions.collect());
    let changes = engine.message_client_alive(who, &group.namespace, &group.name, alive)?;
    if let Err(refusal) = retries(client, &group, consumer).await {
        engine.message_client_left(who, &group.namespace, &group.name, MessageClientRole::Consumer, client_id)?;
        return Err(refusal);
    }
    let word = |word: &Option<String>| word.clone().filter(|word| word.len() <= MAX_WORD_BYTES);
    let (kind, model, from) = (&consumer.consume_type, &consumer.message_model, &consumer.consume_from_where);
    let consuming = Consuming { kind: word(kind), model: word(model), from: word(from) };
    client.said.consumes(&group.wire(), consuming);
    client.watch_group(Watched { wire: consumer.group_name.clone(), group, who: who.clone() }, changes);
    Ok(())
}

/// Its consumers pull from there without asking whether it is there. They are of the group before it is made: some clients ask who is
/// before their heartbeat is answered, and give up for good if nobody is.
async fn retries(client: &Arc<Client>, group: &ScopedName, consumer: &ConsumerData) -> Result<(), Refusal> {
    if consumer.message_model.as_deref() == Some(BROADCASTING) || !client.tables.settings.create_topics {
        return Ok(());
    }
    let retry = group.retry_topic();
    if client.tables.find(&retry)?.is_none() {
        let maker = Arc::clone(client);
        client.door.work.run(Waits::ForLog, move || maker.tables.made(&retry, 1)).await??;
    }
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
            match tables.engine.message_client_left(&tables.who, &group.namespace, &group.name, role, client_id) {
                // He was none of it.
                Err(error) if role == MessageClientRole::Producer && error.kind() == ErrorKind::PermissionDenied => {}
                left => left?,
            }
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
