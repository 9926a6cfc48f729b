//! Consumer groups: 200, 201, 207, 300, 343, 345, 352. A group is there once somebody consumes in it, once it has offsets, or once its
//! topic of messages to be consumed again is made.

use std::collections::BTreeSet;

use millstream_engine::{ErrorKind, GroupRetries, GroupRetryChanges, MAX_GROUP_ATTEMPTS, MessageClientRole};
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Answered, Refusal};
use super::super::client::Client;
use super::super::fields::Fields;
use super::super::names::ScopedName;
use super::super::tables::Tables;
use super::super::wire::bodies as wire;
use super::super::wire::codes;
use super::super::wire::command::Command;
use super::{bodies, topics};

/// Steps of a policy whose waits grow by a factor, at most.
const EXPONENTIAL_STEPS: usize = 32;

/// Makes a group, or sets how its messages are tried again, and makes its topic of those. What a group can't be told here is refused.
pub(super) fn create(client: &Client, command: &Command) -> Answered {
    let wanted: Value = wire::read("a group's configuration", &command.body)?;
    let name = wanted.get("groupName").and_then(Value::as_str).unwrap_or_default();
    let group = check_group(name, Fields::of(command))?;
    let refuse = |why: &str| Err(Refusal::illegal(format!("group {name:?}: {why}")));
    if wanted.get("consumeEnable").and_then(Value::as_bool) == Some(false) {
        return refuse("consumeEnable=false: a group can't be kept from consuming here");
    }
    let changes = match policy(&wanted, client.tables.settings.max_attempts) {
        Ok(changes) => changes,
        Err(why) => return refuse(&why),
    };
    if wanted.get("retryQueueNums").and_then(Value::as_i64).is_some_and(|queues| queues != 1) {
        return refuse("retryQueueNums: messages to be consumed again are in one queue");
    }
    let retry = group.retry_topic();
    if client.tables.find(&retry)?.is_none() {
        client.tables.create(&retry, millstream_engine::MessageKind::Any, 1)?;
    }
    let Tables { engine, who, .. } = &client.tables;
    match engine.create_group(who, &group.namespace, &group.name, changes.clone()) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            engine.set_group_retries(who, &group.namespace, &group.name, changes)?;
        }
        made => made?,
    }
    Ok(Answer::ok())
}

/// How messages are tried again, as a group's configuration says; what is as the server has it is not set for the group.
fn policy(wanted: &Value, max_attempts: u32) -> Result<GroupRetryChanges, String> {
    let times = match wanted.get("retryMaxTimes") {
        None => None,
        Some(times) => {
            let attempts = times.as_u64().and_then(|times| u32::try_from(times).ok()?.checked_add(1));
            let attempts = attempts.filter(|attempts| *attempts <= MAX_GROUP_ATTEMPTS);
            Some(attempts.ok_or_else(|| format!("retryMaxTimes is {times}, and not 0 to {}", MAX_GROUP_ATTEMPTS - 1))?)
        }
    };
    let changes = GroupRetryChanges {
        max_attempts: times.map(|attempts| if attempts == max_attempts { 0 } else { attempts }),
        steps_ms: steps(wanted.get("groupRetryPolicy").unwrap_or(&Value::Null)),
    };
    Ok(changes)
}

/// The steps of a policy of Apache's 5.x; `None` where it is not there, or is the usual one.
fn steps(policy: &Value) -> Option<Vec<u64>> {
    let own = policy.get("customizedRetryPolicy").and_then(|own| own.get("next")).and_then(Value::as_array);
    match policy.get("type").and_then(Value::as_str) {
        Some("CUSTOMIZED") => own.map(|next| next.iter().filter_map(Value::as_u64).collect()),
        Some("EXPONENTIAL") => {
            let of = policy.get("exponentialRetryPolicy");
            let number = |name, or| of.and_then(|of| of.get(name)).and_then(Value::as_u64).unwrap_or(or);
            let (mut wait, most) = (number("initial", 5_000), number("max", 7_200_000));
            let mut next = Vec::new();
            while next.len() < EXPONENTIAL_STEPS && next.last() != Some(&most) {
                next.push(wait.min(most));
                wait = wait.saturating_mul(number("multiplier", 2).max(2));
            }
            Some(next)
        }
        _ => None,
    }
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
    let shown = |group: ScopedName| Ok::<_, Refusal>((group.wire(), shown(client, &group)?));
    let all: Map<String, Value> = all(client)?.into_iter().map(shown).collect::<Result<_, Refusal>>()?;
    bodies::answer(&json!({ "dataVersion": topics::data_version(client), "subscriptionGroupTable": all }))
}

pub(super) fn config(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = ScopedName::read(fields.text("group")?, fields);
    if !all(client)?.contains(&group) {
        return Err(Refusal::new(codes::GROUP_NOT_EXIST, format!("the group {:?} does not exist", group.wire())));
    }
    bodies::answer(&shown(client, &group)?)
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

fn shown(client: &Client, group: &ScopedName) -> Result<Value, Refusal> {
    let tables = &client.tables;
    let GroupRetries { max_attempts, steps_ms } =
        tables.engine.group_retries(&tables.who, &group.namespace, &group.name)?;
    let retry_max_times = max_attempts.unwrap_or(tables.settings.max_attempts).saturating_sub(1);
    let mut shown = json!({
        "attributes": {}, "brokerId": 0, "consumeBroadcastEnable": true, "consumeEnable": true, "consumeFromMinEnable": true,
        "consumeMessageOrderly": false, "consumeTimeoutMinute": 15, "groupName": group.wire(), "groupSysFlag": 0,
        "notifyConsumerIdsChangedEnable": true, "retryMaxTimes": retry_max_times, "retryQueueNums": 1,
        "whichBrokerWhenConsumeSlowly": 0,
    });
    if let (false, Some(shown)) = (steps_ms.is_empty(), shown.as_object_mut()) {
        let own = json!({ "type": "CUSTOMIZED", "customizedRetryPolicy": { "next": steps_ms } });
        shown.insert("groupRetryPolicy".to_owned(), own);
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_of_groups_are_read() {
        let check = |wanted: Value, expected: Result<(Option<u32>, Option<Vec<u64>>), &str>| match (
            policy(&wanted, 17),
            expected,
        ) {
            (Ok(read), Ok(expected)) => assert_eq!((read.max_attempts, read.steps_ms), expected, "{wanted}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (read, expected) => panic!("{wanted}: {read:?} instead of {expected:?}"),
        };
        check(json!({}), Ok((None, None)));
        check(json!({ "retryMaxTimes": 16 }), Ok((Some(0), None)));
        check(json!({ "retryMaxTimes": 3 }), Ok((Some(4), None)));
        check(json!({ "retryMaxTimes": 0 }), Ok((Some(1), None)));
        for wrong in [json!(-1), json!(10_000), json!(u64::MAX), json!("3"), json!(null)] {
            check(json!({ "retryMaxTimes": wrong }), Err("not 0 to 9999"));
        }
        let own = |policy: Value| json!({ "groupRetryPolicy": policy });
        let next = json!({ "type": "CUSTOMIZED", "customizedRetryPolicy": { "next": [1000, 5000] } });
        check(own(next), Ok((None, Some(vec![1_000, 5_000]))));
        check(own(json!({ "type": "CUSTOMIZED" })), Ok((None, None)));
        let grows =
            json!({ "type": "EXPONENTIAL", "exponentialRetryPolicy": { "initial": 100, "max": 900, "multiplier": 3 } });
        check(own(grows), Ok((None, Some(vec![100, 300, 900]))));
        let endless =
            json!({ "type": "EXPONENTIAL", "exponentialRetryPolicy": { "initial": 0, "max": 900, "multiplier": 0 } });
        assert_eq!(steps(&endless).unwrap().len(), EXPONENTIAL_STEPS);
        for odd in [json!(null), json!([]), json!({ "type": 7 })] {
            check(own(odd), Ok((None, None)));
        }
    }
}
