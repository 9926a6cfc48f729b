//! How far topics and groups are: 202, 208, 303.

use millstream_engine::{ErrorKind, Offset};
use serde_json::json;

use super::super::answer::{Answer, Answered, Refusal};
use super::super::client::Client;
use super::super::fields::Fields;
use super::super::names::ScopedName;
use super::super::readable::{Bounds, Readable};
use super::super::scan::MessageScan;
use super::super::wire::command::Command;
use super::bodies::{self, QueueKey};
use super::groups;

/// 202.
pub(super) fn topic_stats(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let wire_topic = fields.text("topic")?;
    let of = client.tables.existing_readable(&ScopedName::read(wire_topic, fields))?;
    let mut entries = Vec::new();
    for (queue, (start, end)) in bounds(client, &of)? {
        let newest = stored_ms(client, &of, queue, end.checked_sub(1).filter(|offset| *offset >= start))?;
        entries.push((
            QueueKey { topic: wire_topic, queue },
            json!({ "lastUpdateTimestamp": newest.unwrap_or(0), "maxOffset": end, "minOffset": start }),
        ));
    }
    Ok(Answer::body(bodies::by_queue("offsetTable", &entries, &[("topicPutTps", json!(0.0))])))
}

/// 208: of one topic, of some, or of all that the group consumes.
pub(super) fn consume_stats(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = ScopedName::read(fields.text("consumerGroup")?, fields);
    let named = |name: &str| ScopedName::read(name, fields);
    let given = |name| fields.get(name).filter(|text: &&str| !text.is_empty());
    let asked: Vec<ScopedName> = match (given("topic"), given("topicList")) {
        (Some(topic), _) => vec![named(topic)],
        (None, Some(list)) => list.split(';').filter(|topic| !topic.is_empty()).map(named).collect(),
        (None, None) => {
            let names = groups::topics_of(client, &group)?.into_iter();
            names.map(|name| ScopedName { namespace: group.namespace.clone(), name }).collect()
        }
    };
    let mut found = Vec::new();
    for topic in asked {
        // What is no topic any more has no messages left to consume.
        let Some(of) = client.tables.readable(&topic)? else { continue };
        for (queue, (start, end)) in bounds(client, &of)? {
            let committed = committed(client, &group, &topic, queue)?;
            let consumed = committed.and_then(|next| next.checked_sub(1)).filter(|last| *last >= start && *last < end);
            let last = stored_ms(client, &of, queue, consumed)?.unwrap_or(0);
            let next = committed.unwrap_or(0);
            let offsets =
                json!({ "brokerOffset": end, "consumerOffset": next, "lastTimestamp": last, "pullOffset": next });
            found.push((topic.wire(), queue, offsets));
        }
    }
    let entries = found.iter().map(|(topic, queue, offsets)| (QueueKey { topic, queue: *queue }, offsets.clone()));
    let entries: Vec<_> = entries.collect();
    Ok(Answer::body(bodies::by_queue("offsetTable", &entries, &[("consumeTps", json!(0.0))])))
}

/// 303: of each queue, from when to when its messages are, and until when the group has consumed them.
pub(super) fn time_spans(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let (wire_topic, group) = (fields.text("topic")?, ScopedName::read(fields.text("group")?, fields));
    let topic = ScopedName::read(wire_topic, fields);
    let of = client.tables.existing_readable(&topic)?;
    let mut spans = Vec::new();
    for (queue, (start, end)) in bounds(client, &of)? {
        let at = |offset: Option<Offset>| {
            stored_ms(client, &of, queue, offset.filter(|offset| *offset >= start && *offset < end))
        };
        let (oldest, newest) = (at(Some(start))?, at(end.checked_sub(1))?);
        let next = committed(client, &group, &topic, queue)?.unwrap_or(0);
        let consumed = at(next.checked_sub(1))?.or(oldest);
        let waits = at(Some(next.max(start)))?.map_or(0, |since| client.now_ms().saturating_sub(since).max(0));
        spans.push(json!({
            "consumeTimeStamp": consumed.unwrap_or(0), "delayTime": waits, "maxTimeStamp": newest.unwrap_or(0),
            "messageQueue": QueueKey { topic: wire_topic, queue }.json(), "minTimeStamp": oldest.unwrap_or(0),
        }));
    }
    bodies::answer(&json!({ "consumeTimeSpanSet": spans }))
}

/// Each queue's first offset, and the one behind its last.
pub(super) fn bounds(client: &Client, of: &Readable) -> Result<impl Iterator<Item = (u32, Bounds)>, Refusal> {
    Ok((0..).zip(of.bounds(&client.tables)?))
}

pub(super) fn committed(
    client: &Client,
    group: &ScopedName,
    topic: &ScopedName,
    queue: u32,
) -> Result<Option<Offset>, Refusal> {
    let tables = &client.tables;
    match tables.engine.committed_offset(&tables.who, &group.namespace, &group.name, &topic.name, queue) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        committed => Ok(committed?),
    }
}

fn stored_ms(client: &Client, of: &Readable, queue: u32, offset: Option<Offset>) -> Result<Option<i64>, Refusal> {
    let Some(offset) = offset else { return Ok(None) };
    MessageScan { tables: &client.tables, of, queue }.stored_ms(offset)
}
