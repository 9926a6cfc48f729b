//! An idempotent producer: many batches in flight, acknowledged in order, resent after a break.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use futures::StreamExt;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use uuid::Uuid;

use crate::encode::{batch_message, schema_message};
use crate::protocol::{self, Durability};
use crate::{Client, Error, Result};

/// Messages that wait for the transport.
const OUTGOING_MESSAGES: usize = 16;

/// Settings of a producer.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    pub namespace: String,
    /// Give your own, with `first_sequence`, to go on after a crash without doubled rows.
    pub producer_id: Uuid,
    pub epoch: u32,
    pub first_sequence: u64,
    /// Batches that may be unacknowledged.
    pub max_in_flight: usize,
    pub reconnect_interval: Duration,
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
            reconnect_interval: Duration::from_millis(500),
            reconnect_count: 20,
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
    pub sequence: u64,
    pub appended: Vec<Appended>,
    /// The batch had arrived before; this is the first answer again.
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
#[derive(Debug)]
pub struct Producer {
    sender: mpsc::Sender<Item>,
    permits: Arc<Semaphore>,
    options: ProducerOptions,
    next_sequence: u64,
}

struct Item {
    sequence: u64,
    schema: SchemaRef,
    message: FlightData,
    reply: oneshot::Sender<Result<Ack>>,
    _permit: OwnedSemaphorePermit,
}

impl Producer {
    pub(crate) fn start(client: Client, table: &str, options: ProducerOptions) -> Producer {
        let in_flight = options.max_in_flight.max(1);
        let (sender, receiver) = mpsc::channel(in_flight);
        let path = vec![options.namespace.clone(), table.to_owned()];
        let task = Task { client, path, options: options.clone(), receiver, pending: VecDeque::new(), sent: 0 };
        tokio::spawn(task.run());
        let next_sequence = options.first_sequence;
        Producer { sender, permits: Arc::new(Semaphore::new(in_flight)), options, next_sequence }
    }

    /// The id that, with the sequence, makes appends idempotent.
    pub fn id(&self) -> Uuid {
        self.options.producer_id
    }

    /// Queues a batch; waits while `max_in_flight` are unacknowledged.
    pub async fn send(&mut self, batch: &RecordBatch) -> Result<PendingAck> {
        self.send_to(batch, None).await
    }

    /// As [`Self::send`], all rows to one partition.
    pub async fn send_to(&mut self, batch: &RecordBatch, partition: Option<u32>) -> Result<PendingAck> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let stamp = protocol::Append {
            producer_id: self.options.producer_id.as_bytes().to_vec().into(),
            epoch: self.options.epoch,
            sequence: self.next_sequence,
            partition,
        };
        let message = batch_message(batch, stamp.encode_to_vec())?;
        let (reply, answer) = oneshot::channel();
        let item = Item { sequence: self.next_sequence, schema: batch.schema(), message, reply, _permit: permit };
        self.sender.send(item).await.map_err(|_| Error::Closed)?;
        self.next_sequence += 1;
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
}

/// Owns the stream. Ends when the producer is dropped and everything is answered.
struct Task {
    client: Client,
    path: Vec<String>,
    options: ProducerOptions,
    receiver: mpsc::Receiver<Item>,
    /// Unanswered, oldest first; the first `sent` of them are on the current stream.
    pending: VecDeque<Item>,
    sent: usize,
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        while let Some(first) = self.first_pending().await {
            let answered = self.pending.len();
            let Err(error) = self.stream(first).await else { continue };
            // Progress means that the server is there: the count starts anew.
            failures = if self.pending.len() < answered { 1 } else { failures + 1 };
            if !error.is_retryable() || failures > self.options.reconnect_count {
                return self.fail(&error).await;
            }
            tokio::time::sleep(self.options.reconnect_interval).await;
        }
    }

    /// The schema of the oldest unanswered batch, waiting for one to come; none when the producer is gone.
    async fn first_pending(&mut self) -> Option<SchemaRef> {
        if self.pending.is_empty() {
            let item = self.receiver.recv().await?;
            self.pending.push_back(item);
        }
        self.pending.front().map(|item| item.schema.clone())
    }

    /// One stream, until it breaks, a batch of another schema is next, or there is nothing left to do.
    async fn stream(&mut self, schema: SchemaRef) -> Result<()> {
        let (outgoing, messages) = mpsc::channel(OUTGOING_MESSAGES);
        let descriptor = FlightDescriptor::new_path(self.path.clone());
        outgoing.send(schema_message(descriptor, &schema)).await.map_err(|_| Error::Closed)?;
        self.sent = 0;
        let mut service = self.client.service();
        let mut transport_gone = false;
        let mut acks: Option<Streaming<PutResult>> = None;
        let mut opening = Box::pin(async move { service.do_put(ReceiverStream::new(messages)).await });
        let url = self.client.url().to_owned();
        let mut open = true;
        loop {
            let next =
                self.pending.get(self.sent).filter(|item| item.schema == schema).map(|item| item.message.clone());
            let drained = self.pending.is_empty() || (next.is_none() && self.sent == 0);
            if drained && (!open || !self.pending.is_empty()) {
                return Ok(());
            }
            tokio::select! {
                opened = &mut opening, if acks.is_none() => {
                    acks = Some(opened.map_err(|status| Error::from_status(&url, &status))?.into_inner());
                }
                ack = next_ack(&mut acks), if acks.is_some() => match ack.map_err(|status| Error::from_status(&url, &status))? {
                    Some(result) => self.answered(&result)?,
                    None => return Err(Error::Unreachable { url, reason: "the server ended the stream".to_owned() }),
                },
                permit = outgoing.reserve(), if next.is_some() && !transport_gone => match (permit, next) {
                    (Ok(permit), Some(message)) => {
                        permit.send(message);
                        self.sent += 1;
                    }
                    // The transport is gone; the acknowledgements say why.
                    _ => transport_gone = true,
                },
                item = self.receiver.recv(), if open => match item {
                    Some(item) => self.pending.push_back(item),
                    None => open = false,
                },
            }
        }
    }

    fn answered(&mut self, result: &PutResult) -> Result<()> {
        let ack = protocol::Ack::decode(result.app_metadata.as_ref()).map_err(Error::protocol)?;
        if let Some(error) = &ack.error {
            return Err(Error::from_wire(error));
        }
        if self.pending.front().is_none_or(|item| item.sequence != ack.sequence) {
            return Err(Error::protocol(format!("an acknowledgement of sequence {} out of order", ack.sequence)));
        }
        if let Some(item) = self.pending.pop_front() {
            self.sent = self.sent.saturating_sub(1);
            let appended = |run: &protocol::Appended| Appended {
                partition: run.partition,
                first_offset: run.first_offset,
                rows: run.rows,
            };
            let appended = ack.appended.iter().map(appended).collect();
            let durability = ack.durability();
            // A caller that dropped its PendingAck does not want to know.
            let _ = item.reply.send(Ok(Ack { sequence: ack.sequence, appended, duplicate: ack.duplicate, durability }));
        }
        Ok(())
    }

    /// Answers everything, and all that still comes, with the error.
    async fn fail(mut self, error: &Error) {
        for item in self.pending.drain(..) {
            let _ = item.reply.send(Err(error.clone()));
        }
        while let Some(item) = self.receiver.recv().await {
            let _ = item.reply.send(Err(error.clone()));
        }
    }
}

async fn next_ack(acks: &mut Option<Streaming<PutResult>>) -> Result<Option<PutResult>, tonic::Status> {
    match acks {
        Some(acks) => acks.next().await.transpose(),
        None => std::future::pending().await,
    }
}
