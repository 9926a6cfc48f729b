//! 33: one message by its physical offset.

use std::sync::Arc;

use bytes::BytesMut;

use super::answer::{Answer, Answered, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::names::ScopedName;
use super::scan::MessageScan;
use super::stored::Place;
use super::wire::codes;
use super::wire::command::Command;

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let physical: u64 = fields.number("offset")?;
    // Clients of 4.x do not say.
    let topic = fields.get("topic").filter(|topic| !topic.is_empty()).map(|topic| ScopedName::read(topic, fields));
    let reader = Arc::clone(&client);
    client.reading(move || read(&reader, physical, topic.as_ref())).await?
}

/// One message, as an answer's body: as consumers of the named topic have it, or else as its table has it.
pub(super) fn read(client: &Client, physical: u64, named: Option<&ScopedName>) -> Answered {
    let tables = &client.tables;
    let none = || Refusal::new(codes::SYSTEM_ERROR, format!("there is no message at physical offset {physical}"));
    let (readable, place) = tables.at_physical(physical, named)?.ok_or_else(none)?;
    let topic = readable.name().wire();
    let (queue, offset, store_host) = (place.partition, place.offset, client.store_host);
    let body = MessageScan { tables, of: &readable, queue }.one(offset, |rows| {
        let mut body = BytesMut::new();
        let properties = rows.properties(0);
        rows.message(0, Place { topic: &topic, queue, offset, physical, store_host }, &properties).write(&mut body)?;
        Ok(body)
    })?;
    Ok(Answer::body(body.ok_or_else(none)?.freeze()))
}
