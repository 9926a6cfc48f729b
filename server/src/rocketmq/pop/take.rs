//! 200050: messages of all queues or of one, waited for where there are none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millstream_engine::{PopOutcome, PopRequest, Popped, RowPlace, TableInfo};
use tokio::time::Instant;

use super::choice::{Choice, write};
use super::request::{LONGEST_WAIT, PopHeader};
use super::waiting::Waiting;
use crate::net::framed::Arrived;
use crate::net::sent::Load;
use crate::rocketmq::answer::{Answer, Refusal};
use crate::rocketmq::client::Client;
use crate::rocketmq::filter::Filter;
use crate::rocketmq::wire::codes;
use crate::rocketmq::wire::command::Command;
use crate::work::Waits;

/// What one answer holds, but for a message that is longer by itself.
const MAX_BYTES: usize = 256 << 10;
/// What an answer takes beside its messages.
const HEADER_BYTES: usize = 4 << 10;

/// What a look has come to.
enum Seen {
    Outcome(PopOutcome),
    /// A plugin of the filter is over its share of the machine, for so long.
    Throttled(Duration),
}

/// An answer, and the room of its messages.
pub(in crate::rocketmq) async fn answer(
    client: Arc<Client>,
    command: Command,
    arrived: Arrived,
) -> Result<(Answer, Option<Load>), Refusal> {
    let header = Arc::new(PopHeader::read(&command)?);
    drop(command);
    let table = client.tables.existing(&header.topic)?;
    let mut waiting = Waiting::begin(&client, &header.group, &table, header.in_order).await?;
    let filter = Arc::new(filter(&client, &header).await?);
    // The subscription's text is in the filter, or was short.
    drop(arrived);
    let deadline = Instant::now() + header.wait.unwrap_or_default();
    let give_up = Instant::now() + LONGEST_WAIT / 2;
    let mut bytes = MAX_BYTES;
    loop {
        // Taken before the look: what is found is handed out.
        let room = client.outgoing.room(bytes + HEADER_BYTES).await;
        let (seer, asked, by, looked) =
            (Arc::clone(&client), Arc::clone(&header), Arc::clone(&filter), Arc::clone(&table));
        let look = move || see(&seer, &asked, &by, &looked, bytes);
        match client.door.work.run(Waits::ForRows, look).await?? {
            Seen::Throttled(pause) => {
                drop(room);
                if Instant::now() + pause > give_up {
                    return Err(Refusal::new(
                        codes::SYSTEM_BUSY,
                        "a plugin of the filter is over its share of the machine",
                    ));
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = client.stop.stopped() => return Err(Refusal::new(codes::SERVICE_NOT_AVAILABLE, "the server stops")),
                }
            }
            // Asked for while none is held.
            Seen::Outcome(PopOutcome::TooLong(size)) => bytes = size,
            Seen::Outcome(PopOutcome::Taken(pending)) => {
                let Some(popped) = pending.finish().await?.filter(|popped| !popped.is_empty()) else { continue };
                let (writer, asked, of) = (Arc::clone(&client), Arc::clone(&header), Arc::clone(&table));
                let written = move || found(&writer, &asked, &of, popped);
                return Ok((client.door.work.run(Waits::ForRows, written).await??, Some(room)));
            }
            Seen::Outcome(PopOutcome::Nothing { next_us }) => {
                drop(room);
                if header.wait.is_none() {
                    return Ok((nothing(&client, &header, codes::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE"), None));
                }
                if !waiting.comes(&client, next_us, deadline).await {
                    return Ok((nothing(&client, &header, codes::POLLING_TIMEOUT, "POLLING_TIMEOUT"), None));
                }
            }
            Seen::Outcome(PopOutcome::NeedsDeadLetters) => {
                return Err(Refusal::new(codes::SYSTEM_ERROR, "the table of dead letters can't be made"));
            }
        }
    }
}

async fn filter(client: &Arc<Client>, header: &Arc<PopHeader>) -> Result<Filter, Refusal> {
    let (maker, asked) = (Arc::clone(client), Arc::clone(header));
    let make = move || Filter::read(&maker, &asked.topic.namespace, asked.kind, &asked.expression);
    client.door.work.run(Waits::ForRows, make).await?
}

fn see(client: &Client, header: &PopHeader, filter: &Filter, table: &TableInfo, bytes: usize) -> Result<Seen, Refusal> {
    if let Some(pause) = filter.throttled() {
        return Ok(Seen::Throttled(pause));
    }
    let (tables, group) = (&client.tables, &header.group);
    let request = PopRequest {
        namespace: group.namespace.clone(),
        group: group.name.clone(),
        table: table.id,
        partition: header.queue,
        messages: header.messages,
        bytes,
        invisible: header.invisible,
        max_attempts: tables.settings.max_attempts,
        in_order: header.in_order,
        start: header.start(tables.engine.now_us()),
    };
    let mut choice =
        Choice { filter, topic: &header.wire_topic, store_host: client.store_host, failed: None, stopped: None };
    let outcome = tables.engine.pop(&tables.who, &request, &mut choice)?;
    let tell = |partition, offset, why: &str| {
        let place = RowPlace { table: table.id, partition, offset };
        tables.engine.message_filter_failed(&tables.who, &group.namespace, &group.name, place, why)
    };
    if let Some((queue, offset, why)) = &choice.failed {
        tell(*queue, *offset, why)?;
    }
    if let Some((queue, offset, why)) = &choice.stopped {
        tell(*queue, *offset, why)?;
        if matches!(outcome, PopOutcome::Nothing { .. }) {
            let remark = format!("the filter of the subscription fails at offset {offset} of queue {queue}: {why}");
            return Err(Refusal::new(codes::SYSTEM_ERROR, remark));
        }
    }
    Ok(Seen::Outcome(outcome))
}

fn found(client: &Client, header: &PopHeader, table: &TableInfo, mut popped: Vec<Popped>) -> Result<Answer, Refusal> {
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
fn rest(client: &Client, table: &TableInfo, popped: &[Popped]) -> Result<u64, Refusal> {
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
fn by_queue(popped: &[Popped]) -> BTreeMap<u32, Vec<u64>> {
    let mut queues: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    popped.iter().for_each(|one| queues.entry(one.partition).or_default().extend(&one.offsets));
    queues.values_mut().for_each(|offsets| offsets.sort_unstable());
    queues
}

/// `0 queue first`, for each queue. What clients make of it stands in each message already.
fn starts(popped: &[Popped]) -> String {
    let first = |(queue, offsets): (u32, Vec<u64>)| format!("0 {queue} {}", offsets.first().copied().unwrap_or(0));
    by_queue(popped).into_iter().map(first).collect::<Vec<_>>().join(";")
}

/// `0 queue offset,offset`.
fn offsets(popped: &[Popped]) -> String {
    let all = |(queue, offsets): (u32, Vec<u64>)| {
        let offsets: Vec<String> = offsets.iter().map(u64::to_string).collect();
        format!("0 {queue} {}", offsets.join(","))
    };
    by_queue(popped).into_iter().map(all).collect::<Vec<_>>().join(";")
}

/// `0 qo<queue>%<offset> times`, of messages that were handed out before.
fn counts(popped: &[Popped]) -> String {
    let again = popped.iter().filter(|popped| popped.attempts > 1);
    let counts = again.flat_map(|popped| {
        let times = popped.attempts - 1;
        popped.offsets.iter().map(move |offset| format!("0 qo{}%{offset} {times}", popped.partition))
    });
    counts.collect::<Vec<_>>().join(";")
}
