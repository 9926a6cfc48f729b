//! 33: one message by its physical offset.

use std::sync::Arc;

use bytes::BytesMut;
use millstream_engine::{Error, Lsn};

use super::answer::{Answer, Answered, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::names::ScopedName;
use super::scan::MessageScan;
use super::stored::Place;
use super::wire::codes;
use super::wire::command::Command;
use crate::work::Waits;

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Answered {
    let physical: u64 = Fields::of(&command).number("offset")?;
    let work = client.door.work.clone();
    work.run(Waits::ForRows, move || read(&client, physical)).await?
}

/// One message, as an answer's body.
pub(super) fn read(client: &Client, physical: u64) -> Answered {
    let tables = &client.tables;
    let none = || Refusal::new(codes::SYSTEM_ERROR, format!("there is no message at physical offset {physical}"));
    let place = match tables.engine.row_at(&tables.who, Lsn(physical)) {
        Err(Error::NotFound { .. }) => return Err(none()),
        place => place?,
    };
    let table = tables.engine.table_by_id(&tables.who, place.table)?;
    if table.options.messages.is_none() {
        return Err(none());
    }
    let topic = ScopedName { namespace: table.namespace.clone(), name: table.name.clone() }.wire();
    let (queue, offset, store_host) = (place.partition, place.offset, client.store_host);
    let body = MessageScan { tables, table: &table, queue }.one(offset, |rows| {
        let mut body = BytesMut::new();
        let properties = rows.properties(0);
        rows.message(0, Place { topic: &topic, queue, offset, physical, store_host }, &properties).write(&mut body)?;
        Ok(body)
    })?;
    Ok(Answer::body(body.ok_or_else(none)?.freeze()))
}
