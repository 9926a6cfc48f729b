//! The task that owns a producer's streams, one after the other.

use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use futures::StreamExt;
use http::HeaderValue;
use millstream_protocol as protocol;
use millstream_protocol::ErrorKind;
use millstream_protocol::framing::Incoming;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::options::ProducerOptions;
use super::queue::{Outgoing, Queue};
use crate::backoff;
use crate::batch::schema_message;
use crate::call::Method;
use crate::connection::Connection;
use crate::error::{Error, Result};

/// Messages that wait for the transport.
const OUTGOING_MESSAGES: usize = 16;

/// Why a stream did not come to its end.
enum Stopped {
    /// It failed, or the server refused the oldest batch.
    Broken(Error),
    /// The oldest batch got no answer in time.
    Mute,
}

/// Ends when the producer is dropped and everything is answered.
pub(super) struct Task {
    connection: Connection,
    path: Vec<String>,
    options: ProducerOptions,
    receiver: mpsc::Receiver<Outgoing>,
    queue: Queue,
    /// So many of the queue's first parts are on the current stream.
    sent: usize,
    /// What the current stream has shown for who sends it.
    shown: Option<HeaderValue>,
}

impl Task {
    pub(super) fn new(
        connection: Connection,
        table: &str,
        options: ProducerOptions,
        receiver: mpsc::Receiver<Outgoing>,
    ) -> Task {
        let path = vec![options.namespace.clone(), table.to_owned()];
        let queue = Queue::new(options.producer_id, options.epoch, options.first_sequence);
        Task { connection, path, options, receiver, queue, sent: 0, shown: None }
    }

    pub(super) async fn run(mut self) {
        let mut failures: u32 = 0;
        // What kept the last stream from going on.
        let mut trouble = None;
        while let Some(schema) = self.next_schema().await {
            let unanswered = self.queue.len();
            let stopped = self.stream(schema).await;
            // Progress means that the server is there: the count starts anew.
            let answered = stopped.is_ok() || self.queue.len() < unanswered;
            let error = match stopped {
                _ if self.queue.is_empty() => None, // nothing is lost with the stream
                Ok(()) => None,
                Err(Stopped::Broken(error)) if refuses_one_batch(&error) && !self.may_log_in_anew(&error) => {
                    self.queue.refuse(&error);
                    None
                }
                Err(Stopped::Broken(error)) => Some(error),
                Err(Stopped::Mute) => {
                    let error = self.no_answer(trouble.as_ref());
                    return self.fail(&error).await;
                }
            };
            if error.is_none() || answered {
                failures = 0;
            }
            let Some(error) = error else { continue };
            failures = failures.saturating_add(1);
            let passing = error.is_retryable() || error.kind() == ErrorKind::Unauthenticated;
            if !passing || failures > self.options.reconnect_count {
                return self.fail(&error).await;
            }
            let ProducerOptions { reconnect_interval, reconnect_max_interval, .. } = self.options;
            let (now, deadline) = (Instant::now(), self.deadline());
            let next = now.checked_add(backoff::wait(reconnect_interval, reconnect_max_interval, failures));
            until(next.into_iter().chain(deadline).min()).await;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let error = self.no_answer(Some(&error));
                return self.fail(&error).await;
            }
            trouble = Some(error);
        }
    }

    /// Whether the login has ended and there is another one to go on with.
    fn may_log_in_anew(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Unauthenticated && self.connection.has_other_than(self.shown.as_ref())
    }

    /// When the oldest part has waited for too long; `None` if nothing waits, or for ever.
    fn deadline(&self) -> Option<Instant> {
        self.queue.waiting_since()?.checked_add(self.options.delivery_timeout)
    }

    fn no_answer(&self, trouble: Option<&Error>) -> Error {
        let why = trouble.map(|error| format!(" ({error})")).unwrap_or_default();
        let reason = format!(
            "no answer within the delivery timeout of {} ms{why}; whether the batches without an answer were appended is not known",
            self.options.delivery_timeout.as_millis()
        );
        Error::Unreachable { url: self.connection.url().to_owned(), reason }
    }

    /// The schema of the oldest unanswered part, waiting for one to come; none when the producer is gone.
    async fn next_schema(&mut self) -> Option<SchemaRef> {
        if self.queue.is_empty() {
            let outgoing = self.receiver.recv().await?;
            self.queue.push(outgoing);
        }
        self.queue.schema()
    }

    /// One stream, until it breaks, a batch of another schema is next, or there is nothing left to do.
    async fn stream(&mut self, schema: SchemaRef) -> Result<(), Stopped> {
        let (outgoing, messages) = mpsc::channel(OUTGOING_MESSAGES);
        let descriptor = FlightDescriptor::new_path(self.path.clone());
        outgoing.send(schema_message(descriptor, &schema)).await.map_err(|_| Stopped::Broken(Error::Closed))?;
        self.sent = 0;
        let url = self.connection.url().to_owned();
        let failed = |status: Status| Stopped::Broken(Error::from_status(&url, &status));
        self.shown = self.connection.authorization().map_err(failed)?;
        let connection = self.connection.clone();
        let mut opening = Box::pin(async move { connection.call(Method::DoPut, ReceiverStream::new(messages)).await });
        let mut acks: Option<Incoming<PutResult>> = None;
        let (mut open, mut transport_gone) = (true, false);
        loop {
            let (may_send, deadline) = (self.queue.may_send(self.sent, &schema), self.deadline());
            let drained = self.queue.is_empty() || (!may_send && self.sent == 0);
            if drained && (!open || !self.queue.is_empty()) {
                return Ok(());
            }
            tokio::select! {
                opened = &mut opening, if acks.is_none() => acks = Some(opened.map_err(failed)?),
                ack = next_ack(&mut acks), if acks.is_some() => match ack.map_err(failed)? {
                    Some(result) => self.answered(&result).map_err(Stopped::Broken)?,
                    None => {
                        let reason = "the server ended the stream".to_owned();
                        return Err(Stopped::Broken(Error::Unreachable { url, reason }));
                    }
                },
                permit = outgoing.reserve(), if may_send && !transport_gone => match permit {
                    Ok(permit) => self.send(permit),
                    // The acknowledgements say why.
                    Err(_) => transport_gone = true,
                },
                item = self.receiver.recv(), if open => match item {
                    Some(item) => self.queue.push(item),
                    None => open = false,
                },
                () = until(deadline) => return Err(Stopped::Mute),
            }
        }
    }

    fn send(&mut self, permit: mpsc::Permit<'_, FlightData>) {
        if let Some(message) = self.queue.send(self.sent) {
            permit.send(message);
            self.sent += 1;
        }
    }

    fn answered(&mut self, result: &PutResult) -> Result<()> {
        let ack = protocol::Ack::decode(result.app_metadata.as_ref()).map_err(Error::protocol)?;
        // Answers come in the order of the batches, so an error is the oldest one's, whatever sequence the server could read.
        if let Some(error) = &ack.error {
            return Err(Error::from_wire(error));
        }
        self.queue.acknowledged(&ack)?;
        self.sent = self.sent.saturating_sub(1);
        Ok(())
    }

    /// Answers everything, and all that still comes, with the error.
    async fn fail(mut self, error: &Error) {
        self.queue.fail_all(error);
        while let Some(outgoing) = self.receiver.recv().await {
            outgoing.fail(error.clone());
        }
    }
}

/// Whether the error is about the oldest batch, which was not written, and not about the producer.
fn refuses_one_batch(error: &Error) -> bool {
    let kinds = [
        ErrorKind::InvalidInput,
        ErrorKind::NotFound,
        ErrorKind::OutOfRange,
        ErrorKind::ResourceExhausted,
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::Unsupported,
    ];
    matches!(error, Error::Server { kind, .. } if kinds.contains(kind))
}

/// Completes then; never without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn next_ack(acks: &mut Option<Incoming<PutResult>>) -> Result<Option<PutResult>, Status> {
    match acks {
        Some(acks) => acks.next().await.transpose(),
        None => std::future::pending().await,
    }
}
