//! Sends the rows of a query as they come.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::FlightData;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use millstream_engine::ErrorKind;
use millstream_protocol as protocol;
use millstream_sql::{BatchStream, Outcome};
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tonic::Status;

use super::blocking::Owned;
use super::encode::{self, Encoder, TARGET_MESSAGE_BYTES, message_bytes};
use super::error::{DoorError, Result};
use crate::net::sent::{Load, Sent};

/// Messages made ahead of the client; with the target size this bounds what a slow reader costs.
const AHEAD: usize = 2;

/// Why an answer ends whose reader does nothing.
pub(crate) const STALLED: &str = "the answer was not read for too long (write_idle_timeout_ms, less where others wait for the \
                                  memory that it holds), and the statement was ended";

/// The messages of one answer. Dropping it ends the query.
pub(super) struct Answer {
    messages: mpsc::Receiver<Item>,
    sent: Arc<Sent>,
    done: bool,
    task: Owned,
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

enum Item {
    Data(FlightData, Load),
    Failed(Status),
    End,
}

/// Begins to send what a statement gave, from the runtime of queries. A query whose reader takes nothing ends, and gives up
/// what it holds, before its reader is told.
pub(super) fn send(queries: &Handle, outcome: Outcome, sent: Arc<Sent>) -> Answer {
    let (sender, messages) = mpsc::channel(AHEAD);
    let reader = Arc::clone(&sent);
    let task = queries.spawn(async move {
        let produced = tokio::select! {
            produced = produce(outcome, &sender, &reader) => produced,
            () = reader.stalled() => Err(DoorError::new(ErrorKind::Retry, STALLED)),
        };
        let last = match produced {
            Ok(()) => Item::End,
            Err(error) => Item::Failed(error.into()),
        };
        // The receiver may be gone, with nobody left to tell.
        let _ = sender.send(last).await;
    });
    Answer { messages, sent, done: false, task: Owned::new(task.abort_handle()), on_drop: None }
}

impl Answer {
    /// What ends the query from outside; its reader then sees a cancelled call, not an early end.
    pub(super) fn abort_handle(&self) -> tokio::task::AbortHandle {
        self.task.handle()
    }

    /// Runs `call` once the answer is over, however it ends.
    pub(super) fn on_drop(&mut self, call: impl FnOnce() + Send + 'static) {
        self.on_drop = Some(Box::new(call));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(call) = self.on_drop.take() {
            call();
        }
    }
}

/// What a statement without rows gives to those who ask for rows: one that says what it did.
pub(super) static DONE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("rows", DataType::Int64, false),
        Field::new("message", DataType::Utf8, false),
    ]))
});

fn done_batch(rows: u64, message: String) -> Result<RecordBatch> {
    let rows = Int64Array::from(vec![i64::try_from(rows).unwrap_or(i64::MAX)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(rows), Arc::new(StringArray::from(vec![message]))];
    Ok(RecordBatch::try_new(Arc::clone(&DONE_SCHEMA), columns)?)
}

async fn produce(outcome: Outcome, sender: &mpsc::Sender<Item>, reader: &Arc<Sent>) -> Result<()> {
    let (schema, mut rows, metadata) = match outcome {
        Outcome::Rows { schema, stream } => (schema, stream, Bytes::new()),
        Outcome::Done { rows, message } => {
            let metadata = protocol::StatementDone { rows, message: message.clone() }.encode_to_vec();
            let stream = futures::stream::iter([Ok(done_batch(rows, message)?)]).boxed();
            (Arc::clone(&DONE_SCHEMA), stream as BatchStream, metadata.into())
        }
    };
    let schema = encode::plain_schema(&schema);
    let mut encoder = Encoder::new(TARGET_MESSAGE_BYTES, None)?;
    let first = FlightData { app_metadata: metadata, ..encode::schema_message(&schema) };
    let load = reader.take(message_bytes(&first)).await;
    if sender.send(Item::Data(first, load)).await.is_err() {
        return Ok(());
    }
    while let Some(batch) = rows.next().await {
        let batch = encode::plain_batch(batch?, &schema)?;
        if batch.num_rows() == 0 {
            continue;
        }
        for (rows, bytes) in encoder.parts(&batch) {
            let mut load = reader.take(bytes).await;
            for piece in encoder.encode(&batch.slice(rows.start, rows.len()))? {
                let part = load.split(message_bytes(&piece.data));
                if sender.send(Item::Data(piece.data, part)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

impl Stream for Answer {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let item = std::task::ready!(self.messages.poll_recv(context));
        Poll::Ready(match item {
            Some(Item::Data(data, load)) => {
                self.sent.hand_over(load);
                Some(Ok(data))
            }
            Some(Item::Failed(status)) => {
                self.done = true;
                Some(Err(status))
            }
            Some(Item::End) => {
                self.done = true;
                None
            }
            // The task ended without saying so: it was cancelled, or it panicked.
            None => {
                self.done = true;
                Some(Err(Status::cancelled("the query was cancelled")))
            }
        })
    }
}
