//! A member of a consumer group.

mod stream;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::Stream;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use self::stream::TopicStream;
use self::waiting::{Taken, Waiting};
use crate::protocol::{self, consumer_request::Request};
use crate::{Client, ConsumerOptions, Error, Result};

/// A topic's name and a partition of it.
pub type Partition = (String, u32);

/// Rows of one partition of one topic, in offset order.
#[derive(Debug, Clone)]
pub struct Batch {
    pub topic: String,
    pub partition: u32,
    /// The first offset that the batch answers for.
    pub first_offset: u64,
    /// What to commit once the batch is processed. Rows between that were filtered out are inside.
    pub next_offset: u64,
    pub generation: u64,
    pub data: RecordBatch,
    deltas: Arc<[u64]>,
}

impl Batch {
    /// The source offset of each row.
    pub fn offsets(&self) -> Vec<u64> {
        if self.deltas.is_empty() {
            return (self.first_offset..).take(self.data.num_rows()).collect();
        }
        let mut offset = self.first_offset;
        let step = |delta: &u64| {
            offset = offset.wrapping_add(*delta);
            offset
        };
        self.deltas.iter().map(step).collect()
    }

    /// The rows as values of your type.
    pub fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        crate::rows::decode(&self.data)
    }
}

/// Where a partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// The oldest retained row.
    pub start: u64,
    /// One past the newest durable row.
    pub end: u64,
    pub committed: Option<u64>,
    /// The next offset that [`Consumer::poll`] gives.
    pub position: u64,
}

/// Where [`Consumer::seek`] moves a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    Offset(u64),
    Start,
    End,
    /// The first row appended at or after this time, µs since the Unix epoch.
    AppendTime(i64),
}

/// Takes batches of its topics; the group's members share the partitions.
///
/// With automatic commit a poll commits, at each interval, what earlier polls gave, and [`Consumer::close`] commits what was
/// given last. After a break it joins again and goes on where the last poll ended.
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    topics: Vec<String>,
    streams: Vec<TopicStream>,
    waiting: Arc<Waiting>,
    next_stream: usize,
    handed_out: BTreeMap<Partition, u64>,
    /// (next offset, generation) that the next automatic commit is to send.
    uncommitted: BTreeMap<Partition, (u64, u64)>,
    last_commit: Instant,
}

impl Consumer {
    pub(crate) async fn join(client: Client, options: ConsumerOptions, topics: Vec<String>) -> Result<Consumer> {
        options.check()?;
        if topics.is_empty() {
            return Err(Error::InvalidInput("a consumer needs at least one topic".to_owned()));
        }
        let mut consumer = Consumer {
            client,
            options,
            topics,
            streams: Vec::new(),
            waiting: Arc::default(),
            next_stream: 0,
            handed_out: BTreeMap::new(),
            uncommitted: BTreeMap::new(),
            last_commit: Instant::now(),
        };
        consumer.open_streams().await?;
        Ok(consumer)
    }

    /// The (topic, partition) pairs that this member owns.
    pub fn assignment(&self) -> Vec<Partition> {
        let owned =
            self.streams.iter().flat_map(|stream| stream.partitions().into_iter().map(|p| (stream.topic.clone(), p)));
        owned.collect()
    }

    /// The schema of a topic's batches.
    pub fn schema(&self, topic: &str) -> Option<arrow::datatypes::SchemaRef> {
        self.streams.iter().find(|stream| stream.topic == topic).map(|stream| stream.schema.clone())
    }

    /// The next batch with rows; none within `wait`: `None`. Cancel-safe.
    pub async fn poll(&mut self, wait: Duration) -> Result<Option<Batch>> {
        let deadline = Instant::now() + wait;
        self.waiting.note_poll();
        if self.options.enable_auto_commit && self.last_commit.elapsed() >= self.options.auto_commit_interval {
            self.commit_due().await?;
        }
        loop {
            match self.take(deadline).await {
                Err(error) if error.is_retryable() => self.rejoin(error).await?,
                other => return other,
            }
        }
    }

    /// Batches for ever.
    pub fn stream(&mut self) -> impl Stream<Item = Result<Batch>> + '_ {
        futures::stream::try_unfold(self, |consumer| async move {
            loop {
                if let Some(batch) = consumer.poll(Duration::from_secs(60)).await? {
                    return Ok(Some((batch, consumer)));
                }
            }
        })
    }

    /// Commits everything given out so far, and waits for it.
    pub async fn commit(&mut self) -> Result<()> {
        let wanted: Vec<_> =
            self.uncommitted.iter().map(|(key, (offset, generation))| (key.clone(), *offset, *generation)).collect();
        self.commit_entries(&wanted).await?;
        self.uncommitted.clear();
        Ok(())
    }

    /// Commits all up to the end of one batch.
    pub async fn commit_batch(&mut self, batch: &Batch) -> Result<()> {
        let key = (batch.topic.clone(), batch.partition);
        self.commit_entries(&[(key.clone(), batch.next_offset, batch.generation)]).await?;
        if self.uncommitted.get(&key).is_some_and(|(offset, _)| *offset == batch.next_offset) {
            self.uncommitted.remove(&key);
        }
        Ok(())
    }

    /// Commits these next offsets to read.
    pub async fn commit_offsets(&mut self, offsets: &[(Partition, u64)]) -> Result<()> {
        let wanted: Vec<_> = offsets.iter().map(|(key, offset)| (key.clone(), *offset, 0)).collect();
        self.commit_entries(&wanted).await
    }

    /// Start, end, committed offset and position of every owned partition.
    pub async fn offsets(&self) -> Result<BTreeMap<Partition, Offsets>> {
        let mut all = BTreeMap::new();
        for stream in &self.streams {
            for state in stream.offsets().await? {
                let key = (stream.topic.clone(), state.partition);
                // The server's own position runs ahead of the caller by what it has sent.
                let began = stream.position(state.partition).or(state.position).unwrap_or(state.start);
                let position = self.handed_out.get(&key).copied().unwrap_or(began);
                all.insert(key, Offsets { start: state.start, end: state.end, committed: state.committed, position });
            }
        }
        Ok(all)
    }

    /// Moves the position only; gives where it now is.
    pub async fn seek(&mut self, topic: &str, partition: u32, to: SeekTo) -> Result<u64> {
        let offset = self.stream_of(topic)?.seek(partition, to).await?;
        let key = (topic.to_owned(), partition);
        self.uncommitted.remove(&key);
        self.handed_out.insert(key, offset);
        Ok(offset)
    }

    /// Stops the flow of partitions; what waits already is still given out.
    pub async fn pause(&self, topic: &str, partitions: &[u32]) -> Result<()> {
        let request = Request::Pause(protocol::Pause { partitions: partitions.to_vec() });
        self.stream_of(topic)?.send(request).await
    }

    /// Lets paused partitions flow again.
    pub async fn resume(&self, topic: &str, partitions: &[u32]) -> Result<()> {
        let request = Request::Resume(protocol::Resume { partitions: partitions.to_vec() });
        self.stream_of(topic)?.send(request).await
    }

    /// Leaves the group; with automatic commit, commits what was given out first.
    pub async fn close(mut self) -> Result<()> {
        let committed = if self.options.enable_auto_commit { self.commit().await } else { Ok(()) };
        if let Some(stream) = self.streams.first() {
            stream.leave().await;
        }
        committed
    }

    async fn open_streams(&mut self) -> Result<()> {
        self.streams.clear();
        self.uncommitted.clear();
        let mut member_id = String::new();
        for topic in self.topics.clone() {
            let hello = self.hello(&topic, &member_id);
            let stream = TopicStream::open(&self.client, hello, self.waiting.clone()).await?;
            member_id = stream.member_id.clone();
            self.streams.push(stream);
        }
        Ok(())
    }

    fn hello(&self, topic: &str, member_id: &str) -> protocol::Hello {
        let options = &self.options;
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        protocol::Hello {
            version: protocol::VERSION,
            namespace: options.namespace.clone(),
            group_id: options.group_id.clone(),
            client_id: options.client_id.clone(),
            member_id: member_id.to_owned(),
            topic: topic.to_owned(),
            topics: self.topics.clone(),
            auto_offset_reset: options.auto_offset_reset.into(),
            session_timeout_ms: millis(options.session_timeout),
            max_poll_interval_ms: millis(options.max_poll_interval),
            min_poll_rows: options.min_poll_rows,
            max_poll_rows: options.max_poll_rows,
            mode: options.mode.into(),
            replay: options.replay,
            credit_bytes: options.fetch_max_bytes,
            max_message_bytes: 64 << 20,
            row_offsets: true,
            compression: options.compression.into(),
        }
    }

    async fn take(&mut self, deadline: Instant) -> Result<Option<Batch>> {
        loop {
            let waiting = self.waiting.clone();
            // Made before looking, so that no change falls between.
            let changed = waiting.changed();
            let Some((stream, taken)) = self.take_one() else {
                if let Some(error) = self.streams.iter().find_map(TopicStream::failure) {
                    return Err(error);
                }
                if tokio::time::timeout_at(deadline, changed).await.is_err() {
                    return Ok(None);
                }
                continue;
            };
            let key = (self.streams[stream].topic.clone(), taken.partition);
            self.handed_out.insert(key.clone(), taken.next_offset);
            self.uncommitted.insert(key, (taken.next_offset, taken.generation));
            self.streams[stream].credit(taken.bytes);
            if let Some(batch) = taken.batch {
                return Ok(Some(batch));
            }
        }
    }

    /// Round robin over the topics.
    fn take_one(&mut self) -> Option<(usize, Taken)> {
        let count = self.streams.len();
        let found = (0..count)
            .map(|step| (self.next_stream + step) % count)
            .find_map(|i| Some((i, self.streams[i].take()?)))?;
        self.next_stream = (found.0 + 1) % count;
        Some(found)
    }

    async fn commit_due(&mut self) -> Result<()> {
        self.last_commit = Instant::now();
        let owned = self.assignment();
        self.uncommitted.retain(|key, _| owned.contains(key));
        match self.commit().await {
            // The partitions have gone to another member, or the server is away: the rows come again.
            Err(error) if error.is_retryable() || error.kind() == protocol::ErrorKind::Fenced => Ok(()),
            other => other,
        }
    }

    async fn commit_entries(&self, wanted: &[(Partition, u64, u64)]) -> Result<()> {
        for stream in &self.streams {
            let entries: Vec<_> = wanted.iter().filter(|((topic, _), ..)| *topic == stream.topic).collect();
            if let Some(generation) = entries.iter().map(|entry| entry.2).max() {
                let offset = |((_, partition), next_offset, _): &&(Partition, u64, u64)| protocol::PartitionOffset {
                    partition: *partition,
                    next_offset: *next_offset,
                };
                stream.commit(entries.iter().map(offset).collect(), generation).await?;
            }
        }
        Ok(())
    }

    async fn rejoin(&mut self, mut error: Error) -> Result<()> {
        for _ in 0..self.options.reconnect_count {
            if !error.is_retryable() {
                break;
            }
            tokio::time::sleep(self.options.reconnect_interval).await;
            match self.open_streams().await {
                Ok(()) => return self.go_on().await,
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    /// After joining again: skips what was given out before the break.
    async fn go_on(&mut self) -> Result<()> {
        for ((topic, partition), offset) in self.handed_out.clone() {
            let Ok(stream) = self.stream_of(&topic) else { continue };
            if stream.position(partition).is_some_and(|position| position < offset) {
                self.seek(&topic, partition, SeekTo::Offset(offset)).await?;
            }
        }
        Ok(())
    }

    fn stream_of(&self, topic: &str) -> Result<&TopicStream> {
        let found = self.streams.iter().find(|stream| stream.topic == topic);
        found.ok_or_else(|| Error::InvalidInput(format!("not subscribed to {topic:?}")))
    }
}
