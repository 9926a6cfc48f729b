//! Sends on their way to the log, and what is answered them.

use std::sync::Arc;

use millstream_engine::{PartitionChoice, Receipt, TableId, TableInfo};

use super::answer::{Answer, Answered, Refusal};
use super::client::Client;
use super::names::ScopedName;
use super::queueing::{self, Queued};
use super::recall::Handle;
use super::rows::NewMessage;
use super::transactions;
use super::wire::message_id;

/// What is to be appended for a send.
#[derive(Debug)]
pub(super) struct NewSend {
    pub(super) table: Arc<TableInfo>,
    pub(super) partition: PartitionChoice,
    pub(super) messages: Vec<NewMessage>,
    /// Of a half message: its producers.
    pub(super) half: Option<ScopedName>,
    /// Of a delayed message.
    pub(super) recall: Option<Handle>,
}

/// A send that is in the log's queue.
#[derive(Debug)]
pub(super) struct Sending {
    receipt: Queued,
    table: TableId,
    queue: u32,
    /// As clients have given them.
    ids: Vec<String>,
    is_half: bool,
    recall: Option<Handle>,
}

impl NewSend {
    pub(super) fn of(table: Arc<TableInfo>, partition: PartitionChoice, message: NewMessage) -> NewSend {
        NewSend { table, partition, messages: vec![message], half: None, recall: None }
    }

    /// Whether it is one message for a queue that was named, and nothing else: it may be appended with others.
    pub(super) fn is_plain(&self) -> bool {
        match (self.partition, self.messages.as_slice()) {
            (PartitionChoice::Named(_), [message]) => message.deliver_ms.is_none() && self.half.is_none(),
            _ => false,
        }
    }

    /// About what its messages take in the log.
    pub(super) fn bytes(&self) -> usize {
        self.messages.iter().map(NewMessage::bytes).sum()
    }

    /// Queues it. Sends of one connection are queued in their order.
    pub(super) async fn queue(self, client: &Client) -> Result<Sending, Refusal> {
        let NewSend { table, partition, messages, half, recall } = self;
        let sending = queue(client, &table, partition, messages.into(), half).await?;
        Ok(Sending { recall, ..sending })
    }
}

/// Queues messages for a table; of a half message `half` names the producers.
pub(super) async fn queue(
    client: &Client,
    table: &Arc<TableInfo>,
    partition: PartitionChoice,
    messages: Arc<[NewMessage]>,
    half: Option<ScopedName>,
) -> Result<Sending, Refusal> {
    let is_half = half.is_some();
    let ids = messages.iter().map(|message| message.message_id.clone().unwrap_or_default()).collect();
    let (engine, who) = (&client.door.engine, &client.tables.who);
    // Each of them is a request.
    engine.admit_requests(who, &table.namespace, u64::try_from(messages.len()).unwrap_or(u64::MAX))?;
    let receipt = queueing::queue_up(&client.door, who, table, partition, messages, half, false).await?;
    let queue = match partition {
        PartitionChoice::Named(queue) => queue,
        PartitionChoice::ByKey => 0,
    };
    Ok(Sending { receipt, table: table.id, queue, ids, is_half, recall: None })
}

impl Sending {
    /// Waits until it is as durable as its table says, and tells where it lies.
    pub(super) async fn finish(self, client: &Client) -> Answered {
        let Sending { receipt, table, queue, ids, is_half, recall } = self;
        let receipt = receipt.await?;
        if is_half {
            return Ok(transactions::answer(client, receipt.lsn, queue, &ids.join(",")));
        }
        let mut answer = Appending::of(&receipt, table, queue, ids.len()).answer(client, &ids);
        answer.fields.extend(recall.map(|handle| ("recallHandle", handle.write())));
        Ok(answer)
    }

    /// The same with an answer for each message, as that of a send by itself.
    pub(super) async fn finish_each(self, client: &Client) -> Result<Vec<Answer>, Refusal> {
        let Sending { receipt, table, queue, ids, .. } = self;
        let all = Appending::of(&receipt.await?, table, queue, ids.len());
        let one = |(at, id)| Appending { offset: all.offset + at, lsn: all.lsn + at, ..all }.answer(client, id);
        Ok((0..).zip(ids.chunks(1)).map(one).collect())
    }
}

/// Where messages lie, one behind the other.
#[derive(Debug, Clone, Copy)]
struct Appending {
    queue: u32,
    offset: u64,
    /// Of the first one.
    lsn: u64,
}

impl Appending {
    fn of(receipt: &Receipt, table: TableId, queue: u32, messages: usize) -> Appending {
        let place = receipt.appended.iter().find(|appended| appended.table == table);
        let (queue, offset) = place.map_or((queue, 0), |place| (place.partition, place.first_offset));
        // Rows of one submission and partition lie in one frame, whose last LSN is the submission's.
        let others = u64::try_from(messages).unwrap_or(1).saturating_sub(1);
        Appending { queue, offset, lsn: receipt.lsn.0.saturating_sub(others) }
    }

    fn answer(&self, client: &Client, ids: &[String]) -> Answer {
        let lsns = (self.lsn..).take(ids.len().max(1)).map(|lsn| i64::try_from(lsn).unwrap_or(i64::MAX));
        let written: Vec<String> = lsns.map(|lsn| message_id::write(client.store_host, lsn)).collect();
        Answer::with(vec![
            ("msgId", written.join(",")),
            ("queueId", self.queue.to_string()),
            ("queueOffset", self.offset.to_string()),
            ("transactionId", ids.join(",")),
            ("MSG_REGION", "DefaultRegion".to_owned()),
            ("TRACE_ON", "true".to_owned()),
        ])
    }
}
