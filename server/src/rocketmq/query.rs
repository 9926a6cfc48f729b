//! 12: messages by their id, or by one of their keys.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use millstream_engine::{Error, MessageKey};

use super::answer::{Answer, Given, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::names::ScopedName;
use super::scan::MessageScan;
use super::stored::Place;
use super::wire::codes;
use super::wire::command::Command;
use crate::work::{READ_BYTES, Waits};

/// Messages of one answer, whatever is asked for; Apache's servers give as many.
const MOST: usize = 64;
/// Of their bytes, unless the first one alone has more.
const MAX_BYTES: usize = 1 << 20;
/// What an answer takes beside its messages.
const HEADER_BYTES: usize = 1 << 10;

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    topic: ScopedName,
    wire_topic: String,
    key: String,
    by_id: bool,
    most: usize,
    appended_us: Range<i64>,
}

/// What was found.
enum Found {
    Messages(BytesMut, u64),
    /// The first message is longer than what there is room for: its bytes.
    TooLong(usize),
    Nothing,
}

impl Query {
    pub(super) fn read(command: &Command) -> Result<Query, Refusal> {
        let fields = Fields::of(command);
        let wire_topic = fields.text("topic")?.to_owned();
        let by_id = match fields.get("indexType").filter(|kind| !kind.is_empty()) {
            None => fields.is_set("_UNIQUE_KEY_QUERY")?,
            Some("K") => false,
            Some("U") => true,
            Some(other) => {
                let message = format!("messages are looked up by id (U) or by key (K), and not by {other:.20}");
                return Err(Refusal::new(codes::NOT_SUPPORTED, message));
            }
        };
        let most = match by_id {
            true => MOST,
            false => fields.or("maxNum", MOST)?.min(MOST),
        };
        let (begin, end): (i64, i64) = (fields.or("beginTimestamp", 0)?, fields.or("endTimestamp", i64::MAX)?);
        Ok(Query {
            topic: ScopedName::read(&wire_topic, fields),
            wire_topic,
            key: fields.text("key")?.to_owned(),
            by_id,
            most,
            appended_us: begin.saturating_mul(1_000)..end.saturating_add(1).saturating_mul(1_000),
        })
    }
}

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Result<Given, Refusal> {
    let query = Arc::new(Query::read(&command)?);
    drop(command);
    let mut bytes = MAX_BYTES;
    loop {
        let mut room = client.outgoing.room(READ_BYTES + bytes + HEADER_BYTES).await;
        let (reader, asked) = (Arc::clone(&client), Arc::clone(&query));
        match client.door.work.run(Waits::ForRows, move || look(&reader, &asked, bytes)).await?? {
            Found::Messages(body, newest) => {
                let fields = vec![
                    ("indexLastUpdateTimestamp", client.now_ms().to_string()),
                    ("indexLastUpdatePhyoffset", newest.to_string()),
                ];
                let answer = Answer { fields, body: body.freeze(), ..Answer::default() };
                return Ok(Given { room: Some(room.split(bytes + HEADER_BYTES)), ..answer.into() });
            }
            // Asked for while none is held.
            Found::TooLong(size) => bytes = size,
            Found::Nothing => {
                let Query { key, wire_topic, .. } = query.as_ref();
                let message =
                    format!("can not find message: none of topic {wire_topic:?} in that time has the key {key:?}");
                return Err(Refusal::new(codes::QUERY_NOT_FOUND, message));
            }
        }
    }
}

fn look(client: &Client, query: &Query, bytes: usize) -> Result<Found, Refusal> {
    let tables = &client.tables;
    let of = tables.existing_readable(&query.topic)?;
    let table = of.messages()?;
    let key = match query.by_id {
        true => MessageKey::Id(&query.key),
        false => MessageKey::Key(&query.key),
    };
    let found = tables.engine.find_messages(&tables.who, table.id, key, query.appended_us.clone(), query.most)?;
    let (mut body, mut newest, mut too_long) = (BytesMut::new(), 0, None);
    for message in found {
        let (queue, offset) = (message.partition, message.offset);
        let physical = match tables.engine.lsn_of(&tables.who, of.topic.id, queue, offset) {
            // It was deleted meanwhile.
            Err(Error::OffsetOutOfRange { .. }) => continue,
            physical => physical?.0,
        };
        let place = Place { topic: &query.wire_topic, queue, offset, physical, store_host: client.store_host };
        let written = MessageScan { tables, of: &of, queue }.one(offset, |rows| {
            let properties = rows.properties(0);
            let message = rows.message(0, place, &properties);
            if body.len() + message.bytes() > bytes {
                return Ok(Err(message.bytes()));
            }
            message.write(&mut body)?;
            Ok(Ok(()))
        });
        match written {
            Ok(Some(Ok(()))) => newest = newest.max(physical),
            Ok(Some(Err(size))) => {
                too_long = Some(size);
                break;
            }
            Ok(None) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(match too_long {
        Some(size) if body.is_empty() => Found::TooLong(size),
        _ if body.is_empty() => Found::Nothing,
        _ => Found::Messages(body, newest),
    })
}
