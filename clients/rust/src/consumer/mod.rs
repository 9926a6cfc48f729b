//! A member of a consumer group.

mod batch;
mod commit;
mod inbox;
mod join;
mod outbox;
mod partition;
mod reader;
mod stream;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use http::HeaderValue;
use millstream_protocol::{AutoOffsetReset, ErrorKind};
use tokio::time::Instant;

pub use self::batch::{Batch, Offsets, Partition, SeekTo};
use self::inbox::What;
use self::join::Mending;
use self::stream::TopicStream;
use self::waiting::Waiting;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::options::ConsumerOptions;

/// Takes batches of its topics; the group's members share the partitions.
///
/// With automatic commit a poll commits, at each interval, what earlier polls gave, and [`Consumer::close`] commits what was
/// given last. A poll also mends what has broken:
///
/// * After a broken connection it joins again and goes on where the last poll ended, unless the group's offset has been
///   moved since; then it goes on from there.
/// * A member that the group has gone on without (its session timed out, or it did not poll in time) joins as a new one, and
///   goes on from the committed offsets. So it does when its token has ended and its [`Credentials`](crate::Credentials) give
///   another one. In a broadcast group it gets the error: its place may be another's.
/// * When a table's columns have changed, later batches have the new schema; nothing is repeated.
///
/// Within one ownership of a partition rows come in order, without a gap and without a repeat.
#[derive(Debug)]
pub struct Consumer {
    connection: Connection,
    options: ConsumerOptions,
    topics: Vec<String>,
    /// One for each topic, or none while the member is to join again.
    streams: Vec<TopicStream>,
    waiting: Arc<Waiting>,
    next_stream: usize,
    mending: Mending,
    last_commit: Instant,
    /// What the streams have shown for who the consumer is.
    shown: Option<HeaderValue>,
}

/// What there is for a poll.
enum Found {
    Batch(Batch),
    /// A partition can't be read; the others go on.
    Failed(Error),
    Nothing,
    /// The stream at that place has ended.
    Ended(usize),
}

impl Consumer {
    pub(crate) async fn join(
        connection: Connection,
        options: ConsumerOptions,
        topics: Vec<String>,
    ) -> Result<Consumer> {
        options.check()?;
        if topics.is_empty() {
            return Err(Error::InvalidInput("a consumer needs at least one topic".to_owned()));
        }
        let mut distinct = Vec::with_capacity(topics.len());
        topics.into_iter().for_each(|topic| {
            if !distinct.contains(&topic) {
                distinct.push(topic)
            }
        });
        let mut consumer = Consumer {
            connection,
            options,
            topics: distinct,
            streams: Vec::new(),
            waiting: Arc::default(),
            next_stream: 0,
            mending: Mending::default(),
            last_commit: Instant::now(),
            shown: None,
        };
        consumer.open_streams().await?;
        Ok(consumer)
    }

    /// The (topic, partition) pairs that this member owns.
    pub fn assignment(&self) -> Vec<Partition> {
        let owned = |stream: &TopicStream| {
            let partitions = stream.inbox.partitions().into_keys();
            partitions.map(|partition| (stream.topic.clone(), partition)).collect::<Vec<_>>()
        };
        self.streams.iter().flat_map(owned).collect()
    }

    /// The schema of a topic's batches.
    pub fn schema(&self, topic: &str) -> Option<arrow::datatypes::SchemaRef> {
        self.streams.iter().find(|stream| stream.topic == topic).map(|stream| stream.schema.clone())
    }

    /// The next batch with rows; none within `wait`: `None`, also while the server can't be reached. Cancel-safe.
    ///
    /// An error that names a partition (a row that can't be evaluated, an offset that is not retained) does not keep the others
    /// back: poll on, or seek past it.
    pub async fn poll(&mut self, wait: Duration) -> Result<Option<Batch>> {
        let deadline = Instant::now() + wait;
        let waiting = Arc::clone(&self.waiting);
        let _polling = waiting.polling();
        self.commit_when_due()?;
        loop {
            if !self.is_joined() && !self.mend(deadline).await? {
                return Ok(None);
            }
            // Made before looking, so that no change falls between.
            let changed = waiting.changed();
            match self.next() {
                Found::Batch(batch) => return Ok(Some(batch)),
                Found::Failed(error) => return Err(error),
                Found::Ended(stream) => self.stream_ended(stream).await?,
                Found::Nothing if tokio::time::timeout_at(deadline, changed).await.is_err() => return Ok(None),
                Found::Nothing => {}
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

    /// Start, end, committed offset and position of every owned partition.
    pub async fn offsets(&self) -> Result<BTreeMap<Partition, Offsets>> {
        self.check_joined()?;
        let mut all = BTreeMap::new();
        for stream in &self.streams {
            for state in stream.offsets().await? {
                // The server's own position runs ahead of the caller by what it has sent.
                let held = stream.inbox.held(state.partition).and_then(|held| held.position);
                let position = held.or(state.committed).unwrap_or(state.start);
                let offsets = Offsets { start: state.start, end: state.end, committed: state.committed, position };
                all.insert((stream.topic.clone(), state.partition), offsets);
            }
        }
        Ok(all)
    }

    /// Moves the position only; gives where it now is.
    pub async fn seek(&mut self, topic: &str, partition: u32, to: SeekTo) -> Result<u64> {
        self.stream_of(topic)?.seek(partition, to).await
    }

    /// Gives no more rows of these partitions until they are resumed, or moved away by a rebalance or a reset of the group's
    /// offsets, which ends the pause. Rows that wait already are thrown away and read again after the pause.
    pub async fn pause(&self, topic: &str, partitions: &[u32]) -> Result<()> {
        self.stream_of(topic)?.pause(partitions)
    }

    /// Lets paused partitions flow again, from where polls have come to. What retention has passed meanwhile follows
    /// `auto.offset.reset`.
    pub async fn resume(&self, topic: &str, partitions: &[u32]) -> Result<()> {
        let stream = self.stream_of(topic)?;
        for partition in partitions {
            let held = stream.inbox.held(*partition);
            if let Some(position) = held.filter(|held| held.rewind).and_then(|held| held.position) {
                self.rewind(stream, *partition, position).await?;
            }
            stream.resume(*partition)?;
        }
        Ok(())
    }

    /// Leaves the group; with automatic commit, commits what was given out first.
    pub async fn close(mut self) -> Result<()> {
        let committed = if self.options.enable_auto_commit { self.commit().await } else { Ok(()) };
        if let Some(stream) = self.streams.first() {
            stream.leave().await;
        }
        committed
    }

    async fn rewind(&self, stream: &TopicStream, partition: u32, position: u64) -> Result<()> {
        let sought = stream.seek(partition, SeekTo::Offset(position)).await;
        let reset = match (&sought, self.options.auto_offset_reset) {
            (Err(error), AutoOffsetReset::Earliest) if error.kind() == ErrorKind::OutOfRange => SeekTo::Start,
            (Err(error), AutoOffsetReset::Latest) if error.kind() == ErrorKind::OutOfRange => SeekTo::End,
            _ => return sought.map(drop),
        };
        stream.seek(partition, reset).await.map(drop)
    }

    /// Round robin over the topics.
    fn next(&mut self) -> Found {
        let count = self.streams.len();
        for step in 0..count {
            let place = (self.next_stream + step) % count;
            let stream = &self.streams[place];
            while let Some(taken) = stream.take() {
                match taken.what {
                    What::Moved => {}
                    What::Rows(batch) => {
                        self.next_stream = (place + 1) % count;
                        return Found::Batch(batch);
                    }
                    What::Failed(error) => {
                        let paused = stream.inbox.held(taken.partition).is_some_and(|held| held.paused);
                        // Whoever polls on wants to know whether it can be read now.
                        let retried = if paused { Ok(()) } else { stream.retry(taken.partition) };
                        return Found::Failed(retried.err().unwrap_or(error));
                    }
                }
            }
        }
        let ended = self.streams.iter().position(|stream| stream.ended().is_some());
        ended.map_or(Found::Nothing, Found::Ended)
    }

    fn stream_of(&self, topic: &str) -> Result<&TopicStream> {
        let found = self.streams.iter().find(|stream| stream.topic == topic);
        if found.is_none() && self.topics.iter().any(|known| known == topic) {
            self.check_joined()?;
        }
        found.ok_or_else(|| Error::InvalidInput(format!("not subscribed to {topic:?}")))
    }
}
