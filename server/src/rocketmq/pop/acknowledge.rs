//! 200051, 200151 and 200053: what becomes of messages that were handed out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{Error, MessageStep, PendingAck, PopAcked, PopReceipt, TableId};

use super::handle::Handle;
use super::request::same_namespace;
use crate::door::Door;
use crate::rocketmq::answer::{Answer, Answered, Refusal};
use crate::rocketmq::client::Client;
use crate::rocketmq::fields::Fields;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::tables::Tables;
use crate::rocketmq::wire::bodies;
use crate::rocketmq::wire::codes;
use crate::rocketmq::wire::command::Command;
use crate::rocketmq::wire::popped::{BatchAck, BatchAcks};
use crate::work::Waits;

/// How often it is tried while others have their say about the same messages.
const ATTEMPTS: usize = 16;

/// One message, as a request names it.
struct Named {
    group: ScopedName,
    table: TableId,
    handle: Handle,
}

impl Named {
    fn read(client: &Client, fields: Fields<'_>) -> Result<Named, Refusal> {
        let group = ScopedName::read(fields.text("consumerGroup")?, fields);
        let topic = ScopedName::read(fields.text("topic")?, fields);
        same_namespace(&group, &topic)?;
        let handle = Handle::read(fields.text("extraInfo")?, fields.queue()?, fields.number("offset")?)?;
        let table = client.tables.existing(&topic)?;
        Tables::check_queue(&table, handle.receipt.partition)?;
        Ok(Named { group, table: table.id, handle })
    }
}

pub(in crate::rocketmq) type Finished = (Vec<PopAcked>, Option<PopReceipt>);

/// Tries until nobody is in the way.
pub(in crate::rocketmq) async fn settled(
    (door, tables): (&Door, &Tables),
    ask: impl Fn(&Tables) -> Result<PendingAck, Error> + Clone + Send + 'static,
) -> Result<Finished, Refusal> {
    for _ in 0..ATTEMPTS {
        let (tables, ask) = (tables.clone(), ask.clone());
        let pending = door.work.run(Waits::ForState, move || ask(&tables)).await??;
        if let Some(finished) = pending.finish().await? {
            return Ok(finished);
        }
    }
    Err(Refusal::new(codes::SYSTEM_BUSY, "others have their say about the same messages; send again later"))
}

fn stale(named: &Named) -> Refusal {
    let PopReceipt { partition, offset, .. } = named.handle.receipt;
    Refusal::new(
        codes::NO_MESSAGE,
        format!(
            "the message at offset {offset} of queue {partition} is in other hands, or was not handed out with this receipt"
        ),
    )
}

/// 200051.
pub(in crate::rocketmq) async fn acknowledge(client: Arc<Client>, command: Command) -> Answered {
    let named = Named::read(&client, Fields::of(&command))?;
    let (group, table, receipt) = (named.group.clone(), named.table, named.handle.receipt);
    let ask = move |tables: &Tables| {
        tables.engine.acknowledge_popped(&tables.who, &group.namespace, &group.name, table, &[receipt])
    };
    match settled((&client.door, &client.tables), ask).await?.0.first() {
        Some(PopAcked::Done) => {
            let who = || client.as_consumer(&named.group);
            client.tables.note_receipts(MessageStep::Acknowledged, table, who, [&receipt]);
            Ok(Answer::ok())
        }
        _ => Err(stale(&named)),
    }
}

/// 200151. It is answered well whatever the receipts are good for.
pub(in crate::rocketmq) async fn acknowledge_all(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let acks: BatchAcks = bodies::read("a batch of acknowledgements", &command.body)?;
    let mut receipts: BTreeMap<(ScopedName, TableId), Vec<PopReceipt>> = BTreeMap::new();
    for ack in acks.acks {
        let group = ScopedName::read(&ack.group, fields);
        let topic = ScopedName::read(&ack.topic, fields);
        same_namespace(&group, &topic)?;
        let table = client.tables.existing(&topic)?;
        Tables::check_queue(&table, ack.queue)?;
        let BatchAck { queue: partition, first, number, handed_ms, .. } = ack;
        let of = |offset| PopReceipt { partition, offset, first, number, handed_ms };
        receipts.entry((group, table.id)).or_default().extend(ack.offsets()?.into_iter().map(of));
    }
    for ((group, table), receipts) in receipts {
        let receipts: Arc<[PopReceipt]> = receipts.into();
        let (of, named) = (group.clone(), Arc::clone(&receipts));
        let ask = move |tables: &Tables| {
            tables.engine.acknowledge_popped(&tables.who, &of.namespace, &of.name, table, &named)
        };
        let (outcomes, _) = settled((&client.door, &client.tables), ask).await?;
        let done = receipts.iter().zip(outcomes).filter(|(_, outcome)| *outcome == PopAcked::Done);
        let who = || client.as_consumer(&group);
        client.tables.note_receipts(MessageStep::Acknowledged, table, who, done.map(|(receipt, _)| receipt));
    }
    Ok(Answer::ok())
}

/// 200053: a message is visible again at another time.
pub(in crate::rocketmq) async fn change(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let named = Named::read(&client, fields)?;
    let after_ms: u64 = fields.number("invisibleTime")?;
    let (group, table, receipt) = (named.group.clone(), named.table, named.handle.receipt);
    let after = Duration::from_millis(after_ms);
    let ask = move |tables: &Tables| {
        tables.engine.change_invisible(&tables.who, &group.namespace, &group.name, table, (&receipt, after))
    };
    let (_, next) = settled((&client.door, &client.tables), ask).await?;
    let next = next.ok_or_else(|| stale(&named))?;
    client.tables.note_receipts(MessageStep::MadeVisible, table, || client.as_consumer(&named.group), [&receipt]);
    Ok(Answer::with(vec![
        ("popTime", next.handed_ms.to_string()),
        ("invisibleTime", after_ms.to_string()),
        ("reviveQid", next.number.to_string()),
    ]))
}
