//! 200054: whether there may be messages for a group, waited for; nothing is handed out.

use std::sync::Arc;

use millstream_engine::TableInfo;
use tokio::time::Instant;

use super::request::{any_queue, same_namespace, wait};
use super::waiting::Waiting;
use crate::rocketmq::answer::{Answer, Answered, Refusal};
use crate::rocketmq::client::Client;
use crate::rocketmq::fields::Fields;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::wire::command::Command;
use crate::work::Waits;

pub(in crate::rocketmq) async fn notification(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let group = ScopedName::read(fields.text("consumerGroup")?, fields);
    let topic = ScopedName::read(fields.text("topic")?, fields);
    same_namespace(&group, &topic)?;
    let (queue, wait, in_order) = (any_queue(fields)?, wait(fields)?, fields.is_set("order")?);
    let table = client.tables.existing(&topic)?;
    let mut waiting = Waiting::begin((&client.door, &client.tables), &group, &table, in_order).await?;
    let deadline = Instant::now() + wait.unwrap_or_default();
    loop {
        let (seer, by, of) = (Arc::clone(&client), group.clone(), Arc::clone(&table));
        let look = move || look(&seer, &by, &of, queue);
        let (is_there, next_us) = client.door.work.run(Waits::ForState, look).await??;
        if is_there || wait.is_none() || !waiting.comes(&client.door, next_us, deadline).await {
            return Ok(Answer::with(vec![("hasMsg", is_there.to_string()), ("pollingFull", "false".to_owned())]));
        }
    }
}

fn look(
    client: &Client,
    group: &ScopedName,
    table: &TableInfo,
    queue: Option<u32>,
) -> Result<(bool, Option<i64>), Refusal> {
    let tables = &client.tables;
    Ok(tables.engine.may_pop(&tables.who, &group.namespace, &group.name, table.id, queue)?)
}
