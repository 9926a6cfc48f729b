//! Messages that are published, one a request.

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use millstream_engine::{MessageKind, PartitionChoice};

use super::call::Call;
use super::fault::{self, Done, Fault};
use super::written::md5;
use super::xml::Writer;
use crate::rocketmq::delay;
use crate::rocketmq::queueing;
use crate::rocketmq::rows::NewMessage;
use crate::rocketmq::send::MAX_BODY_BYTES;
use crate::rocketmq::wire::properties::{
    MAX_PROPERTIES_BYTES, REAL_QUEUE_ID, REAL_TOPIC, TAGS, TRANSACTION, UNIQUE_KEY,
};
use crate::work::Waits;

/// How long after it a half message is asked about.
const HALF: &str = "__TransCheckT";

pub(super) async fn publish(mut call: Call) -> Done<Response> {
    let message = message(&mut call).await?;
    let table = match call.tables.find(&call.topic)? {
        Some(table) => table,
        None => {
            let (tables, topic) = (call.tables.clone(), call.topic.clone());
            let at_most = if topic.name.starts_with('%') { 1 } else { u32::MAX };
            call.door.work.run(Waits::ForLog, move || tables.made(&topic, at_most)).await??
        }
    };
    if table.options.messages == Some(MessageKind::Ordered) && message.group.is_none() {
        return Err(Fault::invalid(format!(
            "topic {:?} keeps messages in order: they have a __SHARDINGKEY",
            table.name
        )));
    }
    let (id, md5) = (message.message_id.clone().unwrap_or_default(), md5(&message.body));
    let who = &call.tables.who;
    call.door.engine.admit_requests(who, &table.namespace, 1)?;
    let messages = [message].into();
    let queued = queueing::queue_up(&call.door, who, &table, PartitionChoice::ByKey, messages, None, false).await?;
    queued.await?;
    let mut xml = Writer::begin("Message");
    xml.text("MessageId", &id).text("MessageBodyMD5", &md5);
    Ok(fault::answer(StatusCode::CREATED, Some(xml.end())))
}

async fn message(call: &mut Call) -> Done<NewMessage> {
    let (mut body, mut tag, mut properties) = (None, None, None);
    for (name, text) in call.texts("Message").await? {
        let place = match name.as_str() {
            "MessageBody" => &mut body,
            "MessageTag" => &mut tag,
            "Properties" => &mut properties,
            other => return Err(Fault::invalid(format!("a message has no <{other:.100}>"))),
        };
        if place.replace(text).is_some() {
            return Err(Fault::invalid(format!("a message has one <{name}>, and not two")));
        }
    }
    let body = body.filter(|body| !body.is_empty()).ok_or_else(|| Fault::invalid("the message has no body"))?;
    if body.len() > MAX_BODY_BYTES {
        return Err(Fault::too_large(format!("a body has at most {MAX_BODY_BYTES} bytes; send a smaller one")));
    }
    let properties = properties.unwrap_or_default();
    if properties.len() > MAX_PROPERTIES_BYTES {
        let bytes = properties.len();
        return Err(Fault::invalid(format!(
            "the properties of a message have at most {MAX_PROPERTIES_BYTES} bytes; these have {bytes}"
        )));
    }
    let properties = pairs(&properties)?;
    if properties.iter().any(|(name, _)| matches!(name.as_str(), HALF | TRANSACTION)) {
        return Err(Fault::unsupported("transactions are not served over HTTP; RocketMQ's other clients have them"));
    }
    let deliver_ms = delay::deliver_at(&properties, call.tables.engine.now_us().div_euclid(1_000))?;
    let topic = call.topic.wire();
    let mut message = NewMessage {
        body: Bytes::from(body.into_bytes()),
        born_ms: Some(call.tables.engine.now_us().div_euclid(1_000)),
        born_host: call.sent.peer.address,
        deliver_ms,
        ..NewMessage::with_properties(properties)
    };
    // Clients give none, and are told the one that it has.
    message.message_id = Some(fault::new_id());
    message.tag = tag.filter(|tag| !tag.is_empty());
    if deliver_ms.is_some() {
        message.set(REAL_TOPIC, topic);
        message.set(REAL_QUEUE_ID, "-1".to_owned());
    }
    Ok(message)
}

/// `name:value`, with bars between and perhaps after. Values may have colons.
fn pairs(text: &str) -> Done<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in text.split('|').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            Fault::invalid(format!("the property {pair:.100?} is no name and value, parted by a colon"))
        })?;
        if matches!(name, UNIQUE_KEY | TAGS) {
            return Err(Fault::invalid(format!("the property {name} is none that publishers set")));
        }
        if pairs.iter().any(|(other, _)| other == name) {
            return Err(Fault::invalid(format!("the property {name:.100?} is there twice")));
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_pairs() {
        let read = pairs("a:1|KEYS:x y|url:http://h:80|").unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("a", "1"), ("KEYS", "x y"), ("url", "http://h:80")]);
        assert_eq!(pairs("").unwrap(), []);
        for wrong in ["a", ":1", "a:1|b", "a:1|a:2", "TAGS:x", "UNIQ_KEY:1"] {
            assert!(pairs(wrong).is_err(), "{wrong}");
        }
    }
}
