//! One DoExchange stream: a topic of a member.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow_flight::utils::flight_data_to_arrow_batch;
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_ipc::reader::StreamReader;
use futures::StreamExt;
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::waiting::{Inbox, Taken, Waiting};
use super::{Batch, SeekTo};
use crate::protocol::{self, consumer_reply::Reply, consumer_request::Request, seek};
use crate::{Client, Error, Result};

/// The descriptor's command; the first message's Hello says the rest.
const COMMAND: &[u8] = b"millstream.v1.consume";
const OUTGOING_MESSAGES: usize = 1024;
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct TopicStream {
    pub(super) topic: String,
    pub(super) member_id: String,
    pub(super) schema: SchemaRef,
    outgoing: mpsc::Sender<FlightData>,
    inbox: Arc<Inbox>,
    waiting: Arc<Waiting>,
    next_request: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for TopicStream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl TopicStream {
    pub(super) async fn open(client: &Client, hello: protocol::Hello, waiting: Arc<Waiting>) -> Result<TopicStream> {
        let topic = hello.topic.clone();
        let (outgoing, messages) = mpsc::channel(OUTGOING_MESSAGES);
        let first = message(Request::Hello(hello)).with_descriptor(FlightDescriptor::new_cmd(COMMAND));
        outgoing.send(first).await.map_err(|_| Error::Closed)?;
        let url = client.url().to_owned();
        let opened = client.service().do_exchange(ReceiverStream::new(messages)).await;
        let mut incoming = opened.map_err(|status| Error::from_status(&url, &status))?.into_inner();
        let welcome = welcome(&mut incoming, &url).await?;
        let schema = decode_schema(&welcome.schema)?;
        let inbox = Arc::new(Inbox::default());
        let reader = Reader {
            topic: topic.clone(),
            schema: schema.clone(),
            url,
            inbox: inbox.clone(),
            waiting: waiting.clone(),
            outgoing: outgoing.clone(),
        };
        let beat = Duration::from_millis(u64::from(welcome.heartbeat_interval_ms.max(100)));
        let tasks =
            [tokio::spawn(reader.run(incoming)), tokio::spawn(heartbeats(outgoing.clone(), waiting.clone(), beat))];
        let stream = TopicStream {
            topic,
            member_id: welcome.member_id,
            schema,
            outgoing,
            inbox,
            waiting,
            next_request: AtomicU64::new(1),
            tasks,
        };
        stream.wait_for(|inbox| inbox.ready()).await?;
        Ok(stream)
    }

    pub(super) fn partitions(&self) -> Vec<u32> {
        self.inbox.partitions()
    }

    pub(super) fn position(&self, partition: u32) -> Option<u64> {
        self.inbox.position(partition)
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.inbox.failure()
    }

    pub(super) fn take(&self) -> Option<Taken> {
        self.inbox.take()
    }

    /// Lets the server send `bytes` more.
    pub(super) fn credit(&self, bytes: u64) {
        credit(&self.outgoing, bytes);
    }

    pub(super) async fn send(&self, request: Request) -> Result<()> {
        let sent = self.outgoing.send(message(request)).await;
        sent.map_err(|_| self.failure().unwrap_or(Error::Closed))
    }

    pub(super) async fn commit(&self, entries: Vec<protocol::PartitionOffset>, generation: u64) -> Result<()> {
        let request_id = self.request_id();
        let request = Request::Commit(protocol::Commit { request_id, entries, generation });
        match self.ask(request_id, request).await? {
            Reply::CommitAck(ack) => refused(ack.error.as_ref()),
            other => Err(Error::protocol(format!("{other:?} in answer to a commit"))),
        }
    }

    pub(super) async fn offsets(&self) -> Result<Vec<protocol::PartitionState>> {
        let request_id = self.request_id();
        match self.ask(request_id, Request::Offsets(protocol::OffsetsRequest { request_id })).await? {
            Reply::Offsets(reply) => {
                refused(reply.error.as_ref())?;
                Ok(reply.partitions)
            }
            other => Err(Error::protocol(format!("{other:?} in answer to a request for offsets"))),
        }
    }

    pub(super) async fn seek(&self, partition: u32, to: SeekTo) -> Result<u64> {
        let request_id = self.request_id();
        self.inbox.begin_seek(partition, request_id);
        let to = Some(match to {
            SeekTo::Offset(offset) => seek::To::Offset(offset),
            SeekTo::Start => seek::To::Start(seek::Head {}),
            SeekTo::End => seek::To::End(seek::Tail {}),
            SeekTo::AppendTime(time) => seek::To::AppendTimeUs(time),
        });
        match self.ask(request_id, Request::Seek(protocol::Seek { request_id, partition, to })).await? {
            Reply::SeekAck(ack) => {
                refused(ack.error.as_ref())?;
                Ok(ack.offset)
            }
            other => Err(Error::protocol(format!("{other:?} in answer to a seek"))),
        }
    }

    /// Says that the member leaves, and waits until the server has ended the stream.
    pub(super) async fn leave(&self) {
        if self.send(Request::Leave(protocol::Leave {})).await.is_ok() {
            // Its answer is the end of the stream, which comes as a failure.
            let _ended = self.wait_for(|inbox| inbox.failure().map(|_| Ok(()))).await;
        }
    }

    fn request_id(&self) -> u64 {
        self.next_request.fetch_add(1, Ordering::Relaxed)
    }

    async fn ask(&self, request_id: u64, request: Request) -> Result<Reply> {
        self.send(request).await?;
        self.wait_for(|inbox| inbox.reply(request_id)).await
    }

    async fn wait_for<T>(&self, ready: impl Fn(&Inbox) -> Option<Result<T>>) -> Result<T> {
        let waiting = async {
            loop {
                // Made before looking, so that no change falls between.
                let changed = self.waiting.changed();
                if let Some(answer) = ready(&self.inbox) {
                    return answer;
                }
                changed.await;
            }
        };
        let late = || Error::Unreachable {
            url: self.topic.clone(),
            reason: format!("no answer for {} s", REPLY_TIMEOUT.as_secs()),
        };
        tokio::time::timeout(REPLY_TIMEOUT, waiting).await.map_err(|_| late())?
    }
}

/// Reads a stream to its end.
struct Reader {
    topic: String,
    schema: SchemaRef,
    url: String,
    inbox: Arc<Inbox>,
    waiting: Arc<Waiting>,
    outgoing: mpsc::Sender<FlightData>,
}

impl Reader {
    async fn run(self, mut incoming: Streaming<FlightData>) {
        let failure = loop {
            let data = match incoming.next().await {
                Some(Ok(data)) => data,
                Some(Err(status)) => break Error::from_status(&self.url, &status),
                None => break ended(&self.url),
            };
            match self.handle(&data) {
                Ok(void) => credit(&self.outgoing, void),
                Err(error) => break error,
            }
            self.waiting.wake();
        };
        self.inbox.fail(failure);
        self.waiting.wake();
    }

    /// Takes in one message; gives the bytes to credit at once.
    fn handle(&self, data: &FlightData) -> Result<u64> {
        if data.app_metadata.is_empty() {
            return Ok(0); // the schema, which Welcome has said already
        }
        match decode_reply(data)? {
            Reply::Batch(header) => {
                let batch = self.batch(&header, data)?;
                Ok(self.inbox.batch(Taken {
                    partition: header.partition,
                    next_offset: header.next_offset,
                    generation: header.generation,
                    bytes: header.bytes,
                    batch,
                }))
            }
            Reply::End(end) => Err(end_error(&end, &self.url)),
            other => Ok(self.inbox.control(other)),
        }
    }

    fn batch(&self, header: &protocol::Batch, data: &FlightData) -> Result<Option<Batch>> {
        if data.data_header.is_empty() {
            return Ok(None);
        }
        let rows = flight_data_to_arrow_batch(data, self.schema.clone(), &HashMap::new()).map_err(Error::protocol)?;
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        Ok(Some(Batch {
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

async fn heartbeats(outgoing: mpsc::Sender<FlightData>, waiting: Arc<Waiting>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let heartbeat = protocol::Heartbeat { request_id: 0, polled: waiting.take_polled() };
        if outgoing.send(message(Request::Heartbeat(heartbeat))).await.is_err() {
            return;
        }
    }
}

async fn welcome(incoming: &mut Streaming<FlightData>, url: &str) -> Result<protocol::Welcome> {
    let data = match incoming.next().await {
        Some(data) => data.map_err(|status| Error::from_status(url, &status))?,
        None => return Err(ended(url)),
    };
    match decode_reply(&data)? {
        Reply::Welcome(welcome) => Ok(welcome),
        Reply::End(end) => Err(end_error(&end, url)),
        other => Err(Error::protocol(format!("{other:?} instead of a welcome"))),
    }
}

fn credit(outgoing: &mpsc::Sender<FlightData>, bytes: u64) {
    if bytes > 0 {
        // Full only when the server has stopped reading; then it does not send either.
        let _ = outgoing.try_send(message(Request::Credit(protocol::Credit { bytes })));
    }
}

fn message(request: Request) -> FlightData {
    FlightData::new().with_app_metadata(protocol::ConsumerRequest { request: Some(request) }.encode_to_vec())
}

fn decode_reply(data: &FlightData) -> Result<Reply> {
    let reply = protocol::ConsumerReply::decode(data.app_metadata.as_ref()).map_err(Error::protocol)?;
    reply.reply.ok_or_else(|| Error::protocol("a message of a kind this client does not know"))
}

fn decode_schema(message: &[u8]) -> Result<SchemaRef> {
    let reader = StreamReader::try_new(Cursor::new(message), None).map_err(Error::protocol)?;
    Ok(reader.schema())
}

fn refused(error: Option<&protocol::Error>) -> Result<()> {
    error.map_or(Ok(()), |error| Err(Error::from_wire(error)))
}

fn ended(url: &str) -> Error {
    Error::Unreachable { url: url.to_owned(), reason: "the server ended the stream".to_owned() }
}

fn end_error(end: &protocol::End, url: &str) -> Error {
    match (end.reason(), &end.error) {
        (protocol::EndReason::Error, Some(error)) => Error::from_wire(error),
        (protocol::EndReason::Shutdown, _) => {
            Error::Unreachable { url: url.to_owned(), reason: "the server is shutting down".to_owned() }
        }
        (protocol::EndReason::Left, _) => Error::Closed,
        (reason, _) => Error::Server {
            kind: protocol::ErrorKind::FailedPrecondition,
            message: format!("the stream ended: {}", reason.as_str_name().to_ascii_lowercase()),
        },
    }
}
