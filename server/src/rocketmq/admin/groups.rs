//! Consumer groups: 200, 201, 207, 300, 343, 345, 352. A group is there once somebody consumes in it, once it has offsets, or once its
//! topic of messages to be consumed again is made.

use std::collections::BTreeSet;

use millstream_engine::{ErrorKind, MessageClientRole};
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Answered, Refusal};
use super::super::client::Client;
use super::super::fields::Fields;
use super::super::names::ScopedName;
use super::super::retry;
use super::super::wire::bodies as wire;
use super::super::wire::codes;
use super::super::wire::command::Command;
use super::{bodies, topics};

/// Makes the group's topic of messages to be consumed again. What a group can't be told here is refused.
pub(super) fn create(client: &Client, command: &Command) -> Answered {
    let wanted: Value = wire::read("a group's configuration", &command.body)?;
    let name = wanted.get("groupName").and_then(Value::as_str).unwrap_or_default();
    let group = check_group(name, Fields::of(command))?;
    let refuse = |why: &str| Err(Refusal::illegal(format!("group {name:?}: {why}")));
    if wanted.get("consumeEnable").and_then(Value::as_bool) == Some(false) {
        return refuse("consumeEnable=false: a group can't be kept from consuming here");
    }
    let tries = wanted.get("retryMaxTimes").and_then(Value::as_i64);
    if tries.is_some_and(|tries| tries != i64::from(retry::DEFAULT_MAX)) {
        return refuse(
            "retryMaxTimes: consumers say by themselves how often they take a message again (maxReconsumeTimes)",
        );
    }
    if wanted.get("retryQueueNums").and_then(Value::as_i64).is_some_and(|queues| queues != 1) {
        return refuse("retryQueueNums: messages to be consumed again are in one queue");
    }
    let retry = group.retry_topic();
    if client.tables.find(&retry)?.is_none() {
        client.tables.create(&retry, millstream_engine::MessageKind::Any, 1)?;
    }
    Ok(Answer::ok())
}

/// Forgets the group's offsets, and its topic of messages to be consumed again if nothing is in it. Refused while it has consumers.
pub(super) fn delete(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = check_group(fields.text("groupName")?, fields)?;
    let tables = &client.tables;
    let alive = tables.engine.message_clients(&tables.who, &group.namespace, &group.name)?;
    if let Some(one) = alive.iter().find(|one| one.role == MessageClientRole::Consumer) {
        let message =
            format!("group {:?} has consumers, {:?} among them; stop them first", group.wire(), one.client_id);
        return Err(Refusal::new(codes::SYSTEM_ERROR, message));
    }
    match tables.engine.drop_group(&tables.who, &group.namespace, &group.name, false) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let retry = group.retry_topic();
    if let Some(table) = tables.find(&retry)? {
        let offsets = tables.engine.table_offsets(&tables.who, table.id)?;
        if offsets.iter().all(|(start, end)| start == end) {
            tables.engine.drop_table(&tables.who, &retry.namespace, &retry.name, false)?;
        }
    }
    Ok(Answer::ok())
}

pub(super) fn all_configs(client: &Client, _: &Command) -> Answered {
    let all: Map<String, Value> = all(client)?.into_iter().map(|group| (group.wire(), shown(&group))).collect();
    bodies::answer(&json!({ "dataVersion": topics::data_version(client), "subscriptionGroupTable": all }))
}

pub(super) fn config(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = ScopedName::read(fields.text("group")?, fields);
    if !all(client)?.contains(&group) {
        return Err(Refusal::new(codes::GROUP_NOT_EXIST, format!("the group {:?} does not exist", group.wire())));
    }
    bodies::answer(&shown(&group))
}

/// 300: groups that consume a topic, or have.
pub(super) fn of_topic(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let topic = ScopedName::read(fields.text("topic")?, fields);
    let mut found = BTreeSet::new();
    for group in all(client)?.into_iter().filter(|group| group.namespace == topic.namespace) {
        if topics_of(client, &group)?.contains(&topic.name) {
            found.insert(group.wire());
        }
    }
    bodies::answer(&json!({ "groupList": found }))
}

/// 343.
pub(super) fn topics(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = ScopedName::read(fields.text("group")?, fields);
    let wire = |name| ScopedName { namespace: group.namespace.clone(), name }.wire();
    let names: Vec<String> = topics_of(client, &group)?.into_iter().map(wire).collect();
    bodies::answer(&json!({ "topicList": names }))
}

/// 345: what the consumers of a group ask for on a topic.
pub(super) fn subscription(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let (group, topic) = (fields.text("group")?, fields.text("topic")?);
    let (asking, asked) = (ScopedName::read(group, fields), ScopedName::read(topic, fields));
    let all = client.tables.engine.message_subscriptions(&client.tables.who)?;
    let of = |one: &&millstream_engine::LiveSubscription| {
        (&one.namespace, &one.group) == (&asking.namespace, &asking.name) && one.subscription.topic == asked.name
    };
    let found = all.iter().find(of).map(|one| super::connections::subscription(topic, &one.subscription));
    bodies::answer(&json!({ "group": group, "topic": topic, "subscriptionData": found }))
}

/// All groups, by name.
fn all(client: &Client) -> Result<BTreeSet<ScopedName>, Refusal> {
    let tables = &client.tables;
    let mut found = BTreeSet::new();
    for group in tables.engine.groups(&tables.who)? {
        found.insert(ScopedName { namespace: group.namespace, name: group.group_id });
    }
    for (namespace, name, one) in tables.engine.all_message_clients(&tables.who)? {
        if one.role == MessageClientRole::Consumer {
            found.insert(ScopedName { namespace, name });
        }
    }
    found.extend(topics::all(client)?.iter().filter_map(|of| of.name().retried_group()));
    Ok(found)
}

/// Topics that a group consumes, or has offsets on: names in its namespace.
pub(super) fn topics_of(client: &Client, group: &ScopedName) -> Result<BTreeSet<String>, Refusal> {
    let tables = &client.tables;
    let mut found = BTreeSet::new();
    match tables.engine.group_offsets(&tables.who, &group.namespace, &group.name) {
        Ok(offsets) => found.extend(offsets.into_iter().map(|at| at.topic)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    for one in tables.engine.message_clients(&tables.who, &group.namespace, &group.name)? {
        found.extend(one.subscriptions.into_iter().map(|subscription| subscription.topic));
    }
    Ok(found)
}

fn check_group(name: &str, fields: Fields<'_>) -> Result<ScopedName, Refusal> {
    if name.is_empty() {
        return Err(Refusal::illegal("a group without a name"));
    }
    let group = ScopedName::read(name, fields);
    // Its topic's name is longer.
    group.retry_topic().check_topic()?;
    Ok(group)
}

fn shown(group: &ScopedName) -> Value {
    json!({
        "attributes": {}, "brokerId": 0, "consumeBroadcastEnable": true, "consumeEnable": true, "consumeFromMinEnable": true,
        "consumeMessageOrderly": false, "consumeTimeoutMinute": 15, "groupName": group.wire(), "groupSysFlag": 0,
        "notifyConsumerIdsChangedEnable": true, "retryMaxTimes": retry::DEFAULT_MAX, "retryQueueNums": 1,
        "whichBrokerWhenConsumeSlowly": 0,
    })
}
