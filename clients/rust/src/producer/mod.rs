//! An idempotent producer: many batches in flight, acknowledged in order, resent after a break.

mod queue;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use self::queue::Outgoing;
use self::stream::Task;
use crate::protocol::Durability;
use crate::{Client, Error, Result};

/// Settings of a producer.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    pub namespace: String,
    /// Give your own, with `first_sequence`, to go on after a crash without doubled rows.
    pub producer_id: Uuid,
    pub epoch: u32,
    /// What [`Ack::next_sequence`] of the last batch said; 0 for a new id.
    pub first_sequence: u64,
    /// Batches that may be unacknowledged.
    pub max_in_flight: usize,
    /// The producer gives up once the oldest batch has waited for this long without any other being answered.
    pub delivery_timeout: Duration,
    /// The wait before a server that is away is tried again; it doubles from attempt to attempt.
    pub reconnect_interval: Duration,
    /// What the wait grows to.
    pub reconnect_max_interval: Duration,
    /// Attempts in a row after which it gives up before `delivery_timeout` is over.
    pub reconnect_count: u32,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            namespace: "public".to_owned(),
            producer_id: Uuid::new_v4(),
            epoch: 0,
            first_sequence: 0,
            max_in_flight: 64,
            delivery_timeout: Duration::from_millis(300_000),
            reconnect_interval: Duration::from_millis(100),
            reconnect_max_interval: Duration::from_millis(10_000),
            reconnect_count: u32::MAX,
        }
    }
}

/// A run of rows as it lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub partition: u32,
    pub first_offset: u64,
    pub rows: u64,
}

/// The server's answer to one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Of the batch, or of the first of its parts.
    pub sequence: u64,
    /// Where a producer of the same id goes on after this batch.
    pub next_sequence: u64,
    /// In the order of the batch's rows where they all go to one partition.
    pub appended: Vec<Appended>,
    /// The batch had arrived before, whole; this is the first answer again.
    pub duplicate: bool,
    pub durability: Durability,
}

/// An acknowledgement under way. Dropping it does not take the batch back.
#[derive(Debug)]
pub struct PendingAck(oneshot::Receiver<Result<Ack>>);

impl std::future::Future for PendingAck {
    type Output = Result<Ack>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}

/// Appends batches to one table.
///
/// Batches lie in the table in the order in which they were sent. One that the server refuses (a column that the table does
/// not have, a value that does not fit, a table that is not there) fails alone with its error, and those behind it go on. A
/// broken connection is mended, and what has no answer is sent again; a newer epoch of the producer, and an answer that leaves
/// open what was written, fail everything that was sent and is still to be sent. So does a server that answers nothing for
/// `delivery_timeout`, whether it is away, starting or mute: what was appended of the batches without an answer is not known then.
///
/// A batch over 7 MiB is sent in parts of at most 4 MiB, each durable by itself, and acknowledged once all of them are. If
/// one is refused, the batch's error says how many rows were appended before; the parts behind it are not appended.
#[derive(Debug)]
pub struct Producer {
    sender: mpsc::Sender<Outgoing>,
    permits: Arc<Semaphore>,
    in_flight: u32,
    id: Uuid,
}

impl Producer {
    #[expect(
        clippy::disallowed_methods,
        reason = "it outlives its producer to see what was sent through, and then ends"
    )]
    pub(crate) fn start(client: Client, table: &str, options: ProducerOptions) -> Producer {
        let in_flight = u32::try_from(options.max_in_flight.max(1)).unwrap_or(u32::MAX).min(1 << 20);
        let (sender, receiver) = mpsc::channel(in_flight as usize);
        let id = options.producer_id;
        tokio::spawn(Task::new(client, table, options, receiver).run());
        Producer { sender, permits: Arc::new(Semaphore::new(in_flight as usize)), in_flight, id }
    }

    /// The id that, with the sequence, makes appends idempotent.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Queues a batch; waits while `max_in_flight` are unacknowledged. Cancel-safe: the batch is queued whole or not at all.
    ///
    /// Dictionaries, runs, views and Large* columns are sent as their plain types.
    pub async fn send(&mut self, batch: &RecordBatch) -> Result<PendingAck> {
        self.send_to(batch, None).await
    }

    /// As [`Self::send`], all rows to one partition.
    pub async fn send_to(&mut self, batch: &RecordBatch, partition: Option<u32>) -> Result<PendingAck> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let (outgoing, answer) = Outgoing::new(batch, partition, permit)?;
        self.sender.send(outgoing).await.map_err(|_| Error::Closed)?;
        Ok(PendingAck(answer))
    }

    /// Appends a batch and waits until it is durable.
    pub async fn append(&mut self, batch: &RecordBatch) -> Result<Ack> {
        self.send(batch).await?.await
    }

    /// Appends rows of a type of yours; the schema says what its fields become.
    pub async fn append_rows<T: serde::Serialize>(&mut self, schema: SchemaRef, rows: &[T]) -> Result<Ack> {
        self.append(&crate::rows::encode(schema, rows)?).await
    }

    /// Waits until every batch sent so far has its answer; what that was, each [`PendingAck`] says.
    pub async fn flush(&mut self) -> Result<()> {
        self.permits.acquire_many(self.in_flight).await.map(drop).map_err(|_| Error::Closed)
    }

    /// As [`Self::flush`], for so long at most; gives how many batches have no answer yet, which go on being sent.
    pub async fn flush_within(&mut self, wait: Duration) -> Result<usize> {
        match tokio::time::timeout(wait, self.flush()).await {
            Ok(flushed) => flushed.map(|()| 0),
            Err(_) => Ok((self.in_flight as usize).saturating_sub(self.permits.available_permits())),
        }
    }
}
