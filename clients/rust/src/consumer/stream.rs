//! One DoExchange stream: a topic of a member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use millstream_protocol::{self as protocol, consumer_reply::Reply, consumer_request::Request, seek};
use tokio::task::JoinSet;

use super::batch::SeekTo;
use super::inbox::{Ended, Inbox, Taken, refused};
use super::outbox::Outbox;
use super::partition::Held;
use super::reader::{Reader, welcome};
use super::waiting::Waiting;
use crate::batch::schema_of;
use crate::call::Method;
use crate::connection::Connection;
use crate::error::{Error, Result};

const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct TopicStream {
    pub(super) topic: String,
    pub(super) member_id: String,
    pub(super) schema: SchemaRef,
    pub(super) inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    waiting: Arc<Waiting>,
    /// The reader and the heart.
    _tasks: JoinSet<()>,
}

impl Drop for TopicStream {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl TopicStream {
    /// Opens a stream and waits for its assignment. `held` is what an earlier stream of the same member and topic held.
    pub(super) async fn open(
        connection: &Connection,
        hello: protocol::Hello,
        waiting: Arc<Waiting>,
        held: BTreeMap<u32, Held>,
    ) -> Result<TopicStream> {
        let opening = async {
            let stream = TopicStream::begin(connection, hello, waiting, held).await?;
            stream.wait_until(Inbox::is_assigned).await?;
            Ok(stream)
        };
        in_time(connection.url(), opening).await
    }

    async fn begin(
        connection: &Connection,
        hello: protocol::Hello,
        waiting: Arc<Waiting>,
        held: BTreeMap<u32, Held>,
    ) -> Result<TopicStream> {
        let (topic, url) = (hello.topic.clone(), connection.url().to_owned());
        let credit = usize::try_from(hello.credit_bytes).unwrap_or(usize::MAX);
        let (inbox, outbox) = (Arc::new(Inbox::new(held)), Arc::new(Outbox::default()));
        let opened = connection.call(Method::DoExchange, Arc::clone(&outbox).messages(hello)).await;
        let mut incoming = opened.map_err(|status| Error::from_status(&url, &status))?.reusing(credit);
        let welcome = welcome(&mut incoming, &url).await?;
        let schema = schema_of(&welcome.schema)?;
        let reader = Reader {
            topic: topic.clone(),
            schema: schema.clone(),
            url,
            inbox: Arc::clone(&inbox),
            outbox: Arc::clone(&outbox),
            waiting: Arc::clone(&waiting),
        };
        let beat = Duration::from_millis(u64::from(welcome.heartbeat_interval_ms.max(100)));
        let mut tasks = JoinSet::new();
        tasks.spawn(reader.run(incoming));
        tasks.spawn(heartbeats(Arc::clone(&outbox), Arc::clone(&waiting), beat));
        Ok(TopicStream { topic, member_id: welcome.member_id, schema, inbox, outbox, waiting, _tasks: tasks })
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.inbox.ended()
    }

    /// The next thing for the caller; its credit goes back.
    pub(super) fn take(&self) -> Option<Taken> {
        let taken = self.inbox.take()?;
        self.outbox.credit(taken.bytes);
        Some(taken)
    }

    /// Commits, and waits for it.
    pub(super) async fn commit(&self, entries: &[(u32, u64)]) -> Result<()> {
        let asked = self.inbox.ask();
        self.inbox.note_commit(asked.id, entries);
        let request = Request::Commit(self.commit_of(asked.id, entries));
        match self.answer(asked, request).await? {
            Reply::CommitAck(ack) => refused(ack.error.as_ref()),
            other => Err(Error::protocol(format!("{other:?} in answer to a commit"))),
        }
    }

    /// Commits without waiting for it.
    pub(super) fn commit_soon(&self, entries: &[(u32, u64)]) -> Result<()> {
        let request_id = self.inbox.begin_commit(entries);
        self.send(Request::Commit(self.commit_of(request_id, entries)))
    }

    fn commit_of(&self, request_id: u64, entries: &[(u32, u64)]) -> protocol::Commit {
        let entry = |(partition, next_offset): &(u32, u64)| protocol::PartitionOffset {
            partition: *partition,
            next_offset: *next_offset,
        };
        let entries = entries.iter().map(entry).collect();
        protocol::Commit { request_id, entries, generation: self.inbox.generation() }
    }

    pub(super) async fn offsets(&self) -> Result<Vec<protocol::PartitionState>> {
        let asked = self.inbox.ask();
        let request = Request::Offsets(protocol::OffsetsRequest { request_id: asked.id });
        match self.answer(asked, request).await? {
            Reply::Offsets(reply) => refused(reply.error.as_ref()).map(|()| reply.partitions),
            other => Err(Error::protocol(format!("{other:?} in answer to a request for offsets"))),
        }
    }

    pub(super) async fn seek(&self, partition: u32, to: SeekTo) -> Result<u64> {
        let asked = self.inbox.ask();
        let to = Some(match to {
            SeekTo::Offset(offset) => seek::To::Offset(offset),
            SeekTo::Start => seek::To::Start(seek::Head {}),
            SeekTo::End => seek::To::End(seek::Tail {}),
            SeekTo::AppendTime(time) => seek::To::AppendTimeUs(time),
        });
        let request = Request::Seek(protocol::Seek { request_id: asked.id, partition, to });
        match self.answer(asked, request).await? {
            Reply::SeekAck(ack) => refused(ack.error.as_ref()).map(|()| ack.offset),
            other => Err(Error::protocol(format!("{other:?} in answer to a seek"))),
        }
    }

    /// What waits of these partitions is thrown away, and read again when they are resumed: it would hold credit that the
    /// others need.
    pub(super) fn pause(&self, partitions: &[u32]) -> Result<()> {
        let credit = partitions.iter().map(|partition| self.inbox.pause(*partition)).sum();
        self.outbox.credit(credit);
        self.send(Request::Pause(protocol::Pause { partitions: partitions.to_vec() }))
    }

    /// The server may send this partition again, from where polls have come to.
    pub(super) fn resume(&self, partition: u32) -> Result<()> {
        self.inbox.update(partition, |held| held.paused = false);
        self.retry(partition)
    }

    /// Asks for a partition again whose reading had failed.
    pub(super) fn retry(&self, partition: u32) -> Result<()> {
        self.send(Request::Resume(protocol::Resume { partitions: vec![partition] }))
    }

    /// Says that the member leaves, and waits until the server has ended the stream.
    pub(super) async fn leave(&self) {
        if self.send(Request::Leave(protocol::Leave {})).is_ok() {
            // Its answer is the end of the stream.
            let _ended = in_time("", self.wait_until(|_| false)).await;
        }
    }

    fn send(&self, request: Request) -> Result<()> {
        match self.inbox.ended() {
            Some(_) => Err(self.inbox.failure()),
            None => self.outbox.push(request),
        }
    }

    async fn answer(&self, mut asked: super::inbox::Asked<'_>, request: Request) -> Result<Reply> {
        self.send(request)?;
        in_time(&self.topic, async { (&mut asked.answer).await.map_err(|_| self.inbox.failure()) }).await
    }

    async fn wait_until(&self, ready: impl Fn(&Inbox) -> bool) -> Result<()> {
        loop {
            // Made before looking, so that no change falls between.
            let changed = self.waiting.changed();
            if ready(&self.inbox) {
                return Ok(());
            }
            if self.inbox.ended().is_some() {
                return Err(self.inbox.failure());
            }
            changed.await;
        }
    }
}

async fn in_time<T>(url: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late =
        |_| Error::Unreachable { url: url.to_owned(), reason: format!("no answer for {} s", REPLY_TIMEOUT.as_secs()) };
    tokio::time::timeout(REPLY_TIMEOUT, work).await.map_err(late)?
}

async fn heartbeats(outbox: Arc<Outbox>, waiting: Arc<Waiting>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let heartbeat = protocol::Heartbeat { request_id: 0, polled: waiting.take_polled() };
        // A server that reads no requests hears of the member by none of them.
        let _ = outbox.push(Request::Heartbeat(heartbeat));
    }
}
