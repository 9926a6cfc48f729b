//! 200050: messages of all queues or of one, waited for where there are none.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millstream_engine::{HandedMessages, Popped, TableInfo};

use super::choice::write;
use super::request::PopHeader;
use super::taking::Taking;
use crate::net::framed::Arrived;
use crate::rocketmq::answer::{Answer, Given, Refusal};
use crate::rocketmq::client::Client;
use crate::rocketmq::wire::codes;
use crate::rocketmq::wire::command::Command;
use crate::work::Waits;

pub(in crate::rocketmq) async fn answer(
    client: Arc<Client>,
    command: Command,
    arrived: Arrived,
) -> Result<Given, Refusal> {
    let header = Arc::new(PopHeader::read(&command)?);
    drop(command);
    let table = client.tables.existing(&header.topic)?;
    let (door, tables, store_host) = (client.door.clone(), client.tables.clone(), client.store_host);
    let sent = Arc::clone(client.outgoing.sent());
    let taking = Taking {
        door,
        tables,
        sent,
        header: Arc::clone(&header),
        table: Arc::clone(&table),
        store_host,
        client_id: client.said.client_id(),
        kept_by: None,
    };
    match taking.taken(arrived).await? {
        Some((handed, room)) => {
            let writer = Arc::clone(&client);
            let write = move || found(&writer, &header, &table, &handed).map(|answer| (answer, handed));
            let (answer, handed) = client.door.work.run(Waits::ForState, write).await??;
            Ok(Given { answer, room: Some(room), handed: Some(handed) })
        }
        None if header.wait.is_none() => {
            Ok(nothing(&client, &header, codes::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE").into())
        }
        None => Ok(nothing(&client, &header, codes::POLLING_TIMEOUT, "POLLING_TIMEOUT").into()),
    }
}

fn found(client: &Client, header: &PopHeader, table: &TableInfo, handed: &HandedMessages) -> Result<Answer, Refusal> {
    let mut popped: Vec<&Popped> = handed.messages().iter().collect();
    if header.in_order {
        popped.sort_by_key(|popped| (popped.partition, popped.first));
    }
    let mut body = BytesMut::new();
    for one in &popped {
        write((&client.tables, table), (&header.wire_topic, client.store_host), one, &mut body)?;
    }
    let rest = rest(client, table, &popped)?;
    let popped_ms = popped.first().map_or(0, |popped| popped.handed_us.div_euclid(1_000));
    let mut fields = vec![
        ("popTime", popped_ms.to_string()),
        ("invisibleTime", header.invisible.as_millis().to_string()),
        ("reviveQid", popped.first().map_or(0, |popped| popped.number).to_string()),
        ("restNum", rest.to_string()),
        ("startOffsetInfo", starts(&popped)),
        ("msgOffsetInfo", offsets(&popped)),
    ];
    if header.in_order {
        fields.push(("orderCountInfo", counts(&popped)));
    }
    Ok(Answer { code: codes::SUCCESS, remark: Some("FOUND".to_owned()), fields, body: body.freeze() })
}

fn nothing(client: &Client, header: &PopHeader, code: i32, remark: &str) -> Answer {
    let fields = vec![
        ("popTime", client.now_ms().to_string()),
        ("invisibleTime", header.invisible.as_millis().to_string()),
        ("reviveQid", "0".to_owned()),
        ("restNum", "0".to_owned()),
    ];
    Answer { code, remark: Some(remark.to_owned()), fields, body: Bytes::new() }
}

/// Messages behind those that were handed out, of the same queues.
fn rest(client: &Client, table: &TableInfo, popped: &[&Popped]) -> Result<u64, Refusal> {
    let tables = &client.tables;
    let bounds = tables.engine.table_offsets(&tables.who, table.id)?;
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for one in popped {
        let at = last.entry(one.partition).or_default();
        *at = one.offsets.last().map_or(*at, |offset| (offset + 1).max(*at));
    }
    let left = |(queue, next): (u32, u64)| {
        let end = usize::try_from(queue).ok().and_then(|queue| bounds.get(queue)).map_or(0, |(_, end)| *end);
        end.saturating_sub(next)
    };
    Ok(last.into_iter().map(left).sum())
}

/// All offsets of each queue, rising.
fn by_queue(popped: &[&Popped]) -> BTreeMap<u32, Vec<u64>> {
    let mut queues: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    popped.iter().for_each(|one| queues.entry(one.partition).or_default().extend(&one.offsets));
    queues.values_mut().for_each(|offsets| offsets.sort_unstable());
    queues
}

/// `0 queue first`, for each queue. What clients make of it stands in each message already.
fn starts(popped: &[&Popped]) -> String {
    let first = |(queue, offsets): (u32, Vec<u64>)| format!("0 {queue} {}", offsets.first().copied().unwrap_or(0));
    by_queue(popped).into_iter().map(first).collect::<Vec<_>>().join(";")
}

/// `0 queue offset,offset`.
fn offsets(popped: &[&Popped]) -> String {
    let all = |(queue, offsets): (u32, Vec<u64>)| {
        let offsets: Vec<String> = offsets.iter().map(u64::to_string).collect();
        format!("0 {queue} {}", offsets.join(","))
    };
    by_queue(popped).into_iter().map(all).collect::<Vec<_>>().join(";")
}

/// `0 qo<queue>%<offset> times`, of messages that were handed out before.
fn counts(popped: &[&Popped]) -> String {
    let again = popped.iter().filter(|popped| popped.attempts > 1);
    let counts = again.flat_map(|popped| {
        let times = popped.attempts - 1;
        popped.offsets.iter().map(move |offset| format!("0 qo{}%{offset} {times}", popped.partition))
    });
    counts.collect::<Vec<_>>().join(";")
}
