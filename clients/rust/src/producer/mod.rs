//! An idempotent producer: many batches in flight, acknowledged in order, resent after a break.

mod ack;
mod options;
mod queue;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

pub use self::ack::{Ack, Appended, PendingAck};
pub use self::options::ProducerOptions;
use self::queue::Outgoing;
use self::stream::Task;
use crate::connection::Connection;
use crate::error::{Error, Result};

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
    pub(crate) fn start(connection: Connection, table: &str, options: ProducerOptions) -> Producer {
        let in_flight = u32::try_from(options.max_in_flight.max(1)).unwrap_or(u32::MAX).min(1 << 20);
        let (sender, receiver) = mpsc::channel(in_flight as usize);
        let id = options.producer_id;
        tokio::spawn(Task::new(connection, table, options, receiver).run());
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
