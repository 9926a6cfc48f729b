//! Who is connected: 203, 204, 328.

use std::collections::BTreeMap;

use millstream_engine::{MessageClient, MessageClientRole, MessageSubscription};
use serde_json::{Map, Value, json};

use super::super::answer::{Answered, Refusal};
use super::super::client::Client;
use super::super::fields::Fields;
use super::super::names::ScopedName;
use super::super::wire::codes;
use super::super::wire::command::Command;
use super::bodies;

/// 203.
pub(super) fn consumers(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = ScopedName::read(fields.text("consumerGroup")?, fields);
    let alive = of_group(client, &group, MessageClientRole::Consumer)?;
    if alive.is_empty() {
        let message = format!("the consumer group[{}] not online", group.wire());
        return Err(Refusal::new(codes::CONSUMER_NOT_ONLINE, message));
    }
    let mut asked: Map<String, Value> = Map::new();
    for one in alive.iter().flat_map(|one| &one.subscriptions) {
        let topic = ScopedName { namespace: group.namespace.clone(), name: one.topic.clone() }.wire();
        asked.insert(topic.clone(), subscription(&topic, one));
    }
    let consuming = alive.iter().find_map(|one| client.remoting.askable.get(one.connection));
    let consuming = consuming.map(|one| one.said.consuming(&group.wire())).unwrap_or_default();
    bodies::answer(&json!({
        "connectionSet": alive.iter().map(|one| connection(client, one)).collect::<Vec<_>>(),
        "consumeFromWhere": consuming.from.unwrap_or_else(|| "CONSUME_FROM_LAST_OFFSET".to_owned()),
        "consumeType": consuming.kind.unwrap_or_else(|| "CONSUME_PASSIVELY".to_owned()),
        "messageModel": consuming.model.unwrap_or_else(|| "CLUSTERING".to_owned()),
        "subscriptionTable": asked,
    }))
}

/// 204.
pub(super) fn producers(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = ScopedName::read(fields.text("producerGroup")?, fields);
    let alive = of_group(client, &group, MessageClientRole::Producer)?;
    if alive.is_empty() {
        return Err(Refusal::new(codes::SYSTEM_ERROR, format!("the producer group[{}] not exist", group.wire())));
    }
    let connections: Vec<Value> = alive.iter().map(|one| connection(client, one)).collect();
    bodies::answer(&json!({ "connectionSet": connections }))
}

/// 328.
pub(super) fn all_producers(client: &Client, _: &Command) -> Answered {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (namespace, name, one) in client.tables.engine.all_message_clients(&client.tables.who)? {
        if one.role == MessageClientRole::Producer {
            let (language, version) = released(client, &one);
            groups.entry(ScopedName { namespace, name }.wire()).or_default().push(json!({
                "clientId": one.client_id, "language": language, "lastUpdateTimestamp": client.now_ms(),
                "remoteIP": one.address, "version": version,
            }));
        }
    }
    bodies::answer(&json!({ "data": groups }))
}

fn of_group(client: &Client, group: &ScopedName, role: MessageClientRole) -> Result<Vec<MessageClient>, Refusal> {
    let mut alive = client.tables.engine.message_clients(&client.tables.who, &group.namespace, &group.name)?;
    alive.retain(|one| one.role == role);
    Ok(alive)
}

fn connection(client: &Client, one: &MessageClient) -> Value {
    let (language, version) = released(client, one);
    json!({ "clientAddr": one.address, "clientId": one.client_id, "language": language, "version": version })
}

fn released(client: &Client, one: &MessageClient) -> (String, i32) {
    let connected = client.remoting.askable.get(one.connection);
    connected.map_or_else(|| ("OTHER".to_owned(), 0), |connected| connected.said.released())
}

/// What a consumer asks for, as clients read it.
pub(super) fn subscription(topic: &str, one: &MessageSubscription) -> Value {
    let is_by_tags = one.kind == "TAG";
    let tags: Vec<&str> = match is_by_tags && !matches!(one.expression.trim(), "" | "*") {
        true => one.expression.split("||").map(str::trim).filter(|tag| !tag.is_empty()).collect(),
        false => Vec::new(),
    };
    json!({
        "classFilterMode": false, "codeSet": tags.iter().map(|tag| java_hash(tag)).collect::<Vec<_>>(),
        "expressionType": one.kind, "subString": one.expression, "subVersion": one.version, "tagsSet": tags, "topic": topic,
    })
}

/// Of a text, as Java has it.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_shown_as_clients_have_said_them() {
        let one =
            MessageSubscription { topic: "t".into(), kind: "TAG".into(), expression: "T1 || T2".into(), version: 7 };
        let shown = subscription("ns%t", &one);
        assert_eq!(shown["codeSet"], json!([2653, 2654]));
        assert_eq!((&shown["tagsSet"], &shown["topic"]), (&json!(["T1", "T2"]), &json!("ns%t")));
        let all = subscription("t", &MessageSubscription { expression: "*".into(), ..one.clone() });
        assert_eq!(all["tagsSet"], json!([]));
        let by_condition = MessageSubscription { kind: "SQL92".into(), expression: "a > 1".into(), ..one };
        assert_eq!(subscription("t", &by_condition)["codeSet"], json!([]));
    }
}
