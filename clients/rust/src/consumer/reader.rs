//! Reads a stream to its end.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use futures::StreamExt;
use millstream_protocol::framing::Incoming;
use millstream_protocol::{self as protocol, consumer_reply::Reply, consumer_request::Request};
use prost::Message;

use super::batch::Batch;
use super::inbox::{Due, Ended, Inbox, Taken, What};
use super::outbox::Outbox;
use super::waiting::Waiting;
use crate::batch::rows_of;
use crate::error::{Error, Result};

pub(super) struct Reader {
    pub(super) topic: String,
    pub(super) schema: SchemaRef,
    pub(super) url: String,
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) waiting: Arc<Waiting>,
}

impl Reader {
    pub(super) async fn run(self, mut incoming: Incoming<FlightData>) {
        let reason = loop {
            let data = match incoming.next().await {
                Some(Ok(data)) => data,
                Some(Err(status)) => break Ended::Failed(Error::from_status(&self.url, &status)),
                None => break Ended::Failed(cut_off(&self.url)),
            };
            match self.handle(&data) {
                Ok(None) => {}
                Ok(Some(reason)) => break reason,
                Err(error) => break Ended::Failed(error),
            }
            self.waiting.wake();
        };
        let successor_due = matches!(reason, Ended::SchemaChanged);
        self.inbox.end(reason);
        self.waiting.wake();
        if successor_due {
            // The server keeps the member's place as long as this call is open; it ends with the stream's owner.
            std::future::pending::<()>().await;
        }
    }

    /// Takes in one message; gives the reason if it ends the stream.
    fn handle(&self, data: &FlightData) -> Result<Option<Ended>> {
        let Some(reply) = decode_reply(data)? else { return Ok(None) };
        let due = match reply {
            Reply::Batch(header) => {
                let what = self.rows(&header, data)?;
                self.receive(
                    header.generation,
                    header.first_offset,
                    header.partition,
                    header.next_offset,
                    header.bytes,
                    what,
                )
            }
            Reply::Failed(failed) => {
                let error = failed
                    .error
                    .as_ref()
                    .map_or_else(|| Error::protocol("a failure without an error"), Error::from_wire);
                let generation = self.inbox.generation();
                self.receive(generation, failed.offset, failed.partition, failed.offset, 0, What::Failed(error))
            }
            Reply::End(end) => return Ok(Some(ended(&end, &self.url))),
            other => self.inbox.control(other),
        };
        self.outbox.credit(due.credit);
        if !due.resume.is_empty() {
            // A server that reads no requests has other reasons to end the stream.
            let _ = self.outbox.push(Request::Resume(protocol::Resume { partitions: due.resume }));
        }
        Ok(None)
    }

    fn receive(&self, generation: u64, first: u64, partition: u32, next_offset: u64, bytes: u64, what: What) -> Due {
        self.inbox.receive(generation, first, Taken { partition, next_offset, bytes, what })
    }

    fn rows(&self, header: &protocol::Batch, data: &FlightData) -> Result<What> {
        if data.data_header.is_empty() {
            return Ok(What::Moved);
        }
        let rows = rows_of(data, self.schema.clone())?;
        if rows.num_rows() == 0 {
            return Ok(What::Moved);
        }
        Ok(What::Rows(Batch {
            topic: self.topic.clone(),
            partition: header.partition,
            first_offset: header.first_offset,
            next_offset: header.next_offset,
            generation: header.generation,
            data: rows,
            deltas: header.offset_deltas.clone().into(),
        }))
    }
}

/// The first reply of a stream.
pub(super) async fn welcome(incoming: &mut Incoming<FlightData>, url: &str) -> Result<protocol::Welcome> {
    loop {
        let Some(data) = incoming.next().await else { return Err(cut_off(url)) };
        let data = data.map_err(|status| Error::from_status(url, &status))?;
        match decode_reply(&data)? {
            None => {}
            Some(Reply::Welcome(welcome)) => return Ok(welcome),
            Some(Reply::End(end)) => {
                return Err(match ended(&end, url) {
                    Ended::Failed(error) => error,
                    Ended::SchemaChanged => Error::protocol("the schema changed before it was said"),
                });
            }
            Some(other) => return Err(Error::protocol(format!("{other:?} instead of a welcome"))),
        }
    }
}

/// `None` for what this client does not look at: the schema, which Welcome has said already, and kinds of messages that it
/// does not know.
fn decode_reply(data: &FlightData) -> Result<Option<Reply>> {
    if data.app_metadata.is_empty() {
        return Ok(None);
    }
    let reply = protocol::ConsumerReply::decode(data.app_metadata.as_ref()).map_err(Error::protocol)?;
    Ok(reply.reply)
}

fn cut_off(url: &str) -> Error {
    Error::Unreachable { url: url.to_owned(), reason: "the server ended the stream".to_owned() }
}

fn ended(end: &protocol::End, url: &str) -> Ended {
    Ended::Failed(match (end.reason(), &end.error) {
        (protocol::EndReason::SchemaChanged, _) => return Ended::SchemaChanged,
        (protocol::EndReason::Error, Some(error)) => Error::from_wire(error),
        (protocol::EndReason::Shutdown, _) => {
            Error::Unreachable { url: url.to_owned(), reason: "the server is shutting down".to_owned() }
        }
        (protocol::EndReason::Left, _) => Error::Closed,
        (reason, _) => Error::Server {
            kind: protocol::ErrorKind::FailedPrecondition,
            message: format!("the stream ended: {}", reason.as_str_name().to_ascii_lowercase()),
        },
    })
}
