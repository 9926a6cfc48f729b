//! Messages on their way to the log.

use std::sync::Arc;

use millstream_engine::{Append, PartitionChoice, PendingReceipt, Principal, TableInfo};

use super::answer::Refusal;
use super::names::ScopedName;
use super::rows::{self, NewMessage};
use super::transactions;
use crate::door::Door;
use crate::work::Waits;

/// Bodies above this are encoded where computing does not hold up other connections.
const SMALL_BODY_BYTES: usize = 32 << 10;

/// To be waited for until what was queued is as durable as its table says.
pub(super) type Queued = PendingReceipt;

/// Queues messages for a table, in the order of the calls; of a half message `half` names the producers. What goes on with a request is
/// not refused for what may be appended in a while.
pub(super) async fn queue_up(
    door: &Door,
    who: &Principal,
    table: &Arc<TableInfo>,
    partition: PartitionChoice,
    messages: Arc<[NewMessage]>,
    half: Option<ScopedName>,
    goes_on: bool,
) -> Result<Queued, Refusal> {
    let bytes: usize = messages.iter().map(|message| message.body.len()).sum();
    let (engine, who, table) = (door.engine.clone(), who.clone(), Arc::clone(table));
    let queue = move || {
        if let (Some(group), [message]) = (&half, &*messages) {
            return transactions::begin(&engine, &who, &table, partition, message, group);
        }
        let batch = rows::batch(&messages).map_err(|error| Refusal::illegal(error.to_string()))?;
        let append = Append { table: table.id, partition, batch };
        Ok::<_, Refusal>(match goes_on {
            false => engine.enqueue(&who, append, None)?,
            true => engine.enqueue_paced(&who, append, None)?,
        })
    };
    let ticket = if bytes <= SMALL_BODY_BYTES { queue()? } else { door.work.run(Waits::Computes, queue).await?? };
    Ok(ticket.await?)
}
